"""docs/studies/ssm_study.md and its figure, out of the cells' results."""

import datetime
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.ssm_study.estimates import Estimate, Results, estimate
from benchmarks.ssm_study.plan import OBJECTIVES, Plan

_NAMES = {"none": "none", "span_corruption": "random spans", "ssm": "salient spans"}
_CORPORA = {"atlas": "the atlas", "entity_questions": "EntityQuestions"}
_COLOURS = ("#9aa4b0", "#c77d1e", "#1f5fa8")

_HEAD = """# Does salient span masking put facts into a model?

Made by `make study-ssm` ({sizes} sizes × {objectives} ways of pretraining × {seeds} seeds × \
{corpora} corpora = {cells} cells), which counts what is said below.

Small T5s read sentences that state facts, then are fine-tuned on questions about some of the
facts, then asked about the others. What they get right they have from the sentences. The
pretraining differs in one thing alone:

- **salient spans**: each of a sentence's two names is masked in turn (Guu et al. 2020, Roberts et
  al. 2020); the target is the name.
- **random spans**: for each of them, as many tokens in a row are masked at a uniformly random
  place of the same sentence, in the same format; new places in each of four passes.
- **none**: fine-tuned from random parameters.

Same sentences, number of examples, steps, batches, learning rate and fine-tuning for both.
Numbers are exact match in per cent, means over {seeds} seeds, with 95% intervals from a bootstrap
that draws seeds and questions anew.

![Exact match against parameters](images/ssm_study.svg)
"""

_LIMITS = """## What this does not show

These are models of thousands of parameters that read a few thousand sentences of a few fixed
forms many times; the paper's have billions and read Wikipedia about once. In these sentences every
salient span is half of a fact; in real text many are not. The random spans often hold part of a
name, so the control is not blind to facts, only less aimed. Settings (steps, learning rate, and
that each relation of EntityQuestions has one sentence in the words of its question) were chosen
with salient spans, at a seed that is not among these, and not tuned for the control.

## Again

```sh
make study-ssm                                     # the atlas, and EntityQuestions where it lies
make study-ssm ENTITY_QUESTIONS=path/to/folder-or-tar
python -m benchmarks.ssm_study --plan large --out runs/ssm_study_large   # for a GPU
```

It goes on where it stopped. Each cell's folder under `runs/ssm_study/cells/` has both runs'
metrics and checkpoints, all predictions and `result.json`.
"""


def write(rows: Sequence[Mapping[str, Any]], plan: Plan, page: pathlib.Path) -> pathlib.Path:
    """Writes the page, and the figure into `images/` beside it.

    Args:
        rows: What the cells' `result.json` hold.
        plan: What was run.
        page: The Markdown file.
    """
    results = Results(rows)
    sizes = [size.name for size in plan.sizes]
    parts = [
        _HEAD.format(
            sizes=len(sizes),
            objectives=len(OBJECTIVES),
            seeds=len(plan.seeds),
            corpora=len({row["corpus"] for row in rows}),
            cells=len(rows),
        ),
        "## What came out",
        _findings(results, sizes),
    ]
    for corpus, test in results.tests():
        parts += [
            f"## {_CORPORA[corpus][0].upper()}{_CORPORA[corpus][1:]}: {test}",
            _about(corpus, test, results.count(corpus, test)),
            _table(results, corpus, test, sizes),
        ]
    parts += ["## The budget", _budget(rows, plan), _LIMITS]
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    (images / "ssm_study.svg").write_text(_figure(results, sizes), encoding="utf-8")
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    return page


def _about(corpus: str, test: str, count: int) -> str:
    told = {
        "phrasings seen": "Facts that no question of fine-tuning was about, in phrasings that "
        "fine-tuning used for other facts.",
        "phrasings unseen": "The same facts in phrasings that no question of fine-tuning had.",
        "relations asked": "Facts that no question of fine-tuning was about, of relations that "
        "others were about.",
        "relations never asked": "Facts of relations that fine-tuning never asked about.",
    }[test]
    return f"{told} n = {count:,} questions."


def _table(results: Results, corpus: str, test: str, sizes: Sequence[str]) -> str:
    lines = [
        "| size | parameters | none | random spans | salient spans | salient − random |",
        "|---|---|---|---|---|---|",
    ]
    for size in sizes:
        scores = [str(results.score(corpus, test, size, objective)) for objective in OBJECTIVES]
        gain = _gain(results, corpus, test, size)
        lines.append(
            f"| {size} | {results.parameters[corpus, size]:,} | {' | '.join(scores)} | "
            f"**{gain.mean:+.1f}** [{gain.low:+.1f}, {gain.high:+.1f}] |"
        )
    return "\n".join(lines)


def _gain(
    results: Results, corpus: str, test: str, size: str, than: str = "span_corruption"
) -> Estimate:
    return estimate(
        results.right(corpus, test, size, "ssm") - results.right(corpus, test, size, than)
    )


def _findings(results: Results, sizes: Sequence[str]) -> str:
    """The answers to the study's three questions, counted and not told."""
    tests = results.tests()
    gains = [_gain(results, *test, size) for test in tests for size in sizes]
    over_none = [
        estimate(results.right(*test, size, "span_corruption") - results.right(*test, size, "none"))
        for test in tests
        for size in sizes
    ]
    growth = [
        estimate(results.right(*test, after, "ssm") - results.right(*test, before, "ssm"))
        for test in tests
        for before, after in itertools.pairwise(sizes)
    ]
    return "\n".join(
        [
            f"- **Do salient spans beat random ones, at equal budget?** {_counted(gains)}",
            f"- **Do random spans beat no pretraining?** {_counted(over_none)}",
            "- **Does exact match grow with size (salient spans, each size against the one "
            f"before)?** {_counted(growth)}",
        ]
    )


def _counted(found: Sequence[Estimate]) -> str:
    """How many of some differences are surely above, surely below, or not sure."""
    above = [each for each in found if each.low > 0]
    below = [each for each in found if each.high < 0]
    rest = len(found) - len(above) - len(below)
    ends = f"{min(each.mean for each in found):+.1f} to {max(each.mean for each in found):+.1f}"
    words = [f"In {len(above)} of {len(found)} comparisons surely (the interval is above 0)"]
    if below:
        words.append(f"in {len(below)} surely the other way round")
    if rest:
        words.append(f"in {rest} the interval holds 0")
    return f"{', '.join(words)}; {ends} points."


def _budget(rows: Sequence[Mapping[str, Any]], plan: Plan) -> str:
    lines = [
        f"Pretraining is {plan.pretrain_steps:,} steps of 8 packs of 128 input and 40 target "
        "tokens for all; padding aside, the tokens read and predicted were, in the mean:",
        "",
        "| corpus | pretraining | input tokens | target tokens |",
        "|---|---|---|---|",
    ]
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        for objective in OBJECTIVES[1:]:
            found = [
                row["pretraining_tokens"]
                for row in rows
                if (row["corpus"], row["objective"]) == (corpus, objective)
            ]
            means = [sum(each[k] for each in found) / len(found) for k in ("input", "target")]
            lines.append(
                f"| {_CORPORA[corpus]} | {_NAMES[objective]} | {means[0]:,.0f} | {means[1]:,.0f} |"
            )
    seconds = sum(row["seconds"] for row in rows)
    lines += [
        "",
        f"All cells together took {seconds / 60:,.0f} minutes of processes, one core each "
        f"(written {datetime.date.today():%Y-%m-%d}).",
    ]
    return "\n".join(lines)


def _figure(results: Results, sizes: Sequence[str]) -> str:
    """The SVG: exact match against parameters, a line for each way of pretraining."""
    import vl_convert

    points = []
    for corpus, test in results.tests():
        for size in sizes:
            for objective in OBJECTIVES:
                score = results.score(corpus, test, size, objective)
                point = {
                    "panel": f"{_CORPORA[corpus]}: {test}",
                    "parameters": results.parameters[corpus, size],
                    "pretraining": _NAMES[objective],
                }
                points.append(point | {"mean": score.mean, "low": score.low, "high": score.high})
    colour = {
        "field": "pretraining",
        "type": "nominal",
        "sort": list(_NAMES.values()),
        "scale": {"domain": list(_NAMES.values()), "range": list(_COLOURS)},
        "legend": {"orient": "top", "title": None},
    }
    x = {
        "field": "parameters",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 20},
        "axis": {"format": "~s", "tickCount": 4, "title": "parameters", "grid": False},
    }
    y = {
        "field": "mean",
        "type": "quantitative",
        "scale": {"domain": [0, 100]},
        "axis": {"title": "exact match, %"},
    }
    layers = [
        {
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "color": colour},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {
                "x": x,
                "y": {"field": "low", "type": "quantitative"},
                "y2": {"field": "high"},
                "color": colour,
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": colour},
        },
    ]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": points},
        "facet": {
            "field": "panel",
            "type": "nominal",
            "sort": None,
            "header": {"title": None, "labelFontSize": 12, "labelFontWeight": "bold"},
        },
        "columns": 2,
        "spec": {"width": 260, "height": 190, "layer": layers},
        "config": {"font": "Helvetica, Arial, sans-serif", "background": "white"},
    }
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
