"""What the page says of cells: bits that are held of all that was told, per parameter."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.capacity_study.networks import NAMES

Result = Mapping[str, Any]
OBJECTIVES = {
    "ssm": "salient spans",
    "span_corruption": "random spans",
    "next_token": "next token",
}
MOST_TOKENS = 3.6  # bits per parameter, of random strings: Morris et al. 2025
MOST_FACTS = 2.0  # bits per parameter at 1,000 exposures: Allen-Zhu and Li 2024
AT_100 = 1.0  # about so many at 100 exposures, the same


class Held(NamedTuple):
    """Bits with their interval."""

    bits: float
    low: float
    high: float

    def over(self, number: float) -> "Held":
        """Per parameter, or times something."""
        return Held(*(each / number for each in self))

    def __str__(self) -> str:
        return f"{self.bits:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Point(NamedTuple):
    """One amount of data of one curve.

    Attributes:
        arm: The curve.
        meter: Its meter.
        kind: Of people, "stated" or "asked" (`held`).
        size: Of the network, by name.
        offered: Bits per parameter.
        exposures: How often all was seen.
        parameters: Without embeddings.
        embeddings: The others.
        held: Bits per parameter that is no embedding; the mean over seeds, and so the ends.
        seeds: Of each seed.
    """

    arm: str
    meter: str
    kind: str
    size: str
    offered: float
    exposures: int
    parameters: int
    embeddings: int
    held: Held
    seeds: tuple[float, ...]


def held(result: Result, kind: str = "asked") -> Held:
    """Bits that a cell holds of all that it was told.

    Of people those are meant who were held out of the questions: what was found of some of them,
    times all people over these.

    Args:
        result: Of the cell.
        kind: Of people, "asked": by questions after fine-tuning on questions about others;
            "stated": by the sentences that told them, before it.
    """
    if result["meter"] != "facts":
        found, share = result["held"], 1.0
    else:
        group = result["stated"]["told"] if kind == "stated" else result["groups"]["held out"]
        found, share = group["best"], group["people"] / result["items"]
    return Held(found["bits"], found["low"], found["high"]).over(share)


def kinds_of(result: Result) -> tuple[str, ...]:
    """The ways in which a cell's bits were asked for."""
    return ("stated", "asked") if result["meter"] == "facts" else ("",)


def arm_of(result: Result) -> str:
    """The curve of a cell, for people."""
    name = NAMES[result["family"]]
    if result["meter"] == "facts":
        return f"{name}, {OBJECTIVES[result['objective']]}"
    return f"{name}, {result['meter']}"


def points(results: Sequence[Result]) -> list[Point]:
    """Cells that differ in their seed alone, together."""

    def key(result: Result) -> tuple[Any, ...]:
        return (
            result["meter"] == "facts",
            arm_of(result),
            result["parameters"],
            result["exposures"],
            result["amount"],
        )

    found = []
    for _, same in itertools.groupby(sorted(results, key=key), key=key):
        cells = list(same)
        first = cells[0]
        for kind in kinds_of(first):
            each = [held(cell, kind).over(cell["parameters"]) for cell in cells]
            ends = zip(*each, strict=True)
            found.append(
                Point(
                    arm=arm_of(first),
                    meter=first["meter"],
                    kind=kind,
                    size=first["size"],
                    offered=sum(c["offered"] for c in cells) / len(cells) / first["parameters"],
                    exposures=first["exposures"],
                    parameters=first["parameters"],
                    embeddings=first["embeddings"],
                    held=Held(*(sum(end) / len(cells) for end in ends)),
                    seeds=tuple(one.bits for one in each),
                )
            )
    return found


def curve(point: Point) -> tuple[str, str, str, int]:
    """Of which curve a point is."""
    return point.arm, point.kind, point.size, point.exposures


def plateaus(of: Sequence[Point]) -> dict[tuple[str, str, str, int], Point]:
    """By curve the point at which most is held."""
    best: dict[tuple[str, str, str, int], Point] = {}
    for point in of:
        key = curve(point)
        if key not in best or point.held.bits > best[key].held.bits:
            best[key] = point
    return best
