"""What must hold for the whole network, whatever its weights."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.models import T5

# Compiling takes nearly all the time; without optimisation it takes half of it.
FAST = {"xla_backend_optimization_level": 0}


def _gradients(tiny):
    weights = np.random.default_rng(0).normal(size=(3, 5, 20)).astype(np.float32)
    gradient = jax.grad(lambda p: (tiny.apply(p) * weights).sum())
    return jax.jit(gradient, compiler_options=FAST)(tiny.params)


@pytest.fixture(scope="module")
def gradients(tiny):
    """Of the parameters, by layout: False unrolled, True scanned."""
    return {False: _gradients(tiny), True: _gradients(tiny.scanned)}


def test_scanned_layers_equal_unrolled_in_outputs_and_gradients(tiny, gradients, stack_params):
    np.testing.assert_allclose(tiny.scanned(), tiny(), atol=1e-5)
    expected, found = stack_params(gradients[False]), gradients[True]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_biases_of_every_layer_are_its_own_in_both_layouts_and_in_cached_decoding(tiny):
    model = tiny.with_config(relpos_per_layer=True, dropout_rate=0.0)
    variables = T5(model.config).init(jax.random.key(1), model.inputs, model.targets)
    params = nn.meta.unbox(variables["params"])
    model = dataclasses.replace(model, params=params)
    logits = model()
    np.testing.assert_allclose(model.scanned(), logits, atol=1e-5)
    # Another layer's biases are seen: those of a stack alone would not tell.
    last = params["decoder"]["layers_1"]["relpos_bias"]["rel_embedding"]
    params["decoder"]["layers_1"]["relpos_bias"]["rel_embedding"] = last[::-1] * 3
    assert np.abs(model() - logits)[:, 2:].max() > 1e-3
    for each in (model, model.scanned):
        network, given = T5(each.config), {"params": each.params}
        first, state = network.apply(given, each.inputs, 1, 5, method="start")
        assert first.tolist() == [0, 0, 0]
        found = []
        for at in range(5):
            tokens = each.targets[:, at : at + 1]
            one, state = network.apply(given, tokens, jnp.int32(at), state, method="step")
            found.append(one)
        np.testing.assert_allclose(np.concatenate(found, 1), each(), atol=1e-5)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("policy", ["minimal", "full"])
def test_rematerialisation_changes_no_gradient(tiny, gradients, policy, scan):
    model = tiny.scanned if scan else tiny
    found = _gradients(model.with_config(remat_policy=policy))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(gradients[scan]), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_packed_examples_get_the_logits_that_they_get_alone(tiny):
    inputs, targets = tiny.inputs, tiny.targets
    # One row: example 0, example 2 (4 inputs), padding; the other: example 1 and padding.
    packed = {
        "encoder_input_tokens": np.zeros((2, 13), np.int32),
        "encoder_segment_ids": np.zeros((2, 13), np.int32),
        "decoder_input_tokens": np.zeros((2, 12), np.int32),
        "decoder_segment_ids": np.zeros((2, 12), np.int32),
    }
    places = {0: (0, 0, 0, 1), 2: (0, 7, 5, 2), 1: (1, 0, 0, 1)}
    for example, (row, start, target_start, segment) in places.items():
        tokens = inputs[example][inputs[example] > 0]
        span = slice(start, start + len(tokens))
        packed["encoder_input_tokens"][row, span] = tokens
        packed["encoder_segment_ids"][row, span] = segment
        span = slice(target_start, target_start + 5)
        packed["decoder_input_tokens"][row, span] = targets[example]
        packed["decoder_segment_ids"][row, span] = segment
    alone, together = tiny(), tiny(**packed)
    for example, (row, _, start, _) in places.items():
        np.testing.assert_allclose(together[row, start : start + 5], alone[example], atol=1e-5)


def _influence(tiny, side, row=0):
    """|d output[query] / d embedding[key]| summed over widths, [queries, keys], first example."""
    model, params = T5(tiny.config), {"params": tiny.params}
    inputs = tiny.inputs[row][None]
    targets = tiny.targets[:1]
    encoded = np.random.default_rng(4).normal(size=(1, inputs.shape[1], 16)).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=64).astype(np.float32)

    def run(embedded):
        if side == "decoder":

            def call(m, x):
                mask = jnp.ones((1, 1, 1, x.shape[1]), bool)
                return m.decoder(x, encoded, mask, mask[..., :1], None, None, None)[0]
        else:

            def call(m, x):
                return m.encoder(x, (inputs > 0)[:, None, None, :], None)[0]

        out = model.apply(params, embedded, method=call)
        return (out * weights[: out.shape[-1]]).sum(-1)[0]

    length = targets.shape[1] if side == "decoder" else inputs.shape[1]
    embedded = np.random.default_rng(2).normal(size=(1, length, 16)).astype(np.float32)
    return np.abs(jax.jit(jax.jacobian(run), compiler_options=FAST)(embedded)[:, 0]).sum(-1)


def test_decoder_is_causal(tiny):
    seen = _influence(tiny, side="decoder")
    assert not seen[np.triu_indices(5, k=1)].any()
    assert (seen[np.tril_indices(5)] > 0).all()


def test_encoder_sees_all_inputs_but_padding(tiny):
    assert (_influence(tiny, side="encoder") > 0).all()
    seen = _influence(tiny, side="encoder", row=2)[:4]
    assert (seen[:, :4] > 0).all()
    assert not seen[:, 4:].any()


def test_longer_padding_changes_nothing(tiny):
    expected = np.asarray(tiny())
    inputs = np.pad(tiny.inputs, ((0, 0), (0, 6)))
    targets = np.pad(tiny.targets, ((0, 0), (0, 3)))
    found = tiny(encoder_input_tokens=inputs, decoder_input_tokens=targets)
    np.testing.assert_allclose(found[:, :5], expected, atol=1e-5)


def test_bfloat16_keeps_float32_parameters_and_logits(tiny):
    narrow = tiny.with_config(dtype="bfloat16")
    logits = narrow()
    assert logits.dtype == jnp.float32
    assert 0 < np.abs(logits - tiny()).max() < 0.15
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    shapes = jax.eval_shape(T5(narrow.config).init, jax.random.key(0), tokens, tokens)
    assert {x.dtype for x in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
    assert {g.dtype for g in jax.tree.leaves(_gradients(narrow))} == {jnp.dtype("float32")}


def test_dropout_needs_a_key_and_depends_on_it(tiny):
    run = jax.jit(lambda key: tiny.apply(tiny.params, rngs={"dropout": key}), compiler_options=FAST)
    first, again, other = (np.asarray(run(jax.random.key(seed))) for seed in (1, 1, 2))
    assert np.abs(first - tiny()).max() > 1e-3
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_scaled_attention_logits_are_those_of_smaller_queries(tiny):
    """T5X's network for GPUs divides what the queries read by the root of the head's width."""

    def smaller(path, x):
        return x / 8**0.5 if any(getattr(key, "key", "") == "query" for key in path) else x

    scaled = tiny.with_config(scale_attn_logits=True)()
    params = jax.tree_util.tree_map_with_path(smaller, tiny.params)
    np.testing.assert_allclose(scaled, tiny.apply(params), atol=1e-5)
    assert np.abs(scaled - tiny()).max() > 1e-3


def test_tied_logits_are_scaled_by_the_root_of_the_width(tiny):
    tied = tiny.with_config(logits_via_embedding=True)
    params = tiny.params
    model = T5(tied.config)
    x = np.random.default_rng(0).normal(size=(1, 2, 16)).astype(np.float32)
    found = model.apply({"params": params}, x, method=lambda m, x: m.logits(x))
    expected = x @ np.asarray(params["token_embedder"]["embedding"]).T / 4  # sqrt(16)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parameters_have_the_names_and_layout_of_t5x(tiny):
    def shapes(params):
        flat = jax.tree_util.tree_flatten_with_path(params)[0]
        return {".".join(str(k.key) for k in path): x.shape for path, x in flat}

    found = shapes(tiny.params)
    for name, shape in {
        "token_embedder.embedding": (20, 16),
        "encoder.relpos_bias.rel_embedding": (2, 32),
        "decoder.relpos_bias.rel_embedding": (2, 32),
        "encoder.layers_1.pre_attention_layer_norm.scale": (16,),
        "encoder.layers_0.attention.query.kernel": (16, 16),
        "encoder.layers_0.mlp.wi_0.kernel": (16, 32),
        "encoder.layers_0.mlp.wo.kernel": (32, 16),
        "decoder.layers_1.pre_self_attention_layer_norm.scale": (16,),
        "decoder.layers_1.self_attention.out.kernel": (16, 16),
        "decoder.layers_1.pre_cross_attention_layer_norm.scale": (16,),
        "decoder.layers_1.encoder_decoder_attention.value.kernel": (16, 16),
        "encoder.encoder_norm.scale": (16,),
        "decoder.decoder_norm.scale": (16,),
        "decoder.logits_dense.kernel": (16, 20),
    }.items():
        assert found[name] == shape
    assert shapes(tiny.scanned.params)["decoder.layers.mlp.wi_1.kernel"] == (16, 2, 32)
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    for model in (tiny, tiny.scanned):
        made = jax.eval_shape(T5(model.config).init, jax.random.key(0), tokens, tokens)
        made = jax.tree.map(lambda x: x.shape, nn.meta.unbox(made["params"]))
        assert made == jax.tree.map(lambda x: x.shape, model.params)
