"""What an encoder's layers hold, as its decoder reads them: DecoderLens (Langedijk et al. 2023).

An encoder predicts no tokens. So the decoder attends to the encoder's residual stream after each
layer, normalised as the last one is, in place of the encoder's output; its prediction at a position
of the target is compared with the model's own, as the paper's figures 9 and 10 compare those of a
decoder's layers.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses.places import AFTER, NORMED, Place, until
from closedbook.knowledge.memories.analyses.readout import Readout, shrunk
from closedbook.knowledge.memories.batches import batches
from closedbook.knowledge.progress import Count, silent
from closedbook.models.parameters import Params, unboxed
from closedbook.models.taps import Taps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lens:
    """What the decoder makes of each encoder layer.

    Attributes:
        output: The model's own prediction, int [positions].
        top: The prediction with each layer in the output's place, int [positions, layers].
        probability: That of the model's prediction there, [positions, layers].
    """

    output: np.ndarray
    top: np.ndarray
    probability: np.ndarray


def look(
    model: LoadedModel,
    places: Sequence[Place],
    progress: Count = silent,
) -> Lens:
    """Reads all encoder layers at positions of the decoder.

    Args:
        model: An encoder-decoder.
        places: Positions of its decoder.
        progress: Is told how many are done.

    Raises:
        UserError: The model has no encoder.
    """
    if "encoder" not in model.config.stacks:
        raise UserError(f"a {model.config.title} has no encoder to look at")
    layers, module = model.config.stacks["encoder"].layers, model.module
    own = [until(place, "decoder", continues=False) for place in places]
    where = np.array([place.position for place in own], np.int32)
    found = Lens(
        output=np.zeros(len(own), np.int32),
        top=np.zeros((len(own), layers), np.int32),
        probability=np.zeros((len(own), layers), np.float32),
    )
    readout, params = Readout.of(model), unboxed(model.params)

    @jax.jit
    def decoded(
        readout: Readout, params: Params, inputs: jax.Array, read: jax.Array, position: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        record = tuple(f"encoder.{layer}.{AFTER}" for layer in range(layers))
        variables = {"params": params}
        encoded, records = module.apply(
            variables, inputs, taps=Taps(record=record), method="encode"
        )
        scale = params["encoder"]["encoder_norm"]["scale"]
        states = [
            records[name] * shrunk(records[name], model.config.norm_epsilon) * scale
            for name in record
        ]

        def scores(state: jax.Array) -> jax.Array:
            last = f"decoder.{NORMED}"
            taps = Taps(record=(last,))
            _, seen = module.apply(variables, state, inputs, read, taps=taps, method="decode")
            at = jnp.take_along_axis(seen[last], position[:, None, None], axis=1)[:, 0]
            return readout.of_normed(at)

        output = scores(encoded).argmax(-1)

        def told(state: jax.Array) -> tuple[jax.Array, jax.Array]:
            each = scores(state)
            own = jnp.take_along_axis(each, output[:, None], axis=-1)[:, 0]
            return each.argmax(-1), jnp.exp(own - jax.nn.logsumexp(each, axis=-1))

        top, probability = jax.lax.map(told, jnp.stack(states))
        return output, top.T, probability.T

    done = 0
    for batch in batches(module, (place.example for place in own), ("decoder",)):
        real = batch.number >= 0
        position = np.where(real, where[batch.number], 0)
        parts = decoded(readout, params, batch.inputs, batch.read, position)
        for array, part in zip((found.output, found.top, found.probability), parts, strict=True):
            array[batch.number[real]] = np.asarray(part)[real]
        done += int(real.sum())
        progress(done)
    return found
