"""Bits are a lower bound: what knows all scores the full entropy, and no guesser scores."""

import doctest

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.capacity import bits, drawing
from closedbook.knowledge.capacity import priors as priors_module
from closedbook.knowledge.capacity.priors import counted_once, priors
from closedbook.tasks.facts import Fact
from closedbook.tasks.facts.form import Relation, gather


def made(pairs, candidates=(), relation="r", **settings):
    """Facts of (subject, object)."""
    facts = [
        Fact(
            id=f"{s}-{o}", subject=s, relation=relation, object=o, prompt="{} has [Y].", **settings
        )
        for s, o in pairs
    ]
    declared = [Relation(name=relation, candidates=tuple(candidates))] if candidates else []
    return gather(facts, source="here", relations=declared)


def arranged(n, kinds, seed):
    """Facts of n subjects, the objects dealt out among them: each kind n / kinds times."""
    objects = np.random.default_rng(seed).permutation(np.arange(n) % kinds)
    return made([(f"s{i}", f"o{each}") for i, each in enumerate(objects)])


def measured(facts, model, prior, clusters=None):
    """Bits of log2 probabilities [phrasings, facts] of the right candidates."""
    found = priors(facts, prior)
    subjects = clusters or [fact.subject for fact in facts.facts]
    lengths = bits.coded(np.atleast_2d(model), found.log2, bits.dealt(subjects))
    groups = [fact.relation for fact in facts.facts]
    return found, lengths, bits.held(found.bits, lengths.best, groups, subjects)[1]


@pytest.mark.parametrize(
    ("prior", "entropy"),
    [
        ("uniform", 60 * np.log2(12)),
        ("marginal", sum(map(np.log2, range(1, 61))) - 12 * np.log2(120)),
    ],
)
def test_a_lookup_table_scores_the_full_entropy_and_the_prior_nothing(prior, entropy):
    facts = arranged(60, 12, seed=0)
    found, _, whole = measured(facts, np.zeros(60), prior)
    assert whole.entropy == pytest.approx(entropy)
    assert found.bits.sum() == pytest.approx(entropy)
    assert 0 <= entropy - whole.bits < 60 * 0.0015
    _, _, nothing = measured(facts, found.log2, prior)
    assert nothing.bits == nothing.low == 0
    assert nothing.unclipped <= 1e-9


def _guesses(random, facts, subjects):
    """log2 probabilities of a model that prefers some objects, whatever the subject is."""
    names = [int(fact.object[1:]) for fact in facts.facts]
    logits = random.normal(size=max(names) + 1) * random.uniform(0, 4)
    noise = random.normal(size=(len(names), len(logits))) * subjects
    scores = logits + noise
    return (scores - np.logaddexp.reduce(scores, axis=1)[:, None])[
        np.arange(len(names)), names
    ] / np.log(2)


@pytest.mark.parametrize("kinds", [3, 60])
def test_guesses_score_nothing_however_many_phrasings_there_are_to_choose_from(kinds):
    """300 models that know nothing; the naive best of ten phrasings would credit them."""
    random = np.random.default_rng(0)
    gains, naive = [], []
    for seed in range(300):
        facts = arranged(60, kinds, seed)
        model = np.stack([_guesses(random, facts, subjects=0.5) for _ in range(10)])
        found, lengths, whole = measured(facts, model, "marginal")
        gains.append(whole.unclipped)
        naive.append((found.bits + np.maximum(model.max(axis=0), found.log2)).sum())
        assert lengths.phrasing.max() < 10
    assert np.mean(gains) < 0
    assert np.mean(np.array(gains) > 3) < 0.01
    assert np.mean(naive) > 10


def test_clipping_is_once_per_relation_and_the_sum_is_the_whole():
    random = np.random.default_rng(1)
    lengths = random.uniform(0, 6, size=90)
    groups, clusters = ["a", "b", "c"] * 30, [str(number // 3) for number in range(90)]
    lengths[2::3] += 3  # the last relation costs more than it is worth
    found, whole = bits.held(np.full(90, 4.0), lengths, groups, clusters)
    assert found["c"].bits == 0 > found["c"].unclipped
    assert whole.bits == sum(each.bits for each in found.values())
    assert found["a"].bits == pytest.approx((4 - lengths[0::3]).sum())
    assert whole.low <= whole.bits <= whole.high <= whole.entropy == 360
    assert bits.held(np.full(90, 4.0), lengths, groups, clusters)[1] == whole
    twice = bits.held(np.full(90, 4.0), lengths, groups, clusters, seed=1)[1]
    assert twice.bits == whole.bits


def test_the_interval_covers_the_bits_of_other_facts_of_the_kind():
    random = np.random.default_rng(2)
    inside = 0
    for seed in range(200):
        lengths = random.exponential(3.0, size=80)
        whole = bits.memorised(np.full(80, 5.0), lengths, seed=seed)
        inside += whole.low <= 80 * 2.0 <= whole.high
    assert 0.9 <= inside / 200 <= 0.99


def test_what_is_known_whole_has_a_narrow_interval_however_much_each_fact_is_worth():
    """Draws of many rare objects are worth more; that says nothing of the model."""
    objects = ["common"] * 60 + [f"rare{number}" for number in range(40)]
    facts = made([(f"s{number}", name) for number, name in enumerate(objects)])
    _, _, whole = measured(facts, np.zeros(100), "marginal")
    assert whole.entropy > 200
    assert 0.998 * whole.entropy < whole.low <= whole.bits <= whole.high <= whole.entropy


def test_few_subjects_have_wide_intervals_and_one_alone_knows_nothing_of_others():
    facts = made([("a", "x"), ("b", "y"), ("c", "z")])
    _, lengths, whole = measured(facts, np.zeros(3), "marginal")
    assert whole.entropy == pytest.approx(np.log2(6))
    assert whole.low < 0.6 * whole.bits  # three of three known is no certainty
    alone = made([("a", "x")], candidates=["x", "y"])
    _, lengths, one = measured(alone, np.zeros(1), "uniform")
    assert lengths.weight.tolist() == [1.0]
    assert (one.bits, one.low, one.high, one.entropy) == (0, 0, 1, 1)


def test_facts_that_are_worth_nothing_are_told():
    alone = made([("a", "x"), ("b", "x")], candidates=["x", "y"])
    with pytest.raises(UserError, match=r"all have the same object, or there is one\s+fact alone"):
        priors(alone, "marginal")
    with pytest.raises(UserError, match=r"give more facts \(or a higher --limit\)"):
        priors(made([("a", "x")], candidates=["x", "y"]), "marginal")
    assert priors(alone, "uniform").bits.tolist() == [1, 1]
    with pytest.raises(UserError, match="r has one candidate, 'x': what can be answered in one"):
        priors(made([("a", "x")]), "uniform")
    several = gather(
        [*made([("a", "x"), ("b", "y")]).facts, *made([("a", "z")], relation="one").facts],
        source="here",
    )
    for kind in priors_module.PRIORS:
        with pytest.raises(UserError, match=r"one has one candidate, 'z': .*\(--relations\)"):
            priors(several, kind)


def test_a_part_in_which_an_object_is_common_gives_nothing_to_who_always_names_it():
    facts = gather(
        [
            Fact(
                id=f"{part}{number}",
                subject=f"{part}{number}",
                relation="r",
                object="Paris" if (number % 4 > 0) == (part == "old") else "Oslo",
                prompt="{} has [Y].",
                split=part,
            )
            for part in ("old", "new")
            for number in range(100)
        ],
        source="here",
    )
    worth = priors(facts, "marginal")
    assert worth.bits.sum() == pytest.approx(2 * priors_module.arrangements([75, 25]))
    for share in (0.5, 0.75, 0.9, 0.99):
        model = np.log2([share if each.object == "Paris" else 1 - share for each in facts.facts])
        subjects = [fact.subject for fact in facts.facts]
        parts = [fact.split for fact in facts.facts]
        lengths = bits.coded(model[None], worth.log2, bits.dealt(subjects), parts)
        _, whole = bits.held(worth.bits, lengths.best, ["r"] * 200, subjects)
        assert whole.unclipped < 1


def test_many_relations_of_which_nothing_is_known_have_intervals_that_hold_0():
    """Each is clipped, so that their sum lies above 0; the interval must not."""
    random = np.random.default_rng(3)
    n, relations = 20, 100
    gains = random.normal(-0.02, 0.5, size=n * relations)
    groups = [number // n for number in range(n * relations)]
    _, whole = bits.held(np.full(len(gains), 5.0), 5.0 - gains, groups, np.arange(len(gains)))
    assert whole.bits > 20
    assert whole.low == 0


def test_a_sure_and_wrong_answer_costs_at_most_ten_bits():
    facts = arranged(40, 40, seed=0)
    model = np.zeros(40)
    model[7] = -500.0
    found, lengths, _ = measured(facts, model, "uniform")
    assert lengths.best[7] == pytest.approx(10 - found.log2[7], abs=0.01)


def test_several_right_objects_are_told_one_after_the_other():
    """Of a subject with three right objects among eight a perfect model spends log2(3!) bits."""
    names = [f"o{number}" for number in range(8)]
    facts = made([("a", "o0"), ("a", "o1"), ("a", "o2")], candidates=names)
    found = priors(facts, "uniform")
    assert sorted(found.candidates.tolist()) == [6, 7, 8]
    assert found.bits.sum() == pytest.approx(np.log2(8 * 7 * 6))
    perfect = -np.log2(found.candidates - 5)  # 1/3, 1/2, 1: equal shares of what is left
    assert (found.bits + perfect).sum() == pytest.approx(np.log2(8 * 7 * 6 / 6))
    assert all(
        place not in skipped for place, skipped in zip(found.index, found.excluded, strict=True)
    )


def test_one_fact_of_a_subject_counts_where_nobody_drew_the_objects():
    """Whoever ranks four objects above rare ones would else gain from subjects that have all."""
    random = np.random.default_rng(4)
    pairs = [(f"s{n}", o) for n in range(300) for o in "ABCD"]
    pairs += [(f"s{n}", f"rare{random.integers(20)}") for n in range(300)]
    facts = counted_once(made(pairs), "marginal")
    assert len(facts) == 300
    assert facts.dropped == {"another fact of its subject and relation counts": 1200}
    assert {fact.object for fact in facts.facts} > set("ABCD")
    model = np.array([np.log2(0.24 if len(f.object) == 1 else 0.04 / 20) for f in facts.facts])
    _, _, whole = measured(facts, model, "marginal")
    assert whole.low == 0
    assert whole.unclipped < 3


@pytest.mark.parametrize("kind", priors_module.PRIORS)
def test_a_fact_that_is_told_again_is_worth_nothing(kind):
    facts = [
        Fact(id=f"{s}{turn}", subject=s, relation="r", object=o, prompt="{} has [Y].")
        for turn in range(3)
        for s, o in [("Peru", "Lima"), ("Cuba", "Havana"), ("France", "Paris")]
    ]
    once = counted_once(gather(facts, source="here"), kind)
    assert sorted(fact.subject for fact in once.facts) == ["Cuba", "France", "Peru"]
    assert sum(once.dropped.values()) == 6
    assert counted_once(once, kind).facts == once.facts


def test_another_name_of_the_object_is_no_candidate():
    facts = made([("a", "Holland"), ("b", "Peru")], candidates=["Holland", "Netherlands", "Peru"])
    alias = [("Holland", "Netherlands"), ("Peru",)]
    facts = gather(
        [
            Fact(**{**vars(fact), "objects": names})
            for fact, names in zip(facts.facts, alias, strict=True)
        ],
        source="here",
        relations=facts.relations.values(),
    )
    assert priors(facts, "uniform").candidates.tolist() == [2, 3]


def test_objects_that_are_right_for_nobody_are_worth_nothing_under_the_marginal():
    """Else a model that prefers names which occur would be credited for knowing which do."""
    names = [f"o{number}" for number in range(50)]
    facts = made([("a", "o1"), ("b", "o2"), ("c", "o3"), ("d", "o1")], candidates=names)
    found = priors(facts, "marginal")
    assert found.candidates.tolist() == [3] * 4
    assert found.bits.sum() == pytest.approx(np.log2(12))
    assert priors(facts, "uniform").bits.sum() == pytest.approx(4 * np.log2(50))


@pytest.mark.parametrize("module", [bits, drawing, priors_module], ids=lambda each: each.__name__)
def test_examples_of_docstrings_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
