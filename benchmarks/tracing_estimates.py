"""How well estimated maps agree with exact tracing, on two models. `make study-tracing`.

    python -m benchmarks.tracing_estimates --out runs/tracing_estimates --data FOLDER

Traces facts exactly and by both estimates, and compares the maps fact by fact: the atlas's facts
on `atlas_qa`, up to ten of each of its 24 relations, ten samples of noise; and facts of known_1000
on SmolLM2-135M-Instruct (Q4_1), where `make smollm2` has fetched it, one sample. A run that was
stopped goes on with the next fact. At the end it writes docs/studies/tracing_estimates.md.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import smollm2
from benchmarks.lama_study import sources
from closedbook import whole_files
from closedbook.cli.run import guarded
from closedbook.eval.report import numbers

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
ATLAS, SMOLLM2 = "atlas_qa", smollm2.NAME
KNOWN = {"known": ("known_1000.json",)}
METHODS = ("attribution", "relp")
_AGREEMENTS = ("pearson", "spearman", "recall")
_SAMPLES = {ATLAS: 10, SMOLLM2: 1}
# Processor seconds of a fact, on one core of an AMD EPYC machine (2026-11-29), and of compiling.
_SECONDS = {ATLAS: 4.0, SMOLLM2: 20.0}
_COMPILING = {ATLAS: 120.0, SMOLLM2: 900.0}
_TOLD_EVERY = 10  # facts
_HEAD = """# Estimated maps against exact tracing

`make study-tracing` writes this page. Each fact that a model answers right is traced exactly, every
restoration run, and estimated by attribution patching and by RelP from one forward and one backward
pass per sample of noise. Pearson's and Spearman's correlations are over the cells (token, layer) of
one fact's map, recall is the share of its ten highest cells that an estimate has among its own ten;
means over facts, times 100, with 95% intervals that draw whole subjects. Recall is of facts whose
map has more than ten cells, n of them; a dash where there is none. How tracing is done:
[tracing.md](../tracing.md).
"""
_LIMITS = """
## What this does not show

- **One level of noise**, three standard deviations, as in the paper; with others agreement was not
  measured.
- **A model of two layers per stack has small maps.** `atlas_qa`'s decoder mostly reads five tokens
  and fewer, so that its maps have ten cells or less and nothing to recall.
- **One sample of noise on SmolLM2**: part of what its estimates miss may be the noise of one draw,
  though exact and estimated maps see the same one.
- **Facts are those that a model answers right**, in one wording each.
- Correlations over cells do not say which cells matter; that is what `--verify` is for.
"""


@dataclasses.dataclass(frozen=True)
class Part:
    """One model and the facts that are traced in it.

    Attributes:
        name: Of the model.
        facts: How many facts were traced.
        asked: Of how many; the others it answers wrong, or they cannot be put to it.
        data: What the facts are.
        rows: Of `tracing.study.run`.
        noise: Its level, and samples.
    """

    name: str
    facts: int
    asked: int
    data: str
    rows: Sequence[Mapping[str, Any]]
    noise: tuple[float, int]


def main() -> None:
    """Traces what is missing, then writes the page."""
    options = _options()
    out = options.out.expanduser().absolute()
    known = None
    if options.data is not None:
        known = sources.find(options.data, out / "data", KNOWN).get("known")
    there = smollm2.place().is_file()
    if known is None or not there:
        lacks = "known_1000 in --data" if there else f"{SMOLLM2} (`make smollm2` fetches it)"
        print(f"no {lacks}: traced on the atlas alone", file=sys.stderr)
    parts = []
    if ATLAS in options.only:
        parts.append(_atlas(out, options.each))
    if SMOLLM2.partition(",")[0] in options.only and known is not None and there:
        parts.append(_smollm2(out, known, options.facts))
    if parts:
        print(write(parts, options.page))


def _atlas(out: pathlib.Path, each: int) -> Part:
    from closedbook.knowledge.probing.candidates import first_facts
    from closedbook.tasks.facts import read_facts

    facts = first_facts(read_facts("atlas", style="question"), each)
    return _traced(out, ATLAS, f"closedbook://{ATLAS}", facts, "the atlas", None)


def _smollm2(out: pathlib.Path, known: pathlib.Path, number: int) -> Part:
    from closedbook.tasks.facts import read_facts

    path = str(smollm2.place())
    return _traced(out, SMOLLM2, path, read_facts(str(known)), "known_1000", number)


def _traced(
    out: pathlib.Path, name: str, path: str, facts: Any, data: str, number: int | None
) -> Part:
    """Traces the facts that the model answers right, at most `number` of them."""
    from closedbook.knowledge.loading import load_model
    from closedbook.knowledge.probing.prompts import Prompting
    from closedbook.knowledge.tracing import cases, kinds, study
    from closedbook.knowledge.tracing.noise import Noise, sigma
    from closedbook.knowledge.tracing.program import Tracer

    model = load_model(path)
    known, _, left = cases.of_facts(model, facts, Prompting.of(model))
    for line in left.lines():
        print(f"{name}: {line}", file=sys.stderr)
    chosen = known[:number]
    subjects = list(dict.fromkeys(fact.subject for fact in facts.facts if fact.subject))
    level, samples = 3 * sigma(model, subjects), _SAMPLES[name]
    settings = study.Settings(
        kinds=kinds.chosen(model.config, []),
        noise=Noise(level=level, samples=samples),
        severed=False,
        approximations=METHODS,
    )
    folder = out / name.partition(",")[0]
    done = len(list(folder.glob("*.json"))) if folder.is_dir() else 0
    cores = len(os.sched_getaffinity(0))
    seconds = _COMPILING[name] + (len(chosen) - done) * _SECONDS[name]
    print(
        f"{name}: {len(chosen)} of {len(facts)} facts are traced, {done} of them already; about "
        f"{seconds / cores / 60:.0f} minutes on {cores} idle cores",
        flush=True,
    )
    started = time.monotonic()

    def tell(subject: str, finished: int, of: int) -> None:
        if finished and finished % _TOLD_EVERY == 0:
            minutes = (time.monotonic() - started) / 60
            print(f"{name}: {finished} of {of} facts, {minutes:.0f} min", flush=True)

    rows = study.run(Tracer(model), chosen, settings, keep=folder, progress=tell)
    return Part(name, len(rows), len(facts), data, rows, (level, samples))


def write(parts: Sequence[Part], page: pathlib.Path) -> pathlib.Path:
    """Writes the page.

    Args:
        parts: One at least.
        page: The Markdown file.
    """
    text = _HEAD
    for part in parts:
        level, samples = part.noise
        relations = len({row["relation"] for row in part.rows})
        text += (
            f"\n## {part.name}, {part.facts} facts of {part.data}\n\n{part.facts} facts of "
            f"{relations} relations, the first that the model answers right out of {part.asked:,}; "
            "Gaussian noise of level "
            f"{level:.3f}, three standard deviations, {numbers.counted(samples, 'sample')}.\n\n"
            + table(part.rows)
        )
    text += _LIMITS
    page.parent.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(page, text)
    return page


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Agreement by kind, both estimates side by side, in Markdown.

    Args:
        rows: Of `tracing.study.run`, with agreements.
    """
    from closedbook.knowledge.tracing.summary import summarise

    found = {
        (each["kind"], each["method"]): each
        for each in summarise([dict(row) for row in rows])["approximations"]
    }
    heads = [f"{method}: {name}" for method in METHODS for name in _AGREEMENTS]
    heads.append("n of recall")
    lines = ["| restored | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for kind in dict.fromkeys(kind for kind, _ in found):
        cells = [
            _estimate(found.get((kind, method), {}).get(name))
            for method in METHODS
            for name in _AGREEMENTS
        ]
        of = {each["recall_facts"] for (name, _), each in found.items() if name == kind}
        lines.append(f"| `{kind}` | " + " | ".join([*cells, f"{max(of):,}"]) + " |")
    return "\n".join(lines) + "\n"


def _estimate(value: Any) -> str:
    if value is None:
        return "–"
    return f"{100 * value.mean:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tracing_estimates",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = (ATLAS, SMOLLM2.partition(",")[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/tracing_estimates"))
    parser.add_argument("--data", type=pathlib.Path, help="folder with known_1000, or tars of it")
    parser.add_argument("--each", type=int, default=10, help="facts of each relation of the atlas")
    parser.add_argument("--facts", type=int, default=200, help="facts of known_1000 at most")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--page",
        type=pathlib.Path,
        default=REPOSITORY / "docs" / "studies" / "tracing_estimates.md",
        help="written",
    )
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(guarded(main))
