"""How much memory there is, on the host and on devices, and which errors say that it is short."""

import contextlib
import dataclasses
import errno
import os
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

from closedbook.errors import causes

_UNITS = {"": 1, "B": 1} | {
    f"{letter}{ending}": 1 << 10 * (power + 1)
    for power, letter in enumerate("KMGTPE")
    for ending in ("", "B", "iB")
}
# As XLA, NumPy and torch write: "Out of memory allocating 512 bytes", "trying to allocate 1.5GiB",
# "Unable to allocate 8.00 PiB for an array", "you tried to allocate 64 bytes".
_ASKED = re.compile(r"allocat\w* ([\d.]+) ?(bytes|[KMGTPE]i?B)", re.IGNORECASE)
_USED = re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm")  # of TPUs
_XLA_ERRORS = ("JaxRuntimeError", "XlaRuntimeError")
_TORCH = "DefaultCPUAllocator: can't allocate memory"
_PROC, _CGROUPS = pathlib.Path("/proc"), pathlib.Path("/sys/fs/cgroup")


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory of a host or of a device, in bytes.

    Attributes:
        free: That can still be had.
        total: All there is.
    """

    free: int
    total: int


class TooLarge(Exception):
    """A program would need more memory than there is.

    Attributes:
        asked: Bytes that it needs.
        what: The program, for people.
        on_device: Whether it needs them on a device with memory of its own.
        lasting: Whether it is to stay there, whatever the batch is.
    """

    def __init__(self, what: str, asked: int, *, on_device: bool, lasting: bool = False) -> None:
        super().__init__(f"{what} needs {readable(asked)}")
        self.asked, self.what, self.on_device, self.lasting = asked, what, on_device, lasting


@dataclasses.dataclass(frozen=True)
class Shortage:
    """That memory was short.

    Attributes:
        asked: Bytes that were asked for; None if that is not told.
        on_device: Whether on a device with memory of its own, or else on the host.
        what: Who asked; "" if unknown.
        lasting: Whether for what is to stay, so that smaller batches do not help.
    """

    asked: int | None
    on_device: bool
    what: str = ""
    lasting: bool = False

    def times_too_large(self) -> float:
        """How many times what is free was asked for; 1 if that is not known, or less was."""
        memory = device_memory() if self.on_device else host_memory()
        if memory is None or not self.asked:
            return 1.0
        return max(self.asked / max(memory.free, 1), 1.0)

    def message(self) -> str:
        """What was asked and what there is, in one line."""
        memory = device_memory() if self.on_device else host_memory()
        place = f"on the device ({_device_kind()})" if self.on_device else "on this machine"
        there = "how much there is cannot be told"
        if memory is not None:
            there = f"{readable(memory.free)} of {readable(memory.total)} are free"
        asked = f"{self.what or 'it'} asked for {readable(self.asked)}" if self.asked else ""
        asked = asked or (f"{self.what} asked for more than there is" if self.what else "")
        return f"out of memory {place}: {asked + ', and ' if asked else ''}{there}"


def shortage(error: BaseException) -> Shortage | None:
    """The shortage of memory that an exception tells of, or that it was raised from; or None."""
    for each in causes(error):
        if isinstance(each, TooLarge):
            return Shortage(each.asked, each.on_device, each.what, each.lasting)
        text, kind = str(each), type(each).__name__
        if kind in _XLA_ERRORS and "RESOURCE_EXHAUSTED" in text:
            return Shortage(_asked(text), has_own_memory())
        if isinstance(each, MemoryError) or _TORCH in text:
            return Shortage(_asked(text), False)
        if kind == "OutOfMemoryError":  # torch's, on a GPU
            return Shortage(_asked(text), True)
        if isinstance(each, OSError) and each.errno == errno.ENOMEM:
            return Shortage(None, False)
    return None


def check_size(what: str, size: int) -> None:
    """Checks that something that is to stay in memory is not larger than all of it.

    Args:
        what: For people, for example "the model".
        size: Its bytes, on this host or on a device.

    Raises:
        TooLarge: It is.
    """
    on_device = has_own_memory()
    memory = device_memory() if on_device else host_memory()
    if memory is not None and size > memory.total:
        raise TooLarge(what, size, on_device=on_device, lasting=True)


def host_memory() -> Memory | None:
    """That of this machine with its swap, or of the container where that has less; None if it
    cannot be told."""
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
        values = {line.partition(":")[0]: int(line.split()[1]) << 10 for line in lines}
        free = values["MemAvailable"] + values.get("SwapFree", 0)
        total = values["MemTotal"] + values.get("SwapTotal", 0)
    except (OSError, KeyError, ValueError, IndexError):
        return None
    for limit, used, reclaimable in _container_limits():
        total = min(total, limit)
        free = min(free, max(limit - used + reclaimable, 0))
    if sys.platform == "linux":
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            pages = int((_PROC / "self" / "statm").read_text(encoding="ascii").split()[0])
            total = min(total, most)
            free = min(free, max(most - pages * os.sysconf("SC_PAGE_SIZE"), 0))
    return Memory(free, total)


def device_memory() -> Memory | None:
    """That of the first device with memory of its own, or None; JAX must have been imported."""
    stats = None
    with contextlib.suppress(Exception):  # a backend that is ill tells nothing
        stats = _first_device().memory_stats()
    if not stats or not stats.get("bytes_limit"):
        return None
    limit = int(stats["bytes_limit"])
    return Memory(max(limit - int(stats.get("bytes_in_use", 0)), 0), limit)


def has_own_memory() -> bool:
    """Whether JAX's devices have memory of their own, which those of the host have not."""
    with contextlib.suppress(Exception):
        return bool(_first_device().platform != "cpu")
    return False


def readable(count: float) -> str:
    """Bytes for people.

    >>> readable(512), readable(70368744177664), readable(3.5 * 2**30)
    ('512 bytes', '64 TiB', '3.5 GiB')
    """
    if count < 1 << 10:
        return f"{count:.0f} bytes"
    for power, letter in enumerate("KMGTPE", start=1):
        size = count / (1 << 10 * power)
        if size < 1000 or letter == "E":
            return f"{size:.3g} {letter}iB"
    raise AssertionError


def _asked(text: str) -> int | None:
    if found := _ASKED.search(text):
        unit = found.group(2)
        factor = 1 if unit == "bytes" else _UNITS[unit]
        return int(float(found.group(1)) * factor)
    if found := _USED.search(text):
        return int(float(found.group(1)) * _UNITS[found.group(2)])
    return None


def _container_limits() -> Iterator[tuple[int, int, int]]:
    """Limit, use, and what of that can be taken back (files' pages), of cgroups v2 and v1.

    Of the process's own group and of all that it is in: a container's, a job's, a service's.
    """
    names = (
        (_CGROUPS, "", "memory.max", "memory.current", "inactive_file"),
        (
            _CGROUPS / "memory",
            "memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    )
    for root, controller, limit, used, inactive in names:
        for folder in _groups(root, controller):
            with contextlib.suppress(OSError, ValueError):  # ValueError: "max", which is no limit
                most = int((folder / limit).read_text(encoding="ascii"))
                now = int((folder / used).read_text(encoding="ascii"))
                stat = (folder / "memory.stat").read_text(encoding="ascii").split()
                files = dict(zip(stat[::2], stat[1::2], strict=False)).get(inactive, "0")
                yield most, now, int(files)


def _groups(root: pathlib.Path, controller: str) -> list[pathlib.Path]:
    """Folders of a controller's groups that this process is in, the root first."""
    found = [root]
    with contextlib.suppress(OSError, ValueError):
        for line in (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(",") and ".." not in path:
                own = root / path.lstrip("/")
                found += [each for each in reversed((own, *own.parents)) if root in each.parents]
    return found


def _first_device() -> Any:
    return sys.modules["jax"].local_devices()[0]


def _device_kind() -> str:
    with contextlib.suppress(Exception):
        return str(_first_device().device_kind)
    return "unknown"
