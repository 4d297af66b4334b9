"""Positions without parameters: rotary ones of queries and keys, sinusoidal ones of inputs."""

import functools
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.models.decoder_only.config import DecoderOnlyConfig

Rotation: TypeAlias = tuple[jax.Array, jax.Array]  # cosines and sines [batch, 1, length, half]


@functools.lru_cache(maxsize=16)
def frequencies(config: DecoderOnlyConfig) -> np.ndarray:
    """Radians per position of each pair of numbers of a head, float32 [head_dim / 2].

    theta ** (-2 i / head_dim) (Su et al. 2021), those of long waves lowered as in Llama 3.1
    where `rope_factor` is not 1.
    """
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / config.head_dim
    plain = (1.0 / np.float32(config.rope_theta) ** exponents).astype(np.float32)
    if config.rope_factor == 1.0:
        return plain
    waves = config.rope_original_positions * plain / (2 * np.pi)  # in the original positions
    kept = np.clip((waves - config.rope_low) / (config.rope_high - config.rope_low), 0.0, 1.0)
    return (plain * (kept + (1 - kept) / config.rope_factor)).astype(np.float32)


def rotation(config: DecoderOnlyConfig, positions: jax.Array) -> Rotation:
    """Cosines and sines of the angles at positions, int32 [batch, length]."""
    angles = positions[:, None, :, None].astype(jnp.float32) * frequencies(config)
    return jnp.cos(angles), jnp.sin(angles)


def rotated(x: jax.Array, turn: Rotation) -> jax.Array:
    """Queries or keys [batch, heads, length, head_dim], turned to their positions.

    Number i of a head is paired with number i + head_dim / 2, as in Hugging Face's Llama.
    """
    cosine, sine = turn
    first, second = jnp.split(x.astype(cosine.dtype), 2, axis=-1)
    halves = (first * cosine - second * sine, second * cosine + first * sine)
    return jnp.concatenate(halves, axis=-1).astype(x.dtype)


def sinusoids(positions: jax.Array, width: int) -> jax.Array:
    """Vectors float32 [batch, length, width] of positions [batch, length].

    Sines in the first half and cosines in the second, of wavelengths from 2 pi to 20,000 pi
    (Vaswani et al. 2017, section 3.5, with the halves of tensor2tensor and fairseq).
    """
    half = width // 2
    steps = np.log(10000.0) / max(half - 1, 1)
    angles = positions[..., None].astype(jnp.float32) * np.exp(-steps * np.arange(half)).astype(
        np.float32
    )
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
