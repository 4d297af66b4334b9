"""Scores of candidates along a trie are those of each pair by itself."""

import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.scoring import Answers, CandidateScorer
from closedbook.tasks.facts import read_facts


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


def test_progress_counts_inputs_and_lengths_count_the_end(atlas_ssm, asked):
    inputs, answers = asked
    seen: list[int] = []
    CandidateScorer(atlas_ssm.module, atlas_ssm.params)(inputs * 9, answers, seen.append)
    assert seen == [16, 27]
    assert Answers(pieces=((4, 5), (6,)), end=1).lengths.tolist() == [3, 2]
    assert Answers(pieces=((4, 5), (6,))).lengths.tolist() == [2, 1]
