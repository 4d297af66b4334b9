"""What every writer of metrics is."""

import abc
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, SupportsFloat


class MetricWriter(abc.ABC):
    """Takes scalars by step. A context manager: leaving it closes the writer."""

    @abc.abstractmethod
    def write(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Writes the metrics of one step.

        Args:
            step: Steps done, so that the first step of training writes 1.
            metrics: Scalars by name: Python, NumPy or JAX numbers. Reading a JAX number waits for
                the device, so give numbers that are ready.

        Raises:
            UserError: The disk refuses, for example because it is full.
        """

    def write_summaries(self, step: int, values: Sequence[bytes]) -> None:  # noqa: B027
        """Writes what is more than a number, where the writer can show it; else does nothing.

        Args:
            step: As for `write`.
            values: Serialised `tensorboard.Summary.Value`s: texts, histograms, pictures, sounds.

        Raises:
            UserError: As `write`.
        """

    def secure(self) -> None:  # noqa: B027
        """Waits until what was written is kept even if the process is killed now.

        Files on a disk are so at once; those in a bucket are uploaded from time to time.

        Raises:
            UserError: As `write`.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Ends the writing; everything written so far is on disk or sent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class NoWriter(MetricWriter):
    """Writes nothing: for processes other than the first, and for tests."""

    def write(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        pass

    def close(self) -> None:
        pass
