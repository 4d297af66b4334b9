"""Speed of `closedbook convert` against copying the source's files, on the same disk.

A T5 1.1 of `--layers` layers with random weights is written in every format; each conversion and
the copy of its source run in turn, and both end when all is on the disk. With `--cold` they begin
there too, as they do for a model that is larger than the memory.
"""

import argparse
import functools
import os
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from closedbook.checkpoints import Checkpoint, Tensor
from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.convert import Options, convert, keep_freed_memory
from closedbook.checkpoints.huggingface.folders import write_huggingface
from closedbook.models import T5Config

ROUTES = (
    ("huggingface", {"to": "t5x-orbax"}),
    ("t5x-orbax", {"to": "huggingface"}),
    ("t5x-orbax", {"to": "t5x-orbax", "layers": "scanned"}),
    ("huggingface", {"to": "huggingface", "dtype": "bfloat16"}),
    ("t5x", {"to": "t5x-orbax"}),
    ("t5x", {"to": "huggingface"}),
    ("huggingface", {"to": "t5x"}),
    ("t5x-orbax", {"to": "t5x"}),
)


def random_model(folder: pathlib.Path, layers: int) -> None:
    """Writes a Hugging Face folder of random weights."""
    config = T5Config(
        emb_dim=1024,
        num_heads=16,
        num_encoder_layers=layers,
        num_decoder_layers=layers,
        mlp_dim=4096,
        mlp_activations=("gelu", "linear"),
        logits_via_embedding=False,
    )
    rng = np.random.default_rng(0)

    def tensor(name: str, shape: tuple[int, ...]) -> Tensor:
        array = rng.standard_normal(shape, dtype=np.float32) * 0.05
        return Tensor.of(array, name)

    params = {name: tensor(name, shape) for name, shape in parameter_shapes(config).items()}
    folder.mkdir()
    write_huggingface(folder, Checkpoint(format="", path="", params=params), config)


def copied(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file or folder and waits until it is on the disk."""
    shutil.copytree(source, target)
    for path in target.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def seconds(work: Callable[[], object], target: pathlib.Path, *, cold: bool) -> float:
    """The time that writing a target takes; the target is removed.

    Args:
        work: Writes the target.
        target: The folder that it makes.
        cold: Forget cached files first, so that the source comes from the disk.
    """
    os.sync()
    if cold:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
    started = time.monotonic()
    work()
    took = time.monotonic() - started
    shutil.rmtree(target)
    return took


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12, help="of each stack; 12: 1.9 GB")
    parser.add_argument("--rounds", type=int, default=5, help="of which medians are taken")
    parser.add_argument(
        "--cold", action="store_true", help="read sources from the disk (Linux, as root)"
    )
    parser.add_argument("--folder", type=pathlib.Path, help="on the disk to measure")
    args = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root = pathlib.Path(folder)
        sources = {"huggingface": root / "huggingface"}
        random_model(sources["huggingface"], args.layers)
        for form in ("t5x-orbax", "t5x"):
            convert(sources["huggingface"], root / form, Options(to=form))
            sources[form] = root / form
        print(
            "| from | to | MB | convert, s | copy, s | convert MB/s | share of the copy's speed |"
        )
        print("|---|---|---|---|---|---|---|")
        for form, options in ROUTES:
            source, target = sources[form], root / "target"
            size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
            work = {
                "copy": functools.partial(copied, source, target),
                "convert": functools.partial(convert, source, target, Options(**options)),
            }
            times: dict[str, list[float]] = {"copy": [], "convert": []}
            for _ in range(args.rounds):
                for way, run in work.items():
                    times[way].append(seconds(run, target, cold=args.cold))
            middle = {way: statistics.median(values) for way, values in times.items()}
            shares = [b / a for a, b in zip(times["convert"], times["copy"], strict=True)]
            label = " ".join(str(value) for value in options.values())
            print(
                f"| {form} | {label} | {size / 1e6:.0f} | {middle['convert']:.1f} | "
                f"{middle['copy']:.1f} | {size / 1e6 / middle['convert']:.0f} | "
                f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
