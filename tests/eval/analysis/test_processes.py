"""Work on parts of a file by several processes: the same results, whatever happens to them."""

import functools
import subprocess
import sys

import pytest

from closedbook.errors import UserError
from closedbook.eval.analysis import findings, processes
from closedbook.eval.analysis.findings import Asked
from closedbook.eval.equivalence import judges
from closedbook.eval.predictions import Prediction

JUDGE = judges.Evidence()
ROWS = [
    Prediction(
        question=f"who ruled land {n}",
        answers=(f"King George {n}", "the king, George"),
        prediction=text,
        meta={"s_pop": n},
    )
    for n, text in enumerate(
        ["George", "the King George 1", "Queen Anne.", "", "King George 4"] * 5
    )
]
WORK = functools.partial(
    findings.of_rows, asked=Asked(protocols=("squad", "dpr"), judge=JUDGE, threshold=None)
)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(processes, "_AT_ONCE", 3)
    monkeypatch.setattr(processes, "_WORTH", 1)


@pytest.fixture(scope="module")
def alone() -> list[findings.Findings]:
    return [WORK(ROWS[start : start + 3]) for start in range(0, len(ROWS), 3)]


def test_two_processes_find_what_one_does_in_the_same_order(alone):
    assert list(processes.parts(WORK, ROWS, judge=JUDGE, cores=2)) == alone


def test_processes_are_replaced_before_they_grow(alone, monkeypatch):
    started = []
    start = processes._start
    monkeypatch.setattr(processes, "_start", lambda: started.append(start()) or started[-1])
    monkeypatch.setattr(processes, "_PARTS_EACH", 2)
    assert list(processes.parts(WORK, ROWS, judge=JUDGE, cores=2)) == alone
    assert len(started) > 2
    assert all(process.poll() is not None for process in started)


@pytest.mark.parametrize(
    "code", ["pass", "import sys; sys.stdin.buffer.read(9)", "print('no pickle')"]
)
def test_a_process_that_dies_leaves_its_part_to_us(alone, monkeypatch, code):
    def start():
        return subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    monkeypatch.setattr(processes, "_start", start)
    assert list(processes.parts(WORK, ROWS, judge=JUDGE, cores=2)) == alone


def test_where_no_process_can_be_started_there_is_one(alone, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert list(processes.parts(WORK, ROWS, judge=JUDGE, cores=2)) == alone


def test_a_users_error_is_told_as_if_there_were_one_process():
    rows = [*ROWS[:4], Prediction(question="q", answers=(), prediction="p")]
    with pytest.raises(UserError, match="no acceptable answers"):
        list(processes.parts(WORK, rows, judge=JUDGE, cores=2))


def test_another_judge_is_asked_by_this_process_alone(monkeypatch):
    monkeypatch.setattr(processes, "_start", lambda: pytest.fail("a process was started"))
    mine = judges.Scored(name="mine", probabilities=lambda rows: [0.25] * len(rows))
    assert len(list(processes.parts(mine.judge_all, ROWS, judge=mine, cores=2))) == 9
