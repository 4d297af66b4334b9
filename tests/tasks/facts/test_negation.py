"""Statements denied by a rule, LAMA's and the atlas's."""

import pytest

from closedbook.tasks.facts import negation, read_facts


@pytest.mark.parametrize(
    ("prompt", "denied"),
    [
        ("{} was born in [Y] .", "{} was not born in [Y] ."),
        ("The official language of {} is [Y] .", "The official language of {} is not [Y] ."),
        ("{} shares border with [Y] .", "{} does not share border with [Y] ."),
        ("{} plays in [Y] position .", "{} does not play in [Y] position ."),
        ("{} used to communicate in [Y] .", "{} did not use to communicate in [Y] ."),
        ("{} has the position of [Y] .", "{} does not have the position of [Y] ."),
        ("{} and [Y] are twin cities .", "{} and [Y] are not twin cities ."),
        (
            "The US state whose capital is {} is [Y].",
            "The US state whose capital is {} is not [Y].",
        ),
        (
            "{} is the city from which [Y] is governed.",
            "{} is not the city from which [Y] is governed.",
        ),
        ("{} became independent in [Y].", "{} did not become independent in [Y]."),
        ("{} carries [Y].", "{} does not carry [Y]."),
        ("{} reaches [Y].", "{} does not reach [Y]."),
        ("The mother tongue of {} is", "The mother tongue of {} is not"),
        ("What is the capital of {}?", None),
        ("{} won its freedom in [Y].", None),
        ("Calls to {} begin with the country code [Y].", None),
    ],
)
def test_denied_by_hand(prompt, denied):
    assert negation.negated(prompt) == denied


def test_every_relation_of_the_atlas_but_one_is_denied():
    facts = read_facts("atlas")
    asked = {fact.relation: fact.prompt for fact in facts.facts}
    none = [name for name, prompt in asked.items() if negation.negated(prompt) is None]
    assert none == ["demonym_country"]
