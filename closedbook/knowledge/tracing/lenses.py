"""What a model would answer if it stopped at a layer: the logit lens and the DecoderLens.

The logit lens (nostalgebraist 2020) reads a state of the decoder with the last norm and the output
matrix. The DecoderLens (Langedijk et al. 2024, arXiv 2310.03686) lets the whole decoder attend to
the encoder's states after a layer, with the encoder's last norm, instead of the last ones.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.program import OUTPUT, Tracer, copies, log_probabilities
from closedbook.models import Patch, Taps
from closedbook.models.families import Network
from closedbook.models.parameters import Params

LENSES = ("logit", "decoder")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What a lens sees after each layer.

    Attributes:
        probability: Of the answer that is followed, float64 [layers].
        first: The likeliest first token of an answer, ids [layers].
        first_probability: Its probability, float64 [layers].
    """

    probability: np.ndarray
    first: np.ndarray
    first_probability: np.ndarray


def lenses(tracer: Tracer, case: Case) -> dict[str, Seen]:
    """What both lenses see of a fact; a model without an encoder has the logit lens alone."""
    none = np.zeros((1, 1, case.prompt.limit - case.prompt.first, tracer.config.emb_dim))
    fact = tracer.fact(case, none.astype(np.float32))
    found = _compiled(tracer.module)(tracer.params, *fact.arrays[:-1])
    shown = {name: found[name] for name in LENSES if name in found}
    return {
        name: Seen(
            probability=np.exp(np.asarray(log_prob, np.float64)),
            first=np.asarray(token),
            first_probability=np.asarray(probability, np.float64),
        )
        for name, (log_prob, token, probability) in shown.items()
    }


@functools.lru_cache(maxsize=16)
def _compiled(module: Network):
    return jax.jit(functools.partial(_lenses, module))


def _lenses(
    module: Network,
    params: Params,
    inputs: jax.Array,
    row: jax.Array,
    places: jax.Array,
    targets: jax.Array,
) -> dict[str, tuple[jax.Array, jax.Array, jax.Array]]:
    """Of each lens: log-probabilities [layers], first tokens [layers] and their probabilities."""
    stacks = module.config.stacks
    apply: Any = functools.partial(module.apply, {"params": params})
    states = Taps(record=tuple(f"{stack}.*.resid_post" for stack in stacks))

    def at_the_end(stack: str, records: dict[str, jax.Array]) -> dict[str, Any]:
        """Patches that put the states of each layer, one per row, after the last one."""
        layers = stacks[stack].layers
        each = jnp.concatenate([records[f"{stack}.{i}.resid_post"] for i in range(layers)])
        return {
            f"{stack}.embed": copies(layers),
            f"{stack}.{layers - 1}.resid_post": Patch(each),
        }

    def read(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        chosen = x[:, places]
        logits = apply(chosen[:, :1], method="logits")
        share = jax.nn.softmax(logits[:, 0], axis=-1)
        log_probs = log_probabilities(module, params, chosen, targets)
        return log_probs, share.argmax(-1), share.max(-1)

    if module.config.continues_prompt:
        _, records = apply(row, taps=states)
        taps = Taps(patches=at_the_end("decoder", records), record=(OUTPUT,))
        return {"logit": read(apply(row, taps=taps)[1][OUTPUT])}
    encoded, seen = apply(inputs, taps=states, method="encode")
    _, records = apply(encoded, inputs, row, taps=states, method="decode")
    taps = Taps(patches=at_the_end("decoder", records), record=(OUTPUT,))
    _, logit = apply(encoded, inputs, row, taps=taps, method="decode")
    taps = Taps(patches=at_the_end("encoder", seen))
    early, _ = apply(inputs, taps=taps, method="encode")
    layers = stacks["encoder"].layers
    taps = Taps(patches={"decoder.embed": copies(layers)}, record=(OUTPUT,))
    _, records = apply(early, inputs, row, taps=taps, method="decode")
    return {"logit": read(logit[OUTPUT]), "decoder": read(records[OUTPUT])}
