"""docs/studies/capacity_study.md and its figure, out of the cells' results."""

import datetime
import pathlib
from collections.abc import Mapping, Sequence

from benchmarks.capacity_study import cell, figure, tables
from benchmarks.capacity_study.numbers import (
    AT_100,
    MOST_FACTS,
    MOST_TOKENS,
    Point,
    Result,
    arm_of,
    held,
    kinds_of,
    plateaus,
    points,
)
from benchmarks.capacity_study.people import BITS
from benchmarks.capacity_study.plan import PLANS, TUNING_AMOUNT, Plan
from closedbook.eval.report import charts

_HEAD = """# How much knowledge can be packed into a small model's parameters?

Made by `{command}` ({cells} reported trainings and {tuned} that chose learning rates), which
counts what is said below.

T5 1.0, T5 1.1 and decoder-only models (RMSNorm, rotary positions, GELU) with equally many
parameters, embeddings apart, within 3%: a T5 has so many layers in each stack as the decoder-only
model has in half of its one. No dropout, no weight decay; Adam, one learning rate for each family
and way of training, chosen by runs of another seed.

- **Random data** (after Morris et al. 2025): pairs of a key of 3 symbols and a value of 10, drawn
  from 64, the key given and the value told (60 bits); and strings of 16 symbols without a key (96
  bits), for the decoder-only model. Bits held are the entropy less the model's code length,
  clipped at 0 once. {raw_exposures:,} passes over the data.
- **Made-up people** (after Allen-Zhu and Li 2024): six attributes of 4 to 8 bits, drawn by a fair
  die, 34 bits a person; four sentences for each. An exposure is one sentence about each
  attribute. **Stated**: after pretraining the values are asked for by the sentences that told
  them, a T5 filling a gap, a decoder-only model going on. **Asked**: then the model is fine-tuned
  on questions about half of the people ({passes} passes, two questions for each attribute), and
  asked about the others. Bits are counted as [`closedbook capacity --prior
  uniform`](../capacity.md) counts them, in the phrasing that is best for others; both numbers are
  of people held out of the questions, times all people over these.

**Salient spans** mask the attribute's value, **random spans** as many tokens as T5 masks in such
a sentence (15%: one or two) at a random place; **next token** reads the same sentences. All read
the same sentences in the same order, as often: equal tokens.

Intervals are 95% over pairs, strings or people, means of those of the seeds; they say nothing of
other seeds, whose values stand beside them.

![Bits held over bits offered, per parameter](images/capacity_study.svg)
"""

_WAYS = {"stated": "as stated", "asked": "by questions about people held out"}
_LIMITS = """## What this does not show

- **Not a law of large models.** {sizes} parameters beside embeddings; the published numbers are of
  0.5 million to 1.5 billion (Morris et al.) and of GPT-2s up to a billion (Allen-Zhu and Li).
- **Embeddings store too.** They are counted apart, and in so small models they are many, with
  people nearly as many as the rest or more; both totals are in the tables.
- **Not the plateau where a curve still rises.** The most that was held at the amounts tried is
  marked; where it is at the largest amount, more may fit, and with more exposures more is held.
- **Not all that was stored of people.** What is held and cannot be asked for, as after too little
  fine-tuning, is not counted, nor are the names.
- **Fine-tuning overwrites.** What it costs is in the numbers of people held out, and not told
  apart.
- **Random spans are those of one sentence**, one or two tokens; T5's texts are of many sentences.
- **Silencing a part breaks what others built on it**, so that what is lost adds up to more than
  there was. It tells what is needed, not where each bit lies.
- **Learning rates** are among three or four, and the same for all amounts.

## Again

```sh
make study-capacity                             # {small}
make study-capacity ARGS='--plan full --out runs/capacity_full'
make study-capacity ARGS='--plan large --out runs/capacity_large'   # for a GPU
```

`full`: {full}. `large`: {large}.

It goes on where it stopped, a long training from its last kept step. Each cell's folder under
`runs/capacity_study/cells/` has `result.json`.
"""


def in_words(result: Result) -> str:
    """What a cell found, in a line."""
    told = ", ".join(
        f"{kind} {held(result, kind).over(result['parameters'])}".strip()
        for kind in kinds_of(result)
    )
    return f"{told} of {result['offered'] / result['parameters']:.2f} bits per parameter"


def write(
    results: Sequence[Result],
    tuned: Sequence[Result],
    rates: Mapping[str, float],
    plan: Plan,
    page: pathlib.Path,
) -> pathlib.Path:
    """Writes the page, and the figure into `images/` beside it.

    Args:
        results: What the cells' `result.json` hold.
        tuned: Those of the runs that chose learning rates.
        rates: The chosen ones, by arm.
        plan: What was run.
        page: The Markdown file.
    """
    found = points(results)
    arguments = f" ARGS='--plan {plan.name}'" * (plan.name != "small")
    parts = [
        _HEAD.format(
            command=f"make study-capacity{arguments}",
            cells=len(results),
            tuned=len(tuned),
            raw_exposures=plan.raw_exposures,
            passes=cell.PASSES,
        ),
        "## What came out",
        _findings(found, results),
        "## Random data",
        tables.amounts([point for point in found if point.meter != "facts"]),
        _published(found, "random"),
        _tried(plan),
        "## Made-up people",
        tables.amounts([point for point in found if point.meter == "facts"]),
        _published(found, "facts"),
        "Tried to hold more: the learning rates below. Not tried: more exposures than "
        f"{max(plan.fact_exposures):,}, larger models.",
        tables.groups(results),
        "## Where the bits sit",
        tables.silenced(results),
        "## Learning rates",
        f"Chosen with seed {tuned[0]['seed']} at the largest size: the most random data, people at"
        f" {TUNING_AMOUNT:g} bits per parameter, as stated. Strings have the rate of pairs.",
        tables.rates(tuned, rates),
        _LIMITS.format(
            sizes=" and ".join(dict.fromkeys(point.size for point in found)),
            small=PLANS["small"].described,
            full=PLANS["full"].described,
            large=PLANS["large"].described,
        ),
        f"Written {datetime.date.today():%Y-%m-%d}.",
    ]
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    (images / "capacity_study.svg").write_text(charts.svg(figure.spec(found)), encoding="utf-8")
    page.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")
    return page


def _findings(found: Sequence[Point], results: Sequence[Result]) -> str:
    """The answers to the study's questions, counted and not told."""
    lines = []
    most = list(plateaus(found).values())
    for size in dict.fromkeys(point.size for point in most if point.meter == "pairs"):
        shown = [
            f"{point.arm.partition(',')[0]} {point.held}"
            for point in most
            if point.size == size and point.meter == "pairs"
        ]
        lines.append(
            f"- **Encoder-decoders beside decoder-only models**: of random pairs those of {size} "
            f"parameters held, bits per parameter: {'; '.join(shown)}."
        )
    told = [point for point in most if point.meter == "facts"]
    for arm in dict.fromkeys((point.arm, point.size, point.exposures) for point in told):
        ways = [
            f"{_WAYS[point.kind]} {point.held.bits:.2f} of {point.offered:.2f}"
            f" (seeds {', '.join(f'{each:.2f}' for each in point.seeds)})"
            for point in told
            if (point.arm, point.size, point.exposures) == arm
        ]
        lines.append(
            f"- **{arm[0]}**, {arm[1]} parameters, {arm[2]:,} exposures, held of people, bits per "
            f"parameter: {'; '.join(ways)}."
        )
    if controls := _never_told(results):
        _, bits, people, name = max(controls, key=lambda each: each[1])
        above = sum(low > 0 for low, *_ in controls)
        lines.append(
            f"- **Of people whom it was never told of** no model holds more than {bits:.1f} bits "
            f"({name}; {people} people, who are worth {people * BITS:,.0f}). Of "
            f"{len(controls)} such intervals {above or 'none'} "
            f"{'leaves' if above < 2 else 'leave'} out 0."
        )
    return "\n".join(lines)


def _never_told(results: Sequence[Result]) -> list[tuple[float, float, int, str]]:
    """Low end, bits and people of the control of each cell."""
    found = []
    for each in results:
        for kind in ("stated", "groups") if each["meter"] == "facts" else ():
            group = each[kind]["never told"]
            best = group["best"]
            found.append((best["low"], best["bits"], group["people"], arm_of(each)))
    return found


def _tried(plan: Plan) -> str:
    """What was done to come nearer to the published numbers."""
    tried = ["the learning rates below, on as much data"]
    if plan.raw_more:
        tried.append(f"{plan.raw_more:,} passes over the most strings")
    return f"Tried to hold more: {' and '.join(tried)}. Not tried: larger models."


def _published(found: Sequence[Point], kind: str) -> str:
    """Decoder-only plateaus beside the published numbers, and by how much they differ."""
    lines = []
    for point in plateaus(found).values():
        if not point.arm.startswith("decoder-only") or (point.meter == "facts") != (
            kind == "facts"
        ):
            continue
        beside = [("Morris et al.", MOST_TOKENS)]
        if kind == "facts":
            beside = [
                ("Allen-Zhu and Li at 1,000 exposures", MOST_FACTS),
                ("about, at 100", AT_100),
            ]
        told = ", ".join(
            f"{100 * point.held.bits / value:.0f}% of {value:g} ({who})" for who, value in beside
        )
        lines.append(
            f"- {point.arm}{f', {point.kind}' if point.kind else ''}, {point.size}, "
            f"{point.exposures:,} exposures: {point.held} of {point.offered:.2f} offered, which is "
            f"{told}."
        )
    return "Beside the published numbers:\n\n" + "\n".join(lines) if lines else ""
