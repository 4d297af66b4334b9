"""Taps: what they record, what they change, and that they cost nothing when unused."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.models import T5, Patch, Taps, sites

LAYOUTS = pytest.mark.parametrize("scan", [False, True])


def _model(tiny, scan):
    return tiny.scanned if scan else tiny


@pytest.fixture(scope="module")
def clean(tiny):
    """Logits and all records of a forward pass, unrolled."""
    return tiny(taps=Taps(record=("*",)))


def test_sites_name_the_stack_and_the_layer(tiny):
    names = sites(tiny.config)
    # 2 sites of each stack itself; 8 per encoder layer, 12 per decoder layer.
    assert len(names) == len(set(names)) == 2 * 2 + 2 * 8 + 2 * 12
    for name in (
        "encoder.embed",
        "encoder.0.resid_pre",
        "encoder.1.attention.weights",
        "decoder.0.cross_attention.values",
        "decoder.1.self_attention.heads",
        "encoder.1.mlp.coefficients",
        "encoder.final_norm",
        "decoder.0.self_attention.out",
        "decoder.1.cross_attention.weights",
        "decoder.1.resid_post",
        "decoder.final_norm",
    ):
        assert name in names


@LAYOUTS
def test_records_have_the_values_that_the_parts_compute(tiny, clean, scan):
    logits, seen = clean
    if scan:
        logits, seen = tiny.scanned(taps=Taps(record=("*",)))
    assert set(seen) == set(sites(tiny.config))
    np.testing.assert_allclose(logits, tiny(), atol=1e-5)
    params = jax.tree.map(np.asarray, tiny.params)
    embedding = params["token_embedder"]["embedding"]
    np.testing.assert_array_equal(seen["encoder.embed"], embedding[tiny.inputs])
    np.testing.assert_array_equal(seen["decoder.embed"], embedding[tiny.targets])
    close = functools.partial(np.testing.assert_allclose, atol=2e-5)
    for stack, first, parts in (
        ("encoder", "attention", ("attention.out", "mlp.out")),
        ("decoder", "self_attention", ("self_attention.out", "cross_attention.out", "mlp.out")),
    ):
        for i in (0, 1):
            at = f"{stack}.{i}."
            total = seen[at + "resid_pre"] + sum(seen[at + part] for part in parts)
            close(seen[at + "resid_post"], total)
            layer = params[stack][f"layers_{i}"]
            value_matrix = layer["mlp"]["wo"]["kernel"]
            close(seen[at + "mlp.out"], seen[at + "mlp.coefficients"] @ value_matrix)
            close(seen[at + f"{first}.weights"].sum(-1), 1.0)
            mixed = np.einsum(
                "bhqk,bkhd->bqhd", seen[at + f"{first}.weights"], seen[at + f"{first}.values"]
            )
            close(seen[at + f"{first}.heads"], mixed)
            joined = mixed.reshape(*mixed.shape[:2], -1)
            close(seen[at + f"{first}.out"], joined @ layer[first]["out"]["kernel"])
        close(seen[f"{stack}.1.resid_pre"], seen[f"{stack}.0.resid_post"])
        last = np.asarray(seen[f"{stack}.1.resid_post"])
        normed = last / np.sqrt((last**2).mean(-1, keepdims=True) + 1e-6)
        close(seen[f"{stack}.final_norm"], normed * params[stack][f"{stack}_norm"]["scale"])
    close(seen["decoder.final_norm"] @ params["decoder"]["logits_dense"]["kernel"], tiny())


def test_recording_some_sites_returns_these_alone(tiny):
    _, seen = tiny(taps=Taps(record=("encoder.*.mlp.out", "decoder.embed")))
    assert sorted(seen) == ["decoder.embed", "encoder.0.mlp.out", "encoder.1.mlp.out"]


@LAYOUTS
def test_restoring_a_clean_record_changes_no_bit(tiny, scan):
    model = _model(tiny, scan)
    everything = Taps(record=("*",))
    logits, seen = model(taps=everything)
    for site in ("encoder.embed", "encoder.1.mlp.out", "decoder.0.cross_attention.weights"):
        again, records = model(taps=Taps(patches={site: Patch(seen[site])}, record=("*",)))
        np.testing.assert_array_equal(again, logits)
        for name in seen:
            np.testing.assert_array_equal(records[name], seen[name])


@LAYOUTS
@pytest.mark.parametrize("mode", ["set", "add"])
def test_patch_changes_the_chosen_positions_alone(tiny, clean, mode, scan):
    _, seen = clean
    where = np.zeros((3, 7), bool)
    where[1, 2] = True
    value = np.arange(16, dtype=np.float32)
    site = "encoder.1.mlp.out"
    patch = Patch(value, where, mode)
    logits, found = _model(tiny, scan)(taps=Taps(patches={site: patch}, record=(site,)))
    expected = np.array(seen[site])
    expected[1, 2] = value if mode == "set" else expected[1, 2] + value
    np.testing.assert_allclose(found[site], expected, atol=2e-5)
    clean_logits = np.asarray(clean[0])
    np.testing.assert_allclose(logits[[0, 2]], clean_logits[[0, 2]], atol=2e-5)
    assert (np.abs(logits[1] - clean_logits[1]).max(-1) > 1e-3).all()


def test_decoder_patch_is_felt_from_its_position_on(tiny, clean):
    where = np.zeros((3, 5), bool)
    where[:, 3] = True
    patches = {"decoder.0.resid_post": Patch(np.ones(16, np.float32), where)}
    logits, _ = tiny(taps=Taps(patches=patches))
    change = np.abs(logits - clean[0]).max(-1)
    assert not change[:, :3].any()
    assert (change[:, 3:] > 1e-4).all()


def test_fractional_weights_mix_old_and_new(tiny, clean):
    where = np.full((3, 7), 0.25, np.float32)
    site = "encoder.0.attention.out"
    patch = Patch(np.full(16, 2.0, np.float32), where)
    _, found = tiny(taps=Taps(patches={site: patch}, record=(site,)))
    np.testing.assert_allclose(found[site], 0.75 * clean[1][site] + 0.5, atol=1e-5)


def test_scanned_patches_equal_unrolled_ones(tiny, clean):
    random = np.random.default_rng(0)
    where = random.random((3, 5)) < 0.5
    patches = {
        "encoder.embed": Patch(random.normal(size=(3, 7, 16)).astype(np.float32), mode="add"),
        "encoder.0.mlp.coefficients": Patch(np.zeros(32, np.float32)),
        "decoder.0.mlp.out": Patch(random.normal(size=(3, 5, 16)).astype(np.float32), where),
        "decoder.1.mlp.out": Patch(random.normal(size=16).astype(np.float32)),
        "decoder.1.cross_attention.weights": Patch(np.float32(1 / 7)),
    }
    taps = Taps(patches=patches, record=("*.out", "*.weights", "*.final_norm"))
    logits, seen = tiny(taps=taps)
    assert np.abs(logits - clean[0]).max() > 0.01
    other, scanned = tiny.scanned(taps=taps)
    np.testing.assert_allclose(other, logits, atol=2e-5)
    assert set(scanned) == set(seen)
    for name in seen:
        np.testing.assert_allclose(scanned[name], seen[name], atol=2e-5)


def test_scan_refuses_modes_that_differ_between_layers(tiny):
    patches = {
        "encoder.0.mlp.out": Patch(np.float32(0)),
        "encoder.1.mlp.out": Patch(np.float32(0), mode="add"),
    }
    with pytest.raises(UserError, match="mix modes"):
        tiny.scanned(taps=Taps(patches=patches))


@pytest.mark.parametrize(
    "taps",
    [Taps(record=("encoder.1.mlp.outt",)), Taps(patches={"encoder.1.mlp.outt": Patch(0.0)})],
)
def test_unknown_site_names_the_nearest(tiny, taps):
    with pytest.raises(
        UserError, match=r"unknown tap site 'encoder.1.mlp.outt'.*encoder.1.mlp.out"
    ):
        tiny(taps=taps)


@LAYOUTS
@pytest.mark.parametrize("name", ["encoder.1.mlp.out", "encoder.*.mlp.out", "encoder.embed"])
def test_shapes_that_do_not_fit_are_told(tiny, scan, name):
    several = (2,) if "*" in name else ()
    patch = Patch(jnp.zeros((*several, 7, 7, 3)))
    with pytest.raises(UserError, match=r"patch of site '[\w.]+' has a value of shape \(.*7, 7, 3"):
        _model(tiny, scan)(taps=Taps(patches={name: patch}))


def test_unknown_mode_is_refused(tiny):
    with pytest.raises(UserError, match="'multiply'; use 'set' or 'add'"):
        tiny(taps=Taps(patches={"encoder.embed": Patch(np.float32(0), mode="multiply")}))


@LAYOUTS
def test_without_taps_the_program_is_the_same(tiny, scan):
    model = _model(tiny, scan)

    def program(**taps):
        def run(params, inputs, targets):
            out = T5(model.config).apply({"params": params}, inputs, targets, **taps)
            return out if not taps or taps["taps"] is None else out[0]

        text = str(jax.make_jaxpr(run)(model.params, model.inputs, model.targets))
        return re.sub(r"0x[0-9a-f]+", "", text)

    assert program(taps=Taps()) == program(taps=None) == program()
    assert program(taps=Taps(patches={"encoder.embed": Patch(jnp.zeros(16))})) != program()


def test_gradients_flow_through_patches(tiny):
    def loss(value):
        patch = Patch(value, mode="add")
        taps = Taps(patches={"encoder.0.mlp.out": patch})
        return tiny.apply(tiny.params, taps=taps)[0][0, 0, 3]

    loss = jax.jit(loss)
    gradient = jax.jit(jax.grad(loss))(jnp.zeros(16))
    step = 1e-2 * gradient / jnp.linalg.norm(gradient)
    expected = (loss(step) - loss(-step)) / 2
    np.testing.assert_allclose(jnp.vdot(gradient, step), expected, rtol=2e-2)
