"""Keys and values of prompts at a layer: what `mlp/wo` reads and writes at the subject's end."""

import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.editing.places import Place
from closedbook.knowledge.editing.rows import Batch, acts_at, forward
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.families import Network
from closedbook.models.parameters import Params
from closedbook.models.taps import Taps


@functools.partial(jax.jit, static_argnames=("module", "sites"))
def recorded(
    module: Network, params: Params, batch: Batch, sites: tuple[str, ...]
) -> Mapping[str, jax.Array]:
    """Activations [rows, length, width] of some sites in a pass over the batch."""
    return forward(module, params, batch, Taps(record=sites))[1]


def at_places(
    model: LoadedModel, params: Params, batch: Batch, places: Sequence[Place], count: int
) -> dict[Place, tuple[np.ndarray, np.ndarray]]:
    """Keys [count, mlp] and values [count, emb] of the first rows at each place, float64.

    Args:
        model: The model.
        params: Its parameters, or edited ones.
        batch: The prompts.
        places: All of one stack.
        count: How many rows are prompts; the others are padding or to be kept.
    """
    sites = tuple(site for place in places for site in (place.key_site, place.value_site))
    found = recorded(model.module, params, batch, sites)
    rows = jnp.arange(count)
    chosen = acts_at(places[0], batch)[:count]

    def picked(site: str) -> np.ndarray:
        return np.asarray(found[site][rows, chosen], np.float64)

    return {place: (picked(place.key_site), picked(place.value_site)) for place in places}
