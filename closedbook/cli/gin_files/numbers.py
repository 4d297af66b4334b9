"""Values against the types of the parameters that they are bound to.

Shells and gin files write whole numbers as floats (`TRAIN_STEPS = 1e6`); those are taken. A text
where a number is needed, None where something is needed, and their like are refused.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from closedbook.cli.gin_files import kinds
from closedbook.errors import UserError

_MAKERS: dict[str, Callable[..., Any]] = {}  # what `checking` was given, by name


class Mistakes(UserError):
    """Several mistakes, each with a message of its own."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)


def checking(constructor: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A constructor that gets whole numbers as such, and refuses what cannot be one.

    Args:
        constructor: A function or class whose parameters have types.
        name: Its name in gin files.
    """

    _MAKERS[name] = constructor

    @functools.wraps(constructor, updated=())
    def checks(*args: Any, **kwargs: Any) -> Any:
        return constructor(*args, **checked(constructor, kwargs, name))

    checks.__signature__ = inspect.signature(constructor)  # type: ignore[attr-defined]
    checks.__qualname__ = name
    return checks


def name_of(constructor: Callable[..., Any]) -> str:
    """The name in gin files of what `checking` made."""
    return constructor.__qualname__


def checked(
    function: Callable[..., Any], arguments: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """The arguments of a function, floats that are whole numbers made integers.

    Args:
        function: A function or class whose parameters have types.
        arguments: By name.
        name: Of the function, in gin files.

    Raises:
        Mistakes: A number is no whole one, None is given where something is needed, or a value of
            another type where numbers, texts, or True and False are needed.
    """
    hints = _types(function)
    mistakes: list[str] = []
    result = dict(arguments)
    for parameter, value in arguments.items():
        hint = hints.get(parameter, Any)
        where = f"{name}.{parameter}"
        try:
            result[parameter] = kinds.taken(value, hint)
        except kinds.OtherKind:
            if isinstance(value, bool | float) and int in kinds.alternatives(hint):
                mistakes.append(f"{where} is {value}; give a whole number")
                continue
            needed = kinds.wanted(hint, where, _MAKERS)
            mistakes.append(f"{where} is {kinds.shown(value)}; it needs {needed}")
    if mistakes:
        raise Mistakes(mistakes)
    return result


def none_where(function: Callable[..., Any], parameter: str, name: str) -> str:
    """The message for a None that a parameter of a function does not take, named as users do."""
    return f"{name} is None; it needs {kinds.wanted(_types(function)[parameter], name, _MAKERS)}"


def missing(function: Callable[..., Any], arguments: Mapping[str, Any]) -> list[str]:
    """Parameters of a function that have no default and are not among the arguments."""
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in arguments
    ]


@functools.cache
def _types(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # a type that only the type checker imports
        return {}
