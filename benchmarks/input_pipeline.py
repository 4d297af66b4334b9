"""Training batches per second: the token cache with NumPy packing, beside SeqIO's own pipeline.

    python benchmarks/input_pipeline.py --questions NQ-open.train.jsonl --vocabulary spiece.model \
        [--rounds 7] [--out input.json]

What is counted: tokens other than padding, inputs and targets, per second of processor time of the
whole process, between the same tokenised examples and NumPy batches of the same shapes. Ours read
a token cache, draw the order of each epoch, decide what shares a row and write the arrays; SeqIO's
shuffle a buffer, trim, pack and batch what they hold in memory already. Each has a process of its
own, whose threads all count, on one core that both share, and their rounds take turns; a round is
two epochs of ours, and 6 batches of SeqIO's.

The second table says what a batch costs each of many hosts: every process decides what shares a
row for the whole batch, and writes the rows of its own devices, in a thread beside the step.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import machine
from closedbook.data import cache_lookup, placing
from closedbook.data.batches import Batches
from closedbook.data.cache import TokenCache
from closedbook.models import size
from closedbook.models.t5.sizes import flops_per_step
from closedbook.parallel.devices import device_kind
from closedbook.tasks import qa_from_files
from closedbook.vocabulary.sentencepiece import Vocabulary

LENGTHS = {"inputs": 512, "targets": 114}  # the paper's
ROWS = 384  # 196,608 input tokens a batch, as in the paper
HOSTS, CHIPS = 64, 4  # of a host of TPU v5p
OWN_ROWS = {"t5_11b": 24, "t5_1_1_base": 6}  # of a host: 16 chips share a copy of T5-11B
CORES = 208  # of the virtual processors of such a host (ct5p-hightpu-4t)
MFU = 0.5


def ours(tokens: TokenCache, own_rows: range = range(ROWS)) -> Iterator[dict[str, np.ndarray]]:
    """Two epochs out of the token cache, the drawing of their orders included."""
    batches = Batches([(tokens, 1.0)], ROWS, LENGTHS, True, seed=0, own_rows=own_rows)
    for epoch in range(2):
        numbered = (batches.batch(epoch, index) for index in itertools.count())
        yield from itertools.takewhile(lambda batch: batch is not None, numbered)


def seqios(task: Any) -> Iterator[dict[str, np.ndarray]]:
    """SeqIO's shuffling and packing of examples that are tokenised and held in memory already."""
    import seqio

    dataset = task.get_dataset(LENGTHS, "train", shuffle=False).cache()
    dataset = dataset.repeat().shuffle(1000, seed=0)
    packed = seqio.EncDecFeatureConverter(pack=True)(dataset, LENGTHS)
    return packed.batch(ROWS).prefetch(2).as_numpy_iterator()


def rate(batches: Iterator[dict[str, np.ndarray]]) -> dict[str, float]:
    """Tokens per second of processor time, batches and seconds each; counting is not timed."""
    seconds, tokens, count, filled = 0.0, 0, 0, []
    while True:
        started = time.process_time()
        batch = next(batches, None)
        seconds += time.process_time() - started
        if batch is None:
            break
        weights = batch["decoder_loss_weights"]
        tokens += int(np.count_nonzero(batch["encoder_input_tokens"])) + int(weights.sum())
        count += 1
        filled.append(float(weights.mean()))
    return {
        "tokens_per_second": tokens / seconds,
        "seconds_per_batch": seconds / count,
        "filled": statistics.median(filled),
    }


def planning(tokens: TokenCache) -> float:
    """Seconds of processor time to decide which examples share a row, per batch."""
    inputs, targets = (np.diff(tokens.flat(side)[1]) for side in ("inputs", "targets"))
    started = time.process_time()
    count = sum(
        1
        for _ in placing.placements(
            inputs,
            targets,
            row_count=ROWS,
            inputs_length=LENGTHS["inputs"],
            targets_length=LENGTHS["targets"],
        )
    )
    return (time.process_time() - started) / count


def of_a_host(tokens: TokenCache, own_rows: int) -> float:
    """Seconds of processor time for a batch of which a host writes so many rows."""
    started = time.process_time()
    count = sum(1 for _ in ours(tokens, range(own_rows)))
    return (time.process_time() - started) / count


def shares(seconds: dict[str, float]) -> list[dict[str, Any]]:
    """What a batch costs a host beside the time of a step, by model.

    Args:
        seconds: Of the host's part of a batch, by model.
    """
    kind = device_kind("TPU v5p")
    assert kind is not None
    rows = []
    for name, taken in seconds.items():
        flops = flops_per_step(size(name), ROWS, LENGTHS["inputs"], LENGTHS["targets"])
        step = flops / (kind.peak_flops * HOSTS * CHIPS * MFU)
        rows.append(
            {
                "model": name,
                "step_seconds": step,
                "batch_seconds": taken,
                "of_one_core": taken / step,
                "of_host": taken / step / CORES,
            }
        )
    return rows


class Side:
    """One of the two in a process of its own: `round` of it is what is measured."""

    _made: "Side"

    def __init__(self, questions: str, vocabulary: str, folder: str, *, seqio: bool) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        qa_from_files({"benchmark": {"train": questions}})
        self._theirs: Iterator[dict[str, np.ndarray]] | None = None
        if seqio:
            from closedbook.tasks import registry

            features = registry.output_features(vocabulary)
            self._theirs = seqios(registry.task("benchmark", features=features))
        else:
            self._tokens = cache_lookup.token_cache(
                "benchmark", "train", vocabulary=Vocabulary(vocabulary), cache_dir=folder
            )

    def round(self) -> dict[str, float]:
        """Figures of one round."""
        if self._theirs is not None:
            return rate(itertools.islice(self._theirs, 6))
        hosts = {name: of_a_host(self._tokens, rows) for name, rows in OWN_ROWS.items()}
        planned = {"planning_seconds": planning(self._tokens)}
        return rate(ours(self._tokens)) | planned | hosts

    @classmethod
    def make(cls, *arguments: str, seqio: bool) -> None:
        """Makes this process's own."""
        cls._made = cls(*arguments, seqio=seqio)

    @classmethod
    def one_round(cls) -> dict[str, float]:
        """A round of this process's own."""
        return cls._made.round()


def main() -> None:
    """Runs the comparison and prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", required=True, help="JSON lines")
    parser.add_argument("--vocabulary", required=True, help="SentencePiece")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the figures")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sides = {}
        for name, seqio in (("token cache + NumPy", False), ("SeqIO", True)):
            make = functools.partial(
                Side.make, options.questions, options.vocabulary, folder, seqio=seqio
            )
            context = multiprocessing.get_context("spawn")
            executor = concurrent.futures.ProcessPoolExecutor(1, context, make)
            sides[name] = stack.enter_context(executor)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        # The first round fills SeqIO's memory and compiles, which is not measured.
        for number in range(options.rounds + 1):
            for name, side in sides.items():
                figures = side.submit(Side.one_round).result()
                if number:
                    found[name].append(figures)
    record = machine.described("numpy", "seqio", "tensorflow") | _tables(found)
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n")


def _tables(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Prints both tables, and gives their figures."""
    record: dict[str, Any] = {"rows": ROWS, "lengths": LENGTHS}
    for name, rounds in found.items():
        rates = [each["tokens_per_second"] / 1e6 for each in rounds]
        filled = statistics.median(each["filled"] for each in rounds)
        record[name] = {"rounds": rounds}
        print(
            f"| {name} | {statistics.median(rates):.2f}M | {min(rates):.2f}M to {max(rates):.2f}M "
            f"| {filled:.1%} |"
        )
    mine, seqio = found.values()
    ratios = [
        one["tokens_per_second"] / other["tokens_per_second"]
        for one, other in zip(mine, seqio, strict=True)
    ]
    print(f"ratio {statistics.median(ratios):.0f}x [{min(ratios):.0f}, {max(ratios):.0f}]")
    seconds = statistics.median(each["seconds_per_batch"] for each in mine)
    plan = statistics.median(each["planning_seconds"] for each in mine)
    print(f"a batch: {seconds * 1e3:.2f} ms, of which planning {plan * 1e3:.2f} ms")
    hosts = shares({name: statistics.median(each[name] for each in mine) for name in OWN_ROWS})
    for row in hosts:
        print(
            f"| {row['model']} | {row['batch_seconds'] * 1e3:.2f} ms | "
            f"{row['step_seconds'] * 1e3:.1f} ms | {row['of_one_core']:.1%} | "
            f"{row['of_host']:.3%} |"
        )
    return record | {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "batch_seconds": seconds,
        "planning_seconds": plan,
        "hosts": hosts,
    }


if __name__ == "__main__":
    main()
