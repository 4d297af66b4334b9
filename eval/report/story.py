"""What a report says first: how many errors are errors, what score follows, where to look."""

import dataclasses
import heapq
from collections.abc import Callable, Iterable

from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.results import Analysis, Example, Outcome
from closedbook.eval.intervals import UNKNOWN
from closedbook.eval.report import numbers

_EACH = 3  # examples of a kind that are shown first

_SAID = {
    Kind.TRUE_NEGATIVE: ("really wrong", "answer something else than the gold"),
    Kind.PHRASING: ("the same in other words", "say what a gold answer says"),
    Kind.UNANSWERABLE: (
        "unanswerable",
        "answer a question that has no answer without a date, a place or a page",
    ),
    Kind.INCOMPLETE: ("missing from the gold", "are right, and no gold answer says so"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """One kind of errors in plain words."""

    kind: Kind
    name: str
    count: int | None  # None: nobody has counted
    share: str  # of the errors, in percent with its interval; what is known instead without a count
    words: str  # what these answers do


def opening(analysis: Analysis) -> str:
    """How many answers exact match calls wrong."""
    taxonomy = analysis.taxonomy
    if not taxonomy.wrong:
        return f"All {numbers.counted(taxonomy.n, 'answer')} equal a gold answer."
    verb = "is" if taxonomy.wrong == 1 else "are"
    said = (
        "right by the judge"
        if analysis.meta.protocol == analysis.grades.protocol
        else f"an exact match of a gold answer under {analysis.meta.protocol}"
    )
    text = (
        f"{numbers.count(taxonomy.wrong)} of {numbers.counted(taxonomy.n, 'answer')} {verb} "
        f"not {said}. Are these errors?"
    )
    known = sum(row.count for row in taxonomy.rows)
    if taxonomy.labelled and known < taxonomy.wrong:
        text += f" People looked at {numbers.count(known)} of them:"
    return text


def shares(analysis: Analysis) -> list[Share]:
    """The four kinds of errors; none where there are no errors."""
    if not analysis.taxonomy.wrong:
        return []
    rows = {row.name: row for row in analysis.taxonomy.rows}
    table = []
    for kind, (name, words) in _SAID.items():
        row = rows[kind]
        if row.asserted:
            count: int | None = row.count
            share = f"{numbers.percent(row.share)}% {numbers.interval(row)}"
        else:
            found = len(analysis.candidates)
            words = (
                "may be right though no gold answer says so; until people look they count as wrong"
            )
            count, share = None, f"{numbers.count(found)} to review" if found else "not known"
        table.append(
            Share(
                kind=kind,
                name=name,
                count=count,
                share=share,
                words=words,
            )
        )
    return table


def conclusion(analysis: Analysis) -> str:
    """What score follows, in a sentence with its interval."""
    taxonomy = analysis.taxonomy
    em, adjusted = taxonomy.em, taxonomy.adjusted
    if adjusted == UNKNOWN:
        return "No question is left that can be answered, so that no adjusted score follows."
    left = taxonomy.counts[-1].flagged if taxonomy.counts else 0
    counted = numbers.counted(taxonomy.n - left, "answer")
    without = f", over the {counted} to questions that can be answered"
    span = f"between {numbers.percent(adjusted.low)} and {numbers.percent(adjusted.high)}"
    if taxonomy.doubts:
        return f"The score may be anything {span}%; exact match is {numbers.percent(em.mean)}%."
    return (
        f"Counted so, {numbers.percent(adjusted.mean)}% are right ({span}, 95%)"
        f"{without if left else ''}; exact match alone says {numbers.percent(em.mean)}%."
    )


def looks(analysis: Analysis) -> list[tuple[str, list[Example]]]:
    """The examples that a person should look at first, by what may be amiss with them.

    Of each kind these are the rows where a look is most likely to change the verdict.
    """
    open_ = [row for row in analysis.examples if row.label is None]
    least = analysis.meta.judge.threshold
    groups: list[tuple[str, list[Example]]] = [
        (
            "Perhaps right, and missing from the gold",
            _first((row for row in open_ if row.candidate), lambda row: -row.candidate),
        ),
        (
            "Called the same in other words, with the least certainty",
            _first(
                (row for row in open_ if row.verdict == Outcome.PHRASING),
                lambda row: row.probability,
            ),
        ),
        (
            "Called wrong, with the least certainty",
            _first(
                (
                    row
                    for row in open_
                    if row.verdict == Outcome.WRONG and 0.2 * least < row.probability < least
                ),
                lambda row: -row.probability,
            ),
        ),
        (
            "Set aside as unanswerable",
            _first(
                (row for row in open_ if row.verdict == Outcome.UNANSWERABLE),
                lambda row: -row.probability,
            ),
        ),
    ]
    return [(name, rows) for name, rows in groups if rows]


def _first(rows: Iterable[Example], key: Callable[[Example], float]) -> list[Example]:
    return heapq.nsmallest(_EACH, rows, key=key)
