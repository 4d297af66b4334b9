"""What each layer predicts at positions of a corpus, and what becomes of it further on.

At a position the residual stream r, the feed-forward unit's output y and their sum o each predict
the token with the highest score (section 5). The model's output is what the last layer's stream
predicts through the last norm. Each number is there for both projections of `readout`.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses.places import AFTER, UPDATE, Place, see
from closedbook.knowledge.memories.analyses.readout import Readout
from closedbook.knowledge.memories.cells import SITE, Cells
from closedbook.knowledge.memories.values import READINGS, Reading, Values
from closedbook.knowledge.progress import Count, silent

STACK = "decoder"
THRESHOLDS = (0.001, 0.01, 0.1)  # of the largest |m||v| of a layer at a position
ACTIVE = 0.01  # the threshold of a memory that counts as active, where units are no ReLU
_SCORES = 1 << 24  # scores held at once: 64 MiB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activity:
    """How many memories are active at positions; arrays begin with [positions, layers].

    Attributes:
        active: Share of the layer's memories whose coefficient is above 0 (ReLU).
        strong: Share whose |m||v| is above each of THRESHOLDS, [positions, layers, thresholds].
    """

    active: np.ndarray
    strong: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions(Activity):
    """What was read at positions, beside how active memories are.

    Attributes:
        output: The model's own prediction, int [positions].
        residual: Reading -> tokens that r predicts, int.
        update: Reading -> tokens that y predicts, int.
        after: Reading -> tokens that o predicts, int.
        probability: Reading -> of the model's prediction under the softmax of r's scores.
        new_to_all: Reading -> whether no memory of the layer promotes y's token first.
        new_to_active: Reading -> whether no active memory does.
    """

    output: np.ndarray
    residual: Mapping[Reading, np.ndarray]
    update: Mapping[Reading, np.ndarray]
    after: Mapping[Reading, np.ndarray]
    probability: Mapping[Reading, np.ndarray]
    new_to_all: Mapping[Reading, np.ndarray]
    new_to_active: Mapping[Reading, np.ndarray]


def activity(
    model: LoadedModel,
    cells: Cells,
    places: Sequence[Place],
    progress: Count = silent,
) -> Activity:
    """Reads how many memories of a stack are active at the places.

    Args:
        model: The model.
        cells: Of the stack.
        places: Positions of the stack.
        progress: Is told how many are done.
    """
    norms = jnp.asarray(Values(model, cells.stack, "raw").norms)
    found: dict[str, np.ndarray] = {}
    done = 0
    for seen in see(model, places, cells.stack):
        for layer in range(cells.layers):
            told = _activity(seen.layers[SITE][layer], norms[layer])
            _keep(found, len(places), seen.number, told, (layer, cells.layers))
        done += int((seen.number >= 0).sum())
        progress(done)
    return Activity(**found)


def predictions(
    model: LoadedModel,
    cells: Cells,
    places: Sequence[Place],
    tops: Mapping[Reading, np.ndarray],
    progress: Count = silent,
) -> Predictions:
    """Reads what the decoder's layers predict at the places.

    Args:
        model: The model.
        cells: Of its decoder.
        places: Positions of the decoder.
        tops: What values promote first: of `agreement.tops`.
        progress: Is told how many are done.
    """
    readout, relu = Readout.of(model), len(cells.signs) == 1
    norms = jnp.asarray(Values(model, STACK, "raw").norms)
    memories = [
        _Memories(norms[layer], {name: jnp.asarray(each[layer]) for name, each in tops.items()})
        for layer in range(cells.layers)
    ]
    found: dict[str, np.ndarray] = {}
    rows = max(1, _SCORES // readout.matrix.shape[1])
    done = 0
    for seen in see(model, places, STACK, (SITE, UPDATE, AFTER), normed=True):
        assert seen.normed is not None
        for first in range(0, len(seen.number), rows):
            part = slice(first, first + rows)
            own = seen.number[part]
            output = _best(readout, seen.normed[part])
            _keep(found, len(places), own, {"output": output})
            for layer in range(cells.layers):
                arrays = [seen.layers[site][layer, part] for site in (SITE, UPDATE, AFTER)]
                told = _layer(readout, memories[layer], relu, *arrays, output)
                _keep(found, len(places), own, told, (layer, cells.layers))
        done += int((seen.number >= 0).sum())
        progress(done)
    by_reading = {
        name: {reading: found[f"{name} {reading}"] for reading in READINGS}
        for name in ("residual", "update", "after", "probability", "new_to_all", "new_to_active")
    }
    return Predictions(
        output=found["output"], active=found["active"], strong=found["strong"], **by_reading
    )


class _Memories(flax.struct.PyTreeNode):
    """What is known of a layer's memories before any text is read.

    Attributes:
        norms: |v|, [cells].
        tops: Reading -> the tokens that v and -v promote first, int32 [2, cells].
    """

    norms: jax.Array
    tops: dict[Reading, jax.Array]


@jax.jit
def _best(readout: Readout, normed: jax.Array) -> jax.Array:
    return readout.of_normed(normed).argmax(-1)


@functools.partial(jax.jit, static_argnums=2)
def _layer(
    readout: Readout,
    memories: _Memories,
    relu: bool,
    coefficients: jax.Array,
    update: jax.Array,
    after: jax.Array,
    output: jax.Array,
) -> dict[str, jax.Array]:
    """What `Predictions` has of one layer; arrays [rows, cells] and [rows, emb]."""
    active = coefficients > 0 if relu else _sizes(coefficients, memories.norms) > ACTIVE
    told = _activity(coefficients, memories.norms)
    residual = after - update
    for reading in READINGS:
        of_residual, of_update = (readout.of_value(x, reading) for x in (residual, update))
        stream = readout.of_stream(residual, of_residual, reading)
        whole = readout.of_stream(after, of_residual + of_update, reading)
        top = of_update.argmax(-1)
        mine = jnp.where(coefficients < 0, memories.tops[reading][1], memories.tops[reading][0])
        same = mine == top[:, None]
        own = jnp.take_along_axis(stream, output[:, None], axis=-1)[:, 0]
        told |= {
            f"residual {reading}": stream.argmax(-1),
            f"update {reading}": top,
            f"after {reading}": whole.argmax(-1),
            f"probability {reading}": jnp.exp(own - jax.nn.logsumexp(stream, axis=-1)),
            f"new_to_all {reading}": ~same.any(-1),
            f"new_to_active {reading}": ~(same & active).any(-1),
        }
    return told


@jax.jit
def _activity(coefficients: jax.Array, norms: jax.Array) -> dict[str, jax.Array]:
    sizes = _sizes(coefficients, norms)
    return {
        "active": (coefficients > 0).mean(-1),
        "strong": jnp.stack([(sizes > each).mean(-1) for each in THRESHOLDS], axis=-1),
    }


def _sizes(coefficients: jax.Array, norms: jax.Array) -> jax.Array:
    """|m||v| as a share of the largest of its position, [rows, cells]."""
    sizes = jnp.abs(coefficients) * norms
    return sizes / jnp.maximum(sizes.max(-1, keepdims=True), jnp.finfo(sizes.dtype).tiny)


def _keep(
    found: dict[str, np.ndarray],
    number: int,
    own: np.ndarray,
    told: Mapping[str, jax.Array],
    layer: tuple[int, int] | None = None,
) -> None:
    """Writes rows into arrays [places, ...] or, with (layer, layers), [places, layers, ...]."""
    real = own >= 0
    for name, value in told.items():
        rows = np.asarray(value)[real]
        if name not in found:
            axis = () if layer is None else (layer[1],)
            found[name] = np.zeros((number, *axis, *rows.shape[1:]), rows.dtype)
        if layer is None:
            found[name][own[real]] = rows
        else:
            found[name][own[real], layer[0]] = rows
