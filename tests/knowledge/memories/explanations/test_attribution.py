"""Direct attribution adds up to the logits, in every family and layout."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.knowledge.memories.explanations.attribution import attribute, recorded
from closedbook.models import DecoderOnlyConfig, T5Config, Taps, network

_T5: dict[str, Any] = {
    "vocab_size": 20,
    "emb_dim": 16,
    "num_heads": 4,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
    "head_dim": 4,
    "mlp_dim": 24,
    "dropout_rate": 0.0,
}
_ONE: dict[str, Any] = {
    "vocab_size": 20,
    "emb_dim": 16,
    "num_heads": 4,
    "num_layers": 3,
    "head_dim": 4,
    "mlp_dim": 24,
    "max_positions": 12,
    "eos_id": 1,
    "dropout_rate": 0.0,
}
CONFIGS = {
    "t5_1.0": T5Config(**_T5),
    "t5_1.1": T5Config(**_T5, mlp_activations=("gelu", "linear"), logits_via_embedding=False),
    "gpt2": DecoderOnlyConfig(**_ONE),
    "llama": DecoderOnlyConfig(
        **_ONE,
        num_kv_heads=2,
        mlp_activations=("silu", "linear"),
        attention_bias=False,
        mlp_bias=False,
        norm="rms",
        positions="rotary",
        logits_via_embedding=False,
    ),
    # Shared heads with biases, positions by sines: parts that no published model has together.
    "relu_lm": DecoderOnlyConfig(
        **_ONE,
        num_kv_heads=2,
        mlp_activations=("relu",),
        positions="sinusoidal",
        embedding_scale=4.0,
    ),
}
_POSITIONS = np.array([[0, 4], [2, 3], [1, 4]])
_ANSWERS = np.array([[3, 7], [11, 2], [5, 19]])
_FAST: Any = {"xla_backend_optimization_level": 0}


@dataclasses.dataclass(frozen=True)
class Explained:
    """A model, a batch of three rows of which the last input is shorter, and its attribution."""

    config: Any
    params: Any
    logits: np.ndarray
    records: Any
    tokens: Any
    found: Any


def _weights(kind: str) -> np.ndarray:
    weights = np.eye(20, dtype=np.float32)[_ANSWERS]
    if kind == "difference":
        weights = weights - np.eye(20, dtype=np.float32)[4]
    return weights - 1 / 20 if kind == "above the mean" else weights


@functools.cache
def _explained(name: str, scanned: bool) -> Explained:
    config = dataclasses.replace(CONFIGS[name], scan_layers=scanned)
    module = network(config)
    random = np.random.default_rng(3)
    inputs = random.integers(2, 20, (3, 7)).astype(np.int32)
    inputs[2, 4:] = 0
    rows = random.integers(2, 20, (3, 5)).astype(np.int32)
    given = (rows,) if config.continues_prompt else (inputs, rows)
    tokens = {"decoder": rows, "encoder": inputs}
    unrolled = network(CONFIGS[name])
    params = _random(nn.meta.unbox(jax.eval_shape(unrolled.init, jax.random.key(0), *given)))
    params = _stacked(params["params"]) if scanned else params["params"]

    def run(params, weights):
        taps = Taps(record=recorded(config))
        logits, records = module.apply({"params": params}, *given, taps=taps)
        each = jax.vmap(
            lambda w: attribute(module, params, records, tokens, jnp.asarray(_POSITIONS), w)
        )
        return logits, records, each(weights)

    kinds = np.stack([_weights(kind) for kind in ("logit", "difference", "above the mean")])
    logits, records, found = jax.device_get(jax.jit(run, compiler_options=_FAST)(params, kinds))
    of_logit = jax.tree.map(lambda x: x[0], found)
    at = np.take_along_axis(logits, _POSITIONS[..., None], axis=1)
    expected = np.einsum("kbpv,bpv->kbp", kinds, at)
    return Explained(config, params, expected, records, tokens, (found, of_logit))


def _random(shapes: Any) -> Any:
    """Numbers for all parameters; norms' scales and biases too, whose start would hide faults."""
    random = np.random.default_rng(0)

    def made(path: Any, leaf: Any) -> np.ndarray:
        numbers = random.normal(size=leaf.shape).astype(np.float32)
        name = jax.tree_util.keystr(path)
        if "norm" in name and "scale" in name:
            return 1 + 0.3 * numbers
        return 0.4 * numbers

    return jax.tree_util.tree_map_with_path(made, shapes)


def _stacked(params: Any) -> Any:
    """Unrolled parameters in the scanned layout."""
    found = dict(params)
    for side in {"encoder", "decoder"} & set(params):
        names = sorted(name for name in params[side] if name.startswith("layers_"))
        layers = jax.tree.map(lambda *x: np.stack(x, axis=1), *(params[side][n] for n in names))
        rest = {name: value for name, value in params[side].items() if name not in names}
        found[side] = rest | {"layers": layers}
    return found


EACH = pytest.mark.parametrize("name", CONFIGS)
LAYOUTS = pytest.mark.parametrize("scanned", [False, True])


@EACH
@LAYOUTS
def test_parts_add_up_to_the_logits(name, scanned):
    explained = _explained(name, scanned)
    found, _ = explained.found
    total = jax.vmap(lambda written: written.total())(found["decoder"])
    # Relative to the largest: a logit near 0 is a sum of parts that cancel.
    scale = np.abs(explained.logits).max()
    np.testing.assert_allclose(total, explained.logits, rtol=1e-4, atol=1e-5 * scale)


@EACH
def test_heads_are_sums_over_what_they_read(name):
    _, found = _explained(name, False).found
    for site, heads in found["decoder"].heads.items():
        np.testing.assert_allclose(found["decoder"].sources[site].sum(-1), heads, atol=2e-5)
    assert set(found["decoder"].sources) == set(found["decoder"].heads)


@pytest.mark.parametrize("name", ["t5_1.0", "t5_1.1"])
@LAYOUTS
def test_encoder_parts_add_up_to_cross_attention(name, scanned):
    explained = _explained(name, scanned)
    _, found = explained.found
    written = found["decoder"]
    across = written.heads["cross_attention"].sum((0, 2, 3))
    np.testing.assert_allclose(found["encoder"].total().sum(1), across, rtol=1e-4, atol=1e-4)
    by_source = written.sources["cross_attention"].sum((0, 2, 3))
    np.testing.assert_allclose(found["encoder"].total(), by_source, rtol=1e-4, atol=1e-4)
    assert not found["encoder"].memories[:, 2, 4:].any(), "padding adds nothing"


@EACH
def test_layouts_agree(name):
    one, other = _explained(name, False), _explained(name, True)
    pairs = zip(jax.tree.leaves(one.found), jax.tree.leaves(other.found), strict=True)
    for expected, found in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_unused_parts_are_zero():
    _, t5 = _explained("t5_1.0", False).found
    for written in t5.values():
        assert not written.position.any()
        assert not written.mlp_bias.any()
        assert not written.norm_bias.any()
        assert not any(bias.any() for bias in written.attention_bias.values())
    _, gpt2 = _explained("gpt2", False).found
    decoder = gpt2["decoder"]
    for part in (decoder.position, decoder.mlp_bias, decoder.norm_bias):
        assert part.all()
    assert decoder.attention_bias["attention"].all()


def _rms(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def test_contributions_of_a_t5_are_those_of_a_forward_pass_in_numpy():
    """A T5 1.0 in float64, written down anew: each part is taken out of the stream's sum."""
    explained = _explained("t5_1.0", False)
    config = explained.config
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), explained.params)
    embedding = params["token_embedder"]["embedding"]
    inputs, rows = explained.tokens["encoder"], explained.tokens["decoder"]

    def heads(x):
        return x.reshape(*x.shape[:2], config.num_heads, config.head_dim)

    def attended(layer, x, source, bias):
        """What each head writes, [batch, queries, heads, emb]."""
        q, k, v = (
            heads(y @ layer[part]["kernel"])
            for part, y in (("query", x), ("key", source), ("value", source))
        )
        logits = np.einsum("bqhd,bkhd->bhqk", q, k) + bias
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = np.einsum("bhqk,bkhd->bqhd", weights, v)
        out = layer["out"]["kernel"].reshape(config.num_heads, config.head_dim, -1)
        return np.einsum("bqhd,hde->bqhe", mixed, out)

    def positions(stack, length, bidirectional):
        from closedbook.models.t5.positions import RelativePositionBias

        table = RelativePositionBias(
            heads=config.num_heads,
            buckets=config.relpos_buckets,
            max_distance=config.relpos_max_distance,
            bidirectional=bidirectional,
            precision=config.precision,
        )
        at = jnp.arange(length)
        return np.asarray(table.apply({"params": explained.params[stack]["relpos_bias"]}, at, at))

    hidden = np.where(inputs > 0, 0.0, -1e10)[:, None, None, :]
    x = embedding[inputs]
    for i in range(config.num_encoder_layers):
        layer = params["encoder"][f"layers_{i}"]
        y = _rms(x, layer["pre_attention_layer_norm"]["scale"])
        x = x + attended(layer["attention"], y, y, positions("encoder", 7, True) + hidden).sum(2)
        y = _rms(x, layer["pre_mlp_layer_norm"]["scale"])
        x = x + np.maximum(y @ layer["mlp"]["wi"]["kernel"], 0) @ layer["mlp"]["wo"]["kernel"]
    encoded = _rms(x, params["encoder"]["encoder_norm"]["scale"])

    causal = np.where(np.tri(5, dtype=bool), 0.0, -1e10)
    x = embedding[rows]
    wrote: dict[str, list[np.ndarray]] = {"self_attention": [], "cross_attention": []}
    memories = []
    for i in range(config.num_decoder_layers):
        layer = params["decoder"][f"layers_{i}"]
        y = _rms(x, layer["pre_self_attention_layer_norm"]["scale"])
        bias = positions("decoder", 5, False) + causal
        wrote["self_attention"].append(attended(layer["self_attention"], y, y, bias))
        x = x + wrote["self_attention"][-1].sum(2)
        y = _rms(x, layer["pre_cross_attention_layer_norm"]["scale"])
        cross = attended(layer["encoder_decoder_attention"], y, encoded, hidden)
        wrote["cross_attention"].append(cross)
        x = x + cross.sum(2)
        y = _rms(x, layer["pre_mlp_layer_norm"]["scale"])
        coefficients = np.maximum(y @ layer["mlp"]["wi"]["kernel"], 0)
        memories.append(coefficients[..., None] * layer["mlp"]["wo"]["kernel"])
        x = x + memories[-1].sum(2)
    frozen = params["decoder"]["decoder_norm"]["scale"] / np.sqrt(
        (x**2).mean(-1, keepdims=True) + 1e-6
    )

    def logit_of(part):
        """A part of the stream [batch, length, ..., emb] as its part of the answers' logits."""
        row = np.arange(3)[:, None]
        of = part[row, _POSITIONS]
        direction = embedding[_ANSWERS] * frozen[row, _POSITIONS] / np.sqrt(config.emb_dim)
        return np.einsum("bp...e,bpe->bp...", of, direction)

    _, found = explained.found
    written = found["decoder"]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    close(written.embedding, logit_of(embedding[rows]))
    for site, layers in wrote.items():
        for layer, part in enumerate(layers):
            close(written.heads[site][layer], logit_of(part))
    for layer, part in enumerate(memories):
        close(written.memories[layer], logit_of(part))
    close(explained.logits[0], logit_of(x))
