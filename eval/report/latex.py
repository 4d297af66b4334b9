"""Tables for papers: LaTeX with booktabs, to be \\input or pasted."""

from collections.abc import Iterable, Sequence

from closedbook.eval.analysis.comparison.results import Comparison, Pair
from closedbook.eval.analysis.results import Analysis
from closedbook.eval.intervals import Estimate
from closedbook.eval.report import measures, numbers
from closedbook.eval.report.text import PARAGRAPH
from closedbook.eval.report.text import latex as safe


def render_latex(analysis: Analysis) -> str:
    r"""Two tables: the scores under each protocol, and the four kinds of wrong answers.

    Returns:
        LaTeX that needs `\usepackage{booktabs}`.
    """
    meta, taxonomy = analysis.meta, analysis.taxonomy
    n = numbers.count(meta.n)
    source = safe(meta.source or "the predictions")
    scores = [
        (safe(row.protocol), *_estimate(row.em), *_estimate(row.f1)) for row in analysis.protocols
    ]
    scores.append((r"\midrule adjusted", *_estimate(taxonomy.adjusted), *_estimate(None)))
    kinds = [
        (safe(row.name), *map(safe, measures.kind_cells(row, len(analysis.candidates))))
        for row in taxonomy.rows
    ]
    return _document(
        _table(
            caption=f"Scores of {source} ($n = {_number(n)}$), percent with 95\\% intervals."
            f"{_after(measures.doubts(analysis))}",
            label="tab:closedbook-scores",
            columns="lrlrl",
            heading=("Protocol", r"\multicolumn{2}{c}{Exact match}", r"\multicolumn{2}{c}{F1}"),
            rows=scores,
        ),
        _table(
            caption=(
                f"Wrong answers of {source} by kind; share with 95\\% interval. "
                f"{_sentence(taxonomy.how)}{_after(measures.outcomes(analysis))}"
            ),
            label="tab:closedbook-errors",
            columns="lrrl",
            heading=("Kind", "Count", r"Share, \%", r"95\% interval"),
            rows=kinds,
        ),
    )


def render_comparison_latex(comparison: Comparison) -> str:
    r"""Two tables: the systems' exact match under each protocol, and their pairs.

    Returns:
        LaTeX that needs `\usepackage{booktabs}`.
    """
    first = comparison.protocols[0]
    names = [safe(table.protocol) for table in comparison.protocols]
    scores = [
        (
            safe(row.system),
            *_estimate(row.em),
            *(numbers.percent(table.scores[place].em.mean) for table in comparison.protocols[1:]),
            *_estimate(comparison.adjusted.scores[place].adjusted),
        )
        for place, row in enumerate(first.scores)
    ]
    return _document(
        _table(
            caption=(
                f"Exact match of {len(scores)} systems on the same {_questions(comparison)}, "
                f"percent; {names[0]} and the adjusted score with 95\\% interval."
                f"{_after(measures.golds(comparison))}"
            ),
            label="tab:closedbook-systems",
            columns="lrl" + "r" * (len(names) - 1) + "rl",
            heading=(
                "System",
                rf"\multicolumn{{2}}{{c}}{{{names[0]}}}",
                *names[1:],
                r"\multicolumn{2}{c}{adjusted}",
            ),
            rows=scores,
        ),
        _table(
            caption=(
                f"Pairs of systems under {names[0]}: {measures.unit(comparison).lower()} that only "
                "one has right, differences of exact match and F1 in points with 95\\% interval, "
                "McNemar's exact test of exact match, and with Holm's correction."
            ),
            label="tab:closedbook-pairs",
            columns="llrrllrr",
            heading=(
                *("First", "Second", "Only first", "Only second", "Difference", "F1"),
                *("$p$", "Holm"),
            ),
            rows=[_pair(pair) for pair in first.pairs],
        ),
    )


def _questions(comparison: Comparison) -> str:
    meta = comparison.meta
    n = _number(numbers.count(meta.n))
    if meta.n == meta.n_questions:
        return f"questions ($n = {n}$)"
    return f"{_number(numbers.counted(meta.n_questions, 'question'))} ($n = {n}$ rows)"


def _pair(pair: Pair) -> tuple[str, ...]:
    *cells, p, holm = measures.pair_cells(pair)
    return (*map(safe, cells), _p(p), _p(holm))


def _p(shown: str) -> str:
    return shown.replace("<", "$<$")


def _estimate(value: Estimate | None) -> tuple[str, str]:
    if value is None:
        return "--", ""
    return safe(numbers.mean(value)), safe(numbers.interval(value))


def _number(shown: str) -> str:
    # A bare comma in mathematics is followed by a space.
    return shown.replace(",", "{,}")


def _sentence(text: str) -> str:
    return safe(text[:1].upper() + text[1:], PARAGRAPH) + "."


def _after(text: str) -> str:
    return f" {safe(text, PARAGRAPH)}" if text else ""


def _table(
    *,
    caption: str,
    label: str,
    columns: str,
    heading: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> str:
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(heading) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _document(*tables: str) -> str:
    needs = "% Needs \\usepackage{booktabs}; names in other scripts also LuaLaTeX or XeLaTeX.\n"
    return needs + "\n\n".join(tables) + "\n"
