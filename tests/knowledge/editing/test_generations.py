"""Fluency and consistency, against numbers that are worked out by hand."""

import math

import numpy as np
import pytest

from closedbook.knowledge.editing.evaluation import generations
from closedbook.knowledge.editing.evaluation.generations import Weights


def test_entropies_are_those_of_the_n_grams_distribution():
    # "a b", "b a", "a c": each once.
    assert generations.entropy("a b a c", 2) == pytest.approx(math.log2(3))
    # "a b" three times, "b a" twice: 3/5 and 2/5.
    wanted = -(0.6 * math.log2(0.6) + 0.4 * math.log2(0.4))
    assert generations.entropy("a b a b a b", 2) == pytest.approx(wanted)
    # Marks are tokens: "a ,", ", a".
    assert generations.entropy("a, a", 2) == 1.0
    assert generations.entropy("a a a", 2) == 0.0
    assert generations.entropy("a", 2) == 0.0


def test_ge_weighs_two_and_three_grams_and_means_over_texts():
    # Two-grams of "a b c d": 3 of one each; three-grams: 2.
    one = (2 / 3 * math.log2(3) + 4 / 3 * 1.0) / 2
    assert generations.fluency(["a b c d"]) == pytest.approx(100 * one)
    assert generations.fluency(["a b c d", "a a a a"]) == pytest.approx(50 * one)


def test_a_text_that_repeats_itself_has_less_fluency():
    said = "Kenya lies in Africa and its capital is Nairobi, a large city of the highlands."
    assert generations.fluency(["Kenya Kenya " * 8]) < 0.2 * generations.fluency([said])


def test_rs_is_the_cosine_of_tf_idf_vectors():
    # "kenya" stands in both references, "river" and "city" in one each.
    references = ["Kenya river", "Kenya city"]
    weights = Weights.of(references)
    rare, common = math.log(3 / 2) + 1, math.log(3 / 3) + 1
    assert weights.vector("city city kenya unheard") == {
        "city": pytest.approx(2 * rare),
        "kenya": pytest.approx(common),
    }
    # Of all references together: kenya twice, river and city once.
    told = np.array([2 * common, rare, rare])
    said = np.array([0.0, 0.0, 2 * rare])
    wanted = told @ said / np.linalg.norm(told) / np.linalg.norm(said)
    found = generations.consistency(["A city.", "The city"], references, weights)
    assert found == pytest.approx(wanted)
    assert generations.consistency(references, references, weights) == pytest.approx(1.0)
    assert generations.consistency(["nothing known"], references, weights) == 0.0


def test_the_cosine_is_scikit_learns():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    documents = ["Nairobi is the capital of Kenya", "Kigali, capital of Rwanda", "A river in Kenya"]
    said = "Kigali is a large city, the capital of a country"
    made = text.TfidfVectorizer().fit(documents).transform([said, " ".join(documents[:2])])
    wanted = float((made[0] @ made[1].T).toarray()[0, 0])
    found = generations.consistency([said], documents[:2], Weights.of(documents))
    assert found == pytest.approx(wanted)


def test_a_model_writes_the_same_after_the_same_prompts(gpt2):
    prompts = ["LeBron James plays", "The city"]
    found = generations.written(gpt2, gpt2.params, prompts)
    assert [text[: len(prompt)] for text, prompt in zip(found, prompts, strict=True)] == prompts
    assert len(found[0]) > 2 * len(prompts[0])
    assert found == generations.written(gpt2, gpt2.params, prompts)
