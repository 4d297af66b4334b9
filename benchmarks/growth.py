"""How the cost of a train step grows with batch, length, model and devices.

    python -m benchmarks.growth [--rounds 7] [--out docs/studies/images] [--json growth.json]

The JSON file keeps what is compiled and what is timed; a part that it has is not made again.

Memory, arithmetic and exchanged bytes are what the compiler plans for fake CPU devices: nothing is
run for them. Time is measured, on this machine, with a small network. Lines are least-squares fits,
which the tables state with the largest deviation of a point from its line. Needs some minutes.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import machine
from closedbook import whole_files
from closedbook.cli import gin_files
from closedbook.eval.report import charts
from closedbook.models import T5, T5Config
from closedbook.parallel import Partitioner, standard_logical_axis_rules
from closedbook.parallel.topologies import Topology, topology
from closedbook.training import programs, report
from closedbook.training.ahead.plan import Run, plan
from closedbook.training.state import fresh_state, split_seed

_MIB = 2**20
_TIMED_VOCABULARY = 4096
BATCHES, LENGTHS = (8, 16, 32, 64), (64, 128, 256, 512)
DEVICES = (1, 4, 16, 64)
SIZES = ("nq_1_1_small", "nq_1_1_base", "nq_1_1_large", "nq_1_1_xl", "nq_1_1_xxl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A least-squares fit `at0 + slope * x`.

    Attributes:
        at0: Its value at 0.
        slope: Per unit of x.
        off: The largest deviation of a point from it, as a share of the point.
    """

    at0: float
    slope: float
    off: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> "Line":
        """The line that is nearest to some points, relative to their values."""
        x, y = (np.asarray(each, float) for each in zip(*points, strict=True))
        (slope, at0) = np.polyfit(x, y, 1, w=1 / y)
        return cls(at0=at0, slope=slope, off=float(np.max(np.abs(at0 + slope * x - y) / y)))


def run_of(file: str, rows: int, inputs: int, targets: int, *, shared: bool = False) -> Run:
    """A packaged run with other numbers, one copy of the model per device, all of it kept.

    Args:
        file: Its gin file, without ending.
        rows: Of a batch.
        inputs: Tokens of a row.
        targets: Tokens of a row.
        shared: Split parameters over the devices of the batch too.
    """
    bindings = [
        f"BATCH_SIZE = {rows}",
        f"TASK_FEATURE_LENGTHS = {{'inputs': {inputs}, 'targets': {targets}}}",
        "partitioning.PjitPartitioner.num_partitions = 1",
        "network.T5Config.dtype = 'float32'",
    ]
    run = Run.of(gin_files.resolve("train", [f"{file}.gin"], bindings, []))
    rules = standard_logical_axis_rules(parameter_partitioning_dims=2 if shared else 1)
    return dataclasses.replace(
        run, partitioner=dataclasses.replace(run.partitioner, logical_axis_rules=rules)
    )


def compiled(run: Run, devices: Topology) -> dict[str, float]:
    """What the compiler plans for a train step, per device; bytes and FLOP."""
    made = plan(run, devices, train_step_alone=True)
    (step,) = made.programs
    assert step.memory is not None
    return {
        "parameters": step.memory.parameters,
        "optimizer": step.memory.optimizer,
        "temporaries": step.memory.temporaries,
        "flops": made.flops,
        "exchanged": sum(row.bytes for row in step.exchanged),
    }


def first(devices: Topology, count: int) -> Topology:
    """So many of some devices."""
    return dataclasses.replace(devices, name=f"cpu:{count}", devices=devices.devices[:count])


def growth(devices: Topology) -> Iterator[tuple[str, float, dict[str, float]]]:
    """What grows, the number that makes it grow, and what the compiler plans for it."""
    one = first(devices, 1)
    for rows in BATCHES:
        yield "batch", rows, compiled(run_of("nq_1_1_small", rows, 128, 32), one)
    for length in LENGTHS:
        yield "length", length, compiled(run_of("nq_1_1_small", 16, length, length // 4), one)
    for file in SIZES:
        found = compiled(run_of(file, 8, 128, 32), one)
        yield "model", found["parameters"] / 4, found
    for shared in (False, True):
        for count in DEVICES:
            run = run_of("nq_1_1_small", 4 * count, 128, 32, shared=shared)
            yield f"devices{', shared' * shared}", count, compiled(run, first(devices, count))


class Timed:
    """A step of 2+2 layers of width 256 on one device, compiled, with a batch."""

    def __init__(self, rows: int, inputs: int, targets: int) -> None:
        run = run_of("nq_1_1_small", rows, inputs, targets)
        config = dataclasses.replace(
            run.model.config,
            vocab_size=_TIMED_VOCABULARY,
            num_encoder_layers=2,
            num_decoder_layers=2,
            emb_dim=256,
            mlp_dim=512,
        )
        assert isinstance(config, T5Config)
        model = dataclasses.replace(run.model, module=T5(config))
        self._partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
        with self._partitioner.activate():
            self._step = programs.train_step(model, self._partitioner, run.train, run.trainer)
            self._state = fresh_state(model, self._partitioner, 0)
        random = np.random.default_rng(0)
        self._batch = self._partitioner.put_batch(
            {
                name: random.integers(3, _TIMED_VOCABULARY, each.shape).astype(np.int32)
                if name.endswith("tokens")
                else np.ones(each.shape, np.int32)
                for name, each in programs.abstract_batch(
                    model, run.train, self._partitioner
                ).items()
            }
        )
        self._key = split_seed(0)[1]
        self.flops = report.flops_of_step(model, run.train)
        self.seconds()

    def seconds(self) -> float:
        """Processor time of a step."""
        began = time.process_time()
        with self._partitioner.activate():
            self._state, sums = self._step(self._state, self._batch, self._key)
        jax.block_until_ready(sums)
        return time.process_time() - began


def timed(rounds: int) -> list[tuple[str, float, dict[str, float]]]:
    """As `growth`: medians of processor time by batch and by length, rounds of all interleaved."""
    steps = {("batch", rows): Timed(rows, 128, 32) for rows in BATCHES}
    steps |= {("length", length): Timed(16, length, length // 4) for length in LENGTHS}
    taken: dict[tuple[str, int], list[float]] = {each: [] for each in steps}
    for _ in range(rounds):
        for each, step in steps.items():
            taken[each].append(step.seconds())
    return [
        (what, number, {"seconds": statistics.median(seconds)})
        for (what, number), seconds in taken.items()
    ]


# Of a table or a panel: what grows, the measure, its unit and how many of them are one.
PANELS = (
    ("batch", "temporaries", "MiB", _MIB),
    ("batch", "seconds", "s", 1),
    ("length", "temporaries", "MiB", _MIB),
    ("length", "seconds", "s", 1),
    ("model", "temporaries", "MiB", _MIB),
    ("model", "flops", "GFLOP", 1e9),
    ("devices", "exchanged", "MiB", _MIB),
    ("devices", "temporaries", "MiB", _MIB),
    ("devices, shared", "parameters", "MiB", _MIB),
    ("devices, shared", "exchanged", "MiB", _MIB),
)
NAMES = {
    "batch": "rows of a batch",
    "length": "input tokens of a row",
    "model": "parameters",
    "devices": "devices",
    "devices, shared": "devices, parameters shared",
}


def figure(points: Sequence[dict[str, Any]]) -> charts.Spec:
    """Points and lines, a panel per measure."""
    made = charts.chart(
        charts.PAPER, "Cost of a train step against what makes it grow", data=points, height=140
    )
    size = {"width": 200, "height": made.pop("height")}
    made.pop("width")
    panels = []
    for what, measure, unit, _ in PANELS:
        across = {"field": "number", "type": "quantitative", "title": NAMES[what]}
        along = {"type": "quantitative", "title": f"{measure} ({unit})"}
        chosen = {"filter": f"datum.what === '{what}' && datum.measure === '{measure}'"}
        layers = [
            {
                "mark": {"type": mark, "color": charts.PAPER[colour], **style},
                "encoding": {"x": across, "y": {"field": field, **along}},
            }
            for mark, colour, field, style in (
                ("line", "line", "fitted", {}),
                ("point", "accent", "value", {"filled": True, "size": 40}),
            )
        ]
        panels.append({**size, "transform": [chosen], "layer": layers})
    return made | {"concat": panels, "columns": 2}


def main() -> None:
    """Prints a table and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (%(default)s)")
    images, kept_in = pathlib.Path("docs/studies/images"), pathlib.Path("growth.json")
    parser.add_argument(
        "--out", type=pathlib.Path, default=images, help="folder of the figure (%(default)s)"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, default=kept_in, help="what is done is kept here (%(default)s)"
    )
    options = parser.parse_args()
    kept = json.loads(options.json.read_text()) if options.json.exists() else {}
    # What is only compiled need not be fast; what is timed has a process of its own.
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    if "compiled" not in kept:
        kept |= {"compiled": list(growth(topology("cpu:64")))}
        options.json.write_text(json.dumps(kept))
    if "timed" not in kept:
        os.environ["XLA_FLAGS"] = ""
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, context) as other:
            kept |= {"timed": other.submit(timed, options.rounds).result()}
        kept |= {"machine": machine.described("jax", "jaxlib"), "rounds": options.rounds}
    found = [*kept["compiled"], *kept["timed"]]
    points, rows = [], []
    for what, measure, unit, scale in PANELS:
        some = [
            (number, figures[measure] / scale)
            for name, number, figures in found
            if name == what and measure in figures
        ]
        line = Line.through(some)
        rows.append({"what": what, "measure": measure, "unit": unit, **dataclasses.asdict(line)})
        points += [
            {
                "what": what,
                "measure": measure,
                "number": number,
                "value": value,
                "fitted": line.at0 + line.slope * number,
            }
            for number, value in some
        ]
        values = ", ".join(f"{value:.4g}" for _, value in some)
        print(
            f"| {NAMES[what]} | {measure}, {unit} | {values} | {line.at0:.3g} + "
            f"{line.slope:.3g} x | {line.off:.1%} |"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    spec = figure(points)
    whole_files.write_text(options.out / "growth.svg", charts.svg(spec))
    (options.out / "growth.png").write_bytes(charts.png(spec))
    options.json.write_text(json.dumps(kept | {"lines": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
