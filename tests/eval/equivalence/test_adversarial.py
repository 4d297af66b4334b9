"""Adversarial pairs by kind, and small inputs that other people's files hold.

Half of `adversarial.jsonl` is set aside ("aside"): no rule is made after it. `later_pairs.jsonl`
was written when the rules stood, and rules were mended after its pairs. `docs/evaluator.md` says
how each was first measured.
"""

import json
import pathlib
from collections import Counter

import pytest

from closedbook.eval.equivalence import verdicts
from closedbook.eval.predictions import Prediction


def _pairs(name):
    text = pathlib.Path(__file__).with_name(name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


PAIRS = _pairs("adversarial.jsonl")
LATER = _pairs("later_pairs.jsonl")
LEAST = 0.95  # of precision and of recall


@pytest.mark.parametrize("mode", verdicts.MODES)
@pytest.mark.parametrize("aside", [False, True], ids=["seen", "set aside"])
def test_precision_and_recall_on_adversarial_pairs(aside, mode):
    pairs = [pair for pair in PAIRS if pair["aside"] is aside]
    assert len(pairs) >= 300
    _hold(pairs, mode)


@pytest.mark.parametrize("mode", verdicts.MODES)
def test_precision_and_recall_on_pairs_written_after_the_rules(mode):
    _hold(LATER, mode)


def _hold(pairs, mode):
    told = verdicts.judge_all(
        [
            Prediction(
                question=pair["question"],
                answers=tuple(pair["answers"]),
                prediction=pair["prediction"],
            )
            for pair in pairs
        ],
        mode=mode,
    )
    cells = Counter((t.equivalent, p["same"]) for t, p in zip(told, pairs, strict=True))
    hits = cells[True, True]
    assert hits / (hits + cells[True, False]) >= LEAST
    assert hits / (hits + cells[False, True]) >= LEAST


def test_each_kind_has_several_pairs():
    kinds = Counter(pair["kind"] for pair in PAIRS)
    assert len(kinds) > 40
    assert min(kinds.values()) >= 5


DIFFERENT = [
    "denied_gold",
    "hedged_and_listed",
    "reasoning_and_runon",
    "foreign_dates",
    "units_eras",
    "signs_lost",
    "names_conflict",
    "sentence_date_day",
]


@pytest.mark.parametrize("mode", verdicts.MODES)
@pytest.mark.parametrize("case", [*DIFFERENT, "missed_same"])
def test_small_inputs_of_others(shared, case, mode):
    path = shared / "cases" / "evaluator" / case / "input.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    told = [verdicts.judge(r["question"], r["answers"], r["prediction"], mode=mode) for r in rows]
    assert [t for t in told if t.equivalent != (case == "missed_same")] == []
    if case == "denied_gold":
        assert {t.reason for t in told} == {"negation"}
