"""Runs a function as soon as SeqIO is there.

Importing SeqIO takes nine seconds and needs TensorFlow. What in this package needs neither (the
atlas, readers of files, names of tasks) must not pay for it; and yet after
`import closedbook.tasks` SeqIO must know the tasks, whichever of the two is imported first.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType


def when_seqio_is_imported(action: Callable[[], None]) -> None:
    """Calls `action` now if SeqIO is loaded, else right after its first import."""
    if sys.modules.get("seqio") is not None:
        action()
    else:
        sys.meta_path.insert(0, _Finder(action))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds SeqIO as the other finders do, with `action` after its execution."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "seqio":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._action)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, action: Callable[[], None]) -> None:
        self._loader = loader
        self._action = action

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Hand the module back to its own loader, so that nothing later sees this one.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._action()
