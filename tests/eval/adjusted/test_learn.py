"""The judge's errors, measured on made-up judgements of which they are known."""

import numpy as np
import pytest

from closedbook.eval.adjusted import errors, learn
from closedbook.eval.equivalence import learn as judge_learner
from closedbook.eval.equivalence.judged import SYSTEMS

QUESTIONS = 160


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setitem(judge_learner.PARAMETERS, "max_iter", 15)


@pytest.fixture(scope="module")
def data(made_up_judgements):
    return learn.read(made_up_judgements)


def test_rows_are_read_with_their_evidence(data):
    assert len(data.rows) == QUESTIONS * len(SYSTEMS)
    proper = QUESTIONS * 9 // 10 * 4  # New Bing's answers are not judged
    assert data.proper.sum() == (data.place >= 0).sum() == proper
    assert sorted(data.place[data.place >= 0]) == list(range(proper))
    at = np.flatnonzero(data.place >= 0)
    assert (data.judged.right[data.place[at]] == data.right[at]).all()
    assert (data.judged.system[data.place[at]] == data.system[at]).all()


def test_errors_are_those_of_the_labels(data):
    found = learn.measure([data], "learned")
    assert found.systems == 4
    [short, middle, long] = found.lengths
    # All answers have five words. The judge is right, and one label in twenty is not.
    assert short.false_alarms < 0.15
    assert found.judge < 0.5
    assert middle.least == 1.0
    assert long.least == 1.0  # there are none: nothing is known


def test_an_error_of_one_system_is_counted_by_hand(data):
    rows = (data.system == 1) & data.proper & ~data.exact
    accepted = data.right & rows
    missed = np.flatnonzero(accepted)[:10]
    alarms = np.flatnonzero(rows & ~data.right)[:4]
    accepted[missed], accepted[alarms] = False, True
    found = learn.one_system(data, 1, accepted, accepted)
    share = accepted[rows].mean()
    assert found.judge == pytest.approx(6 / rows.sum() / np.sqrt(share * (1 - share)))
    assert found.alarms.sum() == 4
    assert found.wrong.sum() == (rows & ~data.right).sum()
    asked = (data.system == 1) & ~data.flagged & ~data.exact
    assert found.accepted.sum() == (accepted & asked).sum()
    assert found.n.sum() == asked.sum()


def test_what_is_written_is_read_again(data, tmp_path, monkeypatch):
    known = learn.measure([data], "rules")
    learn.write(tmp_path / "errors.json", {"rules": known})
    monkeypatch.setattr(errors, "FILE", tmp_path / "errors.json")
    errors._all.cache_clear()
    try:
        assert errors.load("rules", known.weights) == known
    finally:
        errors._all.cache_clear()
