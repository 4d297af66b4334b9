"""The one form of facts: what it refuses, and what it derives."""

import doctest

import pytest

from closedbook.errors import UserError
from closedbook.tasks.facts import Fact, Relation, form, templates
from closedbook.tasks.facts.form import gather


def fact(subject="Peru", object_="Lima", **fields) -> Fact:
    given = {
        "id": f"capital:{subject}",
        "subject": subject,
        "relation": "capital",
        "object": object_,
        "prompt": "The capital of {} is [Y].",
    }
    return Fact(**{**given, **fields})


@pytest.mark.parametrize("module", [form, templates])
def test_examples_in_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"relation": ""}, "no relation"),
        ({"object_": " "}, "no object"),
        ({"prompt": "The capital is [Y]."}, r"0 places for the subject 'Peru'; write \{\}"),
        ({"prompt": "{} {} [Y]"}, "2 places"),
        ({"subject": ""}, "has a place for a subject, and the fact has none"),
        ({"prompt": "The capital of {} is"}, "has no place for the object"),
        ({"paraphrases": ("{} has the capital",)}, "has no place for the object"),
        ({"paraphrases": ("{} or {} is [Y]",)}, "has several places for the subject"),
        ({"style": "question"}, "has a place for the object .* style of the fact's prompts"),
        ({"type": "M-1"}, "unknown type of relation 'M-1'"),
    ],
)
def test_malformed_fact_is_refused_with_value_and_remedy(fields, message):
    with pytest.raises(UserError, match=message):
        fact(**fields)


def test_own_object_comes_first_and_once_among_the_right_ones():
    assert fact(objects=("Ciudad", "Lima", "Ciudad")).objects == ("Lima", "Ciudad")


def test_prompt_is_asked_with_its_subject_and_the_place_of_the_object_marked():
    assert fact().asked() == "The capital of Peru is [Y]."


def test_subject_that_looks_like_a_place_is_left_alone():
    assert templates.statement("{} was born in [Y].", "[Y]", "{}") == "[Y] was born in {}."


def test_place_of_the_subject_is_that_in_the_asked_prompt():
    start, limit = templates.subject_place("The capital of {} is [Y].", "Peru")
    assert fact().asked()[start:limit] == "Peru"


def test_candidates_are_the_objects_of_the_relation_where_none_are_declared():
    facts = gather([fact(), fact("Chile", "Santiago"), fact("Perú")], source="here")
    assert facts.relations["capital"].candidates == ("Lima", "Santiago")


def test_object_outside_the_declared_candidates_is_refused():
    space = Relation(name="capital", candidates=("Quito", "Santiago"))
    with pytest.raises(UserError, match="here: 'Lima' is the object of a fact of capital but not"):
        gather([fact()], source="here", relations=[space])


def test_empty_candidate_is_refused():
    space = Relation(name="capital", candidates=("Lima", " "))
    with pytest.raises(UserError, match="here: a candidate of capital is empty"):
        gather([fact()], source="here", relations=[space])


def test_relation_without_facts_is_refused():
    with pytest.raises(UserError, match="here: relation currency has no facts"):
        gather([fact()], source="here", relations=[Relation(name="currency")])


def test_repeated_ids_are_told_apart():
    facts = gather([fact(id="7"), fact("Chile", "Santiago", id="7")], source="here")
    assert [each.id for each in facts.facts] == ["7", "7#2"]


def test_right_objects_are_those_of_all_facts_of_one_subject():
    facts = gather(
        [
            fact("Peru", "Chile", relation="neighbour"),
            fact("Peru", "Brazil", relation="neighbour", objects=("Brasil",)),
            fact("Chile", "Peru", relation="neighbour"),
        ],
        source="here",
    )
    assert facts.right()["neighbour", "Peru"] == {"Chile", "Brazil", "Brasil"}
    assert facts.right()["neighbour", "Chile"] == {"Peru"}


def test_masked_sentences_without_a_subject_share_no_right_objects():
    sentences = [
        fact("", name, id=name, prompt=f"{name[0]}... is [Y].") for name in ("Lima", "Quito")
    ]
    facts = gather(sentences, source="here")
    assert set(facts.right().values()) == {frozenset({"Lima"}), frozenset({"Quito"})}


def test_unknown_relation_is_named_with_the_nearest():
    facts = gather([fact()], source="here")
    with pytest.raises(UserError, match="unknown relation of here 'capitol'; nearest: capital"):
        facts.only(["capitol"])
    with pytest.raises(UserError, match="no relation of here is named; it has "):
        facts.only([])
