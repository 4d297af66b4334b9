"""Values against the types of the parameters that they are bound to.

Shells and gin files write whole numbers as floats (`TRAIN_STEPS = 1e6`); those are taken. A text
where a number is needed, None where something is needed, and their like are refused.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from closedbook.errors import UserError


class Mistakes(UserError):
    """Several mistakes, each with a message of its own."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "True or False",
    "AnyVocabulary": "a vocabulary",
    "GradientTransformation": "an optimiser",
}
_MADE_BY = {
    "AnyVocabulary": "@seqio.SentencePieceVocabulary()",
    "CheckpointConfig": "@utils.CheckpointConfig()",
    "DatasetConfig": "@utils.DatasetConfig()",
    "GradientTransformation": "@adafactor.Adafactor()",
    "RestoreCheckpointConfig": "@utils.RestoreCheckpointConfig()",
    "T5": "@network.Transformer()",
    "T5Config": "@network.T5Config()",
    "TransformerModel": "@models.EncoderDecoderModel()",
}
# Values of gin files by type, and the types of parameters that take them.
_TAKEN_BY: dict[type, set[Any]] = {
    str: {str},
    bool: {bool},
    int: {int, float, bool},  # 0 and 1 are used as False and True
    float: {float},
    list: set(),
    tuple: set(),
    dict: set(),
}


def checking(constructor: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A constructor that gets whole numbers as such, and refuses what cannot be one.

    Args:
        constructor: A function or class whose parameters have types.
        name: Its name in gin files.
    """

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
        allowed = _alternatives(hints.get(parameter, Any))
        where = f"{name}.{parameter}"
        if value is None and not allowed & {Any, object, type(None)}:
            mistakes.append(none_where(function, parameter, where))
        elif int in allowed and isinstance(value, bool | float) and not allowed & {bool, float}:
            if isinstance(value, bool) or not value.is_integer():
                mistakes.append(f"{where} is {value}; give a whole number")
            else:
                result[parameter] = int(value)
        elif _is_other(value, allowed):
            mistakes.append(f"{where} is {value!r}; it needs {_wanted(allowed)}")
    if mistakes:
        raise Mistakes(mistakes)
    return result


def none_where(function: Callable[..., Any], parameter: str, name: str) -> str:
    """The message for a None that a parameter of a function does not take, named as users do."""
    return f"{name} is None; it needs {_wanted(_alternatives(_types(function)[parameter]))}"


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


def _alternatives(hint: Any) -> set[Any]:
    """The types of a union, or the one type."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return {part for each in typing.get_args(hint) for part in _alternatives(each)}
    return {typing.get_origin(hint) or hint}


def _is_other(value: Any, allowed: set[Any]) -> bool:
    """Whether a parameter of plain types gets a value of another plain type."""
    taken_by = _TAKEN_BY.get(type(value))
    plain = allowed <= {int, float, bool, str, type(None)}
    return plain and taken_by is not None and not taken_by & allowed


def _wanted(allowed: set[Any]) -> str:
    names = sorted(getattr(each, "__name__", str(each)) for each in allowed - {type(None)})
    words = " or ".join(_KINDS.get(name, f"a {name}") for name in names)
    makers = [_MADE_BY[name] for name in names if name in _MADE_BY]
    return f"{words}; bind {' or '.join(makers)}" if makers else words
