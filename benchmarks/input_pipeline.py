"""Training batches per second: the token cache with NumPy packing, beside SeqIO's own pipeline.

Both read the same tokenised examples, shuffle, pack into rows of the same lengths and give NumPy
batches of the same size. They take turns in one process bound to one core. What counts is the
processor time of the whole process, so that other work on the machine matters little; medians are
printed.

    python benchmarks/input_pipeline.py --questions NQ-open.train.jsonl --vocabulary spiece.model
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from closedbook.data import cache_lookup
from closedbook.data.batches import Batches
from closedbook.tasks import qa_from_files
from closedbook.vocabulary.sentencepiece import Vocabulary

LENGTHS = {"inputs": 512, "targets": 114}  # the paper's
ROWS = 384  # 196,608 input tokens a batch, as in the paper


def ours(tokens) -> Iterator[dict[str, np.ndarray]]:
    """Batches out of the token cache, its planning of each epoch included."""
    return Batches([(tokens, 1.0)], ROWS, LENGTHS, True, seed=0)


def seqios(task) -> Iterator[dict[str, np.ndarray]]:
    """SeqIO's shuffling and packing of examples that are tokenised and held in memory already."""
    import seqio

    dataset = task.get_dataset(LENGTHS, "train", shuffle=False).cache()
    dataset = dataset.repeat().shuffle(1000, seed=0)
    packed = seqio.EncDecFeatureConverter(pack=True)(dataset, LENGTHS)
    return packed.batch(ROWS).prefetch(2).as_numpy_iterator()


def rate(batches: Iterator[dict[str, np.ndarray]], count: int) -> float:
    """Tokens other than padding per second of processor time, over `count` batches."""
    started = time.process_time()
    tokens = 0
    for batch in itertools.islice(batches, count):
        tokens += int(np.count_nonzero(batch["encoder_input_tokens"]))
        tokens += int(batch["decoder_loss_weights"].sum())
    return tokens / (time.process_time() - started)


def main() -> None:
    """Runs the comparison and prints a line of Markdown for each side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", required=True)
    parser.add_argument("--vocabulary", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    vocabulary = Vocabulary(arguments.vocabulary)
    qa_from_files({"benchmark": {"train": arguments.questions}})
    from closedbook.tasks import registry

    features = registry.output_features(arguments.vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        tokens = cache_lookup.token_cache(
            "benchmark", "train", vocabulary=vocabulary, cache_dir=folder
        )
        seconds = time.process_time() - started
        print(f"building the cache: {len(tokens) / seconds:,.0f} examples/s (once)")
        theirs = seqios(registry.task("benchmark", features=features))
        rate(theirs, 6)  # fills SeqIO's memory and compiles, which is not measured
        found: dict[str, list[float]] = {"token cache + NumPy": [], "SeqIO": []}
        for _ in range(arguments.repeats):
            found["token cache + NumPy"].append(rate(ours(tokens), 30))
            found["SeqIO"].append(rate(theirs, 2))
    for name, rates in found.items():
        middle, low, high = statistics.median(rates), min(rates), max(rates)
        print(f"| {name} | {middle / 1e6:.2f}M | {low / 1e6:.2f}M to {high / 1e6:.2f}M |")


if __name__ == "__main__":
    main()
