"""Positions of texts, and what a model has there; only that is kept, never a whole text's.

A decoder's position is read at the end of its prefix, because what follows changes nothing; an
encoder reads the whole input.
"""

import dataclasses
import functools
import heapq
from collections.abc import Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.batches import batches
from closedbook.knowledge.memories.cells import SITE
from closedbook.knowledge.memories.examples import Example
from closedbook.models.families import Network
from closedbook.models.parameters import Params, unboxed
from closedbook.models.taps import Taps

_SEED = 0x9E3779B97F4A7C15  # of the order in which positions are drawn
AFTER, UPDATE, NORMED = "resid_post", "mlp.out", "final_norm"


@dataclasses.dataclass(frozen=True)
class Place:
    """A text and a position in what a stack reads of it, as a `Trigger` has them."""

    example: Example
    position: int


def positions(example: Example, stack: str) -> int:
    """How many positions a stack reads of an example."""
    return len(example.inputs if stack == "encoder" else example.targets)


def until(place: Place, stack: str, *, continues: bool) -> Place:
    """The same place in a text that ends there; for an encoder the place itself.

    Args:
        place: Anywhere.
        stack: Whose position it is.
        continues: Whether the model is decoder-only: at position p it has read p + 1 tokens; an
            encoder-decoder's decoder has read p tokens of the target, and its end is never read.
    """
    if stack == "encoder":
        return place
    kept = place.example.targets[: place.position + 1]
    return Place(dataclasses.replace(place.example, targets=kept), place.position)


def draw(examples: Iterable[Example], stack: str, number: int, seed: int = 0) -> list[Place]:
    """Positions drawn at random out of a corpus, each with the same chance, in one pass.

    Memory depends on `number` alone. Which ones are drawn is told by the seed and by the places of
    text and position in the corpus.

    Args:
        examples: The corpus.
        stack: Whose positions.
        number: How many; all of a corpus that has fewer.
        seed: Another one draws others.

    Raises:
        UserError: The corpus has no position.
    """
    kept: list[tuple[int, int, int, Place]] = []
    for text, example in enumerate(examples):
        for position, key in enumerate(_keys(seed, text, positions(example, stack)).tolist()):
            entry = (-key, text, position, Place(example, position))
            if len(kept) < number:
                heapq.heappush(kept, entry)
            elif entry > kept[0]:
                heapq.heapreplace(kept, entry)
    if not kept:
        raise UserError(f"the corpus has no text that the {stack} reads; give a longer one")
    return [entry[-1] for entry in sorted(kept, key=lambda entry: entry[1:3])]


def _keys(seed: int, text: int, number: int) -> np.ndarray:
    """A random number for each position of a text, whatever was drawn before: uint64 [number]."""
    with np.errstate(over="ignore"):
        x = np.arange(number, dtype=np.uint64) + np.uint64((text << 20) & (2**64 - 1))
        x = (x + np.uint64(seed * _SEED & (2**64 - 1)) + np.uint64(1)) * np.uint64(_SEED)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        return (x ^ (x >> np.uint64(31))) >> np.uint64(1)


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a model has at some places; all arrays are on the device.

    Attributes:
        number: Which places, int [rows]; -1 for rows that only fill up.
        layers: Site of a layer -> [layers, rows, width].
        normed: The output of the last norm [rows, emb]; None where it was not asked for.
    """

    number: np.ndarray
    layers: dict[str, jax.Array]
    normed: jax.Array | None


def see(
    model: LoadedModel,
    places: Sequence[Place],
    stack: str,
    sites: Sequence[str] = (SITE,),
    *,
    normed: bool = False,
) -> Iterator[Seen]:
    """Reads the places in batches of like lengths, each once, in no order.

    Args:
        model: The model.
        places: Each is read up to its end, see `until`.
        stack: Whose positions they are.
        sites: Sites of a layer, such as "mlp.coefficients".
        normed: Whether the last norm's output is wanted.
    """
    continues = model.config.continues_prompt
    own = [until(place, stack, continues=continues) for place in places]
    where = np.array([place.position for place in own], np.int32)
    params = unboxed(model.params)
    for batch in batches(model.module, (place.example for place in own), (stack,)):
        position = np.where(batch.number >= 0, where[batch.number], 0)
        layers, last = _seen(
            model.module, stack, tuple(sites), normed, params, batch.inputs, batch.read, position
        )
        yield Seen(batch.number, layers, last)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _seen(
    module: Network,
    stack: str,
    sites: tuple[str, ...],
    normed: bool,
    params: Params,
    inputs: jax.Array,
    read: jax.Array,
    position: jax.Array,
) -> tuple[dict[str, jax.Array], jax.Array | None]:
    wanted = [f"{stack}.*.{site}" for site in sites]
    taps = Taps(record=(*wanted, f"{stack}.{NORMED}") if normed else tuple(wanted))
    if module.config.continues_prompt:
        _, records = module.apply({"params": params}, read, taps=taps)
    elif stack == "decoder":
        _, records = module.apply({"params": params}, inputs, read, taps=taps)
    else:
        _, records = module.apply({"params": params}, inputs, taps=taps, method="encode")

    def at(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, position[:, None, None], axis=1)[:, 0]

    layers = range(module.config.stacks[stack].layers)
    found = {
        site: jnp.stack([at(records[f"{stack}.{layer}.{site}"]) for layer in layers])
        for site in sites
    }
    return found, at(records[f"{stack}.{NORMED}"]) if normed else None
