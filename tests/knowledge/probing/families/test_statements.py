"""Whole statements by decoder-only models, against lm-pub-quiz 0.3.3 and single forward passes."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.cli import closedbook as command
from closedbook.errors import UserError
from closedbook.knowledge import load_model
from closedbook.knowledge.probing import trees
from closedbook.knowledge.probing.families.opening import prompting_of
from closedbook.knowledge.probing.families.statement_prompting import statements
from closedbook.tasks.facts import Fact, Relation, read_facts


@pytest.fixture(scope="module")
def folder(golden) -> pathlib.Path:
    """A tiny random GPT-2, made-up facts in BEAR's form, and what lm-pub-quiz made of them."""
    return golden / "lm_pub_quiz"


@pytest.fixture(scope="module")
def model(folder):
    """The tiny GPT-2."""
    return load_model(folder / "model")


@pytest.fixture(scope="module")
def theirs(folder):
    """(relation, subject, template, reduction) -> scores."""
    found = json.loads((folder / "scores.json").read_text())
    keys = ("relation", "subject", "template", "reduction")
    return {tuple(row[key] for key in keys): row["scores"] for row in found["rows"]}, found


@pytest.fixture(scope="module")
def scores(model, folder):
    """Facts, and for each template the scores of each fact and the tokens of each statement."""
    facts = read_facts(folder / "BEAR")
    prompting = prompting_of(model, "sentence")
    scorer = prompting.scorer(model)
    found = {}
    for name, relation in facts.relations.items():
        answers = prompting.answers(relation)
        for number in range(3):
            asked = [
                tuple(prompt_parts(prompting, fact, number))
                for fact in facts.facts
                if fact.relation == name
            ]
            found[name, number] = (scorer(asked, answers), prompting.lengths(asked, answers))
    return facts, found


def prompt_parts(prompting, fact, number):
    """The parts of a fact's statement in one of its templates."""
    worded = dataclasses.replace(fact, prompt=prompting.wordings(fact)[number], paraphrases=())
    return prompting.inputs([worded])[0]


def test_every_score_is_that_of_lm_pub_quiz(scores, theirs):
    facts, found = scores
    expected, _ = theirs
    checked = 0
    for (name, template), (rows, lengths) in found.items():
        for fact, row, length in zip(facts.of(name), rows, lengths, strict=True):
            key = (name, fact.subject, template)
            np.testing.assert_allclose(row, expected[*key, "sum"], atol=5e-4)
            np.testing.assert_allclose(row / length, expected[*key, "mean"], atol=5e-5)
            checked += 2
    assert checked == len(expected) == 60


def test_a_prefix_merges_and_branches_part_as_tokens_do(model):
    parts, names = ("In Ost", ", the end"), ["erra", "errand", "e", "erra"]
    rows = statements(model.vocabulary, model.config.begin_id, parts, names)
    texts = trees.Texts.whole(rows)
    assert all([*texts.given, *piece] == row for piece, row in zip(texts.pieces, rows, strict=True))
    assert texts.given[0] == model.config.begin_id
    (found,) = trees.TreeScorer(model.module, model.params)([texts])
    for row, score in zip(rows, found, strict=True):
        logits = model.module.apply({"params": model.params}, jnp.array([row]))[0]
        log_probs = np.asarray(jax.nn.log_softmax(logits))[:-1]
        assert score == pytest.approx(log_probs[np.arange(len(row) - 1), row[1:]].sum(), abs=1e-3)


def test_trees_in_small_rows_give_the_same_scores(model, scores, folder, monkeypatch):
    facts, found = scores
    prompting = prompting_of(model, "sentence")
    monkeypatch.setattr(trees, "_ROW", 40)
    monkeypatch.setattr(trees, "_TREE", 24)
    monkeypatch.setattr(trees, "_MOST_ROWS", 2)
    filled: list[list[int]] = []
    passed = trees.TreeScorer._passed

    def watched(self, rows):
        filled.extend([job.size for job in row] for row in rows)
        return passed(self, rows)

    monkeypatch.setattr(trees.TreeScorer, "_passed", watched)
    asked = [prompt_parts(prompting, fact, 1) for fact in facts.of("P1")]
    seen: list[int] = []
    small = prompting.scorer(model)(asked, prompting.answers(facts.relations["P1"]), seen.append)
    np.testing.assert_allclose(small, found["P1", 1][0], atol=1e-4)
    assert sum(map(len, filled)) > len(asked)  # the candidates of one fact are several trees
    assert max(map(sum, filled)) <= 40
    assert len(filled) > 2
    assert len(seen) > 1  # so that progress is told between passes
    assert seen == sorted(seen)
    assert seen[-1] == len(asked)


@pytest.mark.parametrize(
    ("normalise", "reduction", "name"),
    [("sum", "sum", "BEAR score"), ("length", "mean", "mean over templates")],
)
def test_command_prints_the_score_of_lm_pub_quiz(
    folder, theirs, tmp_path, capsys, monkeypatch, normalise, reduction, name
):
    out = tmp_path / "probe"
    words = ["probe", "--model", str(folder / "model"), "--data", str(folder / "BEAR")]
    words += ["--style", "sentence", "--normalise", normalise, "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["closedbook", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert not ended.value.code
    _, golden = theirs
    found = json.loads((out / "summary.json").read_text())["templates"]
    assert found["name"] == name
    assert found["score"]["mean"] == pytest.approx(golden["accuracy"][reduction])
    assert found["score"]["low"] <= found["score"]["mean"] <= found["score"]["high"]
    rows = [row for row in golden["rows"] if row["reduction"] == reduction]
    right = [(row["template"], np.argmax(row["scores"]) == row["answer"]) for row in rows]
    each = [np.mean([hit for template, hit in right if template == n]) for n in range(3)]
    assert [one["mean"] for one in found["each"]] == pytest.approx(each)
    assert found["deviation"] == pytest.approx(np.std(each))
    assert (found["deviation"] > 0.01) == (reduction == "mean")
    assert name in capsys.readouterr().out
    page = (out / "report.html").read_text()
    assert f">{name}</h2>" in page
    assert "log-likelihood of the whole statement" in page


@pytest.mark.parametrize("single", [False, True])
def test_templates_that_part_have_the_score_of_single_forward_passes(
    model, folder, tmp_path, capsys, monkeypatch, single
):
    """With --single-token "glass" and its fact go; statements are scored whole all the same."""
    names = ("the", "of", "is", "glass")
    answers = {"Quell": 0, "Drune": 1, "a drumlin": 1, "Marnia": 2, "a moth harp": 3}
    patterns = ("The end of [X] is [Y].", "[Y] is [X]", "In [X], [Y] and [Y]")
    data = tmp_path / "BEAR"
    data.mkdir()
    ids = [f"A{place}" for place in range(len(names))]
    about = {"templates": patterns, "answer_space_ids": ids, "answer_space_labels": names}
    (data / "metadata_relations.json").write_text(json.dumps({"P1": about}))
    rows = [
        {"sub_id": subject, "sub_label": subject, "obj_id": ids[place], "obj_label": names[place]}
        | {"sub_aliases": [], "answer_idx": place}
        for subject, place in answers.items()
    ]
    (data / "P1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if single:
        names = names[:3]
        answers = {subject: place for subject, place in answers.items() if place < 3}
    likelihood = _likelihood_of(model)
    right = [
        [
            np.argmax([likelihood(pattern, subject, name) for name in names]) == place
            for subject, place in answers.items()
        ]
        for pattern in patterns
    ]
    each = np.mean(right, axis=1)
    assert each.std() > 0.05
    words = ["probe", "--model", str(folder / "model"), "--data", str(data), "--style", "sentence"]
    words += ["--out", str(tmp_path / "out"), *(["--single-token"] if single else [])]
    monkeypatch.setattr("sys.argv", ["closedbook", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert not ended.value.code
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    found = summary["templates"]
    assert found["name"] == "BEAR score"
    assert [one["mean"] for one in found["each"]] == pytest.approx(each.tolist())
    assert found["score"]["mean"] == pytest.approx(each.mean())
    assert found["deviation"] == pytest.approx(each.std())
    printed = capsys.readouterr().out
    assert f"standard deviation {100 * each.std():.1f} over 3" in printed
    assert ("left out     1 fact: object not a single token" in printed) == single
    rule = summary["conventions"]["A candidate's score"]
    assert "log-likelihood of the whole statement" in rule
    assert ("candidates are single pieces when they stand alone" in rule) == single


def _likelihood_of(model):
    """Log-likelihoods of whole statements, each by a forward pass of its own."""
    run = jax.jit(lambda ids: jax.nn.log_softmax(model.module.apply({"params": model.params}, ids)))

    def likelihood(pattern: str, subject: str, name: str) -> float:
        text = pattern.replace("[X]", subject).replace("[Y]", name)
        ids = [model.config.begin_id, *model.vocabulary.encode(text[0].upper() + text[1:])]
        log_probs = np.asarray(run(jnp.array([ids + [0] * (32 - len(ids))])))[0]
        return float(log_probs[np.arange(len(ids) - 1), ids[1:]].sum())

    return likelihood


def test_statements_are_for_models_that_go_on_with_a_text(atlas_ssm):
    with pytest.raises(UserError, match="this one fills gaps"):
        prompting_of(atlas_ssm, "sentence")


def test_room_is_that_of_the_longest_statement_in_tokens(model):
    """Of two names the one of more letters may be the one of fewer tokens."""
    vocabulary = model.vocabulary
    names = ("a" * 12, "\N{SNOWMAN}\N{COMET}" * 5)
    assert len(vocabulary.encode(names[1])) > len(vocabulary.encode(names[0]))
    prompting = prompting_of(model, "sentence")
    fact = Fact(id="f", subject="Peru", relation="r", object=names[0], prompt="{} is [Y]")
    inputs = prompting.inputs([fact])
    longest = max(len(row) - 1 for row in prompting.rows(inputs[0], names))
    for room in (longest, longest - 1):
        config = dataclasses.replace(model.config, max_positions=room)
        small = dataclasses.replace(model, config=config)
        answers = prompting.answers(Relation(name="r", candidates=names))
        if room == longest:
            prompting.check_room(small, [fact], inputs, answers)
            continue
        with pytest.raises(UserError, match=f"has {longest} tokens; .* room for {room}"):
            prompting.check_room(small, [fact], inputs, answers)


def test_a_question_is_no_statement(model):
    facts = read_facts("atlas", relations=["country_capital"], style="question")
    with pytest.raises(UserError, match="which is no statement"):
        prompting_of(model, "sentence").inputs(facts.facts[:1])
