"""What the formats show alike: which numbers, under which names, with which digits."""

from typing import Literal

from closedbook.eval.analysis.audit import Disagreement, Why
from closedbook.eval.analysis.comparison.results import Comparison, Pair
from closedbook.eval.analysis.confidence import Measures, Reliability
from closedbook.eval.analysis.results import Analysis, Outcome
from closedbook.eval.analysis.taxonomy import KindShare
from closedbook.eval.intervals import Estimate
from closedbook.eval.report import numbers
from closedbook.eval.report.text import inline

Measure = Literal["ece", "macro_ce", "brier", "aurc", "coverage_at_90"]

CONFIDENCE: dict[Measure, str] = {
    "ece": "Expected calibration error",
    "macro_ce": "MacroCE",
    "brier": "Brier score",
    "aurc": "Area under risk-coverage",
    "coverage_at_90": "Coverage at 90% accuracy, %",
}


_SHOWN = 3  # questions in a sentence

COUNTS = ("Rows", "Question not flagged", "Flagged", "All")
"""Heading of the table of `closedbook.eval.analysis.taxonomy.FourWay.counts`."""


def doubts(analysis: Analysis) -> str:
    """Why the adjusted score cannot be trusted, in a sentence; empty where it can."""
    why = analysis.taxonomy.doubts
    if not why:
        return ""
    return (
        f"The adjusted score cannot be trusted here: {'; '.join(why)}. Its ends are bounds, from "
        "exact match alone to every answer that has anything in common with a gold answer."
    )


def outcomes(analysis: Analysis) -> str:
    """How kinds of wrong answers and verdicts of examples go together; empty where it is plain."""
    likely = sum(row.verdict == Outcome.INCOMPLETE for row in analysis.examples)
    parts = []
    if analysis.taxonomy.labelled:
        parts.append("Kinds count labelled answers; the verdict of an example without a label is "
                     "the judge's.")  # fmt: skip
    if likely:
        parts.append(
            f"{numbers.counted(likely, 'example')} of the {numbers.count(len(analysis.candidates))}"
            f" to review {'is' if likely == 1 else 'are'} likely right and missing from the gold: "
            f"the verdict is \N{LEFT DOUBLE QUOTATION MARK}{Outcome.INCOMPLETE}"
            "\N{RIGHT DOUBLE QUOTATION MARK}, the kind true negative."
        )
    return " ".join(parts)


def headline(analysis: Analysis) -> list[tuple[str, Estimate]]:
    """What is right under the headline, F1 where the protocol has one, and the adjusted score."""
    judged = analysis.meta.protocol == analysis.grades.protocol
    f1 = analysis.grades.f1 if judged else analysis.protocols[0].f1
    return [
        ("Correct" if judged else "Exact match", analysis.taxonomy.em),
        *([("F1", f1)] if f1 else []),
        ("Adjusted", analysis.taxonomy.adjusted),
    ]


def kind_cells(row: KindShare, candidates: int) -> tuple[str, str, str]:
    """Count, share and interval of a kind of wrong answers; a note if it was not counted."""
    if row.asserted:
        return numbers.count(row.count), numbers.percent(row.share), numbers.interval(row)
    note = f"{candidates:,} candidate{'s' * (candidates != 1)}" if candidates else "needs labels"
    return "not counted", numbers.MISSING, note


def sides(found: Reliability) -> tuple[tuple[str, Measures], ...]:
    """The two notions of correctness by which confidence is measured, with their names."""
    return (
        ("exact match", found.strict),
        *([("adjusted", found.adjusted)] if found.adjusted else []),
    )


def confidence(found: Measures, measure: Measure) -> str:
    """One measure of confidence, with its interval; a dash where it could not be taken."""
    value: Estimate | None = getattr(found, measure)
    if value is None:
        return numbers.MISSING
    show = numbers.percent if measure == "coverage_at_90" else numbers.decimal
    return f"{show(value.mean)} [{show(value.low)}, {show(value.high)}]"


def alike(found: Disagreement, side: int) -> str:
    """A protocol of a pair, and those that judge every row as it does."""
    return ", ".join((found.protocols[side], *found.alike[side]))


def score_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """One row per system, in the order given: its name and its exact match by protocol."""
    tables = [
        {row.system: numbers.with_interval(row.em) for row in table.scores}
        for table in comparison.protocols
    ]
    return [
        (row.system, *(table[row.system] for table in tables))
        for row in comparison.protocols[0].scores
    ]


def reasons(found: Disagreement, side: int) -> list[Why]:
    """Why one protocol of a pair accepts what the other refuses."""
    return [why for why in found.why if why.right == found.protocols[side]]


def adjusted_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """One row per system: exact match, adjusted score, answers that the judge accepts."""
    exact = {row.system: row.em for row in comparison.protocols[0].scores}
    return [
        (
            row.system,
            numbers.with_interval(exact[row.system]),
            numbers.with_interval(row.adjusted),
            numbers.count(row.phrasing),
        )
        for row in comparison.adjusted.scores
    ]


def adjusted_note(comparison: Comparison) -> str:
    """What adjusted scores of a comparison are."""
    found = comparison.adjusted
    text = (
        "The adjusted score also counts gold answers in other words, by the judge, and leaves out "
        f"{numbers.counted(found.flagged, 'flagged question')}. Its interval holds the judge's "
        "errors; that of a difference holds the drawing of questions alone, since the same judge "
        "errs on both sides."
    )
    for row in found.scores:
        if row.doubts:
            text += (
                f" {row.system} cannot be trusted, its ends are bounds: {'; '.join(row.doubts)}."
            )
    return text


def pair_cells(pair: Pair) -> tuple[str, ...]:
    """A pair of systems: names, examples that only one has right, differences, p values."""
    return (
        *pair.systems,
        numbers.count(pair.only_first),
        numbers.count(pair.only_second),
        difference(pair.difference),
        difference(pair.difference_f1),
        numbers.p_value(pair.p),
        numbers.p_value(pair.p_holm),
    )


def difference(value: Estimate | None) -> str:
    """The difference of a pair's scores, in points, with its interval."""
    if value is None:
        return numbers.MISSING
    low, high = numbers.signed(value.low), numbers.signed(value.high)
    return f"{numbers.signed(value.mean)} [{low}, {high}]"


def compared(comparison: Comparison) -> str:
    """How many questions were compared, and in how many rows where these are more."""
    meta = comparison.meta
    if meta.n == meta.n_questions:
        return numbers.counted(meta.n, "question")
    return f"{numbers.counted(meta.n, 'row')} of {numbers.counted(meta.n_questions, 'question')}"


def unit(comparison: Comparison) -> str:
    """What is counted: questions, or the rows of them."""
    meta = comparison.meta
    return "Questions" if meta.n == meta.n_questions else "Rows"


def golds(comparison: Comparison) -> str:
    """A sentence on gold answers that differ between the files, with a blank before it; or none."""
    meta = comparison.meta
    if not meta.golds_differ:
        return ""
    such = "; ".join(inline(question, 60) for question in meta.golds_differ_in[:_SHOWN])
    return (
        f" The files' gold answers differ in {numbers.count(meta.golds_differ)} questions "
        f"(such as {such}); all systems are scored against those of all files together."
    )
