"""Progress for the eye: a bar on a terminal, plain lines in a log file."""

import contextlib
import datetime
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self, SupportsFloat, TextIO

from rich import progress as bars
from rich.console import Console
from rich.file_proxy import FileProxy

from closedbook.telemetry.throughput import Throughput


class Progress:
    """Shows how far a loop is, its metrics and the time that remains.

        with Progress(total=20_000, initial=step, description="train") as progress:
            with progress.compiling():
                step = first_step()
            progress.update(step, {"loss": 2.5, "tokens_per_second": 12_000})

    On a terminal a bar moves with every update, and what is logged meanwhile stands above it.
    Elsewhere a line is printed every `interval` seconds, and always for the last step. The time
    that remains goes by the steps of this run, without what compiles or pauses.
    """

    def __init__(
        self,
        total: int,
        initial: int = 0,
        *,
        description: str = "",
        enabled: bool = True,
        interval: float = 10.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares the display; entering the `with` starts it.

        Args:
            total: The loop's last step.
            initial: Steps done before, by the run that is resumed.
            description: What is counted, for example "train".
            enabled: Whether to show anything: False in processes other than the first.
            interval: Seconds between two plain lines.
            stream: Where to; standard error if None, so that answers can be piped.
            clock: Gives the time in seconds.
        """
        self._total = total
        self._initial = initial
        self._description = description
        self._enabled = enabled
        self._interval = interval
        self._clock = clock
        self._stream = stream if stream is not None else sys.stderr
        self._bar: bars.Progress | None = None
        self._task = bars.TaskID(0)
        self._metrics = ""
        self._step = initial
        self._last: int | None = None  # step of the last line
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._timer = Throughput(clock=self._clock)
        self._last_line = self._clock()
        console = Console(file=self._stream)
        if self._enabled and console.is_terminal:
            self._bar = bars.Progress(
                bars.TextColumn("{task.description}"),
                bars.BarColumn(),
                bars.MofNCompleteColumn(),
                bars.TextColumn("{task.fields[metrics]}"),
                bars.TimeElapsedColumn(),
                bars.TextColumn("{task.fields[remaining]}"),
                console=console,
                redirect_stdout=False,  # what a command prints may go into a file
            )
            self._task = self._bar.add_task(
                self._description,
                total=self._total,
                completed=self._initial,
                metrics="",
                remaining="",
            )
            self._closing.enter_context(_logged_above(console, self._stream))
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._step == self._total != self._last and self._enabled:
            self._line(self._metrics)
        self._closing.close()

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """Says that a first step compiles, which does not count for the time that remains."""
        self._say("compiling")
        yield
        self._timer.restart()
        self._step += 1
        self._say("")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Something else is done, such as an evaluation: its time is none of the steps'."""
        with self._timer.paused():
            yield

    def update(self, step: int, metrics: Mapping[str, SupportsFloat] | None = None) -> None:
        """Shows the state after a step.

        Args:
            step: Steps done.
            metrics: Scalars to show beside it, in their order; none keeps the last ones.
        """
        if not self._enabled:
            return
        if step > self._step:
            self._timer.count(steps=step - self._step)
            self._step = step
        self._metrics = _shown(metrics) if metrics else self._metrics
        if self._bar is not None:
            remaining = self._remaining() or "ETA -:--:--"
            self._bar.update(self._task, completed=step, metrics=self._metrics, remaining=remaining)
            return
        now, last = self._clock(), step == self._total
        # The last step's line waits for its metrics, or for the end.
        if step == self._last or (not metrics if last else now - self._last_line < self._interval):
            return
        self._last_line, self._last = now, step
        self._line(self._metrics, "" if last else self._remaining())

    def _remaining(self) -> str:
        """The time that the steps which are left take; "" as long as nothing is known."""
        if not self._timer.steps:
            return ""
        seconds = self._timer.seconds / self._timer.steps * (self._total - self._step)
        return f"ETA {datetime.timedelta(seconds=round(seconds))}"

    def _say(self, doing: str) -> None:
        """What is done instead of steps, for the eye."""
        if self._bar is not None:
            words = f"{self._description}: {doing}" if doing else self._description
            self._bar.update(self._task, description=words)
        elif self._enabled and doing:
            self._line(doing)

    def _line(self, *words: str) -> None:
        counted = f"{self._description} {self._step:,}/{self._total:,}".strip()
        print("  ".join(filter(None, (counted, *words))), file=self._stream, flush=True)


@contextlib.contextmanager
def _logged_above(console: Console, stream: TextIO) -> Iterator[None]:
    """Sends what loggers write to the bar's own stream through its console, which moves the bar."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    moved = [
        each
        for each in handlers
        if isinstance(each, logging.StreamHandler) and each.stream is stream
    ]
    for handler in moved:
        handler.setStream(FileProxy(console, stream))
    try:
        yield
    finally:
        for handler in moved:
            handler.setStream(stream)


def _shown(metrics: Mapping[str, SupportsFloat]) -> str:
    """Metrics in a few characters, for example `loss 2.531  12.3k tokens/s`.

    >>> _shown({"loss": 2.53142, "learning_rate": 0.001, "tokens_per_second": 12_345})
    'loss 2.531  learning_rate 0.001  12.3k tokens/s'
    """
    words = []
    for name, value in metrics.items():
        noun, per_second, rest = name.partition("_per_second")
        if per_second:
            words.append(f"{_short(float(value))} {noun}/s{rest.replace('_per_', '/')}")
        else:
            words.append(f"{name} {float(value):.4g}")
    return "  ".join(words)


def _short(number: float) -> str:
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.1f}{letter}"
    return f"{number:.3g}"
