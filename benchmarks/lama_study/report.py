"""docs/studies/lama_study.md, out of the cells' results."""

import datetime
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.lama_study import figure
from benchmarks.lama_study.plan import ATLAS_MODELS, CONTROL, DATA_SETS, SMOLLM2, Plan, cells
from closedbook.eval.report import charts

Result = Mapping[str, Any]
_KINDS = {
    "closed": "closed: the objects of the relation",
    "words": "LAMA's: all words that are one piece of the vocabulary",
    "paraphrases": "closed: the objects of the relation that are one piece",
    "first token": "the first piece, among the whole vocabulary",
}
_NAMES = {
    ATLAS_MODELS[0]: "`atlas_ssm`",
    ATLAS_MODELS[1]: "`atlas_qa`",
    SMOLLM2: "SmolLM2-135M-Instruct (Q4_1)",
}

_HEAD = """# What do models know that nobody taught to answer?

Made by `{command}` ({cells} cells, {minutes:.0f} minutes), which counts what is said below.

LAMA (Petroni et al. 2019) asks a model for facts without training it: each fact becomes a prompt,
and the model ranks candidates for its object. `atlas_ssm` has read sentences about the facts of
[the atlas](../atlas.md) and fills gaps in them; `atlas_qa` was fine-tuned on questions about 61% of
them. SmolLM2-135M-Instruct (Q4_1) is a language model of 135 million parameters that has read the
web, in four bits per weight; it goes on with its prompt. How a fact is put to a model, and what the
numbers mean, is told in [probing.md](../probing.md).

Numbers are per cent: unweighted means over relations, with 95% intervals that draw relations, and
are Student's t where there are two to nine. "asked" are facts chosen by a hash of each, at most as
many per relation as the plan allows, of all that can be put to the model.

![P@1 of each cell, and P@1 over the number of candidates](images/lama_study.svg)
"""

_PUBLISHED = """## Published numbers

P@1 of others, under their settings, which are not those above:

| source | model | data | P@1 |
|---|---|---|---|
| Petroni et al. 2019 | BERT-base | T-REx, 41 relations | 31.1 |
| | BERT-large | T-REx, 41 relations | 32.3 |
| | BERT-large | T-REx, 1-1 relations alone | 74.5 |
| | Freq | T-REx, 41 relations | 22.0 |
| | RE, oracle entity linking | T-REx, 41 relations | 33.8 |
| | BERT-base / BERT-large | Google-RE | 9.8 / 10.5 |
| | Freq / RE, oracle entity linking | Google-RE | 4.4 / 7.6 |
| | BERT-base / BERT-large | SQuAD | 14.1 / 17.4 |
| | DrQA, which reads Wikipedia | SQuAD | 37.5 |
| Wiland et al. 2024 | bert-base-cased | BEAR's score, mean of three templates | 18.4 ± 0.4 |

LAMA ranks the 21,000 words that its models have in common; BERT sees what follows the gap. Here
28 of T-REx's 41 relations are at hand, and a model that goes on with its prompt can be asked only
where the prompt ends with the object. Google-RE's dates of birth are left out: SmolLM2's vocabulary
has no year in one piece. BEAR's score takes the likelihood of the whole sentence in
three templates; here one template that ends with the object is asked, and the object scored.
"""

_LIMITS = """## What this does not show

- **Not LAMA's number for SmolLM2.** Its words are those of its own vocabulary, other than LAMA's
  common one, and P@1 falls with their number. Facts whose object is several pieces are left out:
  the commoner names stay. Prompts in which text follows the object are left out too.
- **What the model would say is not what it knows.** After "was born in" a language model goes on
  with "the" or "a", and LAMA's ranking counts that as wrong; BERT, which sees the full stop after
  the gap, has no such way out. ParaRel's row asks T-REx's triples too, among closed candidates.
- **An Instruct model is asked in plain sentences**, without its chat template, and PopQA's
  questions with the answer right after them.
- **The atlas's models know the atlas alone.** Their vocabulary is its words; T-REx's closed row is
  a control, for what a model has that was taught other facts. That `atlas_ssm` is right about
  sentences it was trained on is memory, as it was meant to be, and nothing about the web.
- **Nothing of negation.** `closedbook probe --negated` asks that ([probing.md](../probing.md)).
- **Samples.** The intervals tell how the means would change with other relations; where few facts
  per relation are asked, each relation's own mean is rough.
- **Correlations explain nothing by themselves**: facts of popular things are also written in
  shorter names and asked in other relations.
- **Freq has seen the answers**, of all facts of the relation and not of the sample alone.

## Again

```sh
make smollm2                  # once: SmolLM2-135M-Instruct (Q4_1), 93 MB
make study-lama               # the atlas, and the data sets where they lie
make study-lama LAMA_DATA=path/to/folder
make study-lama ARGS='--plan medium --out runs/lama_medium'  # fewer facts of each relation
make study-lama ARGS='--plan quick --out runs/lama_quick'    # few
```

It goes on where it stopped. `runs/lama_study/cells/` has a folder per cell with `result.json`, and
`probe/report.html`, the page of the probe with every fact.
"""


def write(results: Sequence[Result], plan: Plan, page: pathlib.Path) -> pathlib.Path:
    """Writes the page, and the figure into `images/` beside it.

    Args:
        results: What the cells' `result.json` hold.
        plan: What was run.
        page: The Markdown file.
    """
    command = "make study-lama" + f" ARGS='--plan {plan.name}'" * (plan.name != "default")
    minutes = sum(each["seconds"] for each in results) / 60
    parts = [
        _HEAD.format(command=command, cells=len(results), minutes=minutes),
        "## What came out",
        _findings(results),
        _table(results),
        _left_out(results),
        _types(results),
        _PUBLISHED,
        "## P@1 and the number of candidates",
        _sizes(results),
        "## What goes with being right",
        _correlations(results),
        _wordings(results),
        _LIMITS,
        f"Written {datetime.date.today():%Y-%m-%d}.",
    ]
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    (images / "lama_study.svg").write_text(charts.svg(figure.spec(results)), encoding="utf-8")
    page.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")
    return page


def shown(estimate: Mapping[str, Any] | None) -> str:
    """A mean with its interval, in per cent; a dash for none."""
    if estimate is None:
        return "–"
    if estimate["low"] is None or estimate["high"] is None:
        return f"{100 * estimate['mean']:.1f}"
    low, high = 100 * estimate["low"], 100 * estimate["high"]
    return f"{100 * estimate['mean']:.1f} [{low:.1f}, {high:.1f}]"


def _name(result: Result) -> str:
    return f"{DATA_SETS[result['data']].name} | {_NAMES[result['model']]}"


def _findings(results: Sequence[Result]) -> str:
    """Where the models surely have more than Freq, and less."""
    sides: dict[str, list[str]] = {"above": [], "below": [], "around": []}
    for each in results:
        if each["freq"]:
            model, freq = each["means"]["P@1"], each["freq"]["P@1"]["mean"]
            side = "above" if model["low"] > freq else "below" if model["high"] < freq else "around"
            name = f"{_NAMES[each['model']]} on {DATA_SETS[each['data']].name}"
            sides[side].append(name)
    told = {
        "above": "P@1 is surely above Freq, its whole interval is",
        "below": "it is surely below Freq",
        "around": "its interval holds Freq",
    }
    return "\n".join(
        f"- {words}: {', '.join(sides[side]) or 'none'}." for side, words in told.items()
    )


def _table(results: Sequence[Result]) -> str:
    lines = [
        "| data | model | asked / all | relations | P@1 | P@10 | MRR | Freq P@1 | chance P@1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in results:
        scores = [_of_some(each, metric) for metric in ("P@1", "P@10", "MRR")]
        freq = f"{100 * each['freq']['P@1']['mean']:.1f}" if each["freq"] else "–"
        lines.append(
            f"| {_name(each)} | {each['facts']:,} / {each['of']:,} | {each['relations']} | "
            f"{' | '.join(scores)} | {freq} | "
            f"{_small(100 * each['chance']['P@1'])} |"
        )
    lines += [
        "",
        "P@10 is the mean of the relations with more than ten candidates alone; their number "
        "stands behind it where it is not that of all. So it is over other relations than P@1.",
    ]
    for each in results:
        if each["kind"] == "first token":
            lines += [
                "",
                f"Of known_1000's {each['facts']:,} facts, relations aside, "
                f"{_NAMES[each['model']]} has the first piece right in "
                f"{shown(each['pooled']['P@1'])} (21.5 was measured with another implementation "
                "on all 1,209).",
            ]
        elif each["data"] == CONTROL:
            lines += [
                "",
                f"{_NAMES[each['model']]} was taught the atlas alone: on T-REx, among "
                f"{each['candidates'][1]:,.0f} candidates (median) it has "
                f"{shown(each['means']['P@1'])}, chance has {100 * each['chance']['P@1']:.1f}.",
            ]
        elif each["kind"] == "words":
            lines += [
                "",
                f"On {DATA_SETS[each['data']].name} the best word is in {shown(each['strangers'])} "
                'no object of any fact of the relation: an article ("the", "a"), a month, and '
                "whatever else may follow such a beginning.",
            ]
    return "\n".join(lines)


def _of_some(result: Result, metric: str) -> str:
    """A mean, and of how many relations it is where that is not all."""
    mean = result["means"].get(metric)
    fewer = mean is not None and mean["relations"] != result["relations"]
    return shown(mean) + (f" ({mean['relations']})" if fewer else "")


def _left_out(results: Sequence[Result]) -> str:
    lines = [
        "| data | model | candidates | how many (median) | left out |",
        "|---|---|---|---|---|",
    ]
    for each in results:
        dropped = "; ".join(f"{reason}: {n:,}" for reason, n in each["dropped"].items()) or "–"
        lines.append(
            f"| {_name(each)} | {_KINDS[each['kind']]} | {each['candidates'][1]:,.0f} | {dropped} |"
        )
    missing = [
        f"{_NAMES[cell.model]} on {DATA_SETS[cell.data].name}"
        for cell in cells(frozenset(DATA_SETS), smollm2=True)
        if (cell.model, cell.data) not in {(each["model"], each["data"]) for each in results}
    ]
    if missing:
        lines += ["", f"Not asked, for want of data, model or time: {', '.join(missing)}."]
    return "\n".join(lines)


def _types(results: Sequence[Result]) -> str:
    """LAMA's types of relations, for its own data."""
    lines = []
    for each in results:
        if each["data"] == "trex" and each["types"]:
            told = ", ".join(
                f"{kind['name']} {shown(kind['P@1'])} ({kind['P@1']['relations']} relations)"
                for kind in each["types"]
            )
            lines.append(f"By type of relation, {_NAMES[each['model']]} on T-REx has P@1 {told}.")
    return "\n".join(lines)


def _sizes(results: Sequence[Result]) -> str:
    columns = (2, 4, 16, 64, 256, 1024, 16384)
    lines = [
        "P@1, had only so many of its candidates been drawn at random beside the right one: the "
        "expectation over all draws, counted from the ranks. Each number is the mean over the "
        "relations that have so many candidates, where at least half do.",
        "",
        f"| data | model | {' | '.join(f'{size:,}' for size in columns)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    for each in results:
        found = {row["size"]: row for row in each["sizes"]}
        shares = [f"{100 * found[n]['mean']:.1f}" if n in found else "–" for n in columns]
        lines.append(f"| {_name(each)} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _correlations(results: Sequence[Result]) -> str:
    found = {
        (number, row["name"]): row
        for number, each in enumerate(results)
        for row in each["correlations"]
    }
    names = list(dict.fromkeys(name for _, name in found))
    lines = [
        "Pearson's r of being right (0 or 1) over all facts of a cell, its interval clustered by "
        "relation, as in LAMA's analysis, and none where there are two to nine; a dash where one "
        "of the two never varies, or is not known. How often a subject is mentioned in what a "
        "model has read is not known here; that the data's facts name it, and PopQA's page views, "
        "stand for it.",
        "",
        f"| data | model | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for number, each in enumerate(results):
        if each["correlations"]:
            values = " | ".join(_coefficient(found.get((number, name))) for name in names)
            lines.append(f"| {_name(each)} | {values} |")
    return "\n".join(lines)


def _coefficient(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    value, *ends = (
        None if row[key] is None else f"{round(row[key], 2) + 0.0:.2f}"  # no minus before 0.00
        for key in ("value", "low", "high")
    )
    return f"{value} [{', '.join(ends)}]" if all(ends) else f"{value}"


def _wordings(results: Sequence[Result]) -> str:
    lines = []
    for each in results:
        if found := each["wordings"]:
            same, right = found["consistency"], found["right in all"]
            lines.append(
                f"| {_NAMES[each['model']]} | {same['relations']} | {same['facts']:,} | "
                f"{found['prompts'] / same['facts']:.1f} | {shown(same)} | {shown(right)} |"
            )
    if not lines:
        return ""
    head = [
        "## The same fact in other words",
        "",
        "ParaRel: the share of pairs of wordings of a fact that get the same answer, and the share "
        "of facts that are right in all wordings; of the wordings those that end with the object.",
        "",
        "| model | relations | facts | wordings per fact | consistency | right in all |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(head + lines)


def _small(percent: float) -> str:
    return f"{percent:.1f}" if percent >= 0.05 else f"{percent:.3f}"
