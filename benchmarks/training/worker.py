"""One way of training in a process of its own: takes a step for each line that it reads.

Processes do not share memory, so that each one's peak is its own; those that wait use no core.
"""

import argparse
import dataclasses
import json
import pathlib
import resource
import sys
import time

import numpy as np

from benchmarks.training import batches, ways


def main() -> None:
    """Answers "ready", then each line of its input with what a step took, then the peak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", required=True)
    parser.add_argument("--size", required=True)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--questions", type=pathlib.Path, required=True)
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True)
    options = parser.parse_args()
    began = time.monotonic()
    take, per_step = _step(options)
    take()
    take()
    _tell(ready=time.monotonic() - began, examples=per_step)
    _forget_peak()
    for _ in sys.stdin:
        before, wall, cpu = _faults(), time.perf_counter(), time.process_time()
        loss = take()
        _tell(
            wall=time.perf_counter() - wall,
            cpu=time.process_time() - cpu,
            faults=_faults() - before,
            peak_gb=_peak(),
            loss=loss,
        )


def _step(options: argparse.Namespace) -> tuple[ways.Step, int]:
    """What takes a step, and of how many examples."""
    given = batches.examples(options.questions, options.vocabulary)
    config = ways.shape(options.size, options.layers)
    batch = batches.padded(given, 64, 32, 16)
    kind, *rest = options.way.split(", ")
    if kind in ways.THEIRS:
        names = ("encoder_input_tokens", "decoder_target_tokens")
        widths = {name: int((batch[name] > 0).sum(1).max()) for name in names}
        if "to the longest" in rest:
            batch = {name: batch[name][:, : widths[name]] for name in names}
        return ways.theirs(config, batch, **ways.THEIRS[kind]), 64
    config = dataclasses.replace(config, dtype=kind, scan_layers="scanned" in rest)
    if "packed" in rest:
        packed, count = batches.packed(given, 16, 128, 32)
        return ways.ours(config, packed), count
    return ways.ours(config, batch), 64


def _tell(**values: float) -> None:
    print(json.dumps(values), flush=True)


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _forget_peak() -> None:
    """Lets the peak begin anew, without what compiling took."""
    pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> float:
    """The most memory that this process has had, in GB."""
    lines = pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM")]
    return float(np.round(int(line.split()[1]) * 1024 / 1e9, 3))


if __name__ == "__main__":
    main()
