"""The report as Markdown: the tables without the examples, for a pull request or a page."""

from collections.abc import Iterable, Sequence

from closedbook.eval.analysis.audit import Disagreement, StopCost
from closedbook.eval.analysis.comparison.results import Comparison
from closedbook.eval.analysis.confidence import Reliability
from closedbook.eval.analysis.results import Analysis, Meta, Review
from closedbook.eval.analysis.slices import SliceScore
from closedbook.eval.analysis.taxonomy import Counted
from closedbook.eval.report import measures, numbers, story
from closedbook.eval.report.text import PARAGRAPH
from closedbook.eval.report.text import markdown as safe

_REVIEWED = 20  # candidates shown; candidates.jsonl has all


def render_markdown(analysis: Analysis, *, figures: str | None = "figures") -> str:
    """The report on one predictions file.

    Args:
        analysis: From `closedbook.eval.analysis.analyze`.
        figures: Folder of the figures, relative to the file; None leaves them out.
    """
    meta, taxonomy = analysis.meta, analysis.taxonomy
    parts = [
        f"# {safe(meta.source or 'Predictions')}",
        _facts(meta),
        *_story(analysis),
        table(
            ("", "%", "95% interval"),
            [
                (name, numbers.mean(value), numbers.interval(value))
                for name, value in measures.headline(analysis)
            ],
        ),
        safe(measures.doubts(analysis), PARAGRAPH),
        "## What the errors are",
        safe(taxonomy.how[:1].upper() + taxonomy.how[1:] + ".", PARAGRAPH),
        _picture(figures, "errors", "Shares of the kinds of wrong answers"),
        table(
            ("Kind", "Count", "Share, %", "95% interval"),
            [
                (row.name, *measures.kind_cells(row, len(analysis.candidates)))
                for row in taxonomy.rows
            ],
        ),
        safe(measures.outcomes(analysis), PARAGRAPH),
        *_counts(taxonomy.counts),
    ]
    if analysis.candidates:
        parts += ["## Review these first", *_candidates(analysis.candidates)]
    if analysis.slices:
        parts += ["## Slices", _slices(analysis.slices)]
    parts += [
        "## Under each protocol",
        table(
            ("Protocol", "Exact match, %", "F1, %", "n"),
            [
                (
                    row.protocol,
                    numbers.with_interval(row.em),
                    numbers.with_interval(row.f1),
                    numbers.count(row.n),
                )
                for row in analysis.protocols
            ],
        ),
        "### Correct, incorrect, not attempted",
        "SimpleQA's three shares and F1, by the judge.",
        table(
            ("", "%", "95% interval"),
            [
                (name, numbers.percent(value.mean), numbers.interval(value))
                for name, value in analysis.grades.shares()
            ],
        ),
    ]
    if analysis.disagreements:
        parts += ["### Where they disagree", _disagreements(analysis.disagreements)]
    if analysis.audit:
        parts += ["### What a stop rule would cost", _audit(analysis.audit)]
    if analysis.confidence:
        parts += ["## Confidence", *_confidence(analysis.confidence, figures)]
    parts.append(f"Made by closedbook {safe(meta.closedbook)}. All intervals are 95%.")
    return "\n\n".join(part for part in parts if part) + "\n"


def render_comparison_markdown(comparison: Comparison) -> str:
    """The comparison of several systems."""
    meta = comparison.meta
    first = comparison.protocols[0]
    names = [row.system for row in first.scores]
    return (
        "\n\n".join(
            [
                f"# {len(names)} systems on {measures.compared(comparison)}",
                f"Protocol {safe(meta.protocol)}; rows aligned by {safe(meta.aligned_by)}. "
                f"All intervals are 95%.{_after(measures.golds(comparison))}",
                "## Exact match under each protocol, %",
                table(
                    ("System", *(table.protocol for table in comparison.protocols)),
                    measures.score_rows(comparison),
                ),
                f"## Pairs under {safe(first.protocol)}",
                "Differences of exact match (Tango's score interval) and F1 (a paired bootstrap) "
                "in points, first minus second; p, of exact match, is McNemar's exact test, also "
                "with Holm's correction for the number of pairs. Where rows share questions, "
                "interval and test draw whole questions.",
                table(
                    (
                        *("First", "Second", "Only first", "Only second", "Difference"),
                        *("Difference, F1", "p", "p, Holm"),
                    ),
                    [measures.pair_cells(pair) for pair in first.pairs],
                ),
                "![Exact match of each system](figures/systems.svg)",
                "## Adjusted scores, %",
                safe(measures.adjusted_note(comparison), PARAGRAPH),
                table(
                    ("System", "Exact match", "Adjusted", "In other words"),
                    measures.adjusted_rows(comparison),
                ),
                table(
                    ("First", "Second", "Difference, adjusted"),
                    [
                        (*pair.systems, measures.difference(pair.difference))
                        for pair in comparison.adjusted.pairs
                    ],
                ),
                *(["## Slices", *_compared_slices(comparison, names)] if comparison.slices else []),
                f"## {measures.unit(comparison)} by how many systems are right",
                table(
                    ("Right", measures.unit(comparison), "Share, %"),
                    [
                        (row.right, numbers.count(row.count), numbers.percent(row.share))
                        for row in comparison.solved_by
                    ],
                ),
            ]
        )
        + "\n"
    )


def _compared_slices(comparison: Comparison, names: Sequence[str]) -> list[str]:
    return [
        "Exact match, and the adjusted score after the arrow, percent.",
        table(
            ("Slice", "Value", "n", *names),
            [
                (
                    row.slice,
                    row.value,
                    numbers.count(row.n),
                    *(
                        f"{numbers.mean(em)} → {numbers.with_interval(adjusted)}"
                        for em, adjusted in zip(row.em, row.adjusted, strict=True)
                    ),
                )
                for row in comparison.slices
            ],
        ),
    ]


def _story(analysis: Analysis) -> list[str]:
    """What the page says first, and the examples to look at."""
    lines = [
        f"- {numbers.count(each.count) if each.count is not None else '?'} **{each.name}**, "
        f"{safe(each.share)}: they {each.words}."
        for each in story.shares(analysis)
    ]
    looks = [
        f"- {safe(name)}: {safe(row.id)}, {safe(row.row.question, 140)} Gold "
        f"{safe(' / '.join(row.row.answers[:3]), 90)}; predicted {safe(row.row.prediction, 140)}"
        for name, rows in story.looks(analysis)
        for row in rows[:1]
    ]
    return [
        safe(story.opening(analysis), PARAGRAPH),
        "\n".join(lines),
        safe(story.conclusion(analysis), PARAGRAPH),
        *(["Look at these first:", "\n".join(looks)] if looks else []),
    ]


def _after(text: str) -> str:
    return f" {safe(text, PARAGRAPH)}" if text else ""


def _facts(meta: Meta) -> str:
    facts = [f"{numbers.count(meta.n)} predictions"]
    if meta.n_questions != meta.n:
        facts.append(f"{numbers.count(meta.n_questions)} questions")
    named = (
        ("task", meta.task),
        ("split", meta.split),
        ("protocol", meta.protocol),
        ("read as", meta.form),
        *((f"{count:,} rows:", note) for note, count in sorted(meta.notes.items())),
    )
    facts += [f"{name} {safe(value)}" for name, value in named if value]
    return ", ".join(facts) + f", judge {safe(meta.judge.mode)}."


def _counts(rows: Sequence[Counted]) -> list[str]:
    if not rows:
        return []
    return [
        "### How the adjusted score is counted",
        table(
            measures.COUNTS,
            [
                (
                    row.name,
                    numbers.count(row.answerable),
                    numbers.count(row.flagged),
                    numbers.count(row.total),
                )
                for row in rows
            ],
        ),
    ]


def _disagreements(rows: Iterable[Disagreement]) -> str:
    return table(
        ("First", "Second", "Right by the first only", "By the second only", "Why"),
        [
            (
                *(measures.alike(row, side) for side in (0, 1)),
                numbers.count(row.only_first),
                numbers.count(row.only_second),
                "; ".join(f"{why.reason} ({why.count:,})" for why in row.why),
            )
            for row in rows
        ],
    )


def _audit(rows: Iterable[StopCost]) -> str:
    return table(
        ("Rule", "Exact match, %", "Change", "Lost", "Gained", "Questions out of reach"),
        [
            (
                row.rule,
                numbers.with_interval(row.em),
                measures.difference(row.change),
                numbers.count(row.lost),
                numbers.count(row.gained),
                numbers.count(row.gold_unreachable),
            )
            for row in rows
        ],
    )


def _confidence(confidence: Reliability, figures: str | None) -> list[str]:
    sides = measures.sides(confidence)
    return [
        _picture(figures, "calibration", "Accuracy over confidence")
        if confidence.strict.bins
        else "",
        _picture(figures, "risk_coverage", "Risk over coverage"),
        table(
            ("Measure", *(name.capitalize() for name, _ in sides)),
            [
                (name, *(measures.confidence(side, measure) for _, side in sides))
                for measure, name in measures.CONFIDENCE.items()
            ],
        ),
    ]


def _slices(rows: Iterable[SliceScore]) -> str:
    return table(
        ("Slice", "Value", "n", "Exact match, %", "Adjusted, %"),
        [
            (
                row.slice,
                row.value,
                numbers.count(row.n),
                numbers.with_interval(row.em),
                numbers.with_interval(row.adjusted),
            )
            for row in rows
        ],
    )


def _candidates(rows: Sequence[Review]) -> list[str]:
    return [
        f"The first {min(_REVIEWED, len(rows))} of {numbers.counted(len(rows), 'candidate')}; all "
        "are in candidates.jsonl. They count as wrong until somebody labels them.",
        table(
            ("Score", "Id", "Question", "Prediction", "Why"),
            [
                (
                    numbers.decimal(row.score, 2),
                    row.id,
                    row.question,
                    row.prediction,
                    "; ".join(row.reasons),
                )
                for row in rows[:_REVIEWED]
            ],
        ),
    ]


def _picture(folder: str | None, name: str, alternative: str) -> str:
    return "" if folder is None else f"![{alternative}]({folder}/{name}.svg)"


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A pipe table; columns but the first are aligned to the right where they hold numbers.

    Args:
        heading: Names of the columns.
        rows: Their cells; all text is escaped.
    """
    cells = [[safe(cell) for cell in row] for row in rows]
    rules = [
        "---:" if place and cells and all(_is_number(row[place]) for row in cells) else "---"
        for place in range(len(heading))
    ]
    lines = [[safe(cell) for cell in heading], rules, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _is_number(cell: str) -> bool:
    return cell == numbers.MISSING or cell.lstrip("\\+−-<").replace(",", "")[:1].isdigit()
