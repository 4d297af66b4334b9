"""Time of a train step by number types, beside Hugging Face's T5 on the same shapes.

    python benchmarks/training.py [--rounds 7] [--layers 8] [--peers] [--out training.json]

A random T5.1.1-small (or with other numbers of layers) takes steps of 64 rows of 32 + 16 tokens
without padding: forward and backward pass with dropout 0.1, and Adafactor. Rounds of all ways are
interleaved, so that a busy machine slows them alike; medians of processor seconds (all threads)
are printed, and medians of the ratios within a round. `--peers` adds transformers with torch in
float32 and in bfloat16 by autocast (the extra `interop`), with its own Adafactor.
"""

import argparse
import dataclasses
import datetime
import json
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from closedbook.models import T5, T5Config, precision, size
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.schedules import constant
from closedbook.training.state import TrainState
from closedbook.training.step import make_train_step

ROWS, INPUTS, OUTPUTS = 64, 32, 16
Step = Callable[[], None]


@dataclasses.dataclass(frozen=True)
class _NoVocabulary:
    """What a model needs of a vocabulary where batches are random numbers."""

    vocab_size: int = 32_100
    path: str = "none"


def ours(config: T5Config, batch: dict[str, np.ndarray]) -> Step:
    """A step of ours, compiled; each call goes on from the state of the last."""
    model = EncoderDecoderModel(
        module=T5(config),
        vocabulary=_NoVocabulary(),  # type: ignore[arg-type]
        optimizer=adafactor(),
    )

    @jax.jit
    def begin(key: jax.Array) -> TrainState:
        params = model.init_unboxed(key)
        return TrainState(jax.numpy.zeros((), np.int32), params, model.optimizer.init(params))

    step = jax.jit(make_train_step(model, constant(0.001)), donate_argnums=0)
    state, key = begin(jax.random.key(0)), jax.random.key(1)

    def take() -> None:
        nonlocal state
        state, sums = step(state, batch, key)
        jax.block_until_ready(sums)

    take()
    return take


def theirs(config: T5Config, batch: dict[str, np.ndarray], *, autocast: bool) -> Step:
    """A step of transformers' T5 of the same shape, eager."""
    import torch
    from transformers import T5Config as TheirConfig
    from transformers import T5ForConditionalGeneration
    from transformers.optimization import Adafactor

    model = T5ForConditionalGeneration(
        TheirConfig(
            vocab_size=config.vocab_size,
            d_model=config.emb_dim,
            d_kv=config.head_dim,
            d_ff=config.mlp_dim,
            num_layers=config.num_encoder_layers,
            num_decoder_layers=config.num_decoder_layers,
            num_heads=config.num_heads,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            dropout_rate=config.dropout_rate,
            decoder_start_token_id=0,
        )
    ).train()
    optimizer = Adafactor(
        model.parameters(), lr=0.001, scale_parameter=True, relative_step=False, warmup_init=False
    )
    inputs = torch.tensor(batch["encoder_input_tokens"], dtype=torch.long)
    labels = torch.tensor(batch["decoder_target_tokens"], dtype=torch.long)

    def take() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    take()
    return take


def main() -> None:
    """Prints a line per way: processor seconds of a step, and the ratio to float32 of ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each way")
    parser.add_argument("--layers", type=int, default=8, help="layers of each stack")
    parser.add_argument("--peers", action="store_true", help="transformers with torch as well")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the figures")
    options = parser.parse_args()
    base = dataclasses.replace(
        size("t5_1_1_small"),
        num_encoder_layers=options.layers,
        num_decoder_layers=options.layers,
        dropout_rate=0.1,
    )
    rng = np.random.default_rng(0)
    targets = rng.integers(3, 32_000, (ROWS, OUTPUTS)).astype(np.int32)
    batch = {
        "encoder_input_tokens": rng.integers(3, 32_000, (ROWS, INPUTS)).astype(np.int32),
        "decoder_input_tokens": np.pad(targets[:, :-1], ((0, 0), (1, 0))),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": np.ones_like(targets),
    }
    ways: dict[str, Callable[[], Step]] = {}
    for scanned in (False, True):
        for dtype in precision.DTYPES if not scanned else ("float32",):
            config = dataclasses.replace(base, dtype=dtype, scan_layers=scanned)
            ways[f"{dtype}{', scanned' if scanned else ''}"] = lambda c=config: ours(c, batch)
    if options.peers:
        ways["transformers, float32"] = lambda: theirs(base, batch, autocast=False)
        ways["transformers, autocast"] = lambda: theirs(base, batch, autocast=True)
    steps: dict[str, Step] = {}
    for name, make in ways.items():
        began = time.monotonic()
        steps[name] = make()
        print(f"{name}: ready after {time.monotonic() - began:.0f} s", flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, take in steps.items():
            began = time.process_time()
            take()
            seconds[name].append(time.process_time() - began)
    rows = _table(seconds)
    if options.out:
        options.out.write_text(json.dumps(_record(options, rows), indent=1) + "\n")


def _table(seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    base = seconds["float32"]
    rows = []
    for name, taken in seconds.items():
        ratios = [one / other for one, other in zip(base, taken, strict=True)]
        row = {
            "way": name,
            "processor_seconds": statistics.median(taken),
            "speed_beside_float32": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        }
        rows.append(row)
        print(
            f"{name:24} {row['processor_seconds']:7.2f} s  "
            f"{row['speed_beside_float32']:.2f}x [{row['least']:.2f}, {row['most']:.2f}]"
        )
    return rows


def _record(options: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    features = sorted(
        precision.processor_features() & {"avx2", "avx512f", *precision.FAST_PRODUCTS}
    )
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "features": features,
        "jax": jax.__version__,
        "rows": ROWS,
        "tokens": [INPUTS, OUTPUTS],
        "layers": options.layers,
        "rounds": options.rounds,
        "ways": rows,
    }


if __name__ == "__main__":
    main()
