"""Progress is a bar on a terminal, sparse plain lines elsewhere, nothing in other processes."""

import doctest
import io
import logging

import pytest

from closedbook.telemetry import Progress, progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream, seconds_a_step, total=100, initial=0, **options):
    clock = Clock()
    options = {"description": "train", "interval": 10.0, **options}
    with Progress(total, initial, stream=stream, clock=clock, **options) as shown:
        for step in range(initial + 1, total + 1):
            clock.now += seconds_a_step
            shown.update(step, {"loss": 1 / step, "tokens_per_second": 12_345})
    return stream.getvalue()


def test_log_gets_a_line_each_interval_and_one_for_the_last_step():
    lines = run(io.StringIO(), seconds_a_step=0.25).splitlines()
    assert [line.split()[1] for line in lines] == ["40/100", "80/100", "100/100"]


def test_line_has_step_metrics_and_remaining_time():
    first, *_, last = run(io.StringIO(), seconds_a_step=10).splitlines()
    assert first == "train 1/100  loss 1  12.3k tokens/s  ETA 0:16:30"
    assert last == "train 100/100  loss 0.01  12.3k tokens/s"


def test_resumed_loop_counts_only_its_own_steps_in_the_remaining_time():
    first, *_ = run(io.StringIO(), seconds_a_step=10, initial=90).splitlines()
    assert first.startswith("train 91/100")
    assert first.endswith("ETA 0:01:30")


def test_log_has_no_terminal_codes():
    assert "\x1b" not in run(io.StringIO(), seconds_a_step=10)


def test_terminal_gets_a_bar_with_metrics(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    text = run(Terminal(), seconds_a_step=1)
    assert "\x1b" in text
    assert "100/100" in text
    assert "loss 0.01  12.3k tokens/s" in text


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_other_processes_show_nothing(stream):
    assert run(stream, seconds_a_step=10, enabled=False) == ""


def test_no_metrics_are_needed():
    stream = io.StringIO()
    with Progress(2, stream=stream) as shown:
        shown.update(2)
    assert stream.getvalue() == "2/2\n"


def test_examples_in_docstrings_run():
    assert doctest.testmod(progress).failed == 0


def test_what_compiles_and_pauses_is_no_part_of_the_remaining_time():
    stream, clock = io.StringIO(), Clock()
    with Progress(100, description="train", stream=stream, clock=clock) as shown:
        with shown.compiling():
            clock.now += 1000
        shown.update(1)
        clock.now += 10
        shown.update(2)
        with shown.paused():
            clock.now += 500
        clock.now += 10
        shown.update(3)
    assert stream.getvalue().splitlines() == [
        "train 0/100  compiling",
        "train 1/100",
        "train 2/100  ETA 0:16:20",
        "train 3/100  ETA 0:16:10",
    ]


def test_a_resumed_run_that_compiles_has_the_right_remaining_time():
    stream, clock = io.StringIO(), Clock()
    with Progress(100, 90, description="train", stream=stream, clock=clock) as shown:
        with shown.compiling():
            clock.now += 1000
        shown.update(91)
        clock.now += 10
        shown.update(92)
    assert stream.getvalue().splitlines()[::2] == [
        "train 90/100  compiling",
        "train 92/100  ETA 0:01:20",
    ]


def test_the_last_line_has_the_last_metrics_and_stands_once():
    stream = io.StringIO()
    with Progress(2, stream=stream, clock=Clock()) as shown:
        shown.update(1, {"loss": 5})
        shown.update(2)
        shown.update(2, {"loss": 4})
        shown.update(2)
    assert stream.getvalue() == "2/2  loss 4\n"


def test_the_bar_moves_with_each_step_and_says_what_it_waits_for(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    stream, clock = Terminal(), Clock()
    with Progress(100, description="train", stream=stream, clock=clock) as shown:
        with shown.compiling():
            shown._bar.refresh()
            assert "train: compiling" in stream.getvalue()
        for step in (1, 2, 3):
            clock.now += 2 * (step > 1)  # the first is the one that compiled
            shown.update(step, {"loss": 2} if step == 2 else None)
            shown._bar.refresh()
            assert f"{step}/100" in stream.getvalue()
    last = stream.getvalue().rpartition("\r")[2]
    assert "compiling" not in last
    assert "loss 2" in last
    assert "ETA 0:03:14" in last


@pytest.mark.parametrize("name", ["closedbook.a_module", None])
def test_log_lines_stand_above_the_bar(name, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        with Progress(100, description="train", stream=stream) as shown:
            shown.update(1)
            logger.warning("a word of warning")
            shown.update(2)
        assert handler.stream is stream
    finally:
        logger.removeHandler(handler)
    (line,) = [each for each in stream.getvalue().splitlines() if "a word of warning" in each]
    assert "train" not in line.rpartition("\r")[2]
    before, _, after = stream.getvalue().partition("a word of warning")
    assert "train" in before
    assert "train" in after
