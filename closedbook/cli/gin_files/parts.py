"""The objects that a configuration refers to, made one by one to find what is wrong with each."""

import contextlib
import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import gin
from gin import config as gin_config

from closedbook.cli.gin_files import messages, numbers
from closedbook.errors import UserError

MISTAKES = (
    ValueError,
    TypeError,
    RuntimeError,
    OSError,
    AttributeError,
    KeyError,
    ImportError,
    UserError,
)
"""What gin, or a constructor that it calls, raises for a mistake of a configuration."""


def mistakes(bound: Mapping[str, Any]) -> dict[str, Exception]:
    """What is wrong with the objects of some arguments, inner ones first.

    Args:
        bound: Arguments with gin's references in them, not resolved.

    Returns:
        A message for each mistake, and what was raised.
    """
    found: dict[str, Exception] = {}
    seen: set[tuple[str, ...]] = set()
    for value in bound.values():
        for error in _of(value, seen):
            for message in messages.explained(error):
                found.setdefault(message, error)
    return found


def _of(value: Any, seen: set[tuple[str, ...]]) -> Iterator[Exception]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for each in value:
            yield from _of(each, seen)
    if not isinstance(value, gin_config.ConfigurableReference):
        return
    scopes = list(value.scopes) or gin.current_scope()  # its own take the place of all others
    if (*scopes, value.selector) in seen:
        return
    seen.add((*scopes, value.selector))
    made: dict[str, Any] = {}
    with gin.config_scope(scopes):
        inner = gin.get_bindings(value.selector, resolve_references=False)
        for name, each in inner.items():
            yield from _of(each, seen)
            with contextlib.suppress(*MISTAKES):  # told by the line above
                made[name] = copy.deepcopy(each)
    constructor = gin_config._REGISTRY.get_match(value.selector).wrapped
    try:
        if len(made) == len(inner):
            copy.deepcopy(value)  # which calls it
        else:
            numbers.checked(inspect.unwrap(constructor), made, numbers.name_of(constructor))
    except MISTAKES as error:
        yield error
