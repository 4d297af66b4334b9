"""How fast the processor at hand multiplies matrices in each number type: measured once, and kept.

Processors tell by their flags whether they have instructions for bfloat16, but not whether rounding
to it pays for a model's shapes. So a few products are timed, forward and backward, with all types
in turn. That takes about a second. It is kept for processors of this kind, so that runs which go on
decide as those before them.
"""

import importlib.metadata
import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from closedbook import whole_files
from closedbook.cache_folders import cache_folder
from closedbook.compiled_programs import processor

Product = Callable[[jax.Array, jax.Array], jax.Array]
_ROWS = 512  # tokens
_WIDEST = 2048  # of a factor's axes: wider ones are measured at this width
_ROUNDS = 5

_log = logging.getLogger(__name__)
_known: dict[tuple[pathlib.Path, str], dict[str, float]] = {}  # so that one process decides once


def seconds(shapes: Sequence[tuple[int, int]], ways: Mapping[str, Product]) -> dict[str, float]:
    """Processor seconds of products with kernels of some shapes, and of their derivatives.

    Args:
        shapes: Of the kernels, [in, out].
        ways: Names of number types, and the product x [rows, in] times kernel in each.
    """
    cut = sorted({tuple(min(side, _WIDEST) for side in shape) for shape in shapes})
    name = " ".join("x".join(map(str, shape)) for shape in cut)
    path = _file()
    if (path, name) not in _known:
        kept = _read(path)
        if not _sound(kept.get(name), ways):
            kept |= {name: _measured(cut, ways)}
            _keep(path, kept)
        _known[path, name] = kept[name]
    return _known[path, name]


def _file() -> pathlib.Path:
    """The file of processors of this kind; another XLA, or more cores, may be fast at others."""
    version, cores = importlib.metadata.version("jaxlib"), os.cpu_count()
    return cache_folder() / "products" / f"jaxlib-{version}-{processor()}-{cores}.json"


def _read(path: pathlib.Path) -> dict[str, dict[str, float]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or a damaged one: it is made anew
        return {}
    return found if isinstance(found, dict) else {}


def _sound(found: object, ways: Mapping[str, Product]) -> bool:
    """Whether what a file holds are seconds of all the ways."""
    if not isinstance(found, dict):
        return False
    values = [found.get(way) for way in ways]
    return all(isinstance(each, float) and 0 < each < math.inf for each in values)


def _keep(path: pathlib.Path, content: dict[str, dict[str, float]]) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole_files.write_text(path, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        _log.debug("%s cannot be written, so that products are timed anew: %s", path, error)


def _measured(shapes: Sequence[tuple[int, ...]], ways: Mapping[str, Product]) -> dict[str, float]:
    """The least processor seconds of some rounds, in which the ways take turns.

    Seconds of all threads, because other work on the machine prolongs the time by the clock.
    """

    def gradient(way: Product) -> Callable[..., object]:
        def loss(arrays: list[tuple[jax.Array, jax.Array]]) -> jax.Array:
            return sum((jnp.sum(jnp.square(way(*each))) for each in arrays), start=jnp.zeros(()))

        return jax.jit(jax.grad(loss))

    least = dict.fromkeys(ways, float("inf"))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        key = jax.random.key(0)
        arrays = [
            (jax.random.normal(key, (_ROWS, wide)), jax.random.normal(key, (wide, high)))
            for wide, high in shapes
        ]
        functions = {name: gradient(way) for name, way in ways.items()}
        for turn in range(_ROUNDS + 1):
            for name, function in functions.items():
                began = time.process_time()
                jax.block_until_ready(function(arrays))
                if turn:  # the first compiles
                    least[name] = min(least[name], time.process_time() - began)
    return least
