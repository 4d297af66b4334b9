"""What the devices of a compiled program send each other, read from the program's text."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_BITS = {"pred": 8, "s4": 4, "u4": 4, "c64": 64, "c128": 128}  # others end with their width

_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?[\w.\-]+ = (?P<type>\(.*?\)|\S+) (?P<op>[a-z][\w\-]*)\((?P<rest>.*)$"
)
_SHAPE = re.compile(r"\b(?P<type>[a-z]+\d*\w*)\[(?P<dims>[\d,]*)\]")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|true_computation|false_computation|branch_computations)="
    r"(?P<names>\{[^}]*\}|%?[\w.\-]+)"
)
_CONDITION = re.compile(r"\bcondition=%?(?P<name>[\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(?P<count>\d+)"\}')
_BOUND = re.compile(r"= s32\[\]\S* constant\((?P<count>\d+)\)")
# Three ways to write groups: a grid, lists, and axes of a mesh.
_GROUPS = re.compile(
    r"replica_groups=(?:\[\d+,(?P<size>\d+)\]|\{\{(?P<first>[\d,]+)\}"
    r"|mesh\[(?P<mesh>[^\]]*)\].*?\{(?P<axes>[^}]*)\})"
)
_AXIS = re.compile(r"'(?P<name>\w+)'=(?P<size>\d+)")
_PART = re.compile(r"'(?P<name>\w+)'(?::\(\d+\)(?P<part>\d+))?")  # an axis, or a part of one


@dataclasses.dataclass(frozen=True, order=True)
class Collective:
    """Operations of one kind over groups of one size.

    Attributes:
        kind: XLA's name, for example "all-reduce".
        devices: Of a group; 0 where the program does not say: all.
        count: Operations in a run of the program, those in loops as often as the loop runs.
        bytes: That they give, on one device, all together; of a reduce-scatter those it takes.
    """

    kind: str
    devices: int
    count: int
    bytes: int


def collectives(text: str) -> list[Collective]:
    """Counts the collective operations of a compiled program.

    How often a loop runs is told by XLA, or else by the one bound in its condition; a loop that
    tells neither, as one that ends when all answers have, counts once.

    Args:
        text: `compiled.as_text()`.

    Returns:
        Most bytes first.
    """
    bodies, entry = _computations(text)
    found: dict[tuple[str, int], list[int]] = collections.defaultdict(lambda: [0, 0])
    for kind, devices, size, times in _walk(bodies, entry, 1):
        found[kind, devices][0] += times
        found[kind, devices][1] += times * size
    rows = [Collective(*key, *value) for key, value in found.items()]
    return sorted(rows, key=lambda row: (-row.bytes, row))


def _computations(text: str) -> tuple[Mapping[str, list[str]], str]:
    """Lines of each computation by its name, and the name of the first to run."""
    bodies: dict[str, list[str]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if current is None:
            if match := _COMPUTATION.match(line):
                current = bodies.setdefault(match["name"], [])
                entry = match["name"] if match["entry"] else entry
        elif line.startswith("}"):
            current = None
        else:
            current.append(line)
    return bodies, entry


def _walk(
    bodies: Mapping[str, list[str]], name: str, times: int
) -> Iterator[tuple[str, int, int, int]]:
    """Kind, devices of a group, bytes and number of runs of each collective below a computation."""
    for line in bodies.get(name, ()):
        match = _INSTRUCTION.match(line)
        if match is None:
            continue
        kind = match["op"].removesuffix("-start")
        if kind in _KINDS:
            yield kind, _group(line), _size(kind, match["type"], line), times
            continue
        inside = times * (_trips(bodies, line) if match["op"] == "while" else 1)
        for called in _CALLED.finditer(match["rest"]):
            for each in called["names"].strip("{}").split(","):
                yield from _walk(bodies, each.strip().lstrip("%"), inside)


def _trips(bodies: Mapping[str, list[str]], line: str) -> int:
    if told := _TRIPS.search(line):
        return int(told["count"])
    condition = _CONDITION.search(line)
    lines = bodies.get(condition["name"], []) if condition else []
    bounds = [int(match["count"]) for each in lines if (match := _BOUND.search(each))]
    return bounds[0] if len(bounds) == 1 else 1


def _group(line: str) -> int:
    match = _GROUPS.search(line)
    if match is None:
        return 2 if "source_target_pairs" in line else 0
    if match["size"]:
        return int(match["size"])
    if match["first"]:
        return len(match["first"].split(","))
    sizes = {axis["name"]: int(axis["size"]) for axis in _AXIS.finditer(match["mesh"])}
    parts = _PART.finditer(match["axes"])
    return math.prod(int(part["part"] or sizes.get(part["name"], 1)) for part in parts)


def _size(kind: str, result: str, line: str) -> int:
    sizes = [_bytes(match) for match in _SHAPE.finditer(result)]
    if kind == "reduce-scatter":
        return max(sizes, default=0) * max(_group(line), 1)
    if line.find(f"{kind}-start(") >= 0 and kind in ("all-gather", "collective-permute"):
        return max(sizes, default=0)  # of what goes in, what comes out and some flags
    return sum(sizes)


def _bytes(shape: re.Match[str]) -> int:
    count = 1
    for size in filter(None, shape["dims"].split(",")):
        count *= int(size)
    name = shape["type"]
    width = re.match(r"[a-z]+(\d+)", name)
    bits = _BITS.get(name) or (int(width[1]) if width else 8)
    return count * bits // 8
