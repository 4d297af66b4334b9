"""The folder of results of `closedbook edit-eval`: page, tables, figures."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.analysis.summarized import plain
from closedbook.eval.intervals import Estimate
from closedbook.eval.report import charts, html
from closedbook.eval.report.text import clip, visible
from closedbook.knowledge import result_folders
from closedbook.knowledge.editing.evaluation import drawing, generations
from closedbook.knowledge.editing.evaluation.cases import DENIED, GROUPS, RIPPLE, YES_NO
from closedbook.knowledge.editing.evaluation.sequences import Point
from closedbook.knowledge.editing.evaluation.summary import FORCED, PUBLISHED, WHEN
from closedbook.knowledge.editing.evaluation.trials import Trial, as_row
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.result_folders import Table

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_LONGEST = 200  # characters of a text on the page
_MOST_ROWS = 5000  # trials in the page's own table
CONVENTIONS = {
    "Free": "greedy, no gold tokens, to the natural end; a hit is an exact match under SQuAD's "
    "normalisation with the target (told) or the fact's own objects (kept)",
    "Free, of models that go on with a prompt": "a line of at most 16 tokens. The rest of a "
    "sentence is a hit if it begins with the right words; questions are put as Q: ... A: and "
    "judged by exact match",
    "Judged": "the same answers by the package's judge",
    "Kept": "of the questions that the stored original answers right, how many are right after "
    "the edit; the original is never a model that was edited before",
    "Forced": "the gold answer is fed: ES, PS, NS compare mean nll per token, strictly; EM, PM, NM "
    "are mean differences of probability; S is the harmonic mean of ES, PS and NS",
    "MEND's and KnowledgeEditor's": "success is a free hit on the prompt, or on rephrases; "
    "drawdown is the loss of accuracy on kept questions, deterioration its share of the accuracy "
    "before, retain rate the share of them answered with the very same words; kept questions are "
    "neighbours, right before or not, and facts that were right before",
    "Rephrasings": "phrasings that neither fine-tuning nor the edit used",
    "Yes or no": "'Is it true that ...?' by the likelihood of Yes against No; of models that go on "
    "with a prompt: closed-book T5s were taught names, and have no yes and no to give",
    "GE, RS": f"of {generations.TOKENS} tokens sampled from the {generations.TOP} likeliest after "
    "each generation prompt: n-gram entropy (2/3 H2 + 4/3 H3) / 2 x 100, and the cosine of TF-IDF "
    "vectors with the reference texts; only where the data brings them",
    "Intervals": "95%, a bootstrap that draws whole edits, of fewer than ten Student's; Wilson's "
    "where an edit has one question or all have the same mean",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of editing and what it earned.

    Attributes:
        name: For tables.
        trials: Single edits.
        summary: Of `summary.of_trials`.
        points: Edits in a row.
        settings: Of the single edits.
        in_row: Of those in a row.
    """

    name: str
    trials: Sequence[Trial]
    summary: Mapping[str, Any]
    points: Sequence[Point] = ()
    settings: Settings | None = None
    in_row: Settings | None = None


def write(
    out: str | os.PathLike[str],
    variants: Sequence[Variant],
    model: LoadedModel,
    *,
    name: str,
    data: str,
    arguments: Mapping[str, object],
    force: bool = False,
) -> pathlib.Path:
    """Writes report.html, summary.json, results.jsonl, command.json, figures and tables.

    Raises:
        UserError: The folder must not be written, or the disk refuses.
    """
    summary = {
        each.name: {
            **each.summary,
            "sequence": list(each.points),
            "settings": {"single": each.settings, "in a row": each.in_row if each.points else None},
        }
        for each in variants
    }
    return result_folders.write(
        out,
        page=render(variants, name=name, data=data),
        summary={"conventions": CONVENTIONS, "variants": plain(summary)},
        rows=[as_row(trial, each.name) for each in variants for trial in each.trials],
        command=result_folders.command(model, name, arguments),
        figures=figures(variants, charts.PAPER),
        tables=tables(variants),
        force=force,
    )


def render(variants: Sequence[Variant], *, name: str, data: str) -> str:
    """The page: one HTML file that needs no network."""
    shown = [group for group in GROUPS if any(group in v.summary["free"] for v in variants)]
    forced = [each for each in FORCED if any(each in v.summary["forced"] for v in variants)]
    drawn = figures(variants, charts.PAGE)
    rows = [
        [
            visible(clip(trial.id, _LONGEST)),
            variant.name,
            visible(clip(trial.answer, _LONGEST)) or "–",
            *(_part(trial, group) for group in GROUPS[:6]),
        ]
        for variant in variants
        for trial in variant.trials
    ][:_MOST_ROWS]
    return html.page(
        _TEMPLATES / "evaluation.html",
        script=_TEMPLATES / "evaluation.js",
        data=plain({"rows": rows, "groups": list(GROUPS[:6])}),
        model=name,
        source=data,
        variants=variants,
        groups=shown,
        forced=forced,
        published=[
            each for each in PUBLISHED if any(each in v.summary["published"] for v in variants)
        ],
        yes_no=[each for each in YES_NO if any(each in v.summary["yes_no"] for v in variants)],
        written=any(v.summary["written"] for v in variants),
        ripple=[group for group in shown if group in (*RIPPLE, *DENIED)],
        conventions=CONVENTIONS,
        figures={key: html.figure(spec, key) for key, spec in drawn.items()},
    )


def _part(trial: Trial, group: str) -> float | None:
    found = trial.hits.get(group)
    return round(sum(found) / len(found), 4) if found else None


def tables(variants: Sequence[Variant]) -> dict[str, Table]:
    """Single edits and edits in a row, a line per variant and measure."""
    columns = ("variant", "measure", "mean", "low", "high", "edits")
    rows: list[tuple[Any, ...]] = []
    for variant in variants:
        s = variant.summary
        named = {
            **{f"free: {group}": value for group, value in s["free"].items()},
            **{f"judged: {group}": value for group, value in s["judged"].items()},
            **{f"original: {group}": value for group, value in s["before"].items()},
            **{f"forced: {key}": value for key, value in s["forced"].items()},
            "forced: S": s["S"],
            **{f"published: {key}": value for key, value in s["published"].items()},
            **{
                f"{key}, {when}": each[when]
                for part in ("yes_no", "written")
                for key, each in s[part].items()
                for when in WHEN
            },
        }
        for measure, value in named.items():
            if isinstance(value, Estimate):
                rows.append((variant.name, measure, value.mean, value.low, value.high, s["n"]))
            elif value is not None:
                rows.append((variant.name, measure, value, None, None, s["n"]))
    found = {"singles": Table(columns, rows)}
    if any(variant.points for variant in variants):
        heads = ("variant", "edits", "prompt", "rephrasings", "kept", "lost", "norm", "collapsed")
        found["sequence"] = Table(
            heads,
            [
                (
                    variant.name,
                    point.edits,
                    *(point.told[g].mean if g in point.told else None for g in _SHOWN_IN_ROW),
                    point.kept.mean,
                    point.lost,
                    max(point.norms.values()),
                    point.collapsed,
                )
                for variant in variants
                for point in variant.points
            ],
        )
    return found


_SHOWN_IN_ROW = ("prompt", "rephrasings")


def figures(variants: Sequence[Variant], palette: Mapping[str, str]) -> dict[str, charts.Spec]:
    """The trade-off between what is told and what is kept, and edits in a row."""
    found: dict[str, charts.Spec] = {}
    points = [
        {
            "name": variant.name,
            "told": free["rephrasings"].mean,
            "kept": free["same subject"].mean,
        }
        for variant in variants
        if {"rephrasings", "same subject"} <= set(free := variant.summary["free"])
    ]
    if len(points) > 1:
        found["trade_off"] = drawing.trade_off(palette, points, height=260)
    row = [
        {"name": f"{v.name}, {what}", "edits": p.edits, "share": share.mean}
        for v in variants
        for p in v.points
        for what, share in (("told", p.told["prompt"]), ("kept", p.kept))
    ]
    if row:
        found["sequence"] = drawing.in_row(
            palette,
            "Edits in a row: prompts with their targets, and other facts kept",
            row,
            height=240,
        )
    return found
