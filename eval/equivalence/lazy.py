"""Properties that are worked out when they are first asked for."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

_Value = TypeVar("_Value")


class lazy(Generic[_Value]):
    """A property that is worked out once; functools' own takes a lock, which costs more than most
    of the judge's properties."""

    def __init__(self, work: Callable[[Any], _Value]) -> None:
        self._work = work
        self.__doc__ = work.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, holder: object, owner: type) -> _Value:
        value = holder.__dict__[self._name] = self._work(holder)
        return value
