"""The families of models: by name, and from a configuration to its network."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import TypeAlias

import jax

from closedbook.errors import unknown_name
from closedbook.models import decoder_only, t5
from closedbook.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from closedbook.models.parameters import Params, unboxed
from closedbook.models.t5 import T5, T5Config

Config: TypeAlias = T5Config | DecoderOnlyConfig
Network: TypeAlias = T5 | DecoderOnly
FAMILIES: Mapping[str, type[Config]] = {kind.family: kind for kind in (T5Config, DecoderOnlyConfig)}


def family(name: str) -> type[Config]:
    """The configurations of the family of this name.

    Raises:
        UserError: There is none of this name.
    """
    if name not in FAMILIES:
        raise unknown_name("family of models", name, FAMILIES)
    return FAMILIES[name]


def network(config: Config) -> Network:
    """The network that a configuration describes, without parameters."""
    match config:
        case T5Config():
            return T5(config)
        case DecoderOnlyConfig():
            return DecoderOnly(config)


def differences(one: Config, other: Config) -> dict[str, tuple[object, object]]:
    """The settings in which two configurations are different models, with both values.

    Shapes of parameters need not differ with them: the same parameters, with another activation
    function, are another model.
    """
    if one.family != other.family:
        return {"family": (one.family, other.family)}
    ours, theirs = (dataclasses.asdict(each.canonical) for each in (one, other))
    return {name: (value, theirs[name]) for name, value in ours.items() if value != theirs[name]}


def parameter_count(config: Config) -> int:
    """Parameters of the network that a configuration describes, by arithmetic."""
    match config:
        case T5Config():
            return t5.parameter_count(config)
        case DecoderOnlyConfig():
            return decoder_only.parameter_count(config)


@functools.lru_cache(maxsize=16)
def abstract_parameters(config: Config) -> Params:
    """Shapes and types of a network's parameters, nested dicts; no memory is taken for them."""
    module = network(config)
    # The key and the tokens are abstract too, so that nothing is compiled for them.
    found = jax.eval_shape(lambda: module.init(jax.random.key(0), *module.example()))
    return unboxed(found["params"])
