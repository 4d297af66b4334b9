"""What it costs to index the triggers of feed-forward memories: time and memory.

    python -m benchmarks.memories [--rounds 3] [--texts 2000] [--model closedbook://atlas_qa]
    python -m benchmarks.memories --memory     # peak memory at three lengths of a corpus

The bare forward pass reads the same texts in the same batches and gives logits (of the encoder
alone: its output), which the index does not need and leaves out. Both are compiled before; rounds
are interleaved, so that a busy machine slows them alike. `SmolLM2` stands for the model that
`make smollm2` fetches; it reads WikiText-2's validation set (--text).
"""

import argparse
import collections
import functools
import itertools
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import jax

from benchmarks import smollm2
from closedbook.knowledge import LoadedModel, load_model
from closedbook.knowledge.memories import build, sources
from closedbook.knowledge.memories.batches import batches
from closedbook.knowledge.memories.sources import Corpus
from closedbook.models import unboxed

T = 50
_AHEAD = 2  # batches on their way, as in indexing
_LENGTHS = (1, 4, 16)  # times some of the atlas's questions, of which the peak memory is measured


class Forward:
    """The bare forward pass over a corpus."""

    def __init__(self, model: LoadedModel, stacks: tuple[str, ...]) -> None:
        self._model, self._stacks = model, stacks
        self._run = jax.jit(self._forward)

    def _forward(self, params, inputs, read):
        module = self._model.module
        if self._model.config.continues_prompt:
            return module.apply({"params": params}, read)
        if "decoder" in self._stacks:
            return module.apply({"params": params}, inputs, read)
        return module.apply({"params": params}, inputs, method="encode")[0]

    def __call__(self, corpus: Corpus) -> None:
        params = unboxed(self._model.params)
        waiting: collections.deque[jax.Array] = collections.deque()
        for batch in batches(self._model.module, corpus.examples(), self._stacks):
            waiting.append(self._run(params, batch.inputs, batch.read))
            if len(waiting) > _AHEAD:
                waiting.popleft().block_until_ready()
        for left in waiting:
            left.block_until_ready()


def speed(name: str, text: str, texts: int, rounds: int) -> None:
    """Prints one line per choice of stacks."""
    path = str(smollm2.place()) if name == "SmolLM2" else name
    model = load_model(path)
    whole = sources.open_corpus(model, text if name == "SmolLM2" else sources.ATLAS)
    corpus = Corpus(
        name=whole.name,
        way=whole.way,
        examples=lambda: itertools.islice(whole.examples(), texts),
    )
    every = tuple(model.config.stacks)
    for stacks in dict.fromkeys([every, *((each,) for each in every)]):
        forward = Forward(model, stacks)

        def index(stacks: tuple[str, ...] = stacks) -> None:
            with tempfile.TemporaryDirectory() as folder:
                settings = build.Settings(t=T, stacks=stacks)
                build.build(model, corpus, pathlib.Path(folder) / "index", settings)

        ways: dict[str, Callable[[], None]] = {
            "forward": functools.partial(forward, corpus),
            "index": index,
        }
        for run in ways.values():
            run()  # compiles
        wall: dict[str, list[float]] = {way: [] for way in ways}
        cpu: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                start, used = time.perf_counter(), time.process_time()
                run()
                wall[way].append(time.perf_counter() - start)
                cpu[way].append(time.process_time() - used)
        of_wall, of_cpu = (
            {way: statistics.median(seconds) for way, seconds in each.items()}
            for each in (wall, cpu)
        )
        print(
            f"{name:22} {'+'.join(stacks):16} {texts:6,} texts  "
            f"forward {of_wall['forward']:7.2f} s  index {of_wall['index']:7.2f} s  "
            f"ratio {of_wall['index'] / of_wall['forward']:5.2f}  "
            f"(processor time {of_cpu['forward']:.2f} and {of_cpu['index']:.2f} s, "
            f"ratio {of_cpu['index'] / of_cpu['forward']:.2f})",
            flush=True,
        )


def peak(texts: int, times: int) -> None:
    """Indexes some of the atlas's questions several times over, and prints the peak memory."""
    model = load_model("closedbook://atlas_qa")
    whole = sources.open_corpus(model)
    corpus = Corpus(
        name="repeated",
        way=whole.way,
        examples=lambda: itertools.chain.from_iterable(
            itertools.islice(whole.examples(), texts) for _ in range(times)
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        made = build.build(model, corpus, pathlib.Path(folder) / "index", build.Settings(t=T))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{made.manifest['corpus']['texts']:9,} texts: peak memory {most:7.0f} MiB", flush=True)


def main() -> None:
    """Prints the times of each model, or the peak memory of each length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each way")
    parser.add_argument("--texts", type=int, default=2000, help="texts of the corpus")
    parser.add_argument("--model", action="append", help="default: closedbook://atlas_qa")
    parser.add_argument("--text", default="", help="of SmolLM2: WikiText-2's valid.txt")
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead")
    parser.add_argument("--times", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.times:
        peak(options.texts, options.times)
    elif options.memory:
        for times in _LENGTHS:  # each in a process of its own, whose peak is its own
            words = ["-m", "benchmarks.memories", "--memory", "--times", str(times)]
            words += ["--texts", str(options.texts)]
            subprocess.run([sys.executable, *words], check=True)
    else:
        for name in options.model or ["closedbook://atlas_qa"]:
            speed(name, options.text, options.texts, options.rounds)


if __name__ == "__main__":
    main()
