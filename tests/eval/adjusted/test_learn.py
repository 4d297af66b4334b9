"""The judge's errors, measured on made-up judgements of which they are known."""

import json

import numpy as np
import pytest

from closedbook.eval.adjusted import errors, learn
from closedbook.eval.equivalence import learn as judge_learner
from closedbook.eval.equivalence.judged import SYSTEMS

NAMES = "Smith Jones Brown Miller Davis Wilson Moore Clark Lewis".split()
QUESTIONS = 160


def written(path, wrong_labels):
    """Judgements in EVOUNA's form: the surname decides, but for a share of the labels."""
    drawn = np.random.default_rng(3)
    rows = []
    for number in range(QUESTIONS):
        name, other = drawn.choice(NAMES, 2, replace=False)
        row = {
            "question": f"who won the cup in {1800 + number}",
            "golden_answer": f"John {name}/J. {name}",
            "improper": number % 10 == 0,
        }
        for system in SYSTEMS:
            right = bool(drawn.random() < 0.6)
            row[f"answer_{system}"] = f"the great {name if right else other} of John"
            row[f"judge_{system}"] = right != bool(drawn.random() < wrong_labels)
        row["judge_newbing"] = None
        rows.append(row)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setitem(judge_learner.PARAMETERS, "max_iter", 15)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pytest.importorskip("sklearn")
    return learn.read(written(tmp_path_factory.mktemp("judged") / "NQ.json", 0.05))


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
