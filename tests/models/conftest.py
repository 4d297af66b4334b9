"""One tiny T5 for all tests of the network, scanned and unrolled with the same parameters."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.models import T5, T5Config

CONFIG = T5Config(
    vocab_size=20,
    emb_dim=16,
    num_heads=2,
    num_encoder_layers=2,
    num_decoder_layers=2,
    head_dim=8,
    mlp_dim=32,
    mlp_activations=("gelu", "linear"),
    logits_via_embedding=False,
    dropout_rate=0.5,
)


def stacked(params: Any) -> Any:
    """`layers_i` of both stacks as one entry `layers` with the layer on axis 1."""

    def stack(side: Any) -> Any:
        names = sorted(name for name in side if name.startswith("layers_"))
        layers = jax.tree.map(lambda *x: jnp.stack(x, axis=1), *(side[name] for name in names))
        return {k: v for k, v in side.items() if k not in names} | {"layers": layers}

    return params | {side: stack(params[side]) for side in ("encoder", "decoder")}


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A random model and a batch of three examples, the last shorter."""

    config: T5Config
    params: Any
    inputs: np.ndarray  # [3, 7]
    targets: np.ndarray  # [3, 5], decoder inputs

    @property
    def scanned(self) -> "Tiny":
        config = dataclasses.replace(self.config, scan_layers=True)
        return dataclasses.replace(self, config=config, params=stacked(self.params))

    def with_config(self, **changes: Any) -> "Tiny":
        return dataclasses.replace(self, config=dataclasses.replace(self.config, **changes))

    def apply(self, params: Any, *, rngs: Any = None, **batch: Any) -> Any:
        """Logits, and records if there are taps; not compiled."""
        tokens = {"encoder_input_tokens": self.inputs, "decoder_input_tokens": self.targets}
        return T5(self.config).apply({"params": params}, **(tokens | batch), rngs=rngs)

    def __call__(self, **kwargs: Any) -> Any:
        """As `apply` with the model's own parameters, compiled; NumPy arrays."""
        run = jax.jit(self.apply, compiler_options=FAST)
        return jax.device_get(run(self.params, **kwargs))


# Compiling takes nearly all the time of these tests; without optimisation it takes half of it.
FAST: Any = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    random = np.random.default_rng(3)
    inputs = random.integers(2, 20, (3, 7)).astype(np.int32)
    targets = random.integers(2, 20, (3, 5)).astype(np.int32)
    inputs[2, 4:] = 0
    targets[:, 0] = 0
    variables = jax.jit(T5(CONFIG).init)(jax.random.key(0), inputs, targets)
    return Tiny(CONFIG, nn.meta.unbox(variables["params"]), inputs, targets)


@pytest.fixture(scope="session")
def stack_params():
    """The function that moves unrolled parameters into the scanned layout."""
    return stacked
