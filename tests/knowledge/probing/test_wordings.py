"""The same facts in other words and denied: what is asked, and what comes of it, by hand."""

import dataclasses

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.probing import wordings
from closedbook.knowledge.probing.probe import Settings, probe
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.scoring import CandidateScorer
from closedbook.knowledge.probing.summary import summarise
from closedbook.tasks.facts import Fact, negation, read_facts
from closedbook.tasks.facts.form import gather


def fact(number, relation="r", **more):
    return Fact(
        id=f"{relation}{number}",
        subject=f"s{number}",
        relation=relation,
        object=f"o{number}",
        prompt="{} is [Y].",
        **more,
    )


def test_variants_are_what_the_data_says_and_what_the_rule_makes(atlas_ssm):
    facts = [
        fact(0, paraphrases=("{} has [Y].", "[Y] is {}'s.")),
        fact(1),
        fact(2, paraphrases=("{} won [Y].",), negated="{} is nothing like [Y]."),
        dataclasses.replace(fact(3), prompt="{} won [Y]."),
    ]
    prompting = Prompting.of(atlas_ssm)
    second, third = wordings.paraphrases(facts, prompting)
    assert (second.places, third.places) == ((0, 2), (0,))
    assert second.texts == ("s0 has <extra_id_0>.", "s2 won <extra_id_0>.")
    assert third.texts == ("<extra_id_0> is s0's.",)
    denied = wordings.negations(facts, prompting)
    assert denied.places == (0, 1, 2), "no rule denies what was won"
    assert denied.texts[0] == "s0 is not <extra_id_0>."
    assert denied.texts[2] == "s2 is nothing like <extra_id_0>."
    assert denied.given == (False, False, True)
    assert wordings.negations(facts[3:], prompting) is None


def test_a_model_that_goes_on_is_asked_and_denied_where_the_object_is_last(atlas_ssm):
    prompting = dataclasses.replace(
        Prompting.of(atlas_ssm, "continuation"), vocabulary=atlas_ssm.vocabulary
    )
    one = dataclasses.replace(
        fact(0, paraphrases=("{} means [Y].", "To {} belongs [Y]."), negated="Not {} is [Y]."),
        prompt="[Y] is {}'s.",
    )
    [second] = wordings.paraphrases([one], prompting)
    assert second.texts == ("To s0 belongs",)
    denied = wordings.negations([one], prompting)
    # The data's own negation is of a prompt that is not the one asked.
    assert (denied.texts, denied.given) == (("s0 does not mean",), (False,))


def test_answers_agree_and_are_right_as_counted_by_hand():
    """Two relations of two facts; the numbers of the summary are those of a pencil."""
    facts = gather([fact(n, r) for r in ("a", "b") for n in (0, 1)], source="made")

    def said(*pairs):
        return [{"prompt": "p", "answer": answer, "rank": rank} for answer, rank in pairs]

    def denied(same, correlation, rank):
        values = {"same": same, "correlation": correlation, "rank": rank}
        return {"prompt": "not p", "given": False, "answer": "x", **values}

    common = {"candidates": 2, "log_prob": -1.0, "tokens": 1, "subject_tokens": 1}
    rank = {name: {"better": 0, "equal": 0} for name in ("sum", "length")}
    common |= {"ranking": rank, "rank": 1, "top": [{"log_prob": -1.0}]}
    rows = [
        # All agree; one of three pairs agrees; all agree on what is wrong; one wording alone.
        {**common, "wordings": said(("o0", 1), ("o0", 1)), "negated": denied(True, 1.0, 1)},
        {**common, "wordings": said(("o1", 1), ("o0", 2), ("o1", 1))},
        {**common, "wordings": said(("o1", 2), ("o1", 2)), "negated": denied(False, -0.5, 2)},
        {**common, "negated": denied(True, 0.5, 1)},
    ]
    found = summarise(facts, rows, Settings(paraphrases=True, negated=True))
    words = found["wordings"]
    assert (words["facts"], words["left_out"], words["prompts"]) == (3, 1, 7)
    means = {name: each.mean for name, each in words["all"].items()}
    assert means == pytest.approx(
        {
            "P@1, first wording": (1 + 0) / 2,
            "P@1, mean of wordings": ((1 + 2 / 3) / 2 + 0) / 2,
            "right in all": (1 / 2 + 0) / 2,
            "consistency": ((1 + 1 / 3) / 2 + 1) / 2,
        }
    )
    assert words["pooled"]["consistency"].mean == pytest.approx((1 + 1 / 3 + 1) / 3)
    denied_ = found["negated"]
    assert (denied_["facts"], denied_["left_out"], denied_["given"]) == (3, 1, 0)
    means = {name: each.mean for name, each in denied_["all"].items()}
    assert means == pytest.approx(
        {
            "P@1": 1,
            "P@1, denied": (1 + 1 / 2) / 2,
            "same best": (1 + 1 / 2) / 2,
            "rank correlation": (1 + (-0.5 + 0.5) / 2) / 2,
        }
    )
    assert denied_["relations"][1]["model"]["rank correlation"].mean == pytest.approx(0)
    assert -1 <= denied_["all"]["rank correlation"].low <= denied_["all"]["rank correlation"].high


def test_rows_hold_the_scores_of_each_wording_asked_by_itself(atlas_ssm):
    facts = read_facts("atlas", relations=["state_capital"])
    facts = facts.keep(facts.facts[:6])
    prompting = Prompting.of(atlas_ssm)
    for normalise in ("sum", "length"):
        settings = Settings(paraphrases=True, negated=True, normalise=normalise)
        rows = probe(atlas_ssm, facts, prompting, settings)
        scorer = CandidateScorer(atlas_ssm.module, atlas_ssm.params)
        relation = facts.relations["state_capital"]
        answers = prompting.answers(relation)
        for one, row in zip(facts.facts, rows, strict=True):
            assert len(row["wordings"]) == len(one.prompts) == 6
            asked = [*one.prompts, negation.negated(one.prompt)]
            worded = [dataclasses.replace(one, prompt=each, paraphrases=()) for each in asked]
            scores = scorer(prompting.inputs(worded), answers)
            if normalise == "length":
                scores = scores / answers.lengths
            best = [relation.candidates[place] for place in scores.argmax(1)]
            assert [each["answer"] for each in row["wordings"]] == best[:-1]
            assert row["negated"]["answer"] == best[-1]
            assert row["negated"]["same"] == (best[0] == best[-1])
            order = np.argsort(np.argsort(scores[[0, -1]], axis=1), axis=1)
            by_hand = np.corrcoef(order)[0, 1]
            assert row["negated"]["correlation"] == pytest.approx(by_hand, abs=1e-4)


def test_other_words_that_nobody_gave_are_told(atlas_ssm, atlas_qa):
    facts = gather([dataclasses.replace(fact(n), prompt="{} won [Y].") for n in (0, 1)], source="f")
    named = [
        dataclasses.replace(f, subject=s, object=o)
        for f, s, o in zip(facts.facts, ("Peru", "Cuba"), ("Lima", "Havana"), strict=True)
    ]
    facts = gather(named, source="f")
    prompting = Prompting.of(atlas_ssm)
    with pytest.raises(UserError, match="no fact has a second wording"):
        probe(atlas_ssm, facts, prompting, Settings(paraphrases=True))
    with pytest.raises(UserError, match="can be denied"):
        probe(atlas_ssm, facts, prompting, Settings(negated=True))
    questions = read_facts("atlas", relations=["state_capital"], style="question")
    with pytest.raises(UserError, match="can be denied"):
        probe(atlas_qa, questions, Prompting.of(atlas_qa), Settings(negated=True))


def test_one_candidate_alone_counts_in_no_mean(atlas_ssm):
    """Whatever a model says of it is right: nothing was asked."""
    facts = [
        dataclasses.replace(
            fact(number, name, paraphrases=("{} has [Y].",)), subject=subject, object=object_
        )
        for number, (name, subject, object_) in enumerate(
            [("two", "Peru", "Lima"), ("two", "Cuba", "Havana"), ("one", "Spain", "Madrid")]
        )
    ]
    facts, prompting = gather(facts, source="f"), Prompting.of(atlas_ssm)
    settings = Settings(paraphrases=True, negated=True)
    rows = probe(atlas_ssm, facts, prompting, settings)
    found = summarise(facts, rows, settings)
    assert set(found["all"]["model"]) == {"P@1", "MRR"}
    for mean in found["all"]["model"].values():
        assert (mean.relations, mean.facts) == (1, 2)
    assert found["relations"][1]["model"] == {}
    assert found["relations"][1]["chance"] == {}
    for part in (found["wordings"], found["negated"]):
        assert (part["facts"], part["left_out"]) == (2, 1)
        assert [each["name"] for each in part["relations"]] == ["two"]
    assert [each.facts for each in found["templates"]["each"]] == [2, 2]
    alone = facts.only(["one"])
    nothing = summarise(alone, rows[2:], settings)
    assert nothing["all"]["model"] == {}
    assert not {"wordings", "negated", "templates"} & set(nothing)
