"""Explanations of answers of the packaged model, and of a random decoder-only one."""

import dataclasses

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge import LoadedModel
from closedbook.knowledge.memories.explanations import page
from closedbook.knowledge.memories.explanations.explain import TOLERANCE, explain
from closedbook.knowledge.memories.explanations.strongest import by_stack
from closedbook.models import DecoderOnlyConfig

KENYA = "What is the capital of Kenya?"


@pytest.fixture(scope="module")
def kenya(atlas_qa):
    return explain(atlas_qa, KENYA)


@pytest.fixture(scope="module")
def continuing(atlas_qa, random_model) -> LoadedModel:
    """A random decoder-only model with the atlas's vocabulary."""
    return random_model(
        DecoderOnlyConfig(
            vocab_size=atlas_qa.config.vocab_size,
            emb_dim=16,
            num_heads=2,
            num_layers=2,
            head_dim=8,
            mlp_dim=12,
            max_positions=64,
            eos_id=1,
            pad_id=0,
            dropout_rate=0.0,
        )
    )


def _adds_up(explanation) -> None:
    total = sum(part.value for part in explanation.parts)
    assert total == pytest.approx(explanation.explained, rel=TOLERANCE)
    assert explanation.error == pytest.approx(0, abs=TOLERANCE * abs(explanation.explained))


def test_the_packaged_models_answer_is_the_sum_of_its_parts(atlas_qa, kenya):
    (asked,) = atlas_qa.ask([KENYA])
    assert kenya.answer.text == asked.text == "Nairobi"
    assert np.log(kenya.answer_probability) == pytest.approx(asked.log_prob, abs=1e-4)
    assert (kenya.token, kenya.tokens) == ("Nairobi", ("Nairobi", "</s>"))
    assert kenya.explained == kenya.logit
    _adds_up(kenya)
    kinds = [(part.kind, part.layer) for part in kenya.parts]
    of_layers = [("heads", 0), ("heads", 0), ("memories", 0)]
    of_layers += [("heads", 1), ("heads", 1), ("memories", 1)]
    assert kinds == [("embedding", None), *of_layers], "a T5 has no biases and no position vectors"


def test_rows_add_up_as_they_are_written(kenya):
    rows = list(page.rows(kenya))
    assert {row["of"] for row in rows} == {"logit", "cross_attention"}
    logit = sum(row["value"] for row in rows if row["of"] == "logit")
    assert logit == pytest.approx(kenya.explained, rel=TOLERANCE)
    across = sum(row["value"] for row in rows if row["of"] == "cross_attention")
    heads = [row for row in rows if row["kind"] == "head" and row["site"] == "cross_attention"]
    assert across == pytest.approx(sum(row["value"] for row in heads), rel=TOLERANCE)


def test_reading_the_subject_gives_the_capital(kenya):
    reads = kenya.reads["cross_attention"]
    assert max(reads, key=lambda read: read.value).token == "Kenya"
    assert [read.token for read in reads][-1] == "</s>"
    assert list(kenya.reads) == ["self_attention", "cross_attention"]
    assert [read.token for read in kenya.reads["self_attention"]] == ["<start>"]


def test_contrasts_add_up_too(atlas_qa, kenya):
    against = explain(atlas_qa, KENYA, against="Kampala")
    assert against.against == "Kampala"
    _adds_up(against)
    other = explain(atlas_qa, KENYA, answer="Kampala")
    assert not other.answer.own
    assert against.explained == pytest.approx(kenya.logit - other.logit, abs=1e-3)
    assert other.probability < 0.01 < kenya.probability
    centred = explain(atlas_qa, KENYA, centred=True)
    assert centred.against == "the mean logit"
    _adds_up(centred)


def test_a_later_token_is_explained_after_those_before_it(atlas_qa):
    end = explain(atlas_qa, KENYA, token=2)
    assert end.token == "</s>"
    assert [read.token for read in end.reads["self_attention"]] == ["<start>", "Nairobi"]
    _adds_up(end)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": 3}, r"the answer 'Nairobi' has no token 3; it has 2, from 1: Nairobi </s>"),
        ({"token": 0}, "has no token 0"),
        ({"against": "Nairobi"}, "have the same token 1; explain a later one"),
        ({"against": "Kampala", "token": 2}, "part before token 2"),
        ({"against": " "}, "cannot write ' '"),
        ({"answer": " "}, "cannot write ' '"),
        ({"against": "Kampala", "centred": True}, "give one"),
    ],
)
def test_what_does_not_exist_is_refused(atlas_qa, options, message):
    with pytest.raises(UserError, match=message):
        explain(atlas_qa, KENYA, **options)


@pytest.mark.parametrize("question", ["", " \n"])
def test_an_empty_question_is_refused(atlas_qa, question):
    with pytest.raises(UserError, match="an empty question"):
        explain(atlas_qa, question)


def test_a_damaged_model_is_refused(atlas_qa):
    params = {**atlas_qa.params, "decoder": {**atlas_qa.params["decoder"]}}
    norm = params["decoder"]["decoder_norm"]
    params["decoder"]["decoder_norm"] = {"scale": norm["scale"] * np.nan}
    damaged = dataclasses.replace(atlas_qa, params=params)
    with pytest.raises(UserError, match="no numbers"):
        explain(damaged, KENYA, answer="Nairobi")


def test_a_decoder_only_models_parts_are_prompt_positions_and_biases_too(continuing):
    found = explain(continuing, "The capital of Kenya is", answer="Nairobi")
    assert found.tokens == ("Nairobi",), "nothing ends its answers"
    _adds_up(found)
    kinds = {part.kind for part in found.parts}
    assert kinds == {"embedding", "positions", "heads", "biases", "memories"}
    assert not found.encoder_parts
    reads = found.reads["attention"]
    assert [read.token for read in reads] == ["The", "capital", "of", "Kenya", "is"]
    heads = sum(head.value for head in found.heads)
    assert sum(read.value for read in reads) == pytest.approx(heads, rel=1e-4)
    assert {memory.stack for memory in found.memories} == {"decoder"}
    assert {memory.position for memory in found.memories} == {4}


def test_a_decoder_only_models_own_answer_is_explained(continuing):
    (asked,) = continuing.ask(["The capital of Kenya is"])
    found = explain(continuing, "The capital of Kenya is")
    assert found.answer.text == asked.text
    assert found.token.strip()
    _adds_up(found)


def test_values_of_negative_coefficients_are_turned(continuing):
    found = explain(continuing, "The capital of Kenya is", answer="Nairobi")
    strong = by_stack(continuing, found, many=24)["decoder"]
    negative = [each for each in strong if each.memory.coefficient < 0]
    assert negative, "gelu has coefficients below 0"
    embedding = np.asarray(continuing.params["token_embedder"]["embedding"])
    norm = continuing.params["decoder"]["decoder_norm"]
    for each in negative:
        layer = continuing.params["decoder"][f"layers_{each.memory.layer}"]
        value = layer["mlp"]["wo"]["kernel"][each.memory.cell]
        votes = ((value - value.mean()) * norm["scale"]) @ embedding.T
        best = np.argmin(votes[: continuing.vocabulary.vocab_size])
        shown = continuing.vocabulary.decode([int(best)])
        assert each.writes[0] == (shown if shown.strip() else f"<{best}>")
    assert {each.memory.name.split(".")[0] for each in strong} == {"decoder"}
