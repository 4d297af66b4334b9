"""How many judgements per second the phrasing judge makes on one core.

    python benchmarks/evaluator/judging.py predictions.jsonl [more.jsonl ...]

Any files whose rows have question, answers (or answer) and prediction. Each is judged from cold
caches and again; then all together, as a comparison of systems does. Time is the process's own,
the best of five, since other work on the machine slows a core.
"""

import argparse
import json
import pathlib
import time
from collections.abc import Sequence

from closedbook.eval import normalize
from closedbook.eval.equivalence import verdicts
from closedbook.eval.equivalence.evidence import answer, names, text, words
from closedbook.eval.equivalence.reading import read
from closedbook.eval.predictions import Prediction

REPEATS = 5
CACHES = (
    *(answer.parse, answer.parse_question, normalize.squad, read.read),
    *(words.root, words.likeness, names.bridge),
)


def read_file(path: pathlib.Path) -> list[Prediction]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        Prediction(
            question=row["question"],
            answers=tuple(row.get("answers", row.get("answer"))),
            prediction=row["prediction"],
        )
        for row in rows
    ]


def measure(name: str, rows: Sequence[Prediction], mode: str) -> None:
    cold, warm = [], []
    for _ in range(REPEATS):
        for cache in CACHES:
            cache.cache_clear()  # type: ignore[attr-defined]
        text.LEXICON.clear()
        for rates in (cold, warm):
            start = time.process_time()
            verdicts.judge_all(rows, mode=mode)
            rates.append(len(rows) / (time.process_time() - start))
    print(
        f"{name:24} {mode:8} {len(rows):7,} rows  {max(cold):9,.0f} judgements/s, "
        f"{max(warm):9,.0f} when the texts are known"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    files = parser.parse_args().files
    verdicts.weights()
    start = time.process_time()
    for _ in range(5_000_000):
        pass
    print(f"this core: 5,000,000 empty loops in {time.process_time() - start:.2f} s")
    every = {path.stem: read_file(path) for path in files}
    together = [row for rows in every.values() for row in rows]
    for mode in verdicts.MODES:
        for name, rows in every.items():
            measure(name, rows, mode)
        measure("all together", together, mode)


if __name__ == "__main__":
    main()
