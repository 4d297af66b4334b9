"""What comparing a checkpoint with its digests costs, beside reading it: medians of seven.

python -m benchmarks.digests [--megabytes 512] [--folder DIR]
"""

import argparse
import hashlib
import pathlib
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import xxhash

from closedbook import digests
from closedbook.checkpoints import CheckpointStore, load_params, open_checkpoint

REPEATS = 7
HASHES: dict[str, Callable[[bytes], object]] = {
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "blake2b": lambda data: hashlib.blake2b(data).digest(),
    "crc32 (zlib)": zlib.crc32,
    "xxh3_128": lambda data: xxhash.xxh3_128(data).digest(),
}


def main() -> None:
    """Writes a checkpoint of random numbers, reads it, and prints what each part takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--folder", type=pathlib.Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        _measure(pathlib.Path(folder) / "run", given.megabytes)
    data = np.random.default_rng(0).bytes(2**27)
    for name, function in HASHES.items():
        [seconds] = _medians([lambda function=function: function(data)])
        print(f"{name:14} {len(data) / seconds / 1e9:6.2f} GB/s, one thread, in memory")


def _measure(run: pathlib.Path, megabytes: int) -> None:
    random = np.random.default_rng(0)
    tree = {
        f"layer_{i}": {"kernel": jnp.asarray(random.normal(size=(2048, 1024)), jnp.float32)}
        for i in range(max(megabytes // 8, 1))
    }
    store = CheckpointStore(run, asynchronous=False)
    store.save(1, params=tree, opt_state={"count": jnp.int32(1)}, run={})
    store.close()
    folder = run / "checkpoint_1"
    record = digests.read(folder)
    assert record is not None
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)
    opened = open_checkpoint(folder)  # compared now, and not again
    read, check = _medians(
        [
            lambda: jax.block_until_ready(load_params(opened, wanted)),
            lambda: digests.first_fault(folder, record, fresh=True),
        ]
    )
    size = sum(each.size for each in record.values())
    print(
        f"{size / 1e6:.0f} MB: read in {read:.3f} s, compared in {check:.3f} s: {check / read:.1%}"
    )


def _medians(functions: list[Callable[[], object]]) -> list[float]:
    """Seconds of each function, taken in turns."""
    found: list[list[float]] = [[] for _ in functions]
    for _ in range(REPEATS):
        for function, seconds in zip(functions, found, strict=True):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
    return list(map(statistics.median, found))


if __name__ == "__main__":
    main()
