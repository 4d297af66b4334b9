"""Causal tracing in one program against a plain loop over cells, on this machine's CPU.

    python -m benchmarks.tracing --size tiny    # 6 layers of width 32, as tests/golden/rome
    python -m benchmarks.tracing --size gpt2    # 12 layers of width 768, 50,257 pieces

The plain loop has kmeng01/rome's batching: for each token and layer a forward pass of a clean row
and ten corrupted ones, with the logits of all places, operation by operation as PyTorch runs it.
The compiled loop is the same as one program for all cells, whose clean activations are recorded
once. `--rome DIR` also times that code's own loop, out of a copy of its repository, on a GPT-2 of
the same size. Everything is timed after it is compiled, by the processor time that it takes (all
threads), so that other work on the machine disturbs little. Operations are those that XLA counts.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.tracing import lanes
from closedbook.knowledge.tracing.kinds import Kind, kinds, window
from closedbook.knowledge.tracing.program import Fact, Tracer
from closedbook.knowledge.tracing.trace import restored
from closedbook.models import Patch, Taps, network
from closedbook.models.decoder_only import DecoderOnlyConfig, size

SAMPLES, WINDOW, SUBJECT = 10, 10, 2
# What kmeng01/rome's module imports for other things than the loop: drawing, data.
_NOT_TIMED = (
    *("matplotlib", "datasets", "dsets", "rome", "rome.tok_dataset"),
    *("util.globals", "util.runningstats"),
)
CONFIGS = {
    "tiny": DecoderOnlyConfig(
        vocab_size=400,
        emb_dim=32,
        num_heads=4,
        num_layers=6,
        head_dim=8,
        mlp_dim=128,
        max_positions=128,
        eos_id=0,
    ),
    "gpt2": size("gpt2"),
}


@dataclasses.dataclass(frozen=True)
class _Random:
    """What `Tracer` asks of a model, with random parameters."""

    config: DecoderOnlyConfig
    params: Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=CONFIGS, default="tiny")
    parser.add_argument("--cells", type=int, default=24, help="of the loop; scaled to all")
    parser.add_argument("--plain-cells", type=int, default=4, help="the same of the plain loop")
    parser.add_argument("--tokens", type=int, default=8, help="of the prompt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rome", help="a copy of kmeng01/rome, which needs torch")
    arguments = parser.parse_args()
    config = dataclasses.replace(CONFIGS[arguments.size], dropout_rate=0.0)
    module = network(config)
    tokens = arguments.tokens
    ids = np.arange(1, tokens + 1, dtype=np.int32)[None]
    params = jax.jit(module.init)(jax.random.key(0), ids)["params"]
    params = jax.tree.map(jnp.asarray, jax.device_get(_plain(params)))
    tracer = Tracer(_Random(config, params))  # type: ignore[arg-type]
    noise = np.zeros((1, SAMPLES, tokens, config.emb_dim), np.float32)
    drawn = np.random.RandomState(1).randn(SAMPLES, SUBJECT, config.emb_dim)
    noise[0, :, :SUBJECT] = 0.1 * drawn
    fact = Fact(
        inputs=np.zeros((1, 0), np.int32),
        row=ids,
        places=np.array([tokens - 1], np.int32),
        targets=np.array([7], np.int32),
        noise=noise,
    )
    print(
        f"{arguments.size}: {config.num_layers} layers of width {config.emb_dim}, {tokens} tokens"
    )
    print(
        "| restored | plain loop, s | compiled loop, s | one program, s | faster than plain "
        "| than compiled | operations, share of the loop's |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in kinds(config):
        print(_row(tracer, fact, kind, arguments), flush=True)
    if arguments.rome:
        for kind in kinds(config):
            seconds = _rome(arguments.rome, config, kind, tokens)
            print(f"kmeng01/rome's own loop, {kind.part}: {seconds:.2f} s", flush=True)


def _plain(params: Any) -> Any:
    from closedbook.models import unboxed

    return unboxed(params)


def _row(tracer: Tracer, fact: Fact, kind: Kind, arguments: argparse.Namespace) -> str:
    cells, repeats, tokens = arguments.cells, arguments.repeats, arguments.tokens
    layers = tracer.config.stacks["decoder"].layers
    all_cells = tokens * layers
    layout = restored(tracer, "decoder", [kind], tokens, SAMPLES, WINDOW, "code")
    slots = lanes.at(range(tokens), tokens, layers)
    rows = layout.rows(2 * layers)
    own = lanes.numbers(rows, tracer.scores(fact, layout, slots), range(1, len(layout.all)))
    own = own.reshape(tokens, layers)
    loop, flops = _loop(tracer, fact, kind)
    some = np.linspace(0, all_cells - 1, min(cells, all_cells)).astype(int)
    masks = [_where(kind, *divmod(int(cell), layers), layers, tokens) for cell in some]
    theirs = [float(loop(mask)) for mask in masks]  # compiles, and shows that both agree
    np.testing.assert_allclose(own.ravel()[some], theirs, atol=1e-5)
    slow = _seconds(lambda: [jax.block_until_ready(loop(mask)) for mask in masks], repeats)
    slow *= all_cells / len(some)
    fast = _seconds(lambda: tracer.scores(fact, layout, slots), repeats)
    eager, places = loop.func.__wrapped__, masks[: arguments.plain_cells]
    plain = _seconds(lambda: [jax.block_until_ready(eager(*loop.args, mask)) for mask in places], 2)
    plain *= all_cells / len(places)
    share = tracer.flops(fact, layout, slots) / (flops * all_cells)
    return (
        f"| {kind.name} | {plain:.2f} | {slow:.2f} | {fast:.3f} | {plain / fast:.0f}x "
        f"| {slow / fast:.1f}x | {share:.2f} |"
    )


def _where(kind: Kind, token: int, layer: int, layers: int, tokens: int) -> np.ndarray:
    found = np.zeros((layers, 1 + SAMPLES, tokens), bool)
    of = window(layer, WINDOW, layers, "code") if kind.windowed else range(layer, layer + 1)
    found[of.start : of.stop, 1:, token] = True
    return found


def _loop(tracer: Tracer, fact: Fact, kind: Kind) -> tuple[Any, float]:
    """One cell of the loop as a compiled function of its mask, and its operations."""
    glob = f"decoder.*.{kind.site}"
    module, rows = tracer.module, np.repeat(fact.row, 1 + SAMPLES, axis=0)
    _, seen = module.apply({"params": tracer.params}, fact.row, taps=Taps(record=(glob,)))
    clean = jnp.stack(list(seen.values()))  # [layers, 1, tokens, emb]
    noise = np.concatenate([np.zeros_like(fact.noise[0, :1]), fact.noise[0]])

    @jax.jit
    def score(params: Any, clean: jax.Array, noise: jax.Array, where: jax.Array) -> jax.Array:
        patches = {"decoder.embed": Patch(noise, mode="add"), glob: Patch(clean, where)}
        logits, _ = module.apply({"params": params}, rows, taps=Taps(patches=patches))
        # As rome: the model gives the logits of all places, and the last one's are looked at.
        logits = jax.lax.optimization_barrier(logits)
        return jax.nn.softmax(logits[1:, -1], axis=-1).mean(0)[fact.targets[0]]

    arguments = (tracer.params, clean, noise)
    lowered = score.lower(
        *arguments, _where(kind, 0, 0, clean.shape[0], fact.row.shape[1])
    ).compile()
    analysis: Any = lowered.cost_analysis()
    return functools.partial(score, *arguments), float(analysis["flops"])


def _rome(folder: str, config: DecoderOnlyConfig, kind: Kind, tokens: int) -> float:
    """The processor time of kmeng01/rome's loop over all cells, on a random GPT-2."""
    import sys
    import types

    import torch
    import transformers

    sys.path.insert(0, folder)
    for name in _NOT_TIMED:
        stand_in = types.ModuleType(name)
        stand_in.__getattr__ = lambda _: None  # type: ignore[method-assign]
        sys.modules.setdefault(name, stand_in)
    from experiments import causal_trace  # type: ignore[import-not-found]

    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_positions,
            n_embd=config.emb_dim,
            n_layer=config.num_layers,
            n_head=config.num_heads,
        )
    ).eval()
    ids = torch.arange(1, tokens + 1).repeat(1 + SAMPLES, 1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    common = (model, config.num_layers, inputs, (0, SUBJECT), torch.tensor(7))
    begin = time.process_time()
    if kind.windowed:
        part = {"attention": "attn"}.get(kind.part, kind.part)
        causal_trace.trace_important_window(*common, kind=part, window=WINDOW, noise=0.1)
    else:
        causal_trace.trace_important_states(*common, noise=0.1)
    return time.process_time() - begin


def _seconds(run: Callable[[], Any], repeats: int) -> float:
    """The least processor time of several runs."""
    found = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        found.append(time.process_time() - begin)
    return min(found)


if __name__ == "__main__":
    main()
