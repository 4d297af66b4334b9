"""What is silenced, what it costs, and which facts are chosen."""

import dataclasses

import jax
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.memories.explanations import ablation
from closedbook.knowledge.memories.explanations.ablation import Row, Settings
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.tasks.facts import Facts, read_facts


@pytest.fixture(scope="module")
def facts() -> Facts:
    return ablation.sample(read_facts("atlas", relations=["country_capital"], style="question"), 16)


def test_the_strongest_matter_more_than_random_active_ones(atlas_qa, facts):
    prompting = Prompting.of(atlas_qa)
    told: list[int] = []
    rows = ablation.ablate(atlas_qa, facts, prompting, Settings(top=300, draws=2), told.append)
    assert [row.id for row in rows] == [fact.id for fact in facts.facts]
    assert told[-1] == len(facts)
    found = ablation.summarise(rows)
    assert found["top - random"].low > 0
    assert found["top - matched"].low > 0
    asked = [prompting.text(fact) for fact in facts.facts]
    scores = atlas_qa.predictor().score_candidates(
        atlas_qa.params, asked, [[fact.object] for fact in facts.facts]
    )
    np.testing.assert_allclose([row.log_prob for row in rows], np.ravel(scores), atol=1e-4)
    assert {row.silenced for row in rows} == {300}


def test_silencing_all_memories_is_what_values_of_zero_do(atlas_qa, facts):
    """Where every memory writes the same vector, which adds to the answer, all are silenced."""
    spelled = {fact: atlas_qa.vocabulary.encode(fact.object) for fact in facts.facts}
    fact, (answer,) = next((fact, ids) for fact, ids in spelled.items() if len(ids) == 1)
    one = facts.keep([fact])
    params = jax.tree.map(np.asarray, atlas_qa.params)
    embedding = params["token_embedder"]["embedding"]
    shared = 0.02 * (embedding[answer] + embedding[1] - 2 * embedding.mean(0))
    prompting = Prompting.of(atlas_qa)
    settings = Settings(top=10**6, draws=1, stacks=("decoder",))

    def ablated(values: list[np.ndarray]) -> Row:
        decoder = dict(params["decoder"])
        for layer, value in enumerate(values):
            mlp = decoder[f"layers_{layer}"]["mlp"]
            kernel = np.broadcast_to(value, mlp["wo"]["kernel"].shape)
            changed = {**mlp, "wo": {"kernel": kernel}}
            decoder[f"layers_{layer}"] = {**decoder[f"layers_{layer}"], "mlp": changed}
        model = dataclasses.replace(atlas_qa, params={**params, "decoder": decoder})
        (row,) = ablation.ablate(model, one, prompting, settings)
        return row

    nothing = np.zeros_like(shared)
    whole, without = ablated([nothing, shared]), ablated([nothing, nothing])
    assert whole.silenced == whole.active > 100
    assert abs(whole.top) > 0.001
    assert whole.top == pytest.approx(whole.log_prob - without.log_prob, abs=1e-5)
    assert (without.silenced, without.top) == (0, 0), "memories without values add nothing"


@pytest.mark.parametrize("activations", [("silu", "linear"), ("gelu",)])
def test_memories_of_a_decoder_only_model_are_silenced_at_answers_alone(
    configs, random_model, activations
):
    """Whatever has no clear zero is active from a hundredth of the strongest on."""
    model = random_model(
        dataclasses.replace(configs["decoder_only"], pad_id=0, mlp_activations=activations)
    )
    for layer in ("layers_0", "layers_1"):
        units = model.params["decoder"][layer]["mlp"]
        first = units["wi_0" if len(activations) > 1 else "wi"]
        first["kernel"][:, 0], first["bias"][0] = 1e-6, 0  # a key that hardly ever answers
    prompting = Prompting.of(model)
    some = ablation.sample(read_facts("atlas", relations=["country_capital"], style="cloze"), 6)
    rows = ablation.ablate(model, some, prompting, Settings(top=4, draws=1))
    pieces = [found for _, found in prompting.spelled([fact.object for fact in some.facts])]
    inputs = prompting.inputs(some.facts)
    scores = model.predictor().score_tokens(model.params, inputs, [[list(ids)] for ids in pieces])
    np.testing.assert_allclose([row.log_prob for row in rows], np.ravel(scores), rtol=1e-4)
    for row, ids in zip(rows, pieces, strict=True):
        assert row.silenced == 4
        assert 4 < row.active <= 2 * (model.config.mlp_dim - 1) * len(ids), (
            "none at the prompt's own positions"
        )
    assert np.mean([row.top for row in rows]) > 0


def test_draws_follow_the_seed_and_the_fact(atlas_qa, facts):
    few = facts.keep(facts.facts[:4])
    prompting = Prompting.of(atlas_qa)

    def run(seed: int, chosen: Facts = few) -> list[Row]:
        settings = Settings(top=100, draws=1, seed=seed, stacks=("decoder",))
        return ablation.ablate(atlas_qa, chosen, prompting, settings)

    first, again, other = run(0), run(0), run(1)
    assert first == again
    assert [row.top for row in first] == [row.top for row in other]
    assert [row.random for row in first] != [row.random for row in other]
    alone = run(0, few.keep(few.facts[2:3]))
    assert alone[0].random == pytest.approx(first[2].random, abs=1e-4)


def test_intervals_draw_relations():
    rows = [
        Row(
            id=str(i),
            relation=relation,
            log_prob=-1.0,
            top=top,
            random=0.0,
            matched=top / 2,
            active=9,
            silenced=1,
        )
        for i, (relation, top) in enumerate([("a", 1.0), ("a", 1.0), ("b", 3.0), ("b", 3.0)])
    ]
    found = ablation.summarise(rows)
    difference = found["top - random"]
    half = 12.706  # Student's t of one degree of freedom, times a standard error of 1
    assert difference.mean == 2.0
    assert (difference.low, difference.high) == pytest.approx((2 - half, 2 + half), abs=0.001)
    assert found["top - matched"].mean == 1.0
    of_one = ablation.summarise([dataclasses.replace(row, relation="a") for row in rows])
    assert of_one["top"].mean == 2.0
    assert np.isfinite(of_one["top"].low)


def test_the_same_facts_are_chosen_whatever_their_order():
    facts = read_facts("atlas", style="question")
    chosen = ablation.sample(facts, 200)
    turned = ablation.sample(facts.keep(facts.facts[::-1]), 200)
    assert [f.id for f in chosen.facts] == [f.id for f in turned.facts]
    assert len({fact.relation for fact in chosen.facts}) > 15
    with pytest.raises(UserError, match="fewer than 5,000"):
        ablation.sample(facts, 5000)


def test_a_stack_that_is_not_there_is_refused(atlas_qa, facts):
    with pytest.raises(UserError, match=r"unknown stack of a T5 1\.0 'middle'"):
        ablation.ablate(atlas_qa, facts, Prompting.of(atlas_qa), Settings(stacks=("middle",)))
