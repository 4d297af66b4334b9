"""Steps and tokens per second of training alone: evaluation and checkpointing do not count."""

import contextlib
import time
from collections.abc import Callable, Iterator


class Throughput:
    """A timer of training that stands still while something else is done.

        throughput = Throughput(devices=jax.device_count())
        for batch in batches:
            state = train_step(state, batch)
            throughput.count(tokens=196_608)
            if due:
                with throughput.paused():
                    evaluate(state)
                writer.write(step, throughput.report())

    JAX returns before a step is done: wait for a step's metrics before `report`.
    """

    def __init__(self, *, devices: int = 1, clock: Callable[[], float] = time.perf_counter) -> None:
        """Starts the timer.

        Args:
            devices: Devices that share the tokens, all hosts.
            clock: Gives the time in seconds.
        """
        self._devices = devices
        self._clock = clock
        self._pauses = 0
        self.restart()

    def restart(self) -> None:
        """Begins a new window, for example after the first step, which compiles."""
        self._steps = 0
        self._tokens = 0
        self._seconds = 0.0
        self._waits = 0.0
        self._since = self._clock()

    def waited(self, seconds: float) -> None:
        """Adds seconds in which the devices had nothing to do because there was no batch yet."""
        self._waits += seconds

    @property
    def waits(self) -> float:
        """Seconds of the window that were spent so."""
        return self._waits

    def count(self, *, steps: int = 1, tokens: int = 0) -> None:
        """Adds steps and the tokens in their batches (all hosts) to the window."""
        self._steps += steps
        self._tokens += tokens

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the timer inside the `with`; may be nested."""
        if not self._pauses:
            self._seconds += self._clock() - self._since
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._since = self._clock()

    @property
    def steps(self) -> int:
        """Steps of the window."""
        return self._steps

    @property
    def seconds(self) -> float:
        """Seconds of the window in which the timer ran."""
        running = 0.0 if self._pauses else self._clock() - self._since
        return self._seconds + running

    def report(self) -> dict[str, float]:
        """The rates since the last report, after which a new window begins.

        Returns:
            "steps_per_second", "tokens_per_second" and "tokens_per_second_per_device"; empty if
            no step was counted.
        """
        seconds = self.seconds
        if not self._steps or seconds <= 0:
            return {}
        tokens = self._tokens / seconds
        rates = {
            "steps_per_second": self._steps / seconds,
            "tokens_per_second": tokens,
            "tokens_per_second_per_device": tokens / self._devices,
        }
        self.restart()
        return rates
