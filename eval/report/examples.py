"""The rows of the table of examples, as compact JSON for the page."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from closedbook.eval.analysis.comparison.results import ComparedExample, Comparison
from closedbook.eval.analysis.results import Example, Outcome
from closedbook.eval.analysis.summarized import Json
from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.report.text import clip, inline, visible

# Longer texts end in a note; examples.jsonl has them whole. The page shows the first few words
# of a cell and all of this on request.
_KEPT = 4000  # characters

# What a browser opens in a second or two; examples.jsonl has all rows.
MOST_ROWS = 20_000
MOST_CHARACTERS = 20_000_000  # of all rows together


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen:
    """Rows of a page."""

    places: Sequence[int]  # of the rows, in their order
    left_out: Mapping[str, tuple[int, int]]  # per group rows that are there, of how many; if fewer


def choose(
    groups: Sequence[str],
    sizes: Sequence[int],
    wanted: Iterable[int] = (),
    *,
    most: int | None = None,
    characters: int | None = None,
) -> Chosen:
    """The rows that a page holds: all, or so many that it opens at once.

    Rows that the page leads to come first. The other places are shared out equally among the
    groups, and taken evenly over each, so that every group is there and none only from its start.

    Args:
        groups: Each row's group, such as its verdict.
        sizes: Each row's characters.
        wanted: Places of rows that the page leads to.
        most: Rows of the page; `MOST_ROWS` if None.
        characters: Of all its rows; `MOST_CHARACTERS` if None.
    """
    most = MOST_ROWS if most is None else most
    characters = MOST_CHARACTERS if characters is None else characters
    of_group: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        of_group.setdefault(group, []).append(place)
    if len(groups) <= most and sum(sizes) <= characters:
        return Chosen(places=range(len(groups)), left_out={})
    kept: dict[int, None] = {}
    queues = [iter(_spread(places)) for places in of_group.values()]
    turns = itertools.chain(dict.fromkeys(wanted), _in_turn(queues))
    left = characters
    for place in turns:
        if place in kept:
            continue
        left -= sizes[place]
        if len(kept) >= most or left < 0:
            break
        kept[place] = None
    there = Counter(groups[place] for place in kept)
    return Chosen(
        places=sorted(kept),
        left_out={
            group: (there[group], len(places))
            for group, places in of_group.items()
            if there[group] < len(places)
        },
    )


def _in_turn(queues: Sequence[Iterator[int]]) -> Iterator[int]:
    """One of each queue, until all are empty."""
    for turn in itertools.zip_longest(*queues):
        yield from (place for place in turn if place is not None)


def _spread(places: Sequence[int]) -> Iterator[int]:
    """All places, any first part of them evenly spread: every sixteenth first, then those between.

    >>> list(_spread(range(6)))[:3]
    [0, 4, 2]
    """
    step = 1 << max(len(places) - 1, 1).bit_length() - 1
    yield from places[::step]
    while step > 1:
        step //= 2
        yield from places[step :: 2 * step]


def size(row: Example) -> int:
    """About the characters that a row takes in the page."""
    texts = (row.row.question, row.row.prediction, row.evidence, *row.row.answers)
    others = (other.text for other in row.row.alternatives)
    return 200 + sum(min(len(text), _KEPT) for text in (*texts, *others))


def table_data(
    examples: Sequence[Example], labels: Mapping[str, str], corrections: bool
) -> dict[str, Json]:
    """The examples as the page's script reads them: names once, then one list per row.

    Args:
        examples: Those of the page.
        labels: What people have said already, by id, of rows in the page or not.
        corrections: Whether these replace single verdicts; else they are all, or a sample.

    A row holds: id, question, gold answers, prediction, verdict, reason, probability, F1 under
    the first protocol, score, flag, candidate score, evidence, flag's reason, exact match under
    each protocol, values of the slices, other answers, label.
    """
    protocols = list(dict.fromkeys(name for row in examples for name in row.scores))
    slices = list(dict.fromkeys(name for row in examples for name in row.slices))
    return {
        "reasons": {str(reason): reason.description for reason in Reason},
        "protocols": [*protocols],
        "slices": [inline(name) for name in slices],
        # The ids that the page cannot show as they stand; a labels file needs them as they stand.
        "ids": {shown(row.id): row.id for row in examples if shown(row.id) != row.id},
        # Rows whose prediction it cannot show as it stands.
        "altered": [row.id for row in examples if shown(row.row.prediction) != row.row.prediction],
        "labels": {key: str(label) for key, label in labels.items()},
        "sample": bool(labels) and not corrections,
        "rows": [_row(row, protocols, slices) for row in examples],
    }


def comparison_data(comparison: Comparison, places: Sequence[int]) -> dict[str, Json]:
    """The examples of a comparison: names of the systems once, then one list per row.

    A row holds: id, question, gold answers, each system's prediction, whether each is right,
    whether it is by the judge, values of the slices.

    Args:
        comparison: From `closedbook.eval.analysis.comparison.compare`.
        places: Of the examples in the page.
    """
    names = [system.name for system in comparison.systems]
    slices = list(dict.fromkeys(name for row in comparison.examples for name in row.slices))
    rows: list[Json] = []
    for place in places:
        row = comparison.examples[place]
        rows.append(
            [
                shown(place + 1 if row.id is None else row.id),
                shown(row.question),
                _texts(row.answers),
                _texts([row.predictions[name] for name in names], limit=len(names)),
                [int(row.correct[name]) for name in names],
                [int(row.accepted[name]) for name in names],
                [shown(row.slices.get(name)) for name in slices],
            ]
        )
    return {
        "systems": _texts(names, limit=len(names)),
        "slices": [inline(name) for name in slices],
        "rows": rows,
    }


def solved(row: ComparedExample) -> str:
    """Whether all, some or none of the systems are right."""
    count = sum(row.correct.values())
    return "all" if count == len(row.correct) else "some" if count else "none"


def compared_size(row: ComparedExample) -> int:
    """About the characters that a row takes in the page."""
    texts = (row.question, *row.answers, *row.predictions.values())
    return 100 + sum(min(len(text), _KEPT) for text in texts)


def _row(row: Example, protocols: Sequence[str], slices: Sequence[str]) -> list[Json]:
    return [
        shown(row.id),
        shown(row.row.question),
        _texts(row.row.answers),
        shown(row.row.prediction),
        shown(row.verdict),
        shown(_reason(row)),
        _number(row.probability, 3),
        _number(row.scores[protocols[0]].f1, 3) if protocols else None,
        _number(row.row.score, 4),
        shown(row.flag),
        _number(row.candidate, 3),
        shown(row.evidence),
        shown(row.flag_reason),
        [round(row.scores[name].em) for name in protocols],
        [shown(row.slices.get(name)) for name in slices],
        _texts([other.text for other in row.row.alternatives]),
        shown(row.label),
    ]


def _reason(row: Example) -> str | None:
    """What the verdict rests on: the flag of an unanswerable question, else the judge's reason."""
    return row.flag if row.verdict == Outcome.UNANSWERABLE else row.reason


def _texts(values: Sequence[str], limit: int = 100) -> list[Json]:
    """The first texts of a list, and how many were left out."""
    kept: list[Json] = [shown(value) for value in values[:limit]]
    left_out = len(values) - limit
    return kept if left_out <= 0 else [*kept, f"… ({left_out:,} more)"]


def shown(value: str | int | None) -> str:
    """A text as a row of the page has it: visible, and not longer than a page bears."""
    return "" if value is None else visible(clip(str(value), _KEPT))


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
