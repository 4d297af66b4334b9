"""Decoding speed: cached greedy and beam search against a loop without a cache.

    python benchmarks/decoding.py [--rounds 5] [--layers 6]

A random model of T5-small's shape answers 64 questions of 32 tokens with 16 tokens each. No answer
ends early, so all ways do the same number of steps. The uncached loop is what a first
implementation does: the decoder runs over the whole answer for every token. Rounds of all ways
are interleaved, so that a busy machine slows them alike; medians are printed.
"""

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from closedbook.inference import DecodeSettings, decode
from closedbook.models import T5, T5Config, size

ROWS, INPUTS, OUTPUTS = 64, 32, 16


def uncached(config: T5Config, params: Any, inputs: jax.Array) -> jax.Array:
    """Greedy decoding that runs the decoder over all positions for every token."""
    model, variables = T5(config), {"params": params}
    encoded, _ = model.apply(variables, inputs, method="encode")

    def step(index: jax.Array, tokens: jax.Array) -> jax.Array:
        shifted = jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)))
        logits, _ = model.apply(variables, encoded, inputs, shifted, method="decode")
        best = jnp.argmax(logits[:, index], axis=-1)
        return tokens.at[:, index].set(best)

    return jax.lax.fori_loop(0, OUTPUTS, step, jnp.zeros((ROWS, OUTPUTS), jnp.int32))


def endless(config: T5Config, inputs: np.ndarray) -> Any:
    """Random parameters with which no answer ends: EOS's logit is 0, the largest is far above."""
    params = nn.meta.unbox(jax.jit(T5(config).init)(jax.random.key(0), inputs, inputs)["params"])
    embedding = params["token_embedder"]["embedding"]
    params["token_embedder"]["embedding"] = embedding.at[1].set(0.0)
    return params


def main() -> None:
    """Prints one line per way: compile time, median time, tokens per second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each way")
    parser.add_argument("--layers", type=int, default=6, help="layers of each stack")
    options = parser.parse_args()
    config = dataclasses.replace(
        size("t5_small"), num_encoder_layers=options.layers, num_decoder_layers=options.layers
    )
    inputs = np.random.default_rng(0).integers(2, 32000, (ROWS, INPUTS)).astype(np.int32)
    params = endless(config, inputs)
    beams = DecodeSettings(method="beam", num_beams=4, max_decode_length=OUTPUTS)
    greedy = DecodeSettings(max_decode_length=OUTPUTS)
    ways: dict[str, Callable] = {
        "greedy, no cache": functools.partial(uncached, config),
        "greedy": functools.partial(decode, T5(config), greedy),
        "4 beams": functools.partial(decode, T5(config), beams),
    }
    programs, compile_seconds = {}, {}
    for name, way in ways.items():
        start = time.perf_counter()
        programs[name] = jax.jit(way).lower(params, inputs).compile()
        compile_seconds[name] = time.perf_counter() - start
        print(f"compiled {name} in {compile_seconds[name]:.1f} s", flush=True)
        result = jax.block_until_ready(programs[name](params, inputs))  # first run warms up
        tokens = np.asarray(getattr(result, "tokens", result)).reshape(ROWS, -1, OUTPUTS)[:, 0]
        assert not (tokens == 1).any(), "an answer ended early, so the ways would not compare"
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program(params, inputs))
            seconds[name].append(time.perf_counter() - start)
        print("round:", {name: round(times[-1], 3) for name, times in seconds.items()}, flush=True)
    print(f"{'way':18} {'compile s':>9} {'median s':>9} {'fastest s':>9} {'tokens/s':>9}")
    for name, times in seconds.items():
        median = statistics.median(times)
        rate = ROWS * OUTPUTS / median
        print(f"{name:18} {compile_seconds[name]:9.1f} {median:9.3f} {min(times):9.3f} {rate:9.0f}")


if __name__ == "__main__":
    main()
