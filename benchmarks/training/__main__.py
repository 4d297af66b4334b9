"""Time and memory of a train step, ours beside Hugging Face's T5 on the same questions.

    python -m benchmarks.training --questions NQ-open.dev.jsonl --vocabulary spiece.model \
        [--size t5_1_1_small|tiny] [--layers N] [--rounds 7] [--ways WAY ...] [--out training.json]

A random model takes steps of 64 questions, padded to 32 + 16 tokens (of transformers' also to the
longest), or of 16 rows of 128 + 32 tokens with as many questions as they hold ("packed"): forward
and backward pass with dropout 0.1, and Adafactor. Each way has a process of its own; rounds of all
ways are interleaved, so that a busy machine slows them alike. `--pause` waits for Enter before the
first round. What compiling took is not in the peak of memory.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.training.ways import OURS, THEIRS
from closedbook.models import precision

Row = dict[str, float]
WAYS = (*OURS, "float32, scanned", "float32, packed", "bf16_bf16_f32, packed", *THEIRS)
WAYS += tuple(f"{way}, to the longest" for way in THEIRS)  # padded so: for packed ones


class _Worker:
    """A process that takes steps when it is told to."""

    def __init__(self, way: str, options: argparse.Namespace) -> None:
        given = ["--way", way, "--size", options.size]
        given += ["--questions", str(options.questions), "--vocabulary", str(options.vocabulary)]
        given += ["--layers", str(options.layers)] if options.layers else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training.worker", *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self._answer()

    def step(self) -> Row:
        """What a step took."""
        assert self._process.stdin is not None
        print("step", file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Row:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries print other lines
                return json.loads(line)
        raise SystemExit("a process has ended; its message stands above")


def main() -> None:
    """Prints a line per way: time of a step, ratios to each of transformers', memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=pathlib.Path, required=True, help="JSON lines")
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True, help="T5's spiece.model")
    parser.add_argument("--size", default="t5_1_1_small")
    parser.add_argument("--layers", type=int, help="layers of each stack, instead of the size's")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--pause", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the figures")
    options = parser.parse_args()
    workers = {}
    for way in options.ways:
        workers[way] = _Worker(way, options)
        print(f"{way}: ready after {workers[way].about['ready']:.0f} s", flush=True)
    if options.pause:
        input("all are ready; Enter begins ")
    rounds = []
    for _ in range(options.rounds):
        rounds.append({way: worker.step() for way, worker in workers.items()})
        print(
            "round:", {way: round(each["wall"], 2) for way, each in rounds[-1].items()}, flush=True
        )
    table = [_row(way, workers[way].about, rounds) for way in workers]
    for row in table:
        print(json.dumps(row))
    if options.out:
        options.out.write_text(json.dumps(_record(options, table), indent=1) + "\n")


def _row(way: str, about: Row, rounds: list[dict[str, Row]]) -> dict[str, Any]:
    """Medians of a way, and of its ratios to the others within a round: above 1 it is faster."""
    mine = [each[way] for each in rounds]
    row: dict[str, Any] = {"way": way, "examples": about["examples"], "ready_s": about["ready"]}
    for name in ("wall", "cpu", "faults"):
        row[name] = round(statistics.median(one[name] for one in mine), 3)
    row["peak_gb"] = max(one["peak_gb"] for one in mine)
    row["examples_per_s"] = round(about["examples"] / row["wall"], 2)
    for clock in ("wall", "cpu"):
        row[f"{clock}_ratios"] = {
            other: _three([each[other][clock] / each[way][clock] for each in rounds])
            for other in rounds[0]
            if other != way
        }
    return row


def _three(ratios: list[float]) -> list[float]:
    """Median, least and most."""
    return [round(x, 3) for x in (statistics.median(ratios), min(ratios), max(ratios))]


def _record(options: argparse.Namespace, table: list[dict[str, Any]]) -> dict[str, Any]:
    features = {"avx2", "avx512f", *precision.FAST_PRODUCTS}
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "features": sorted(precision.processor_features() & features),
        "versions": {name: _version(name) for name in ("jax", "torch", "transformers")},
        "size": options.size,
        "layers": options.layers,
        "rounds": options.rounds,
        "ways": table,
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
