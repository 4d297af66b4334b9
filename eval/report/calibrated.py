"""The report of `closedbook calibrate`: a page of Markdown, a figure, the numbers, the rows."""

import math
import os
import pathlib
from collections.abc import Mapping

from closedbook.eval.abstention.calibrating import Calibrated
from closedbook.eval.analysis.summarized import plain
from closedbook.eval.intervals import Estimate
from closedbook.eval.report import numbers, outputs
from closedbook.eval.report.charts import PAPER, Spec, chart, pdf, share_axis, svg
from closedbook.eval.report.text import markdown as safe

_FIGURE = "risk_coverage"
_OURS = frozenset(
    {
        *("summary.json", "examples.jsonl", "report.md"),
        *(f"figures/{_FIGURE}.{ending}" for ending in ("svg", "pdf")),
    }
)


def write_calibrated(
    found: Calibrated, out: str | os.PathLike[str], *, force: bool = False
) -> pathlib.Path:
    """Writes summary.json, examples.jsonl, report.md and the figure.

    Args:
        found: From `closedbook.eval.abstention.calibrating.calibrate`.
        out: The folder to make.
        force: Whether to replace a report that is there.

    Returns:
        The folder.

    Raises:
        UserError: The folder must not be written, or the disk refuses.
    """
    drawn = risk_coverage(found)
    with outputs.replacing(pathlib.Path(out), force=force, ours=_OURS) as folder:
        outputs.write_json(folder / "summary.json", found.to_json())
        outputs.write_lines(folder / "examples.jsonl", map(plain, found.examples))
        outputs.write_text(folder / "report.md", render(found))
        files = {f"{_FIGURE}.svg": svg(drawn).encode(), f"{_FIGURE}.pdf": pdf(drawn)}
        outputs.write_files(folder / "figures", files)
    return pathlib.Path(out)


def risk_coverage(found: Calibrated, palette: Mapping[str, str] = PAPER) -> Spec:
    """The share of wrong answers among the surest ones over how many are given, and the threshold.

    The dashed line is the risk that is allowed; the point is the threshold.
    """
    curve = [{"coverage": point.coverage, "risk": point.risk} for point in found.curve]
    at = {
        "coverage": found.coverage.mean,
        "risk": found.wrong_given.mean,
        "label": f"answers {numbers.percent(found.coverage.mean)}%, "
        f"{numbers.percent(found.wrong_given.mean)}% of them wrong",
    }
    top = max(found.risk, *(point.risk for point in found.curve))
    x = share_axis("coverage", "coverage, % answered", domain=[0, 1])
    y = share_axis("risk", "risk, % wrong among the answers given", domain=[0, top])
    return chart(
        palette,
        "Share of wrong answers among those given over the share given, with the threshold",
        data=curve,
        height=230,
        layer=[
            {
                "data": {"values": [{"risk": found.risk}]},
                "mark": {"type": "rule", "strokeDash": [3, 3], "color": palette["muted"]},
                "encoding": {"y": y},
            },
            {
                "mark": {"type": "line", "strokeWidth": 1.5, "color": palette["accent"]},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": [at]},
                "mark": {"type": "circle", "size": 60, "opacity": 1, "color": palette["accent"]},
                "encoding": {
                    "x": x,
                    "y": y,
                    "description": {"field": "label", "type": "nominal"},
                },
            },
        ],
    )


def rule(found: Calibrated) -> str:
    """When the model should answer.

    A threshold is written with all its digits, because answers that have it are given.
    """
    if found.threshold is None:
        return "answer always"
    sign = "<=" if found.smaller_is_surer else ">="
    words = f"answer where {found.score} {sign} {found.threshold!r}"
    if found.score == "score" and found.threshold <= 0:
        words += f" (probability {math.exp(found.threshold):.2f})"
    return words


def lines(found: Calibrated) -> list[tuple[str, str]]:
    """The numbers in the order in which a reader wants them: name, and text."""
    held, tested = found.held, found.tested
    shown = [
        ("threshold", rule(found)),
        ("answered", f"{_share(found.coverage)} of {numbers.count(found.n - found.unscored)} rows"),
        (
            "wrong",
            f"{_share(found.wrong_given)} of those answered; of all {_share(found.wrong_all)}",
        ),
        (
            "tested",
            f"{numbers.count(tested.wrong)} wrong of {numbers.count(tested.given)} answered of "
            f"{numbers.count(tested.rows)} that the test saw, p {numbers.p_value(tested.p)}",
        ),
        (
            "held",
            f"on {numbers.count(held.splits)} random halves, counted on all rows: broken in "
            f"{_share(held.broken)}, promised at most {numbers.percent(found.delta)}%; a threshold "
            f"found in {numbers.percent(held.found.mean)}%, answering "
            f"{numbers.percent(held.coverage)}% in the mean",
        ),
        *(
            (
                "AUROC",
                f"{each.name} {decimals(each.auroc)}"
                + (f", less score {decimals(each.less_score)}" if each.less_score else ""),
            )
            for each in found.discrimination
        ),
    ]
    if found.beams is not None:
        width = "no upper bound" if found.beams.width is None else f"{found.beams.width:.3f} nats"
        shown.append(
            (
                "beams",
                f"of {numbers.count(found.beams.n)} rows; they cover "
                f"{numbers.percent(found.beams.mass, 2)}% of the probability (median), semantic "
                f"entropy is known to {width} (median), exactly in {found.beams.exact:,} rows",
            )
        )
    if found.unscored:
        shown.append(("left out", f"{numbers.count(found.unscored)} rows that state no score"))
    return shown


def render(found: Calibrated) -> str:
    """The report as Markdown."""
    risk, delta = numbers.percent(found.risk), numbers.percent(found.delta)
    table = "\n".join(f"| {name} | {safe(text)} |" for name, text in lines(found))
    parts = [
        f"# When not to answer: {safe(found.source or 'predictions')}",
        f"Right is: {safe(found.right_if)}. Allowed: {risk}% of wrong answers among those given, "
        f"broken with a probability of at most {delta}%.",
        f"**Promise.** {found.promise}",
        f"| | |\n|---|---|\n{table}",
        f"![Risk over coverage](figures/{_FIGURE}.svg)",
        "Shares with 95% intervals over questions. The dashed line is the allowed risk; the point "
        "is the threshold.",
    ]
    return "\n\n".join(parts) + "\n"


def _share(value: Estimate) -> str:
    return numbers.with_interval(value).replace(" [", "% [", 1)


def decimals(value: Estimate | None) -> str:
    """A number with its interval, three digits."""
    if value is None:
        return numbers.MISSING
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
