"""Patches that name globs: one program for all layers and positions, the same as single patches."""

import dataclasses
import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.models import T5, Patch, Taps, sites
from closedbook.models.taps import stack_taps

LAYOUTS = pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "scanned"])
GLOB = "encoder.*.mlp.out"
LAYERS, LENGTH = 6, 7
# Compiling takes nearly all the time of these tests; without optimisation it takes half of it.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
close = functools.partial(np.testing.assert_allclose, atol=2e-5)


def _model(tiny, scan):
    return tiny.scanned if scan else tiny


@pytest.fixture(scope="module")
def deep(tiny):
    """A model with six encoder layers and one decoder layer."""
    config = dataclasses.replace(tiny.config, num_encoder_layers=LAYERS, num_decoder_layers=1)
    variables = jax.jit(T5(config).init)(jax.random.key(1), tiny.inputs, tiny.targets)
    return dataclasses.replace(tiny, config=config, params=nn.meta.unbox(variables["params"]))


@LAYOUTS
def test_all_layers_and_positions_are_one_program(deep, scan):
    model = _model(deep, scan)
    value = np.random.default_rng(5).normal(size=(LAYERS, 16)).astype(np.float32)

    def patched(name, value, where):
        return model.apply(model.params, taps=Taps(patches={name: Patch(value, where)}))[0]

    at_layer = np.eye(LAYERS, dtype=bool)[:, None, :, None, None]
    at_position = np.eye(LENGTH, dtype=bool)[None, :, None, None, :]
    where = np.broadcast_to(at_layer & at_position, (LAYERS, LENGTH, LAYERS, 3, LENGTH))
    grid = jit(jax.vmap(jax.vmap(functools.partial(patched, GLOB, value))))
    found = grid(where)
    assert found.shape == (LAYERS, LENGTH, 3, 5, 20)
    one = jit(functools.partial(patched, GLOB))  # one cell per call is one program as well
    close(one(value, where[2, 3]), found[2, 3])
    close(one(value, where[4, 1]), found[4, 1])
    assert grid._cache_size() == one._cache_size() == 1

    single = jit(jax.vmap(patched, in_axes=(None, None, 0)), static_argnums=0)
    positions = np.broadcast_to(np.eye(LENGTH, dtype=bool)[:, None, :], (LENGTH, 3, LENGTH))
    some = (0, 2, LAYERS - 1)
    for layer in some:
        close(found[layer], single(f"encoder.{layer}.mlp.out", value[layer], positions))
    assert single._cache_size() == len(some)  # without a glob, one program per layer
    clean = model()
    assert (np.abs(found - clean).max((-1, -2))[:, :, :2] > 1e-4).all()


@LAYOUTS
@pytest.mark.parametrize("mode", ["set", "add"])
def test_a_glob_equals_the_single_patches_of_all_its_sites(tiny, scan, mode):
    model = _model(tiny, scan)
    random = np.random.default_rng(6)
    value = random.normal(size=(2, 3, 5, 16)).astype(np.float32)
    where = random.random((2, 3, 5)).astype(np.float32)
    record = ("decoder.*", "encoder.final_norm")
    glob = Taps(patches={"decoder.*.cross_attention.out": Patch(value, where, mode)}, record=record)
    singles = {
        f"decoder.{i}.cross_attention.out": Patch(value[i], where[i], mode) for i in range(2)
    }
    logits, seen = model(taps=glob)
    expected, expected_seen = model(taps=Taps(patches=singles, record=record))
    close(logits, expected)
    assert set(seen) == set(expected_seen)
    for name in seen:
        close(seen[name], expected_seen[name])


@LAYOUTS
def test_restoring_all_layers_at_once_changes_no_bit(tiny, scan):
    model = _model(tiny, scan)
    logits, seen = model(taps=Taps(record=("*",)))
    value = np.stack([seen[f"encoder.{i}.attention.weights"] for i in range(2)])
    again, _ = model(
        taps=Taps(patches={"encoder.*.attention.weights": Patch(value)}, record=("*",))
    )
    np.testing.assert_array_equal(again, logits)


@LAYOUTS
def test_entries_follow_the_sites_where_a_glob_spans_stacks_and_kinds(tiny, scan):
    model = _model(tiny, scan)
    named = [name for name in sites(tiny.config) if ".mlp." in name or name.endswith(".embed")]
    factors = np.linspace(-1, 1, 8, dtype=np.float32)  # 2 stacks x 2 layers x 2 sites
    embeds = np.array([0.5, -0.5], np.float32)
    globs = {"*.mlp.*": Patch(factors, mode="add"), "*.embed": Patch(embeds, mode="add")}
    layers = [name for name in named if ".mlp." in name]
    singles = dict(zip(layers, factors, strict=True))
    singles |= {"encoder.embed": embeds[0], "decoder.embed": embeds[1]}
    expected = tiny(taps=Taps(patches={k: Patch(v, mode="add") for k, v in singles.items()}))
    found = model(taps=Taps(patches=globs))
    close(found[0], expected[0])


@LAYOUTS
def test_globs_of_some_layers_stand_beside_single_patches(deep, scan):
    random = np.random.default_rng(7)
    value = random.normal(size=(2, 16)).astype(np.float32)
    where = random.random((2, 3, LENGTH)) < 0.5
    alone = Patch(random.normal(size=(3, LENGTH, 16)).astype(np.float32))
    patches = {"encoder.[14].mlp.out": Patch(value, where), "encoder.2.mlp.out": alone}
    singles = {
        "encoder.1.mlp.out": Patch(value[0], where[0]),
        "encoder.2.mlp.out": alone,
        "encoder.4.mlp.out": Patch(value[1], where[1]),
    }
    found, _ = _model(deep, scan)(taps=Taps(patches=patches))
    expected, _ = deep(taps=Taps(patches=singles))
    close(found, expected)


def test_a_glob_of_all_scanned_layers_is_handed_on_as_it_is(tiny):
    patch = Patch(jnp.zeros((2, 16)), jnp.ones((2, 3, 7)))
    _, layers = stack_taps(Taps(patches={GLOB: patch}), tiny.scanned.config, "encoder")
    assert layers.stacked().patches["mlp.out"] is patch


def test_gradients_of_a_glob_are_those_of_each_layer(tiny):
    def loss(value, model, patches):
        made = {name: Patch(pick(value), mode="add") for name, pick in patches.items()}
        return model.apply(model.params, taps=Taps(patches=made))[0][0, 0, 3]

    def gradient(model, patches):
        return jit(lambda value: jax.grad(loss)(value, model, patches))(jnp.zeros((2, 16)))

    glob = {GLOB: lambda v: v}
    singles = {"encoder.0.mlp.out": lambda v: v[0], "encoder.1.mlp.out": lambda v: v[1]}
    expected = gradient(tiny, singles)
    assert np.abs(expected).max() > 1e-3
    close(gradient(tiny, glob), expected)
    close(gradient(tiny.scanned, glob), expected)


def _refusal(model, patches):
    with pytest.raises(UserError) as error:
        jax.eval_shape(lambda: model.apply(model.params, taps=Taps(patches=patches)))
    return str(error.value)


@LAYOUTS
@pytest.mark.parametrize(
    ("first", "second", "site"),
    [
        (GLOB, "encoder.1.mlp.out", "encoder.1.mlp.out"),
        ("encoder.1.mlp.out", "encoder.1.*", "encoder.1.mlp.out"),
        ("*.embed", "encoder.embed", "encoder.embed"),
    ],
)
def test_two_patches_of_one_site_are_refused_and_both_named(tiny, scan, first, second, site):
    def patch(name):
        entries = sum(bool(re.fullmatch(name.replace("*", ".*"), s)) for s in sites(tiny.config))
        return Patch(np.zeros(entries if "*" in name else (), np.float32))

    message = _refusal(_model(tiny, scan), {name: patch(name) for name in (first, second)})
    assert message.startswith(f"patches {first!r} and {second!r} both name {site}")


@LAYOUTS
@pytest.mark.parametrize(
    ("patch", "what"),
    [
        (Patch(np.zeros((3, 16), np.float32)), "value has shape [3, 16]"),
        (Patch(np.float32(0)), "value has shape []"),
        (Patch(np.zeros((2, 16), np.float32), np.ones((3, 7), bool)), "where has shape [3, 7]"),
    ],
)
def test_another_number_of_entries_is_refused_with_the_numbers_and_the_sites(
    tiny, scan, patch, what
):
    message = _refusal(_model(tiny, scan), {GLOB: patch})
    assert message == (
        f"patch of 'encoder.*.mlp.out': {what}; its first axis must have 2 entries, one per site "
        "that the glob names: encoder.0.mlp.out, encoder.1.mlp.out"
    )


def test_a_glob_that_names_no_site_is_refused(tiny):
    message = _refusal(tiny, {"encoder.*.mlp.outt": Patch(np.zeros((2, 16), np.float32))})
    assert message.startswith("unknown tap site 'encoder.*.mlp.outt'")
