"""Scores of candidates along a trie are those of each pair by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.knowledge.probing import scoring
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.scoring import Answers, CandidateScorer
from closedbook.models import network, unboxed
from closedbook.models.decoder_only import DecoderOnlyConfig
from closedbook.tasks.facts import read_facts


@pytest.fixture(scope="module")
def continuing():
    """A module and random parameters of each kind of model that goes on with its prompt."""
    shape = {"vocab_size": 60, "emb_dim": 16, "num_heads": 4, "num_layers": 2}
    shape |= {"head_dim": 4, "eos_id": -1}
    learned = DecoderOnlyConfig(**shape, mlp_dim=8, dropout_rate=0.0, max_positions=64)
    rotary = DecoderOnlyConfig(
        **shape,
        num_kv_heads=2,
        mlp_dim=8,
        mlp_activations=("silu", "linear"),
        norm="rms",
        positions="rotary",
        dropout_rate=0.0,
    )
    made = []
    for config in (learned, rotary):
        module = network(config)
        params = module.init(jax.random.key(1), *module.example())["params"]
        made.append((module, jax.tree.map(lambda x: 4 * x, unboxed(params))))
    return made


@pytest.mark.parametrize("kind", [0, 1], ids=["learned positions", "rotary"])
def test_continuations_equal_the_sum_from_an_unbatched_forward(continuing, kind):
    module, params = continuing[kind]
    prompts = [[3, 4, 5], [9, 8, 7, 6, 5, 4, 3], [2]]
    candidates = ((11, 12), (11, 13), (14,), (11, 12, 15), (16, 17))
    found = CandidateScorer(module, params)(prompts, Answers(pieces=candidates))
    for row, prompt in enumerate(prompts):
        for column, pieces in enumerate(candidates):
            logits = module.apply({"params": params}, jnp.array([[*prompt, *pieces]]))[0]
            log_probs = np.asarray(jax.nn.log_softmax(logits))[len(prompt) - 1 : -1]
            expected = log_probs[np.arange(len(pieces)), pieces].sum()
            assert found[row, column] == pytest.approx(expected, abs=1e-4)


def unbatched(model, inputs, answers: Answers) -> np.ndarray:
    """A forward pass of the whole network per pair."""
    scores = np.zeros((len(inputs), len(answers.pieces)))
    for row, prompt in enumerate(inputs):
        for column, pieces in enumerate(answers.pieces):
            target = [*answers.before, *pieces, *([] if answers.end is None else [answers.end])]
            given = jnp.array([[0, *target[:-1]]])
            logits = model.module.apply({"params": model.params}, jnp.array([prompt]), given)[0]
            log_probs = logits - jnp.log(jnp.exp(logits).sum(-1, keepdims=True))
            chosen = np.asarray(log_probs)[np.arange(len(target)), target]
            scores[row, column] = chosen[len(answers.before) :].sum()
    return scores


@pytest.fixture(scope="module")
def asked(atlas_ssm):
    facts = read_facts("atlas", relations=["element_discoverer"])
    prompting = Prompting.of(atlas_ssm)
    answers = prompting.answers(facts.relations["element_discoverer"])
    return prompting.inputs(facts.facts[:3]), answers


@pytest.mark.parametrize("way", ["ended", "between sentinels", "open"])
def test_scores_equal_the_sum_from_an_unbatched_forward(atlas_ssm, asked, way):
    inputs, answers = asked
    few = answers.pieces[:6]
    assert len({len(row) for row in few}) > 1
    between = {"before": (3780,), "end": 3779} if way == "between sentinels" else {}
    answers = Answers(pieces=few, **({"end": 1} if way == "ended" else between))
    found = CandidateScorer(atlas_ssm.module, atlas_ssm.params)(inputs, answers)
    np.testing.assert_allclose(found, unbatched(atlas_ssm, inputs, answers), atol=1e-4)


def test_scores_do_not_depend_on_the_other_prompts_or_candidates(atlas_ssm, asked):
    inputs, answers = asked
    scorer = CandidateScorer(atlas_ssm.module, atlas_ssm.params)
    whole = scorer([*inputs, [5] * 20 + [1]], answers)
    alone = scorer(inputs[1:2], Answers(pieces=answers.pieces[4:5], end=answers.end))
    np.testing.assert_allclose(whole[1, 4], alone[0, 0], atol=1e-4)


def test_many_candidates_are_scored_in_several_tries(atlas_ssm, asked):
    inputs, _ = asked
    pieces = tuple((n, 9) for n in range(10, 200))  # more than the nodes of one step
    scorer = CandidateScorer(atlas_ssm.module, atlas_ssm.params)
    many = scorer(inputs[:1], Answers(pieces=pieces, end=1))
    few = scorer(inputs[:1], Answers(pieces=(pieces[0], pieces[150]), end=1))
    np.testing.assert_allclose(many[0, [0, 150]], few[0], atol=1e-4)


def test_probabilities_of_all_single_pieces_sum_to_one(atlas_ssm, asked):
    inputs, _ = asked
    pieces = tuple((n,) for n in range(atlas_ssm.config.vocab_size))
    found = CandidateScorer(atlas_ssm.module, atlas_ssm.params)(inputs, Answers(pieces=pieces))
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-4)


def test_more_prompts_are_read_at_once_where_nothing_is_read_after_them(
    atlas_ssm, asked, monkeypatch
):
    inputs, answers = asked
    monkeypatch.setattr(scoring, "_LOGITS", atlas_ssm.config.vocab_size * 128)
    scorer = CandidateScorer(atlas_ssm.module, atlas_ssm.params)
    seen: list[int] = []
    scorer(inputs, answers, seen.append)
    assert seen == [1, 2, 3]
    seen.clear()
    scorer(inputs, Answers(pieces=((4,), (9,))), seen.append)
    assert seen == [3]


def test_fewer_long_prompts_are_read_at_once(atlas_ssm, asked, monkeypatch):
    """Else a prompt of thousands of words would be read beside fifteen as long as itself."""
    inputs, answers = asked
    few = Answers(pieces=answers.pieces[:2], end=answers.end)
    scorer = CandidateScorer(atlas_ssm.module, atlas_ssm.params)
    seen: list[int] = []
    whole = scorer(inputs, few, seen.append)
    assert seen == [3]
    length = scorer._length(inputs, range(3))
    monkeypatch.setattr(scoring, "_ATTENTIONS", length**2)
    seen.clear()
    np.testing.assert_allclose(scorer(inputs, few, seen.append), whole, atol=1e-4)
    assert seen == [1, 2, 3]


def test_progress_counts_inputs_and_lengths_count_the_end(atlas_ssm, asked):
    inputs, answers = asked
    seen: list[int] = []
    CandidateScorer(atlas_ssm.module, atlas_ssm.params)(inputs * 9, answers, seen.append)
    assert seen == [16, 27]
    assert Answers(pieces=((4, 5), (6,)), end=1).lengths.tolist() == [3, 2]
    assert Answers(pieces=((4, 5), (6,))).lengths.tolist() == [2, 1]
