"""Imports when they are needed, and something to run around the first import of a module.

Importing TensorFlow and SeqIO takes nine seconds. What needs neither must not pay for it, and yet
both are to be prepared once they are there.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

Around = Callable[[], contextlib.AbstractContextManager[None]]


def around_import(name: str, around: Around) -> None:
    """Executes a module that is not yet loaded inside a context, once.

    Args:
        name: The module's full name.
        around: Makes the context; what it does after its body sees the finished module.
    """
    if sys.modules.get(name) is None:
        sys.meta_path.insert(0, _Finder(name, around))


def on_demand(package: str, name: str, homes: Mapping[str, str]) -> Any:
    """A name of a package whose module is imported when the name is first asked for.

    For a package's `__getattr__` (PEP 562).

    Args:
        package: The package's name.
        name: What is asked for.
        homes: The module within the package that holds each name, or the package around it.

    Raises:
        AttributeError: The package has no such name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    home = importlib.import_module(f"{package}.{homes[name]}")
    if not hasattr(home, name):  # a module of its own
        importlib.import_module(f"{home.__name__}.{name}")
    found = getattr(home, name)
    setattr(sys.modules[package], name, found)
    return found


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module as the other finders do, with the context around its execution."""

    def __init__(self, name: str, around: Around) -> None:
        self._name = name
        self._around = around
        self._searching = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name or self._searching:
            return None
        self._searching = True  # the search below asks all finders, this one included
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._executed)
        return spec

    @contextlib.contextmanager
    def _executed(self) -> Iterator[None]:
        # Only now: libraries look for a module's spec just to know whether it is installed.
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)
        with self._around():
            yield


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, around: Around) -> None:
        self._loader = loader
        self._around = around

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Hand the module back to its own loader, so that nothing later sees this one.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with self._around():
            self._loader.exec_module(module)
