"""Ranks, P@k and MRR equal hand-computed values; ties and other right objects as documented."""

import doctest
import importlib
import pathlib

import numpy as np
import pytest

from closedbook.knowledge import probing
from closedbook.knowledge.probing import metrics, tables
from closedbook.knowledge.probing.gold import gold
from closedbook.tasks.facts import Fact
from closedbook.tasks.facts.form import gather


def _with_examples():
    """Names of the modules that have examples in docstrings."""
    root = pathlib.Path(probing.__path__[0])
    files = [path for path in sorted(root.rglob("*.py")) if ">>> " in path.read_text()]
    parts = [path.relative_to(root).with_suffix("").parts for path in files]
    return [".".join([probing.__name__, *each]) for each in parts]


def test_most_rooms_have_examples():
    assert len(_with_examples()) >= 8


@pytest.mark.parametrize("name", _with_examples())
def test_examples_in_docstrings_run(name):
    if "masked" in name:
        pytest.importorskip("torch", reason="torch is an extra")
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_ranks_and_means_of_three_facts_by_hand():
    scores = np.log([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.3, 0.5, 0.2]])
    found = metrics.places(scores, [0, 0, 0])  # ranks 1, 3, 2
    assert metrics.rank(found).tolist() == [1, 3, 2]
    assert metrics.precision(found, 1).tolist() == [1, 0, 0]
    assert metrics.precision(found, 2).tolist() == [1, 0, 1]
    assert metrics.reciprocal_rank(found) == pytest.approx([1, 1 / 3, 1 / 2])


def test_facts_may_have_different_numbers_of_candidates():
    found = metrics.places([np.array([1.0, 2.0]), np.array([3.0, 2.0, 1.0, 0.0])], [1, 3])
    assert metrics.rank(found).tolist() == [1, 4]
    assert found.candidates.tolist() == [2, 4]


def test_precision_is_not_defined_where_k_is_not_below_the_number_of_candidates():
    found = metrics.places(np.eye(6), range(6))
    assert metrics.precision(found, 5).tolist() == [1] * 6
    assert np.isnan(metrics.precision(found, 6)).all()
    assert np.isnan(metrics.precision(found, 10)).all()


def test_of_one_candidate_alone_nothing_is_asked():
    """The only capital that the data knows is first whatever the model thinks."""
    found = metrics.places([np.array([0.5]), np.array([0.5, 0.2])], [0, 0])
    for ties in ("pessimistic", "expected", "optimistic"):
        assert np.isnan(metrics.reciprocal_rank(found, ties)).tolist() == [True, False]
    table = tables.table(tables.measured(found), ["only", "two"])
    assert table.relations["only"] == {}
    assert table.all["MRR"].relations == 1


def test_constant_scores_know_nothing():
    found = metrics.places(np.zeros((4, 20)), [0, 5, 9, 19])
    assert metrics.precision(found, 1).sum() == 0
    assert metrics.precision(found, 10).sum() == 0
    assert metrics.rank(found).tolist() == [20] * 4
    assert metrics.precision(found, 1, "optimistic").sum() == 4


def test_expected_ties_are_the_mean_over_all_orders():
    random = np.random.default_rng(0)
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    found = metrics.places([scores], [2])
    ranks = []
    for _ in range(4000):
        order = np.lexsort((random.random(5), -scores))
        ranks.append(int(np.flatnonzero(order == 2)[0]) + 1)
    drawn = np.array(ranks)
    assert metrics.rank(found, "expected")[0] == 3
    assert metrics.precision(found, 2, "expected")[0] == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(found, "expected")[0] == pytest.approx(
        (1 / 2 + 1 / 3 + 1 / 4) / 3
    )
    assert (drawn <= 2).mean() == pytest.approx(1 / 3, abs=0.03)
    assert (1 / drawn).mean() == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3, abs=0.01)


def test_other_right_objects_count_against_a_fact_in_lama_and_not_when_filtered():
    names = ["France", "Poland", "Peru"]
    rows = [
        Fact(id=name, subject="Germany", relation="border", object=name, prompt="{} borders [Y].")
        for name in names[:2]
    ]
    rows.append(
        Fact(id="x", subject="Chile", relation="border", object="Peru", prompt="{} borders [Y].")
    )
    facts = gather(rows, source="here")
    right = gold(facts)
    assert [others.tolist() for others in right.others] == [[1], [0], []]
    scores = np.array([[0.6, 0.3, 0.1]] * 3)
    lama = metrics.places(scores, right.index)
    filtered = metrics.places(scores, right.index, right.others)
    assert metrics.rank(lama).tolist() == [1, 2, 3]
    assert metrics.rank(filtered).tolist() == [1, 1, 3]
    assert filtered.candidates.tolist() == [2, 2, 3]


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="scores of fact 1 are not numbers"):
        metrics.places(np.array([[0.0, 1.0], [np.nan, 1.0]]), [0, 0])


def test_candidate_that_is_never_given_ranks_last():
    found = metrics.places([np.array([-np.inf, 0.5, -np.inf])], [0])
    assert metrics.rank(found).tolist() == [3]


def test_facts_may_be_taken_in_groups():
    scores = np.random.default_rng(0).random((7, 5))
    whole = metrics.places(scores, [1] * 7)
    parts = metrics.joined(
        [metrics.places(scores[:3], [1] * 3), metrics.places(scores[3:], [1] * 4)]
    )
    assert metrics.rank(parts).tolist() == metrics.rank(whole).tolist()


def test_best_candidates_come_in_order():
    assert metrics.best([np.array([0.1, 0.9, 0.5]), np.array([3.0, 2.0, 3.0])], 2).tolist() == [
        [1, 2],
        [0, 2],
    ]
