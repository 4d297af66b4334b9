"""The rate of training counts the time of training alone."""

import pytest

from closedbook.telemetry import Throughput


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_rates_of_a_window(clock):
    throughput = Throughput(devices=4, clock=clock)
    for _ in range(10):
        clock.now += 0.5
        throughput.count(tokens=1_000)
    assert throughput.report() == {
        "steps_per_second": 2.0,
        "tokens_per_second": 2_000.0,
        "tokens_per_second_per_device": 500.0,
    }


def test_pauses_do_not_count_also_when_nested(clock):
    throughput = Throughput(clock=clock)
    clock.now = 2
    with throughput.paused():
        clock.now = 50
        with throughput.paused():
            clock.now = 90
        clock.now = 100
        assert throughput.seconds == 2
    clock.now = 104
    throughput.count(steps=3)
    assert throughput.report()["steps_per_second"] == 0.5


def test_pause_ends_when_evaluation_fails(clock):
    def evaluate():
        clock.now = 10
        raise RuntimeError("evaluation failed")

    throughput = Throughput(clock=clock)
    with pytest.raises(RuntimeError, match="evaluation failed"), throughput.paused():
        evaluate()
    clock.now = 11
    assert throughput.seconds == 1


def test_report_inside_a_pause_starts_a_window_that_still_waits(clock):
    throughput = Throughput(clock=clock)
    clock.now = 4
    throughput.count(steps=2)
    with throughput.paused():
        clock.now = 10
        assert throughput.report()["steps_per_second"] == 0.5
        clock.now = 20
    clock.now = 21
    throughput.count()
    assert throughput.report()["steps_per_second"] == 1.0


def test_window_without_steps_has_no_rates(clock):
    throughput = Throughput(clock=clock)
    clock.now = 5
    assert throughput.report() == {}


def test_compile_time_is_left_out_by_a_restart(clock):
    throughput = Throughput(clock=clock)
    clock.now = 60
    throughput.count()
    throughput.restart()
    clock.now = 61
    throughput.count()
    assert throughput.report()["steps_per_second"] == 1.0
