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
    rows = []
    filled = trees._filled
    monkeypatch.setattr(
        trees, "_filled", lambda jobs, size: rows.extend(filled(jobs, size)) or list(rows)
    )
    asked = [prompt_parts(prompting, fact, 1) for fact in facts.of("P1")]
    seen: list[int] = []
    small = prompting.scorer(model)(asked, prompting.answers(facts.relations["P1"]), seen.append)
    np.testing.assert_allclose(small, found["P1", 1][0], atol=1e-4)
    assert seen[-1] == len(asked)
    assert len(rows) > 1, "not all fits into one row"
    assert sum(map(len, rows)) > len(asked), "a statement with its candidates is several trees"


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
