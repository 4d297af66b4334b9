"""Bits of whole models: tables, models that know nothing, trained ones asked of other facts."""

import collections
import dataclasses
import math

import jax
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.capacity import asking, results, sizes, summary
from closedbook.knowledge.capacity.priors import priors
from closedbook.knowledge.probing.families.opening import prompting_of
from closedbook.models import parameter_count
from closedbook.tasks.facts import read_facts
from closedbook.tasks.facts.form import gather

NAMES = ["state_capital", "country_continent", "element_discoverer"]


def measured(model, facts, prior="marginal", phrasings=None):
    prompting = prompting_of(model)
    facts = asking.with_phrasings(facts, prompting, phrasings)
    worth = priors(facts, prior)
    rows = asking.ask(model, facts, prompting, worth)
    return results.of(rows, facts, model, prompting, worth, prior, model_name="m", arguments={})


@pytest.fixture(scope="module")
def states(atlas_qa):
    """Of 269 facts in two phrasings."""
    return measured(atlas_qa, read_facts("atlas", relations=NAMES, style="question"), phrasings=2)


@pytest.mark.parametrize("prior", ["marginal", "uniform"])
def test_a_model_that_is_a_lookup_table_holds_the_full_entropy(lookup_table, table_facts, prior):
    model = lookup_table([fact.object for fact in table_facts.facts])
    parts = collections.Counter(fact.split for fact in table_facts.facts).values()
    ways = sum(np.log2(float(math.factorial(size))) for size in parts)
    entropy = {"marginal": ways, "uniform": 24 * np.log2(118)}[prior]
    whole = measured(model, table_facts, prior, phrasings=1).summary["all"]["best"]
    assert whole.entropy == pytest.approx(entropy)
    assert entropy - 0.3 < whole.bits <= entropy


@pytest.mark.parametrize("prior", ["marginal", "uniform"])
def test_a_model_that_gives_all_the_same_holds_nothing(lookup_table, table_facts, prior):
    model = lookup_table([fact.object for fact in table_facts.facts])
    zeros = {"embedding": np.zeros_like(model.params["token_embedder"]["embedding"])}
    model = dataclasses.replace(model, params={**model.params, "token_embedder": zeros})
    whole = measured(model, table_facts, prior, phrasings=1).summary["all"]
    assert max(each.bits for each in whole.values()) < 1e-6
    assert whole["best"].low < 1e-6


def test_relations_sum_up_to_the_whole_and_parts_are_apart(states):
    found = states.summary
    for name in ("best", "mean", "first"):
        whole = found["all"][name]
        assert whole.bits == sum(row[name].bits for row in found["relations"])
        assert whole.entropy == pytest.approx(sum(row[name].entropy for row in found["relations"]))
        assert sum(part[name].unclipped for part in found["parts"]) == pytest.approx(
            whole.unclipped
        )
    assert [part["name"] for part in found["parts"]] == ["asked", "validation", "held out"]
    assert found["all"]["best"].bits > 0.9 * found["all"]["best"].entropy
    rows = sum(row["best"] for row in states.rows)
    assert rows == pytest.approx(found["all"]["best"].unclipped, abs=0.01)
    others = found["parameters"]["others"]
    assert found["per_parameter"]["without embeddings"].bits * others == pytest.approx(
        found["all"]["best"].bits
    )


def _shuffled(facts, seed):
    """The same objects, dealt out anew among the subjects of each relation."""
    random = np.random.default_rng(seed)
    moved = []
    for name in facts.relations:
        own = facts.of(name)
        for fact, place in zip(own, random.permutation(len(own)), strict=True):
            moved.append(
                dataclasses.replace(fact, object=own[place].object, objects=own[place].objects)
            )
    return gather(moved, source="shuffled", relations=facts.relations.values())


def test_shuffled_answers_hold_nothing(atlas_qa):
    facts = read_facts("atlas", relations=NAMES, style="question")
    whole = measured(atlas_qa, _shuffled(facts, 0), phrasings=2).summary["all"]["best"]
    assert whole.unclipped <= 0
    assert whole.bits < 1
    assert whole.low == 0


def test_facts_that_a_trained_model_never_read_hold_nothing(atlas_qa):
    """Made-up countries, whose continents a fair die has drawn."""
    facts = read_facts("atlas", relations=["country_continent"], style="question")
    random = np.random.default_rng(0)
    names = sorted({fact.object for fact in facts.facts})
    parts = ("Bor", "Tal", "Kem", "Ru", "Sil", "Van"), ("ia", "land", "ador", "istan", "ova", "una")
    made = [f"{a}{b}" for a in parts[0] for b in parts[1]]
    moved = [
        dataclasses.replace(fact, id=name, subject=name, object=chosen, objects=(chosen,), split="")
        for fact, name in zip(facts.facts, made, strict=False)
        for chosen in [names[random.integers(len(names))]]
    ]
    new = gather(moved, source="made", relations=facts.relations.values())
    for prior in ("uniform", "marginal"):
        whole = measured(atlas_qa, new, prior, phrasings=2).summary["all"]["best"]
        assert whole.low == 0
        assert whole.bits < 3  # of 36 log2(6) = 93


def test_equal_runs_have_equal_bits_and_a_killed_one_asks_nothing_twice(
    atlas_qa, states, tmp_path, monkeypatch
):
    prompting = prompting_of(atlas_qa)
    facts = read_facts("atlas", relations=NAMES, style="question")
    facts = asking.with_phrasings(facts, prompting, 2)
    worth = priors(facts, "marginal")
    rows = asking.ask(atlas_qa, facts, prompting, worth, keep=tmp_path)
    scorer = type(asking.tasks_of(atlas_qa, facts, prompting).scorer)
    monkeypatch.setattr(scorer, "__call__", lambda *_: pytest.fail("asked again"))
    again = asking.ask(atlas_qa, facts, prompting, worth, keep=tmp_path)
    assert rows == again
    assert [row["log2"] for row in rows] == [row["log2"] for row in states.rows]


def test_one_candidate_holds_no_bits(atlas_qa):
    facts = read_facts("atlas", relations=["state_capital"], style="question")
    one = facts.keep(facts.facts[:1])
    only = dataclasses.replace(facts.relations["state_capital"], candidates=(one.facts[0].object,))
    with pytest.raises(UserError, match=r"has one candidate, 'Montgomery': .* holds no bits"):
        measured(atlas_qa, dataclasses.replace(one, relations={"state_capital": only}))


def test_parameters_are_counted_with_embeddings_apart(atlas_qa):
    counted = sizes.parameters_of(atlas_qa)
    assert counted.total == parameter_count(atlas_qa.config)
    rows, width = atlas_qa.params["token_embedder"]["embedding"].shape
    assert counted.embeddings == rows * width
    assert counted.total == sum(x.size for x in jax.tree.leaves(atlas_qa.params))


def test_code_lengths_of_facts_that_lack_a_phrasing_use_the_first(atlas_qa):
    facts = read_facts("atlas", relations=["state_capital"], style="question")
    facts = facts.keep(facts.facts[:4])
    rows = [{"log2": [-1.0, -2.0]}, {"log2": [-1.0]}] * 2
    lengths = summary.code_lengths(facts, rows, priors(facts, "uniform"))
    assert np.isfinite(lengths.mean).all()
    assert set(lengths.phrasing.tolist()) <= {0, 1}
