"""What stands between predictions and the gold answers in them: changes that gain most, in turn."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from closedbook.eval import metrics
from closedbook.eval.diagnosis import changes
from closedbook.eval.diagnosis.changes import Change
from closedbook.eval.diagnosis.results import Kind
from closedbook.eval.predictions import Prediction

_LOOKED_AT = 20_000  # rows by which the change that gains most is told
_MOST = 4  # changes one after the other
_SHARE = 0.002  # of the rows, that a cause must change to be one
_UNSURE = 0.01  # the same where nothing else shows that answers are cut
_PILE = 0.05  # share of the predictions that are as long as the longest where lengths are cut
_SIGNS = {".": "a full stop", ",": "a comma", "\n": "a line break"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One change, made after those before it."""

    kind: Kind
    text: str  # what is so of how many rows, and the remedy
    gained: int  # rows that are right then, less those that are no more
    share: float  # that is right then


def least(n: int) -> int:
    """Rows of n that a cause must change to be worth a word."""
    return max(2, round(_SHARE * n))


def repaired(
    rows: Sequence[Prediction], right: Sequence[bool], protocol: str
) -> tuple[list[Step], list[bool]]:
    """The changes that gain most, one after the other, and what is right after all of them.

    Args:
        rows: The predictions.
        right: What is right as they stand.
        protocol: Whose exact match counts.
    """
    steps: list[Step] = []
    now, rows = list(right), list(rows)
    for _ in range(_MOST):
        alone = changes.found(rows)
        best = _best(rows, now, alone, protocol) or _best(rows, now, changes.pairs(alone), protocol)
        if best is None:
            break
        gained, change, texts, now = best
        number = sum(text != row.prediction for text, row in zip(texts, rows, strict=True))
        steps.append(
            Step(
                kind=change.kind,
                text=f"{number:,} of {len(rows):,} predictions {change.what}; {change.remedy}",
                gained=gained,
                share=sum(now) / len(rows),
            )
        )
        rows = [
            dataclasses.replace(row, prediction=text) for row, text in zip(rows, texts, strict=True)
        ]
    for kind, text, places, enough in _cut_short(rows, now):
        if len(places) >= enough:
            now = [was or place in places for place, was in enumerate(now)]
            steps.append(
                Step(
                    kind=kind,
                    text=f"{len(places):,} wrong predictions {text}; were they whole",
                    gained=len(places),
                    share=sum(now) / len(rows),
                )
            )
    return steps, now


_Tried = tuple[int, Change, list[str], list[bool]]


def _best(
    rows: Sequence[Prediction],
    right: Sequence[bool],
    tried: Sequence[Change],
    protocol: str,
) -> _Tried | None:
    """The change that gains most; None where none gains enough to be one.

    Of a large file it is told by rows evenly spread.
    """
    step = 1 + len(rows) // _LOOKED_AT
    some = rows[::step], right[::step]
    found = [(_tried(*some, change, protocol)[0], -place) for place, change in enumerate(tried)]
    gained, place = max(found, default=(0, 0))
    if gained <= 0:
        return None
    best = _tried(rows, right, tried[-place], protocol)
    return None if best[0] < least(len(rows)) else best


def _tried(
    rows: Sequence[Prediction], right: Sequence[bool], change: Change, protocol: str
) -> _Tried:
    texts = [change.apply(row.prediction) for row in rows]
    after = [
        was if text == row.prediction else metrics.is_right(text, row.answers, protocol)
        for row, text, was in zip(rows, texts, right, strict=True)
    ]
    return sum(after) - sum(right), change, texts, after


def _cut_short(
    rows: Sequence[Prediction], right: Sequence[bool]
) -> list[tuple[Kind, str, set[int], int]]:
    """Wrong predictions that are the start of a gold answer and look cut, by what cut them.

    The last is how many make a cause: where lengths do not pile up, a few words that begin like an
    answer are wrong words.
    """
    longest = _pile(len(row.prediction) for row in rows)
    most = _pile(len(row.prediction.split()) for row in rows)
    by_length: set[int] = set()
    by_sign: dict[str, set[int]] = {sign: set() for sign in _SIGNS}
    for place, (row, was) in enumerate(zip(rows, right, strict=True)):
        text = row.prediction.strip()
        if was or not text:
            continue
        for answer in row.answers:
            rest = answer.strip()[len(text) :]
            if not rest or not answer.strip().lower().startswith(text.lower()):
                continue
            if rest[0] in _SIGNS:
                by_sign[rest[0]].add(place)
            elif (
                (text[-1].isalnum() and rest[0].isalnum())
                or len(row.prediction) == longest
                or len(text.split()) == most
            ):
                by_length.add(place)
            else:
                continue
            break
    limits = [f"{longest} characters"] * (longest > 0) or [f"{most} words"] * (most > 0)
    at = f", and none has more than {limits[0]}" if limits else ""
    enough = least(len(rows))
    unsure = enough if limits else max(enough, round(_UNSURE * len(rows)))
    return [
        (Kind.TRUNCATION, f"are the start of a gold answer, cut short{at}", by_length, unsure),
        *(
            (Kind.STOP, f"are a gold answer up to {_SIGNS[sign]} in it", places, enough)
            for sign, places in by_sign.items()
        ),
    ]


def _pile(lengths: Iterable[int]) -> int:
    """The greatest length, where many have it; else 0."""
    counts = Counter(lengths)
    most = max(counts)
    return most if counts[most] >= max(_PILE * counts.total(), 2) else 0
