"""Progress for the eye: a bar on a terminal, plain lines in a log file."""

import datetime
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, SupportsFloat, TextIO

from rich import progress as bars
from rich.console import Console


class Progress:
    """Shows how far a loop is, its metrics and the time that remains.

        with Progress(total=20_000, initial=step, description="train") as progress:
            progress.update(step, {"loss": 2.5, "tokens_per_second": 12_000})

    On a terminal a bar moves with every update. Elsewhere a line is printed every
    `interval` seconds, and always for the last step.
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

    def __enter__(self) -> Self:
        self._start = self._last_line = self._clock()
        console = Console(file=self._stream)
        if self._enabled and console.is_terminal:
            self._bar = bars.Progress(
                bars.TextColumn("{task.description}"),
                bars.BarColumn(),
                bars.MofNCompleteColumn(),
                bars.TextColumn("{task.fields[metrics]}"),
                bars.TimeElapsedColumn(),
                bars.TextColumn("ETA"),
                bars.TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task(
                self._description, total=self._total, completed=self._initial, metrics=""
            )
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

    def update(self, step: int, metrics: Mapping[str, SupportsFloat] | None = None) -> None:
        """Shows the state after a step.

        Args:
            step: Steps done.
            metrics: Scalars to show beside it, in their order; none keeps a bar's last ones.
        """
        if not self._enabled:
            return
        if self._bar is not None:
            self._metrics = _shown(metrics) if metrics else self._metrics
            self._bar.update(self._task, completed=step, metrics=self._metrics)
            return
        now = self._clock()
        if step < self._total and now - self._last_line < self._interval:
            return
        self._last_line = now
        parts = [f"{self._description} {step:,}/{self._total:,}".strip(), _shown(metrics or {})]
        done = step - self._initial
        if done > 0 and step < self._total:
            seconds = (now - self._start) / done * (self._total - step)
            parts.append(f"ETA {datetime.timedelta(seconds=round(seconds))}")
        print("  ".join(filter(None, parts)), file=self._stream, flush=True)


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
