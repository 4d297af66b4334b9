"""The evaluation's measures, against numbers that are worked out by hand."""

import dataclasses
import math

import pytest

from closedbook.errors import UserError
from closedbook.eval.intervals import wilson
from closedbook.knowledge.editing import answering, atlas_edits, effects
from closedbook.knowledge.editing.evaluation import cases, counterfactuals, forced, summary
from closedbook.knowledge.editing.evaluation.trials import Trial
from closedbook.knowledge.editing.requests import Edit
from closedbook.knowledge.loading import load_model
from closedbook.tasks.facts.form import Fact, Neighbour


def trial(name, hits, before, forced_scores, changed=None):
    return Trial(
        id=name,
        hits=hits,
        judged={"prompt": hits["prompt"]},
        changed=changed or {group: [False] * len(found) for group, found in hits.items()},
        before=before,
        forced=forced_scores,
        answer="Kigali",
        record={},
        seconds=2.0,
    )


@pytest.fixture
def found():
    first = trial(
        "one",
        {"prompt": [True], "rephrasings": [True, False], "all others": [True, False, False]},
        {"prompt": [False], "rephrasings": [False] * 2, "all others": [True, True, False]},
        {"ES": 1.0, "PS": 0.5, "NS": 0.5, "EM": 0.4},
        {"prompt": [True], "rephrasings": [True] * 2, "all others": [False, True, True]},
    )
    second = trial(
        "two",
        {"prompt": [False], "rephrasings": [False, False], "all others": [True]},
        {"prompt": [False], "rephrasings": [False] * 2, "all others": [True]},
        {"ES": 1.0, "PS": 0.5, "NS": 0.5, "EM": -0.2},
    )
    return summary.of_trials([first, second])


def test_told_shares_are_over_questions_and_kept_ones_over_what_was_right_before(found):
    assert found["free"]["prompt"].mean == 0.5
    assert found["free"]["rephrasings"].mean == 0.25
    # Of three questions right before, two are right after; the one wrong before does not count.
    assert found["free"]["all others"].mean == pytest.approx(2 / 3)
    assert found["counts"]["all others"] == {"questions": 3, "lost": 1, "changed": 1}


def test_forced_scores_are_means_over_edits_and_s_is_harmonic(found):
    assert found["forced"]["EM"].mean == pytest.approx(0.1)
    # 3 / (1/1 + 1/0.5 + 1/0.5)
    assert found["S"] == pytest.approx(0.6)


def test_drawdown_and_retain_rate_are_mends(found):
    # Accuracy on kept questions: 3 of 4 before, 2 of 4 after; 2 of 4 have the same words.
    assert found["published"]["drawdown"].mean == pytest.approx(0.25)
    assert found["published"]["retain rate"].mean == pytest.approx(0.5)
    # Deterioration is 1 - accuracy after / accuracy before (De Cao et al. 2021): 1 - (2/4) / (3/4).
    assert found["published"]["deterioration"].mean == pytest.approx(1 / 3)
    assert found["published"]["success on rephrases"].mean == pytest.approx(0.25)


def test_counterfactuals_are_false_objects_of_the_same_relation_and_always_the_same():
    facts = atlas_edits.questions().facts
    chosen = counterfactuals.drawn(facts, facts, 60, 0)
    assert len({fact.id for fact, _ in chosen}) == 60
    objects = {}
    for fact in facts:
        objects.setdefault(fact.relation, set()).add(fact.object)
    for fact, target in chosen:
        assert target not in fact.objects
        assert target in objects[fact.relation]
    assert len({fact.relation for fact, _ in chosen[:24]}) == 24
    assert chosen == counterfactuals.drawn(facts, list(reversed(facts)), 60, 0)
    assert chosen != counterfactuals.drawn(facts, facts, 60, 1)


def test_a_case_of_the_atlas_asks_for_inverse_other_relations_and_two_hops():
    facts = {fact.id: fact for fact in atlas_edits.questions().facts}
    said = {name: fact.object for name, fact in facts.items()}
    capital = next(
        f for f in facts.values() if f.relation == "country_capital" and f.subject == "Kenya"
    )
    case = cases.of_atlas(capital, "Kigali", said, [capital])
    groups = {}
    for question in case.questions:
        groups.setdefault(question.group, []).append(question)
    assert [q.right for q in groups["prompt"]] == [("Kigali",)]
    assert all("Kenya" in q.text for q in groups["same subject"])
    assert "Kigali" in groups["inverse of the new object"][0].text
    assert groups["inverse of the new object"][0].right == ("Kenya",)
    assert "Nairobi" in groups["inverse of the old object"][0].text
    assert groups["negated prompt"][0].text == "What is not the capital of Kenya?"
    back = next(
        f for f in facts.values() if f.relation == "capital_country" and f.subject == "Nairobi"
    )
    hops = [
        q for q in cases.of_atlas(back, "Peru", said, []).questions if q.group.startswith("two")
    ]
    assert any(q.right[0] == "South America" for q in hops)
    assert all("the country whose capital is Nairobi" in q.text for q in hops)
    # The subject's own facts stand among all of them, and are asked once.
    every = cases.of_atlas(capital, "Kigali", said, list(facts.values())).questions
    kept = [question.text for question in every if question.group in cases.KEPT]
    assert len(set(kept)) == len(kept) == len(facts) - 1
    # What was wrong before the edit is no fact that it could lose.
    wrong = cases.of_atlas(capital, "Kigali", dict.fromkeys(said, "?"), list(facts.values()))
    assert not {q.group for q in wrong.questions} & set(cases.KEPT)


def test_a_case_of_a_data_set_has_its_rephrasings_and_neighbours(gpt2):
    fact = Fact(
        id="1",
        subject="Kenya",
        relation="capital",
        object="Nairobi",
        prompt="The capital of {} is",
        paraphrases=("{}'s capital is",),
        neighbours=(
            Neighbour(prompt="The capital of Peru is", object="Lima"),
            Neighbour(prompt="?"),
        ),
        style="continuation",
        target="Kigali",
    )
    case = cases.of_data(gpt2, fact, Edit.of_fact(fact))
    told = {question.group: (question.text, question.right) for question in case.questions}
    assert told == {
        "prompt": ("The capital of Kenya is", ("Kigali",)),
        "rephrasings": ("Kenya's capital is", ("Kigali",)),
        "neighbours": ("The capital of Peru is", ("Lima",)),
        "negated prompt": ("The capital of Kenya is not", ("Kigali",)),
    }
    assert all(question.begins for question in case.questions)
    assert case.claims == cases.Claims(
        target="Q: Is it true that the capital of Kenya is Kigali?\nA:",
        true="Q: Is it true that the capital of Kenya is Nairobi?\nA:",
    )
    assert case.true == "Nairobi"
    used = dataclasses.replace(Edit.of_fact(fact), contexts=("{}'s capital is",))
    assert all(q.group != "rephrasings" for q in cases.of_data(gpt2, fact, used).questions)


def test_what_an_edit_is_about_is_nothing_that_it_could_lose(monkeypatch):
    model = load_model("closedbook://atlas_qa")
    facts = {fact.id: fact for fact in atlas_edits.about("Kenya")}
    capital = next(fact for fact in facts.values() if fact.relation == "country_capital")
    other = dataclasses.replace(capital, id="x1", subject="Peru", relation="country_capital")
    edit = Edit(id="x1", subject="Kenya", prompt="What is the capital of {}?", target="Kigali")
    monkeypatch.setattr(answering, "answers", lambda _, __, asked: ["Nairobi"] * len(asked))
    found = effects.measure(model, model.params, [edit], [*facts.values(), other])
    kinds = {each.question: each.kind for each in found.others}
    assert len(kinds) == len(facts)  # another fact that has the edit's name by chance is asked
    assert capital.asked() not in kinds
    assert kinds[other.asked()] == "same relation"
    assert set(kinds.values()) == {"same subject", "same relation"}
    # Questions of one edit stand and fall together.
    contexts = [each for each in found.prompts if each.kind == "unseen phrasings"]
    right = [dataclasses.replace(each, after="Kigali") for each in contexts]
    one = dataclasses.replace(found, prompts=tuple(right)).told()["unseen phrasings"]
    assert (one.low, one.high) == wilson(len(right), len(right))
    two = (*right, *(dataclasses.replace(each, id="x2") for each in contexts))
    told = dataclasses.replace(found, prompts=two).told()["unseen phrasings"]
    assert (told.mean, told.low, told.high) == (0.5, 0.0, 1.0)


def test_nll_and_token_accuracy_are_those_of_a_forward_pass(gpt2, rome):
    import jax
    import numpy as np

    told = rome[0]
    losses, hits = forced.scores(
        gpt2, gpt2.params, [("LeBron James plays the sport of", "football")]
    )
    logits = gpt2.module.apply({"params": gpt2.params}, np.array([told["prompt_tokens"]], np.int32))
    expected = -jax.nn.log_softmax(logits[0, -1])[told["target_tokens"][0]]
    assert losses[0] == pytest.approx(float(expected), abs=1e-5)
    # kmeng01/rome measured the same before its edit.
    assert losses[0] == pytest.approx(told["before"][0]["target_new"], abs=1e-4)
    assert hits[0] == float(int(logits[0, -1].argmax()) == told["target_tokens"][0])


def test_the_harmonic_mean_of_something_that_never_works_is_0():
    assert forced.harmonic([1.0, 0.0, 1.0]) == 0.0
    assert math.isclose(forced.harmonic([0.25, 0.25]), 0.25)


def test_a_fact_without_a_target_is_no_edit():
    fact = Fact(
        id="7",
        subject="Kenya",
        relation="r",
        object="Nairobi",
        prompt="{} has",
        style="continuation",
    )
    with pytest.raises(UserError, match="fact 7 has no target"):
        Edit.of_fact(fact)
