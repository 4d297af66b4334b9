"""Which values of a gin file the type of a parameter takes, and words for those that it needs."""

import collections.abc
import contextlib
import inspect
import os
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from closedbook.cli.gin_files import without_effect

_WORDS = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "True or False"}
_PLAIN = (str, bool, int, float, list, tuple, dict, type(None))  # what gin files write out
_NAMES = {"AnyVocabulary": "a vocabulary", "GradientTransformation": "an optimiser"}
_MOST_MAKERS = 4  # that a message names
# What a structure looks like, by the end of the parameter's name.
_EXAMPLES = {
    "qa_from_files.files": '{"my_quiz": {"train": "a.jsonl"}}',
    "language_model_from_files.files": '{"my_text": {"train": "a.txt"}}',
    "ssm_from_files.files": '{"my_ssm": "folder"}',
    "span_corruption_from_files.files": '{"my_spans": "folder"}',
    "mixture.rates": '{"my_mix": {"my_quiz": 0.7, "my_text": 0.3}}',
    "DatasetConfig.task_feature_lengths": "{'inputs': 512, 'targets': 128}",
    "Config.mlp_activations": "('relu',) or ('gelu', 'linear')",
    "Model.vocabulary": "@seqio.SentencePieceVocabulary(), and VOCABULARY_FILE names its file",
    "SaveCheckpointConfig.checkpoint_steps": "[1000, 5000]",
    "train.metric_services": "['wandb']",
}


class OtherKind(Exception):
    """A value that a type does not take."""


def taken(value: object, hint: Any) -> Any:
    """A value as a parameter takes it: whole numbers that are written as floats become integers.

    Args:
        value: Of a gin file, or an object that a constructor made.
        hint: The parameter's type.

    Raises:
        OtherKind: The type does not take it.
    """
    if isinstance(value, without_effect.Unknown):
        return value  # its name is no one's, which has been told
    try:
        return _first(value, hint, convert=False)  # as it is written, if some type takes that
    except OtherKind:
        return _first(value, hint, convert=True)


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union, in their order, or the one type."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(part for each in typing.get_args(hint) for part in alternatives(each))
    return (hint,)


def wanted(hint: Any, where: str, makers: Mapping[str, Callable[..., Any]]) -> str:
    """Words for what a parameter needs.

    Args:
        hint: Its type.
        where: Its name, with the configurable's.
        makers: The constructors that gin files may call, by name.
    """
    for end, example in _EXAMPLES.items():
        if where.endswith(end):
            return f"what reads like {example}"
    each = [part for part in alternatives(hint) if part is not type(None)]
    words = {part: _WORDS[part.__name__] for part in each if part in (int, float, str, bool)}
    if float in words:
        words.pop(int, None)
        words.pop(bool, None)
    found = sorted(words.values())
    for part in each:
        origin = typing.get_origin(part) or part
        if part in (int, float, str, bool) or (words and not _is_structure(origin)):
            continue
        if origin in (collections.abc.Mapping, dict):
            found.append("a dict")
        elif _is_structure(origin):
            found.append("a list")
        elif able := [f"@{name}()" for name, made in makers.items() if _makes(made, part)]:
            called = origin is collections.abc.Callable
            kind = "function" if called else part.__name__
            name = _NAMES.get(kind, f"a {kind}")
            found.append(f"{name}; bind {' or '.join(able[:_MOST_MAKERS])}")
        elif origin is collections.abc.Callable:
            found.append("a function, such as @decoding.greedy")
        else:
            found.append(f"a {getattr(part, '__name__', part)}")
    return " or ".join(dict.fromkeys(found))


def shown(value: object) -> str:
    """A value as gin files write it."""
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"@{value.__qualname__}, which is not called (write @{value.__qualname__}())"
    if type(value) in _PLAIN:
        return repr(value)
    return f"a {type(value).__name__}"


def _is_structure(origin: Any) -> bool:
    return origin in (collections.abc.Mapping, dict, collections.abc.Sequence, list, tuple)


def _taken(value: Any, hint: Any, convert: bool) -> Any:
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, typing.TypeVar):
        return value
    if hint is int and convert and isinstance(value, float) and value.is_integer():
        return int(value)
    if origin in (collections.abc.Mapping, dict):
        return _mapping(value, inner, convert)
    if origin in (collections.abc.Sequence, list, tuple):
        return _sequence(value, origin, inner, convert)
    if not _fits(value, hint, origin, inner):
        raise OtherKind
    return value


def _fits(value: Any, hint: Any, origin: Any, inner: tuple[Any, ...]) -> bool:
    """Whether a type that holds no others takes a value as it is written."""
    if hint in (None, type(None)):
        return value is None
    if hint is bool:
        return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if hint in (int, float):
        allowed = (int, float) if hint is float else int
        return isinstance(value, allowed) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if origin is typing.Literal:  # which of them, the constructor says better
        return any(type(value) is type(each) for each in inner)
    if origin is os.PathLike:
        return isinstance(value, pathlib.PurePath)
    if origin is collections.abc.Callable:
        return callable(value)
    if type(value) in _PLAIN or inspect.isroutine(value):
        return False
    checkable = inspect.isclass(origin) and not getattr(origin, "_is_protocol", False)
    return not checkable or isinstance(value, origin)


def _mapping(value: Any, inner: tuple[Any, ...], convert: bool) -> Any:
    if not isinstance(value, dict):
        raise OtherKind
    key, kind = inner or (Any, Any)
    return {_first(name, key, convert): _first(each, kind, convert) for name, each in value.items()}


def _sequence(value: Any, origin: Any, inner: tuple[Any, ...], convert: bool) -> Any:
    if not isinstance(value, list | tuple):
        raise OtherKind
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        kinds = inner
    else:
        kinds = (inner or (Any,))[:1] * len(value)
    if len(kinds) != len(value):
        raise OtherKind
    made = [_first(each, kind, convert) for each, kind in zip(value, kinds, strict=True)]
    return tuple(made) if isinstance(value, tuple) else made


def _first(value: Any, hint: Any, convert: bool) -> Any:
    """The value as the first alternative takes it that takes it at all."""
    for alternative in alternatives(hint):
        with contextlib.suppress(OtherKind):
            return _taken(value, alternative, convert)
    raise OtherKind


def _makes(maker: Callable[..., Any], hint: Any) -> bool:
    """Whether what a constructor makes is of a type."""
    made: Any = maker
    if not inspect.isclass(maker):
        try:
            made = typing.get_type_hints(maker).get("return")
        except NameError:  # a type that only the type checker imports
            return False
    if inspect.isclass(hint) and inspect.isclass(made):
        if getattr(hint, "_is_protocol", False):
            return all(hasattr(made, name) for name in vars(hint) if not name.startswith("_"))
        return issubclass(made, hint)
    return bool(made == hint)
