"""Writes docs/studies/ten_systems.md: ten open-domain systems on NQ-open under every protocol.

    python benchmarks/evaluator/ten_systems.py judged.tar.xz

The predictions are those that Kamalloo et al. 2023 publish (github.com/ehsk/OpenQA-eval, MIT), as
a folder with `NQ_<system>.jsonl` files somewhere below it, or as a tar archive of one.
"""

import argparse
import dataclasses
import itertools
import pathlib
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence

from closedbook.errors import UserError
from closedbook.eval import predictions, protocols
from closedbook.eval.analysis import audit, comparison
from closedbook.eval.analysis.comparison.results import Comparison, ProtocolTable
from closedbook.eval.predictions import Prediction

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "studies" / "ten_systems.md"

HEAD = """# Ten systems on NQ-open, compared

Made by `benchmarks/evaluator/ten_systems.py` from the predictions of ten retrieve-and-read systems
for the {n:,} questions of NQ-open's development set that Kamalloo et al. 2023 publish
([OpenQA-eval](https://github.com/ehsk/OpenQA-eval)). All numbers are per cent or points of exact
match; intervals are 95%. `closedbook compare` makes the same comparison of any files.
"""


def load(source: pathlib.Path) -> dict[str, list[Prediction]]:
    """The predictions of every system with a file for the whole set, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        if source.is_file():
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
            source = pathlib.Path(folder)
        files = sorted(source.rglob("NQ_*.jsonl"))
        if len(files) < 2:
            raise UserError(f"{source} holds no NQ_<system>.jsonl files to compare")
        return {file.stem.removeprefix("NQ_"): predictions.read(file) for file in files}


def page(systems: dict[str, list[Prediction]]) -> str:
    """The whole page, in Markdown; it holds no row of the data."""
    ranking = comparison.compare(systems, others=()).protocols[0].scores
    order = [s.system for s in sorted(ranking, key=lambda s: -s.em.mean)]
    found = comparison.compare(
        {name: systems[name] for name in order}, others=tuple(protocols.PROTOCOLS)
    )
    gold = {row.question: row.answers for row in systems[order[0]]}
    systems = {
        name: [dataclasses.replace(row, answers=gold[row.question]) for row in rows]
        for name, rows in systems.items()
    }
    verdicts = {name: audit.right(rows) for name, rows in systems.items()}
    parts = [HEAD.format(n=found.meta.n)]
    parts += ["## Every protocol", _scores(found), _ranks(found), _own(found)]
    parts += ["## Who is better than whom", _pairs(found, order)]
    parts += ["## Who knows the same", _agreement(found, order)]
    parts += ["## Where protocols disagree, and why", _reasons(systems, verdicts)]
    parts += ["## What stop strings would cost", _stops(systems, order)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _points(share: float, signed: bool = False) -> str:
    return f"{100 * share:{'+' if signed else ''}.2f}"


def _scores(found: Comparison) -> str:
    names = [table.protocol for table in found.protocols]
    rows = []
    for k, system in enumerate(found.systems):
        scores = [table.scores[k].em for table in found.protocols]
        low, high = (f"{100 * end:.1f}" for end in (scores[0].low, scores[0].high))
        cells = [_points(score.mean) for score in scores]
        rows.append([system.name, f"**{cells[0]}** [{low}, {high}]", *cells[1:]])
    rules = "\n".join(f"- `{name}`: {protocols.PROTOCOLS[name].rule}." for name in names)
    return _table(["system", *names], rows) + f"\n\n{rules}"


def _ranks(found: Comparison) -> str:
    def ranking(table: ProtocolTable) -> list[str]:
        return [s.system for s in sorted(table.scores, key=lambda s: -s.em.mean)]

    first = ranking(found.protocols[0])
    swaps = []
    for table in found.protocols[1:]:
        other = ranking(table)
        count = sum(
            other.index(a) > other.index(b) for i, a in enumerate(first) for b in first[i + 1 :]
        )
        swaps.append(f"{table.protocol} {count}")
    return (
        f"Pairs of the {len(first) * (len(first) - 1) // 2} whose order is another one than under "
        f"squad: {', '.join(swaps)}."
    )


def _own(found: Comparison) -> str:
    notes = [
        f"The file of {system.name} lists other answers to {system.answers_differ} questions "
        f"than those of {found.systems[0].name}, which count here; against its own it has "
        f"{_points(system.em_own)} (squad)."
        for system in found.systems
        if system.answers_differ
    ]
    return " ".join(notes) or "All files list the same answers."


def _pairs(found: Comparison, order: Sequence[str]) -> str:
    pairs = {pair.systems: pair for pair in found.protocols[0].pairs}
    rows = []
    for first in order[:-1]:
        cells = []
        for second in order[1:]:
            pair = pairs.get((first, second))
            if pair is None:
                cells.append("")
                continue
            text = _points(pair.difference.mean, signed=True)
            cells.append(f"**{text}**" if pair.p_holm < 0.05 else text)
        rows.append([first, *cells])
    certain = sum(pair.p_holm < 0.05 for pair in pairs.values())
    plain = sum(pair.p < 0.05 for pair in pairs.values())
    gaps = sorted(pair.detectable for pair in pairs.values())
    near = [pairs[pair] for pair in itertools.pairwise(order)]
    lines = [
        [
            " over ".join(pair.systems),
            _points(pair.difference.mean, signed=True),
            f"[{_points(pair.difference.low, signed=True)}, "
            f"{_points(pair.difference.high, signed=True)}]",
            str(pair.only_first),
            str(pair.only_second),
            f"{pair.p:.2g}",
            f"{pair.p_holm:.2g}",
        ]
        for pair in near
    ]
    header = ["neighbours", "difference", "95%", "won", "lost", "McNemar p", "Holm p"]
    return (
        "Points of exact match (squad) by which the row's system is better than the column's; bold "
        "where the exact McNemar test, corrected for all pairs after Holm, stays under 0.05.\n\n"
        + _table(["", *order[1:]], rows)
        + f"\n\n{certain} of {len(pairs)} differences remain after the correction ({plain} before "
        f"it). A pair of systems here must differ by {_points(gaps[0])} to {_points(gaps[-1])} "
        "points to be told apart four times in five. The steps of the ranking, with the paired "
        "bootstrap's interval:\n\n" + _table(header, lines)
    )


def _agreement(found: Comparison, order: Sequence[str]) -> str:
    kappas = {line.systems: line.kappa for line in found.agreement}
    rows = [
        [a, *(f"{kappas[a, b]:.2f}" if (a, b) in kappas else "" for b in order[1:])]
        for a in order[:-1]
    ]
    solved = [[str(s.right), f"{s.count:,}", _points(s.share)] for s in found.solved_by]
    return (
        "Cohen's kappa of being right (squad), 1 where two systems know the same questions:\n\n"
        + _table(["", *order[1:]], rows)
        + "\n\nQuestions by how many of the systems answer them right:\n\n"
        + _table(["systems", "questions", "%"], solved)
    )


def _reasons(
    systems: dict[str, list[Prediction]], verdicts: dict[str, dict[str, list[bool]]]
) -> str:
    counts: Counter[tuple[str, str, str]] = Counter()  # (other protocol, who accepts, reason)
    for name, rows in systems.items():
        for line in audit.disagreements(rows, verdicts[name]):
            first, second = line.protocols
            if first != "squad":
                continue
            for other, why in itertools.product((second, *line.alike[1]), line.why):
                accepts = "squad" if why.right == first else other
                counts[other, accepts, why.reason] += why.count
    lines = [
        [other, accepts, reason, f"{count:,}"]
        for (other, accepts, reason), count in sorted(
            counts.items(), key=lambda item: (item[0][0], -item[1])
        )
        if count >= 10
    ]
    total = sum(map(len, systems.values()))
    return (
        f"All {total:,} predictions, squad beside each other protocol. A reason is an edit of "
        "prediction and answer after which both agree; those of ten predictions or more are "
        "listed.\n\n" + _table(["squad and", "right under", "reason", "predictions"], lines)
    )


def _stops(systems: dict[str, list[Prediction]], order: Sequence[str]) -> str:
    costs = {name: audit.stops(systems[name]) for name in order}
    rules = [line.rule for line in costs[order[0]]]
    gold = [
        [
            line.rule,
            f"{line.answers_cut:,} of {line.answers:,}",
            f"{line.gold_unreachable:,}",
            f"{100 * line.ceiling:.1f}",
        ]
        for line in costs[order[0]]
    ]
    rows = [
        [name, *(f"{_points(line.em.mean)} (-{line.lost} +{line.gained})" for line in lines)]
        for name, lines in costs.items()
    ]
    return (
        "A harness that ends every generation at a stop string makes some answers impossible. "
        "The ceiling is what a model reaches that gives a listed answer word for word.\n\n"
        + _table(["rule", "answers cut", "questions without an answer left", "ceiling"], gold)
        + "\n\nExact match of each system had its predictions been cut (right ones lost, wrong "
        "ones gained):\n\n" + _table(["system", *rules], rows)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=pathlib.Path, help="folder or tar archive of predictions")
    parser.add_argument("--out", type=pathlib.Path, default=PAGE)
    arguments = parser.parse_args()
    arguments.out.write_text(page(load(arguments.source)), encoding="utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
