"""Errors that a user can mend. Commands print the message alone and exit with code 2.

And one that is no error: a signal that asks the process to end.
"""

import difflib
import signal
from collections.abc import Iterable, Iterator

_FEW = 8  # names that are all listed, beside the nearest


class UserError(Exception):
    """A mistake in what the user gave: the message holds the value, its place and the remedy."""


class Stopped(BaseException):
    """A signal asks the process to end; what is begun is undone or kept on the way out.

    Args:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell says of a process that the signal has ended."""
        return 128 + self.number


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """An error for a name that is not registered, with the nearest valid names, or all if few.

    Args:
        kind: What the name stands for, for example "task".
        name: The name as given.
        valid: All valid names.
    """
    names = sorted(valid)
    nearest = difflib.get_close_matches(name, names, n=5, cutoff=0.4)
    remedies = [f"nearest: {', '.join(nearest)}"] if nearest else []
    if not nearest or len(nearest) < len(names) <= _FEW:
        remedies.append(f"valid: {', '.join(names[:40])}")
    return UserError(f"unknown {kind} {name!r}; {'; '.join(remedies)}")


def require_least(settings: object, least: float, *names: str) -> None:
    """Checks that numbers of an object with settings are not too small; None passes.

    Args:
        settings: The object; a message begins with the name of its class.
        least: That is taken.
        *names: Of its attributes.

    Raises:
        UserError: One is smaller, or not a number.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value >= least:
            raise UserError(
                f"{type(settings).__name__}.{name} is {value!r}; it must be at least {least}"
            )


def causes(error: BaseException, *, contexts: bool = False) -> Iterator[BaseException]:
    """An exception and all that it came from, each once.

    Args:
        error: Its causes and the parts of groups follow it.
        contexts: Also what was being handled when one was raised.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        waiting += [each.__cause__, each.__context__ if contexts else None]


def listed(lines: Iterable[str], most: int = 40) -> str:
    """Lines of a message, the first ones if there are many, and how many more there are."""
    every = list(lines)
    more = [f"  and {len(every) - most} more"] if len(every) > most else []
    return "\n".join(every[:most] + more)
