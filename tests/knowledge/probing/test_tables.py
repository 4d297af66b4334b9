"""Means by relation, type and corpus, and their intervals."""

import numpy as np
import pytest

from closedbook.eval import intervals
from closedbook.knowledge.probing import metrics, tables
from closedbook.tasks.facts import read_facts


def test_mean_over_relations_does_not_weigh_by_facts():
    hits = np.array([1.0, 0.0, 0.0, 0.0, 1.0])  # relation a: 1 of 4, relation b: 1 of 1
    found = tables.table({"P@1": hits}, list("aaaab"))
    assert found.relations["a"]["P@1"].value == 0.25
    assert found.all["P@1"].value == pytest.approx((0.25 + 1) / 2)
    assert found.pooled["P@1"].value == pytest.approx(2 / 5)
    assert (found.all["P@1"].facts, found.all["P@1"].relations) == (5, 2)


def test_interval_of_a_relation_is_wilsons():
    hits = np.array([1.0, 0.0, 0.0, 0.0])
    mean = tables.table({"P@1": hits}, ["a"] * 4).relations["a"]["P@1"]
    assert (mean.low, mean.high) == intervals.wilson(1, 4)


def test_interval_of_a_mean_over_relations_draws_relations():
    """Within its relation every fact is alike: drawing facts would see more than there is."""
    hits = np.repeat([0.0, 1.0, 0.0, 1.0], 1000)
    relations = np.repeat(list("abcd"), 1000).tolist()
    mean = tables.table({"P@1": hits}, relations).all["P@1"]
    assert (mean.low, mean.high) == intervals.of_mean([0.0, 1.0, 0.0, 1.0])
    assert mean.high - mean.low > 0.7
    pooled = tables.table({"P@1": hits}, relations).pooled["P@1"]
    assert pooled.high - pooled.low > 0.7


def test_one_relation_alone_keeps_its_interval_over_facts():
    hits = np.array([1.0, 0.0, 0.0, 0.0])
    found = tables.table({"P@1": hits}, ["a"] * 4, corpora={"a": "SQuAD"})
    assert found.corpora["SQuAD"]["P@1"] == found.relations["a"]["P@1"]
    assert found.all["P@1"].high < 1


def test_types_and_corpora_are_means_of_their_relations():
    hits = np.array([1.0, 0.0, 1.0, 1.0])
    found = tables.table(
        {"P@1": hits},
        list("aabc"),
        types={"a": "1-1", "b": "1-1", "c": ""},
        corpora={"a": "T-REx", "b": "Google-RE", "c": "Google-RE"},
    )
    assert set(found.types) == {"1-1"}
    assert found.types["1-1"]["P@1"].value == 0.75
    assert {name: row["P@1"].value for name, row in found.corpora.items()} == {
        "T-REx": 0.5,
        "Google-RE": 1.0,
    }


def test_relation_with_few_candidates_has_no_precision_at_ten_and_is_not_in_its_mean():
    few, many = np.eye(6)[:3], np.zeros((2, 20))
    many[:, 3] = 1
    found = metrics.places([*few, *many], [0, 1, 2, 3, 5])
    result = tables.table(tables.measured(found), ["continent"] * 3 + ["language"] * 2)
    assert set(result.relations["continent"]) == {"P@1", "MRR"}
    assert result.all["P@10"].relations == 1
    assert result.all["P@10"].value == 0.5
    assert result.all["P@1"].value == 0.75
    curve = tables.curve(found, ["continent"] * 3 + ["language"] * 2, [1, 5, 19, 20])
    assert {k: (mean.value, mean.relations) for k, mean in curve.items()} == {
        1: (0.75, 2),
        5: (0.75, 2),
        19: (0.5, 1),
    }


def test_table_of_the_atlas_has_its_types():
    facts = read_facts("atlas")
    hits = np.ones(len(facts))
    found = tables.of_facts({"P@1": hits}, facts)
    assert set(found.types) == {"1-1", "N-1"}
    assert set(found.corpora) == {"atlas"}
    assert len(found.relations) == 24


@pytest.mark.parametrize("column", [np.ones(2), np.ones(0)])
def test_values_of_another_number_of_facts_are_refused(column):
    with pytest.raises(ValueError, match=f"{len(column)} values of P@1 for 3 facts"):
        tables.table({"P@1": column}, list("aab"))
