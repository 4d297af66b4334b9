"""What must hold of any trace: restoring everything, restoring nothing, no noise; one program."""

import dataclasses

import jax
import numpy as np
import pytest

from closedbook.knowledge.tracing import trace as tracing
from closedbook.knowledge.tracing.kinds import chosen, kinds, window
from closedbook.knowledge.tracing.lanes import Lane, Layout, Restore, after, at, numbers
from closedbook.knowledge.tracing.noise import Noise
from closedbook.knowledge.tracing.program import Tracer
from closedbook.knowledge.tracing.trace import draw, trace
from closedbook.models import Patch, Taps

NOISE = Noise(level=3.4, samples=3)


@pytest.fixture(scope="module")
def traced(atlas_tracer, kenya):
    return trace(atlas_tracer, kenya, kinds(atlas_tracer.config), noise=NOISE)


def test_restoring_every_token_gives_the_clean_score_and_none_the_corrupted(atlas_tracer, kenya):
    fact = atlas_tracer.fact(kenya, draw(atlas_tracer, kenya, NOISE, 1))
    tokens = range(len(kenya.prompt.ids))
    every = (Restore(site="resid_post", first=0, limit=1, slot=token) for token in tokens)
    layout = Layout("encoder", (Lane(begin=after(0), restores=tuple(every)),), NOISE.samples)
    rows = layout.rows(4)
    everything = atlas_tracer.scores(fact, layout, at(tokens, len(tokens), 2))
    clean, corrupted = everything[0], numbers(rows, everything, [0])[0]
    assert clean - corrupted > 0.5
    assert numbers(rows, everything, [1])[0] == pytest.approx(clean, abs=1e-6)
    nothing = atlas_tracer.scores(fact, layout, at([], len(tokens), 2))
    assert numbers(rows, nothing, [1])[0] == pytest.approx(corrupted, abs=1e-6)


def test_the_subjects_state_alone_holds_what_a_single_token_says(traced, kenya):
    """Only that token was disturbed, so that its state before any other read it brings all back."""
    assert traced.total_effect > 0.5
    assert traced.scores["encoder.state"][kenya.prompt.last, 0] == pytest.approx(
        traced.clean, abs=0.05
    )


def test_restoring_the_last_state_that_the_answer_is_read_from_gives_the_clean_score(traced):
    """The first decoder state after its last layer decides the first token; all else follows it."""
    last = traced.scores["decoder.state"][:, -1]
    assert last[0] == pytest.approx(traced.clean, abs=0.01)


def test_without_noise_nothing_has_an_effect(atlas_tracer, kenya):
    found = trace(
        atlas_tracer, kenya, kinds(atlas_tracer.config), noise=dataclasses.replace(NOISE, level=0)
    )
    assert found.total_effect == pytest.approx(0, abs=1e-6)
    for kind in found.scores:
        np.testing.assert_allclose(found.effects(kind), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "token", "layer"),
    [
        ("encoder.state", 13, 0),
        ("encoder.mlp", 13, 1),
        ("encoder.attention", 9, 0),
        ("decoder.state", 0, 0),
        ("decoder.self_attention", 1, 0),
        ("decoder.cross_attention", 0, 1),
        ("decoder.mlp", 0, 0),
    ],
)
def test_a_cell_equals_a_whole_run_with_plain_patches(
    atlas_tracer, kenya, traced, name, token, layer
):
    """Clean activations recorded in one run and set in another, by the taps that were there."""
    module, params = atlas_tracer.module, atlas_tracer.params
    kind = chosen(atlas_tracer.config, [name])[0]
    site = f"{kind.stack}.{layer}.{kind.site}"
    inputs = np.array([kenya.prompt.ids] * NOISE.samples)
    row = np.array([kenya.row] * NOISE.samples)
    _, seen = module.apply({"params": params}, inputs[:1], row[:1], taps=Taps(record=(site,)))
    noise = np.zeros((NOISE.samples, inputs.shape[1], 128), np.float32)
    noise[:, kenya.prompt.first : kenya.prompt.limit] = draw(atlas_tracer, kenya, NOISE, 1)[0]
    where = np.zeros((NOISE.samples, seen[site].shape[1]), bool)
    where[:, token] = True
    taps = Taps(
        patches={
            "encoder.embed": Patch(noise, mode="add"),
            site: Patch(np.repeat(seen[site], NOISE.samples, 0), where),
        }
    )
    logits, _ = module.apply({"params": params}, inputs, row, taps=taps)
    log_probs = jax.nn.log_softmax(logits)
    answer = sum(log_probs[:, place, token] for place, token in enumerate(kenya.scored))
    assert traced.scores[name][token, layer] == pytest.approx(
        float(np.exp(answer).mean()), abs=2e-6
    )


def test_tokens_in_several_programs_give_the_same_numbers(atlas_tracer, kenya, traced, monkeypatch):
    monkeypatch.setattr(tracing, "_NUMBERS", 1 << 17)
    parts = tracing.programs(
        atlas_tracer,
        atlas_tracer.fact(kenya, draw(atlas_tracer, kenya, NOISE, 1)),
        chosen(atlas_tracer.config, ["encoder.state", "encoder.mlp"]),
        "encoder",
        16,
        NOISE,
    )
    assert len(parts) == 2
    assert parts[0][1] < 16
    found = trace(atlas_tracer, kenya, chosen(atlas_tracer.config, ["encoder.mlp"]), noise=NOISE)
    np.testing.assert_allclose(found.scores["encoder.mlp"], traced.scores["encoder.mlp"], atol=1e-6)


def test_facts_of_one_padded_length_share_a_program(atlas_tracer, kenya):
    """A program is compiled per shape: another prompt of as many tokens compiles nothing."""
    from closedbook.knowledge import subject_tokens
    from closedbook.knowledge.tracing import cases

    model = atlas_tracer.model
    some = chosen(atlas_tracer.config, ["encoder.state"])
    trace(atlas_tracer, kenya, some, noise=NOISE)
    before_ = atlas_tracer._scores._cache_size()
    prompt = subject_tokens.in_text(model, "What is the capital of Peru?", "Peru")
    other = cases.of_prompt(model, prompt)
    assert (len(other.prompt.ids) + 3) // 4 == (len(kenya.prompt.ids) + 3) // 4
    trace(atlas_tracer, other, some, noise=NOISE)
    assert atlas_tracer._scores._cache_size() == before_


def test_windows_follow_their_conventions():
    assert list(window(20, 10, 48, "code")) == list(range(15, 25))  # l - 5 to l + 4
    assert list(window(20, 10, 48, "paper")) == list(range(15, 26))
    assert list(window(0, 10, 48, "code")) == list(range(5))
    assert list(window(47, 3, 48, "code")) == list(window(47, 3, 48, "paper")) == [46, 47]


def test_states_cost_at_most_half_of_the_layers_that_whole_runs_cost(gpt2_tracer, gpt2_case):
    """kmeng01/rome runs all layers of a clean row and ten corrupted ones for every cell."""
    noise = Noise(level=1.0)
    some = chosen(gpt2_tracer.config, ["decoder.state"])
    found = trace(gpt2_tracer, gpt2_case, some, noise=noise)
    layers, tokens = 6, len(gpt2_case.prompt.ids)
    assert found.layer_rows <= 0.5 * tokens * layers * layers * (1 + noise.samples)


def test_a_scanned_model_is_traced_like_an_unrolled_one(atlas_tracer, kenya, traced):
    model = atlas_tracer.model
    config = dataclasses.replace(model.config, scan_layers=True)
    params = dict(model.params)
    for stack in ("encoder", "decoder"):
        layers = {k: v for k, v in params[stack].items() if k.startswith("layers_")}
        rest = {k: v for k, v in params[stack].items() if k not in layers}
        together = jax.tree.map(lambda *x: np.stack(x, axis=1), *layers.values())
        params[stack] = {**rest, "layers": together}
    scanned = Tracer(dataclasses.replace(model, config=config, params=params))
    found = trace(scanned, kenya, chosen(config, ["encoder.state"]), noise=NOISE)
    np.testing.assert_allclose(
        found.scores["encoder.state"], traced.scores["encoder.state"], atol=1e-6
    )
