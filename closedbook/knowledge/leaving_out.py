"""Facts that cannot be put to a model: of many they are left out, counted, with an example."""

import dataclasses
from collections.abc import Iterator

from closedbook.errors import UserError


class CannotBePut(UserError):
    """One fact that a model cannot be asked; where it is the only one, the user's error.

    Attributes:
        reason: In a few words, the same for all facts with this fault.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclasses.dataclass
class LeftOut:
    """The facts of a run that were left out.

    Attributes:
        counts: Reason -> how many.
        examples: Reason -> the message about the first of them.
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    examples: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, error: UserError) -> None:
        """Counts one fact by what is wrong with it."""
        reason = error.reason if isinstance(error, CannotBePut) else "cannot be put to the model"
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.examples.setdefault(reason, str(error))

    def __len__(self) -> int:
        return sum(self.counts.values())

    def lines(self) -> Iterator[str]:
        """A line for people per reason."""
        for reason, number in self.counts.items():
            yield f"{number:,} left out, {reason}; the first: {self.examples[reason]}"

    def as_json(self) -> dict[str, dict[str, int | str]]:
        """Reason -> the number of facts, and what is wrong with the first."""
        return {
            reason: {"facts": number, "first": self.examples[reason]}
            for reason, number in self.counts.items()
        }
