"""Training and decoding on one GPU: MFU, peers, roofline. Needs no TensorFlow and no SeqIO.

    python -m benchmarks.gpu run --out gpu.jsonl [--cells train@t5_11b decode@t5_1_1_base ...]

Each cell is a process of its own, which has the whole device, and one JSON line; cells that are
done are kept. `train` takes real steps of 384 packs of 512 + 128 random tokens (196,608) of a
random model, with Adafactor, and gives MFU by the analytic count (three forward passes,
recomputation not counted). `peer` takes steps of 16 rows of 512 + 128 tokens beside transformers'
T5 under autocast to bfloat16, eager and compiled, rounds interleaved. `decode` answers 64
questions of 32 tokens with 16 tokens, greedily, beside `generate`; its roofline is the time in
which the device's memory gives the decoder's parameters once a token. Settings of memory are
those that `t5x precompile --fit` finds for an H200. A result of another device than a GPU says so
in its line and shows nothing of GPUs.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.inference import DecodeSettings, decode
from closedbook.models import T5, T5Config, size
from closedbook.parallel import Partitioner
from closedbook.parallel.devices import device_kind
from closedbook.training import programs, report
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.settings import DatasetConfig, Trainer
from closedbook.training.state import fresh_state

LENGTHS = {"inputs": 512, "targets": 128}
# Rematerialisation and microbatches of 384 packs on one H200.
SETTINGS = {
    "tiny": ("none", 1),
    "t5_1_1_base": ("none", 4),
    "t5_base": ("none", 3),
    "t5_large": ("none", 8),
    "t5_3b": ("minimal", 6),
    "t5_11b": ("full", 64),
}
CELLS = [
    *(f"train@{name}" for name in ("t5_base", "t5_large", "t5_3b", "t5_11b")),
    *(f"peer@{name}" for name in ("t5_1_1_base", "t5_large")),
    *(f"decode@{name}" for name in ("t5_1_1_base", "t5_11b")),
]
_TINY = T5Config(
    emb_dim=32, num_heads=2, num_encoder_layers=2, num_decoder_layers=2, head_dim=16, mlp_dim=64
)


@dataclasses.dataclass(frozen=True)
class _NoVocabulary:
    """What a model needs of a vocabulary where batches are random numbers."""

    vocab_size: int = 32_100
    path: str = "none"
    eos_id: int = 1


def model_of(name: str, remat: str) -> EncoderDecoderModel:
    """A model of a size, in bfloat16 with float32 parameters, layers scanned."""
    config = dataclasses.replace(
        _TINY if name == "tiny" else size(name),
        dtype="bfloat16",
        dropout_rate=0.1,
        scan_layers=True,
        remat_policy=remat,
    )
    return EncoderDecoderModel(
        module=T5(config),
        vocabulary=_NoVocabulary(),  # type: ignore[arg-type]
        optimizer=adafactor(),
        loss_normalizing_factor="NUM_REAL_TARGET_TOKENS",
    )


def stepper(
    model: EncoderDecoderModel, rows: int, microbatches: int, *, packed: bool
) -> tuple[Callable[[], None], int]:
    """A train step that goes on from the state of the last, and its analytic FLOP."""
    cfg = DatasetConfig(
        mixture_or_task_name="random",
        split="train",
        task_feature_lengths=LENGTHS,
        batch_size=rows,
        pack=packed,
    )
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    rng = np.random.default_rng(0)
    batch: dict[str, Any] = {}
    with partitioner.activate():
        step = programs.train_step(model, partitioner, cfg, Trainer(num_microbatches=microbatches))
        for key, shape in programs.abstract_batch(model, cfg, partitioner).items():
            plain = np.ones(shape.shape, np.int32)
            length = shape.shape[1]
            if key.endswith("segment_ids"):  # eight examples a pack
                plain = np.tile(1 + 8 * np.arange(length) // length, (rows, 1))
            elif key.endswith("positions"):
                plain = np.tile(np.arange(length) % (length // 8), (rows, 1))
            elif key.endswith("tokens"):
                plain = rng.integers(2, 32_000, shape.shape)
            batch[key] = partitioner.put_rows(plain.astype(np.int32))
        state = fresh_state(model, partitioner, 0)
    key = jax.random.key(1)

    def take() -> None:
        nonlocal state
        with partitioner.activate():
            state, sums = step(state, batch, key)
        assert np.isfinite(float(sums["loss"]))

    return take, report.flops_of_step(model, cfg)


def train(name: str, rows: int, steps: int) -> dict[str, Any]:
    """Real steps: median seconds, MFU, peak memory."""
    remat, microbatches = SETTINGS[name]
    take, flops = stepper(model_of(name, remat), rows, microbatches, packed=True)
    began = time.perf_counter()
    take()
    compiled = time.perf_counter() - began
    seconds = _timed({"ours": take}, steps)["ours"]
    device = jax.devices()[0]
    kind = device_kind(device.device_kind)
    used = (device.memory_stats() or {}).get("peak_bytes_in_use")
    median = statistics.median(seconds)
    return {
        "seconds": seconds,
        "first_step_seconds": compiled,
        "tokens_per_second": rows * LENGTHS["inputs"] / median,
        "flops": flops,
        "mfu": None if kind is None else flops / median / kind.peak_flops,
        "peak_bytes": used,
        "remat_policy": remat,
        "microbatches": microbatches,
    }


def peer(name: str, rows: int, steps: int) -> dict[str, Any]:
    """Ours beside transformers', eager and compiled, rounds interleaved."""
    import torch

    ways = {"ours": stepper(model_of(name, "none"), rows, 1, packed=False)[0]}
    for way in ("transformers eager", "transformers compiled"):
        module = _theirs(model_of(name, "none").config).train()
        run = torch.compile(module) if way.endswith("compiled") else module
        ways[way] = _their_step(module, run, rows)
    for take in ways.values():
        take()
    seconds = _timed(ways, steps)
    ratios = {
        way: [theirs / own for own, theirs in zip(seconds["ours"], times, strict=True)]
        for way, times in seconds.items()
    }
    return {
        "seconds": seconds,
        "times_ours": {way: statistics.median(found) for way, found in ratios.items()},
    }


def answer(name: str, rows: int, steps: int) -> dict[str, Any]:
    """Greedy answers: ours, `generate` where the model is no 11B, and the memory's roofline."""
    model, tokens = model_of(name, "none"), 16
    inputs = np.random.default_rng(0).integers(2, 32_000, (rows, 32)).astype(np.int32)

    @jax.jit
    def begin(key: jax.Array) -> Any:
        params = model.init_unboxed(key)
        # No answer ends: the logit of EOS is 0 and the largest is far above.
        table = params["token_embedder"]["embedding"]
        params["token_embedder"]["embedding"] = table.at[1].set(0.0)
        return jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)

    params = begin(jax.random.key(0))
    settings = DecodeSettings(max_decode_length=tokens)
    program = jax.jit(lambda params, x: decode(model.module, settings, params, x))
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: jax.block_until_ready(program(params, inputs))
    }
    if name not in ("t5_11b", "tiny"):
        import torch

        module = _theirs(model.config).to(torch.bfloat16).eval()
        ids = torch.tensor(inputs, dtype=torch.long, device=module.device)
        ways["generate"] = lambda: module.generate(
            ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False
        ).cpu()
    for way in ways.values():
        way()
    seconds = _timed(ways, steps)
    read = 2 * sum(x.size for x in jax.tree.leaves(params["decoder"]))
    kind = device_kind(jax.devices()[0].device_kind)
    return {
        "seconds": seconds,
        "tokens_per_second": rows * tokens / statistics.median(seconds["ours"]),
        "roofline_tokens_per_second": None if kind is None else rows * kind.bandwidth / read,
    }


def _theirs(config: T5Config) -> Any:
    """transformers' T5 of a config's shape, random, on the device."""
    import torch
    from transformers import T5Config as TheirConfig
    from transformers import T5ForConditionalGeneration

    gated = len(config.mlp_activations) > 1
    return T5ForConditionalGeneration(
        TheirConfig(
            vocab_size=config.vocab_size,
            d_model=config.emb_dim,
            d_kv=config.head_dim,
            d_ff=config.mlp_dim,
            num_layers=config.num_encoder_layers,
            num_decoder_layers=config.num_decoder_layers,
            num_heads=config.num_heads,
            feed_forward_proj="gated-gelu" if gated else "relu",
            tie_word_embeddings=config.logits_via_embedding,
            dropout_rate=0.1,
            decoder_start_token_id=0,
        )
    ).to("cuda" if torch.cuda.is_available() else "cpu")


def _their_step(module: Any, run: Any, rows: int) -> Callable[[], None]:
    import torch
    from transformers.optimization import Adafactor

    optimizer = Adafactor(
        module.parameters(), lr=0.001, scale_parameter=True, relative_step=False, warmup_init=False
    )
    rng = np.random.default_rng(0)
    inputs, labels = (
        torch.tensor(rng.integers(2, 32_000, (rows, length)), device=module.device)
        for length in LENGTHS.values()
    )

    def take() -> None:
        with torch.autocast(module.device.type, dtype=torch.bfloat16):
            loss = run(input_ids=inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        assert np.isfinite(loss.item())  # waits for the device

    return take


def _timed(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, take in ways.items():
            began = time.perf_counter()
            take()
            seconds[way].append(round(time.perf_counter() - began, 5))
    return seconds


DEFAULT_ROWS = {"train": 384, "peer": 16, "decode": 64}


def cell(name: str, rows: int | None, steps: int) -> dict[str, Any]:
    """One cell, in this process."""
    what, model = name.split("@")
    rows = rows or DEFAULT_ROWS[what]
    found = {"train": train, "peer": peer, "decode": answer}[what](model, rows, steps)
    device = jax.devices()[0]
    head = {
        "cell": name,
        "date": f"{datetime.date.today()}",
        "device": device.device_kind,
        "platform": device.platform,
        "jax": jax.__version__,
        "rows": rows,
    }
    return head | found


def main() -> None:
    """Runs one cell, or all that are not done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("cell", help="one of them, printed as JSON")
    several = commands.add_parser("run", help="all that are not done yet, each in a process")
    one.add_argument("name", help=f"one of {', '.join(CELLS)}")
    one.add_argument("--rows", type=int, help="of a batch, in place of the cell's own")
    several.add_argument("--out", type=pathlib.Path, required=True, help="JSON lines, a cell each")
    several.add_argument("--cells", nargs="*", default=CELLS, help="only these; default: all")
    for command in (one, several):
        command.add_argument("--steps", type=int, default=20, help="that are timed (%(default)s)")
    given = parser.parse_args()
    if given.command == "cell":
        print(json.dumps(cell(given.name, given.rows, given.steps)))
        return
    done = given.out.read_text().splitlines() if given.out.exists() else []
    known = {json.loads(line)["cell"] for line in done}
    for name in given.cells:
        if name in known:
            continue
        alone = name.startswith("train") or name.endswith("11b")
        environment = os.environ | {
            "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "true" if alone else "false",  # torch needs some
        }
        command = [
            sys.executable,
            "-m",
            "benchmarks.gpu",
            "cell",
            name,
            "--steps",
            f"{given.steps}",
        ]
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if made.returncode:
            print(f"{name} failed: {made.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        line = made.stdout.splitlines()[-1]
        with given.out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line[:300], flush=True)


if __name__ == "__main__":
    main()
