"""From a configuration to its network, whatever the family."""

import functools

import jax

from closedbook.models.parameters import Params, unboxed
from closedbook.models.t5 import T5, T5Config

Config = T5Config
Network = T5
_NETWORKS: dict[type[Config], type[Network]] = {T5Config: T5}


def network(config: Config) -> Network:
    """The network that a configuration describes, without parameters."""
    return _NETWORKS[type(config)](config)


@functools.lru_cache(maxsize=16)
def abstract_parameters(config: Config) -> Params:
    """Shapes and types of a network's parameters, nested dicts; no memory is taken for them."""
    module = network(config)
    return unboxed(jax.eval_shape(module.init, jax.random.key(0), *module.example())["params"])
