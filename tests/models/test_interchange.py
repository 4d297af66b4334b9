"""Rows that go on from other rows, and what derivatives relevance patching takes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.models import Interchange, Patch, T5Config, Taps, network
from closedbook.models.decoder_only import DecoderOnlyConfig
from closedbook.models.parameters import apart

LLAMA = DecoderOnlyConfig(
    vocab_size=40,
    emb_dim=16,
    num_heads=4,
    num_kv_heads=2,
    num_layers=3,
    head_dim=4,
    mlp_dim=24,
    mlp_activations=("silu", "linear"),
    attention_bias=False,
    mlp_bias=False,
    norm="rms",
    positions="rotary",
    eos_id=1,
    pad_id=0,
)
TOKENS = jnp.array([[3, 4, 5, 6, 7], [3, 9, 5, 6, 7]])


@pytest.fixture(scope="module")
def llama():
    module = network(LLAMA)
    return module, module.init(jax.random.key(0), TOKENS)["params"]


def interchange(source, other, where):
    return Interchange(jnp.array(source), jnp.array(other), jnp.array(where, bool))


def test_a_row_that_begins_at_a_layer_equals_a_whole_run_with_a_patch(llama):
    module, params = llama
    apply = jax.jit(lambda tokens, taps: module.apply({"params": params}, tokens, taps=taps))
    one, two = TOKENS[:1], jnp.repeat(TOKENS[:1], 2, axis=0)
    noise = jnp.zeros((2, 5, 16)).at[1, 1].set(3.0)
    _, seen = apply(one, Taps(record=("decoder.1.resid_post",)))
    where = jnp.array([[False] * 5, [False, True, False, False, False]])
    disturbed = {"decoder.embed": Patch(noise, mode="add")}
    restored = {"decoder.1.resid_post": Patch(seen["decoder.1.resid_post"], where)}
    corrupted, _ = apply(two, Taps(patches=disturbed))
    wanted, _ = apply(two, Taps(patches=disturbed | restored))
    begun = interchange([0, 0], [0, 0], [[0] * 5] * 2).replace(added=noise)
    joined = interchange([0, 1, 1], [0, 0, 0], [[0] * 5, [0] * 5, [0, 1, 0, 0, 0]])
    found, _ = apply(one, Taps(patches={"decoder.embed": begun, "decoder.1.resid_post": joined}))
    np.testing.assert_allclose(found[:2], corrupted, atol=1e-6)
    np.testing.assert_allclose(found[2], wanted[1], atol=1e-6)
    assert np.abs(found[2] - found[1]).max() > 1e-3


def test_all_positions_of_another_row_make_its_output(llama):
    module, params = llama
    everything = interchange([0, 1], [0, 0], [[0] * 5, [1] * 5])
    taps = Taps(patches={"decoder.0.resid_pre": everything})
    found, _ = module.apply({"params": params}, TOKENS, taps=taps)
    np.testing.assert_array_equal(found[1], found[0])


@pytest.mark.parametrize(
    ("name", "scanned", "said"),
    [
        ("decoder.*.mlp.out", False, "an Interchange is for one site"),
        ("decoder.1.mlp.out", True, "needs unrolled layers"),
    ],
)
def test_what_an_interchange_cannot_do_is_said(llama, name, scanned, said):
    module, params = llama
    if scanned:
        module = network(dataclasses.replace(LLAMA, scan_layers=True))
        params = module.init(jax.random.key(0), TOKENS)["params"]
    taps = Taps(patches={name: interchange([0, 1], [0, 0], [[0] * 5] * 2)})
    with pytest.raises(UserError, match=said):
        module.apply({"params": params}, TOKENS, taps=taps)


def test_rows_that_do_not_fit_are_named(llama):
    module, params = llama
    taps = Taps(patches={"decoder.1.mlp.out": interchange([0, 1], [0, 0], [[0] * 4] * 2)})
    with pytest.raises(UserError, match=r"decoder|mlp.out.*where of shape \(2, 4\)"):
        module.apply({"params": params}, TOKENS, taps=taps)


def test_scanned_parameters_taken_apart_give_the_same_model():
    scanned = network(dataclasses.replace(LLAMA, scan_layers=True))
    params = scanned.init(jax.random.key(1), TOKENS)["params"]
    from closedbook.models import unboxed

    single = apart(unboxed(params), {"decoder": 3})
    found = network(LLAMA).apply({"params": single}, TOKENS)
    np.testing.assert_allclose(found, scanned.apply({"params": params}, TOKENS), atol=1e-5)
    assert apart(single, {"decoder": 3}).keys() == single.keys()


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_relevance_changes_no_value_and_shares_the_output_out(family):
    """Without biases every part is then linear, so that input times derivative is the output.

    What relevance patching propagates of a logit is conserved (Jafari et al. 2025, section 3).
    """
    configs = {
        "llama": LLAMA,
        "gpt2": dataclasses.replace(
            LLAMA, mlp_activations=("gelu",), norm="layer", num_kv_heads=0, positions="sinusoidal"
        ),
        "t5": T5Config(
            vocab_size=40,
            emb_dim=16,
            num_heads=2,
            num_encoder_layers=2,
            num_decoder_layers=2,
            head_dim=8,
            mlp_dim=24,
            mlp_activations=("gelu", "linear"),
            logits_via_embedding=False,
            dropout_rate=0.0,
        ),
    }
    module = network(configs[family])
    inputs = (TOKENS, TOKENS[:, :2]) if family == "t5" else (TOKENS,)
    params = module.init(jax.random.key(0), *inputs)["params"]
    sites = [f"{stack}.embed" for stack in module.config.stacks]

    def output(added, relevance):
        patches = {site: Patch(value, mode="add") for site, value in added.items()}
        taps = Taps(patches=patches, record=tuple(sites), relevance=relevance)
        logits, records = module.apply({"params": params}, *inputs, taps=taps)
        return logits[:, -1, 7].sum(), (logits, records)

    added = {
        site: jnp.zeros((2, 5 if site.startswith("encoder") or family != "t5" else 2, 16))
        for site in sites
    }
    plain, _ = jax.grad(output, has_aux=True)(added, False)
    slopes, (logits, records) = jax.grad(output, has_aux=True)(added, True)
    np.testing.assert_array_equal(logits, output(added, False)[1][0])
    shared = sum(float((records[site] * slopes[site]).sum()) for site in sites)
    assert shared == pytest.approx(float(logits[:, -1, 7].sum()), rel=1e-4)
    assert any(np.abs(slopes[site] - plain[site]).max() > 1e-4 for site in sites)
