"""Hidden knowledge: what the probes can find, what they must not, and whose states they read."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from closedbook.checkpoints import ModelCard
from closedbook.errors import UserError
from closedbook.knowledge.probing.hidden import batches, linear
from closedbook.knowledge.probing.hidden import states as hidden_states
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.scoring import CandidateScorer
from closedbook.models import DecoderOnlyConfig, Taps, network, unboxed
from closedbook.tasks.facts import read_facts
from closedbook.tasks.facts.form import Fact, Relation, gather

OBJECTS = tuple(f"object {number}" for number in range(12))


def made_facts(subjects: int, relations: int = 2):
    """Facts of which each subject has one per relation."""
    facts = [
        Fact(
            id=f"{relation}.{subject}",
            subject=f"subject {subject}",
            relation=f"relation {relation}",
            object=OBJECTS[(subject + relation) % len(OBJECTS)],
            prompt="{} has [Y].",
        )
        for relation in range(relations)
        for subject in range(subjects)
    ]
    known = [Relation(name=f"relation {n}", candidates=OBJECTS) for n in range(relations)]
    return gather(facts, source="made", relations=known)


def test_fit_is_scikit_learns():
    random = np.random.default_rng(0)
    states = random.normal(size=(400, 6))
    right = states @ [2, -1, 0, 0, 1, 0] + random.normal(size=400) > 1
    theirs = LogisticRegression(C=1.0, tol=1e-10).fit(states, right)
    found = linear.fit(states, right)
    assert found[:-1] == pytest.approx(theirs.coef_[0], abs=1e-3)
    assert found[-1] == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_what_the_states_tell_and_the_scores_do_not_is_found():
    facts = made_facts(20)
    pairs = hidden_states.sample(facts, wrong=4)
    random = np.random.default_rng(1)
    states = random.normal(size=(len(pairs.fact), 8)).astype(np.float32)
    # Beyond the reach of the noise, and spread over all features.
    states += 12 * np.where(pairs.right, 1, -1)[:, None] * np.float32([1, -1] * 4)
    nothing = np.zeros_like(states)
    # Two of each fact's four wrong candidates are above its right one, two below.
    log_probs = np.where(pairs.right, -2.0, np.where(np.arange(len(states)) % 5 < 3, -1.0, -3.0))
    tokens = np.where(pairs.right, 2, 1)
    read = hidden_states.Read(
        states={"telling": states, "silent": nothing}, log_probs=log_probs, tokens=tokens
    )
    found = hidden_states.summarise(facts, pairs, read)
    assert (found["facts"], found["pairs"], found["folds"]) == (40, 200, 5)
    by_sum, per_token = found["external"]
    assert (by_sum["k"].mean, by_sum["full"].mean) == (0.5, 0.0)
    assert per_token["k"].mean == 0.5  # -1 is then equal to -1, which is not ranked right
    telling, centred, silent = found["internal"]
    assert (centred["name"], centred["k"].mean) == ("telling, centred", 1.0)
    assert (telling["k"].mean, telling["full"].mean) == (1.0, 1.0)
    assert telling["relations"] == {"relation 0": 1.0, "relation 1": 1.0}
    gap = telling["gaps"]["sum"]
    assert (gap["value"].mean, gap["relative"]) == (0.5, 1.0)
    assert silent["k"].mean == 0


def test_probe_learns_nothing_of_the_subjects_that_it_is_tried_on():
    """States name subject and candidate, and say nothing of other subjects.

    Each fact stands in the data twice, so that a probe that saw the other one would know all.
    """
    facts = made_facts(60, relations=1)
    twice = gather(
        [*facts.facts, *(dataclasses.replace(f, id=f"{f.id}'") for f in facts.facts)],
        source="made",
        relations=facts.relations.values(),
    )
    pairs = hidden_states.sample(twice, wrong=4)
    random = np.random.default_rng(2)
    half = random.normal(size=(len(pairs.fact) // 2, 400))
    states = np.concatenate([half, half])
    read = hidden_states.Read(
        states={"site": states}, log_probs=-np.arange(len(states)), tokens=np.ones(len(states))
    )
    found = hidden_states.summarise(twice, pairs, read)["internal"][0]["k"]
    assert found.low < 0.5 < found.high
    leaking = linear.cross_validated(states, pairs.right, pairs.fact % 7)
    assert hidden_states.k_of_facts(pairs, leaking).mean() > 0.9


def test_candidates_known_again_mislead_the_plain_probe_and_not_the_centred_one():
    facts = [
        Fact(id=f"{n}", subject=f"s{n}", relation="r", object=f"o{n}", prompt="{} has [Y].")
        for n in range(200)
    ]
    facts = gather(facts, source="made")  # each object is right for one subject
    pairs = hidden_states.sample(facts)
    random = np.random.default_rng(3)
    states = random.normal(size=(200, 64))[pairs.candidate]
    states = states + 0.2 * random.normal(size=states.shape)
    read = hidden_states.Read(
        states={"site": states}, log_probs=np.zeros(len(states)), tokens=np.ones(len(states))
    )
    plain, centred = hidden_states.summarise(facts, pairs, read)["internal"]
    assert plain["k"].high < 0.5
    assert centred["k"].low < 0.5 < centred["k"].high


def test_subjects_are_in_one_fold_each_and_folds_are_even():
    subjects = [f"s{number}" for number in range(23)] * 3
    fold = linear.folds(subjects, 5)
    assert all(len({*fold[n::23]}) == 1 for n in range(23))
    assert sorted(np.bincount(fold[:23])) == [4, 4, 5, 5, 5]
    with pytest.raises(ValueError, match="two folds"):
        linear.cross_validated(np.ones((4, 2)), np.ones(4, bool), np.zeros(4))


def test_sample_is_fixed_and_holds_no_right_object_as_wrong():
    facts = read_facts("atlas", relations=["country_language"])
    pairs = hidden_states.sample(facts, wrong=5)
    right = facts.right()
    for number, place, is_right in zip(pairs.fact, pairs.candidate, pairs.right, strict=True):
        fact = facts.facts[number]
        name = facts.relations[fact.relation].candidates[place]
        assert (name == fact.object) == is_right
        assert is_right or name not in right[fact.relation, fact.subject]
    last = facts.keep(facts.facts[-3:])  # what else is asked changes nothing
    again = hidden_states.sample(last, wrong=5)
    assert again.candidate.tolist() == pairs.candidate[pairs.fact >= len(facts) - 3].tolist()


def test_one_subject_alone_cannot_be_probed():
    facts = made_facts(1)
    with pytest.raises(UserError, match=r"two subjects at least .* there is one"):
        hidden_states.sample(facts)


@pytest.fixture(scope="module")
def continuing(atlas_ssm):
    """A random model that goes on with its prompt, with positions that are soon at an end."""
    config = DecoderOnlyConfig(
        vocab_size=atlas_ssm.config.vocab_size,
        emb_dim=16,
        num_heads=4,
        num_layers=3,
        head_dim=4,
        mlp_dim=8,
        max_positions=40,
        dropout_rate=0.0,
        eos_id=1,
    )
    module = network(config)
    params = unboxed(module.init(jax.random.key(1), *module.example())["params"])
    params = jax.tree.map(lambda x: 4 * x, params)
    card = ModelCard(config=config, vocabulary_sha256="", task="")
    return dataclasses.replace(atlas_ssm, config=config, params=params, card=card)


@pytest.mark.parametrize("kind", ["T5", "decoder-only"])
def test_states_and_scores_are_those_of_a_forward_pass_by_itself(atlas_ssm, continuing, kind):
    model = atlas_ssm if kind == "T5" else continuing
    names = ["element_discoverer", "country_continent"]
    facts = read_facts("atlas", relations=names, style="cloze")
    facts = facts.keep([fact for name in names for fact in facts.of(name)[:4]])
    prompting = Prompting.of(model)
    pairs = hidden_states.sample(facts, wrong=6)
    sites = hidden_states.sites(model.config, ["decoder.*.resid_post", "decoder.0.mlp.out"])
    read = hidden_states.read(model, facts, prompting, pairs, sites)
    inputs = prompting.inputs(facts.facts)
    scorer = CandidateScorer(model.module, model.params)
    for pair in range(0, len(pairs.fact), 3):
        number = int(pairs.fact[pair])
        answers = prompting.answers(facts.relations[facts.facts[number].relation])
        place = int(pairs.candidate[pair])
        prompt, pieces = inputs[number], answers.pieces[place]
        given = (prompt, [0, *pieces]) if kind == "T5" else ([*prompt, *pieces],)
        _, records = model.module.apply(
            {"params": model.params}, *(jnp.array([row]) for row in given), taps=Taps(record=sites)
        )
        for site in sites:
            expected = np.asarray(records[site])[0, -1]
            close = 2e-5 * np.abs(expected).max()
            assert np.allclose(read.states[site][pair], expected, atol=close), (pair, site)
        score = scorer([prompt], answers)[0, place]
        assert read.log_probs[pair] == pytest.approx(score, abs=1e-3)
        assert read.tokens[pair] == answers.lengths[place]


@pytest.mark.parametrize(("kind", "most"), [("T5", 130), ("decoder-only", 40)])
def test_few_long_prompts_are_read_at_once_with_the_same_result(
    atlas_ssm, continuing, monkeypatch, kind, most
):
    model = atlas_ssm if kind == "T5" else continuing
    facts = read_facts("atlas", relations=["country_continent", "state_capital"])
    facts = facts.keep([fact for name in facts.relations for fact in facts.of(name)[:3]])
    prompting = Prompting.of(model)
    pairs = hidden_states.sample(facts, wrong=5)
    sites = hidden_states.sites(model.config, ["decoder.1.resid_post"])
    whole = hidden_states.read(model, facts, prompting, pairs, sites)
    sizes = []

    def noted(*arguments):
        for batch in batches.batches(*arguments):
            prompt = 0 if kind == "decoder-only" else batch.inputs.shape[1]
            sizes.append((len(batch.rows), len(batch.rows) * (prompt + batch.rows.shape[1])))
            yield batch

    monkeypatch.setattr(hidden_states, "batches", noted)
    monkeypatch.setattr(batches, "_TOKENS", most)
    again = hidden_states.read(model, facts, prompting, pairs, sites)
    assert all(tokens <= most for _, tokens in sizes)
    assert min(rows for rows, _ in sizes) < 6, "the pairs of one fact were read in parts"
    np.testing.assert_allclose(again.log_probs, whole.log_probs, atol=1e-3)
    np.testing.assert_array_equal(again.tokens, whole.tokens)
    for site in sites:
        close = 2e-5 * np.abs(whole.states[site]).max()
        np.testing.assert_allclose(again.states[site], whole.states[site], atol=close)


def test_a_batch_of_prompts_of_any_length_is_bounded(atlas_ssm):
    facts = read_facts("atlas", relations=["state_capital"])
    long = [
        dataclasses.replace(fact, prompt=" ".join(["of"] * 100 * 4**place) + " {} is [Y].")
        for place, fact in enumerate(facts.facts[:4])
    ]
    facts = facts.keep(long)
    prompting = Prompting.of(atlas_ssm)
    pairs = hidden_states.sample(facts)
    inputs = prompting.inputs(facts.facts)
    answers = {name: prompting.answers(each) for name, each in facts.relations.items()}
    assert max(map(len, inputs)) > 6400
    found = list(batches.batches(atlas_ssm, facts, inputs, answers, pairs))
    read = [each.rows.shape[0] * (each.rows.shape[1] + each.inputs.shape[1]) for each in found]
    assert max(read) <= batches._TOKENS
    assert sorted(np.concatenate([each.pairs for each in found])) == [*range(len(pairs.fact))]


def test_a_killed_reading_goes_on_and_ends_with_the_same_bits(atlas_ssm, tmp_path, monkeypatch):
    facts = read_facts("atlas", relations=["state_capital"]).facts[:30]
    facts = read_facts("atlas").keep(facts)
    prompting = Prompting.of(atlas_ssm)
    pairs = hidden_states.sample(facts, wrong=7)
    sites = hidden_states.sites(atlas_ssm.config, ["decoder.1.resid_post"])
    monkeypatch.setattr(batches, "_PAIRS", 32)  # four facts per batch
    whole = hidden_states.read(atlas_ssm, facts, prompting, pairs, sites)
    done: list[int] = []

    def killed(pairs_done: int) -> None:
        done.append(pairs_done)
        if len(done) == 3:
            raise KeyboardInterrupt

    keep = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        hidden_states.read(atlas_ssm, facts, prompting, pairs, sites, keep=keep, progress=killed)
    assert len(list(keep.iterdir())) == 3
    forward, read = hidden_states._forward, []

    def counted(*arguments):
        jax.debug.callback(lambda: read.append(1))
        return forward(*arguments)

    monkeypatch.setattr(hidden_states, "_forward", counted)
    again = hidden_states.read(atlas_ssm, facts, prompting, pairs, sites, keep=keep)
    jax.effects_barrier()
    kept = len(list(keep.iterdir()))
    assert len(read) == kept - 3 > 0
    assert again.log_probs.tobytes() == whole.log_probs.tobytes()
    assert again.tokens.tobytes() == whole.tokens.tobytes()
    for site in sites:
        assert again.states[site].tobytes() == whole.states[site].tobytes()
    # Another model's states are not taken for these, and a damaged file is read anew.
    other = dataclasses.replace(atlas_ssm, params=jax.tree.map(lambda x: 2 * x, atlas_ssm.params))
    hidden_states.read(other, facts, prompting, pairs, sites, keep=keep)
    assert len(list(keep.iterdir())) == 2 * kept
    for file in keep.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    mended = hidden_states.read(atlas_ssm, facts, prompting, pairs, sites, keep=keep)
    assert mended.log_probs.tobytes() == whole.log_probs.tobytes()


def test_default_sites_are_the_middle_and_last_layer_and_the_embedding(atlas_ssm, continuing):
    layers = hidden_states.sites(continuing.config)
    assert layers == ("decoder.embed", "decoder.1.resid_post", "decoder.2.resid_post")
    for bad, message in [
        ("encoder.0.resid_post", "no state of a candidate's token"),
        ("decoder.0.*", "weights has no state"),
        ("decoder.9.resid_post", "unknown tap site"),
    ]:
        with pytest.raises(UserError, match=message):
            hidden_states.sites(atlas_ssm.config, [bad])
