"""Whether a compiled program fits into memory, asked before it runs for the first time.

A host gives out more memory than it has and ends the process without a word once it is used, so a
program that cannot fit is refused, and one that is larger than what is free is warned of.
"""

import logging
import math
from collections.abc import Callable
from typing import Any

import jax

from closedbook.memory import (
    Memory,
    TooLarge,
    check_size,
    device_memory,
    has_own_memory,
    host_memory,
    readable,
)

_log = logging.getLogger(__name__)


class FittingProgram:
    """A jitted function that is checked before its first call with arguments of any shapes.

    The check compiles the program, and the call then finds it compiled.

    Args:
        function: From `jax.jit`.
        name: Of the program, for people.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function, self._name = function, name
        self._seen: set[tuple[object, ...]] = set()
        self.lower = function.lower  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls it.

        Raises:
            TooLarge: It needs more memory than there is in all.
        """
        shapes = tuple(
            getattr(leaf, "shape", None) for leaf in jax.tree.leaves((args[-2:], kwargs))
        )
        if shapes not in self._seen:
            lowered = self._function.lower(*args, **kwargs)  # type: ignore[attr-defined]
            check_fits(lowered.compile(), self._name)
            self._seen.add(shapes)
        return self._function(*args, **kwargs)


def check_arrays_fit(tree: Any, what: str) -> None:
    """Checks that arrays which are to stay in memory are not larger than all of it.

    Args:
        tree: Of `jax.ShapeDtypeStruct` with shardings.
        what: They are, for people.

    Raises:
        TooLarge: They are.
    """
    sizes = (
        bytes_on_a_device(leaf) * _sharing(len(leaf.sharding.addressable_devices))
        for leaf in jax.tree.leaves(tree)
    )
    check_size(what, sum(sizes))


def bytes_on_a_device(tree: Any) -> int:
    """Bytes that a tree of `jax.ShapeDtypeStruct` with shardings takes on one device."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def check_fits(compiled: jax.stages.Compiled, name: str) -> None:
    """Compares what a program needs with the memory that there is.

    Its arguments are there already; what it needs besides are its results, less those that take
    the place of arguments, and temporary arrays.

    Args:
        compiled: The program.
        name: Of the program, for people.

    Raises:
        TooLarge: All that it needs is more than all the memory.
    """
    needs = compiled.memory_analysis()
    on_device = has_own_memory()
    memory = device_memory() if on_device else host_memory()
    if needs is None or memory is None:
        return
    executable = compiled.runtime_executable()
    devices = jax.local_devices() if executable is None else executable.local_devices()
    copies = _sharing(len(devices))
    new = needs.temp_size_in_bytes + needs.output_size_in_bytes - needs.alias_size_in_bytes
    whole = needs.argument_size_in_bytes + new
    _compare(copies * new, copies * whole, memory, name, on_device)


def _sharing(devices: int) -> int:
    """How many of some devices share one memory: those of the host do."""
    return 1 if has_own_memory() else devices


def _compare(new: int, whole: int, memory: Memory, name: str, on_device: bool) -> None:
    if whole > memory.total:
        raise TooLarge(f"the {name}", whole, on_device=on_device)
    if new > memory.free:
        _log.warning(
            "the %s needs %s more, and %s of %s are free; it may run out of memory",
            name,
            readable(new),
            readable(memory.free),
            readable(memory.total),
        )
