"""The coefficients of all memories of a stack, by taps: how strongly each key answers.

In a layer FF(x) = f(x K^T) V the coefficient of memory i is f(x . k_i); in a gated layer it is the
product f(x . k_i) (x . g_i), which may be negative (Geva et al. 2021, section 2; Shazeer 2020).
"""

from collections.abc import Sequence

import jax

from closedbook.knowledge.memories.cells import SITE
from closedbook.models.families import Network
from closedbook.models.parameters import Params
from closedbook.models.sites import Site
from closedbook.models.taps import Taps


def coefficients(
    module: Network, params: Params, inputs: jax.Array, read: jax.Array, stacks: Sequence[str]
) -> dict[str, list[jax.Array]]:
    """Stack -> its layers' coefficients, each [batch, length, cells]; to be called inside a jit.

    Logits are not asked for, so that a compiled program leaves the output matrix out.

    Args:
        module: The network.
        params: Its parameters.
        inputs: int32 [batch, inputs] for an encoder; not looked at without one.
        read: int32 [batch, length] that the decoder reads; not looked at for the encoder alone.
        stacks: Which stacks are looked at.
    """
    taps = Taps(record=tuple(f"{stack}.*.{SITE}" for stack in stacks))
    if module.config.continues_prompt:
        _, records = module.apply({"params": params}, read, taps=taps)
    elif "decoder" in stacks:
        _, records = module.apply({"params": params}, inputs, read, taps=taps)
    else:
        _, records = module.apply({"params": params}, inputs, taps=taps, method="encode")
    return {
        stack: [
            records[Site(stack, layer, SITE).name]
            for layer in range(module.config.stacks[stack].layers)
        ]
        for stack in stacks
    }
