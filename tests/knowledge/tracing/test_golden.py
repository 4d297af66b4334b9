"""Every number that kmeng01/rome's causal tracing gives for a tiny GPT-2."""

import numpy as np
import pytest

from closedbook.knowledge.tracing.kinds import kinds
from closedbook.knowledge.tracing.noise import Noise, sigma
from closedbook.knowledge.tracing.severed import severed
from closedbook.knowledge.tracing.trace import trace


@pytest.fixture(scope="module")
def traced(gpt2_tracer, gpt2_case, rome):
    settings, _ = rome
    noise = Noise(level=settings["noise"])
    return trace(
        gpt2_tracer, gpt2_case, kinds(gpt2_tracer.config), noise=noise, width=settings["window"]
    )


def test_the_noise_is_three_sigma_of_the_subjects_embeddings(gpt2, rome):
    settings, _ = rome
    assert 3 * sigma(gpt2, settings["noise_subjects"]) == pytest.approx(settings["noise"], rel=1e-6)


def test_the_prompts_tokens_and_the_models_answer_are_romes(gpt2_case, rome):
    settings, _ = rome
    assert list(gpt2_case.prompt.ids) == settings["prompt_tokens"]
    assert [gpt2_case.prompt.first, gpt2_case.prompt.limit] == settings["subject_range"]
    assert gpt2_case.targets == (settings["answer_token"],)


def test_high_and_low_scores_are_romes(traced, rome):
    settings, _ = rome
    assert traced.clean == pytest.approx(settings["high"], abs=1e-5)
    assert traced.corrupted == pytest.approx(settings["low_state"], abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("decoder.state", "trace_state"),
        ("decoder.mlp", "trace_mlp"),
        ("decoder.attention", "trace_attn"),
    ],
)
def test_every_cell_of_the_traces_is_romes(traced, rome, kind, name):
    np.testing.assert_allclose(traced.scores[kind], rome[1][name], atol=1e-5, rtol=0)


def test_the_severed_curves_are_romes(gpt2_tracer, gpt2_case, rome):
    settings, numbers = rome
    found = severed(gpt2_tracer, gpt2_case, noise=Noise(level=settings["noise"]))
    np.testing.assert_allclose(found["decoder.mlp"], numbers["severed_mlp"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(
        found["decoder.attention"], numbers["severed_attn"], atol=1e-5, rtol=0
    )
    row = numbers["trace_state"][gpt2_case.prompt.last]
    np.testing.assert_allclose(found["decoder.state"], row, atol=1e-5, rtol=0)
