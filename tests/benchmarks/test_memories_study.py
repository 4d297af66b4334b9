"""The study of memories: its text, its language model, its rules, its page, and its kills."""

import dataclasses
import io
import math
import tarfile
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.memories_study import __main__ as driver
from benchmarks.memories_study import cell, findings, language_model, perplexity, report, texts
from benchmarks.memories_study.findings import FINDINGS
from benchmarks.memories_study.plan import ATLAS_MODELS, PLANS, RELU, SHORT, SMOLLM2
from closedbook.errors import UserError
from closedbook.knowledge import load_model
from closedbook.models import DecoderOnlyConfig, abstract_parameters
from closedbook.vocabulary import Vocabulary

ARTICLE = (
    ' \n = Oak = \n \n The oak is a " <unk> " tree , they say . \n'
    " \n = = Wood = = \n \n It burns .\n"
)


@pytest.fixture
def wikitext(tmp_path):
    """A tar as WikiText-2 lies in: the training text in fastai's zip of CSV."""
    rows = "\n".join('"' + ARTICLE.replace('"', '""') + '"' for _ in range(2)) + "\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("wikitext-2/wiki.train.tokens", rows)
    path = tmp_path / "text.tar.xz"
    files = {
        "text/wikitext-2-fastai-csv.zip": packed.getvalue(),
        "text/wikitext-2/valid.txt": ARTICLE.encode(),
        "text/wikitext-2/test.txt": ARTICLE.encode(),
    }
    with tarfile.open(path, "w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_training_text_comes_out_of_the_csv_as_it_went_in(wikitext, tmp_path):
    files = texts.prepare(wikitext, tmp_path / "out")
    assert files["train"].read_text() == ARTICLE * 2
    assert files["validation"].read_text() == ARTICLE
    assert texts.prepare(tmp_path / "gone", tmp_path / "out") == files  # once is enough


def test_folder_without_wikitext_is_told(tmp_path):
    with pytest.raises(UserError, match=r"has no wikitext-2-fastai-csv\.zip, valid\.txt, test"):
        texts.prepare(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("It weighs 1 @,@ 200 @.@ 5 kg .", "It weighs 1,200.5 kg."),
        ("a well @-@ known ( and old ) man 's hat", "a well-known (and old) man's hat"),
        ('they say " no " , he did n\'t', 'they say "no", he didn\'t'),
        ("<unk> , the river", "<unk>, the river"),
        ("in 1914 – 18 ; then", "in 1914–18; then"),
    ],
)
def test_wikitext_becomes_ordinary_spelling(written, plain):
    assert texts.plain(written) == plain


def test_paragraphs_are_apart_and_headings_gone():
    expected = 'The oak is a " <unk> " tree , they say .\n\nIt burns .'
    assert cell.paragraphs(ARTICLE) == expected


def test_unknown_word_of_wikitext_is_one_piece(tmp_path):
    text = tmp_path / "train.txt"
    words = np.random.default_rng(0).choice(["oak", "elm", "ash", "burns", "the", "."], 3000)
    text.write_text("\n".join(f"{a} {b} <unk> {c}" for a, b, c in words.reshape(-1, 3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model, "PIECES", 280)
        file = language_model.vocabulary(text, tmp_path / "words.model")
    words = Vocabulary(file, 0)
    assert words.vocab_size == 280
    assert words.decode(words.encode("the <unk> oak")) == "the <unk> oak"
    assert len(words.encode("<unk>")) <= 2  # the blank before it may be a piece


def test_perplexity_is_that_of_every_piece_once(tmp_path):
    packaged = load_model(ATLAS_MODELS[0])
    config = DecoderOnlyConfig(
        vocab_size=packaged.vocabulary.vocab_size,
        emb_dim=8,
        num_heads=1,
        num_layers=1,
        head_dim=8,
        mlp_dim=8,
        mlp_activations=("relu",),
        positions="sinusoidal",
        pad_id=0,
        bos_id=1,
        eos_id=1,
        add_bos=True,
    )
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda s: jnp.asarray(random.normal(size=s.shape), jnp.float32), abstract_parameters(config)
    )
    model = dataclasses.replace(packaged, config=config, params=params)
    file = tmp_path / "text.txt"
    file.write_text(" = Oak = \n The oak burns . \n = Elm = \n The elm is old .\n")
    found = perplexity.measure(model, file, 4)
    total, pieces = 0.0, 0
    for article in ("= Oak = \n The oak burns .", "= Elm = \n The elm is old ."):
        ids = [1, *model.vocabulary.encode(article), 1]
        for first in range(0, len(ids) - 1, 4):
            row = jnp.array([ids[first : first + 4]])
            logits = np.asarray(model.module.apply({"params": params}, row)[0], np.float64)
            for place, after in enumerate(ids[first + 1 : first + 5]):
                scores = logits[place]
                total += np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[after]
                pieces += 1
    assert found.pieces == pieces
    assert found.words == 3 + 4 + 2 + 3 + 5 + 2
    assert found.by_piece == pytest.approx(math.exp(total / pieces), rel=1e-3)
    assert found.by_word == pytest.approx(math.exp(total / found.words), rel=1e-3)


def made_up(model, layers, *, like_the_paper):
    """Results of a model in which every curve runs as the paper's does, or the other way."""
    up = [0.01 + 0.3 * layer / layers for layer in range(layers)]
    down = up[::-1]
    rise, fall = (up, down) if like_the_paper else (down, up)
    both = {"reading": "scaled", "sign": "positive"}
    high = 0.9 if like_the_paper else 0.3

    def rows(values, **more):
        numbers = [{"mean": v, "low": v, "high": v, "n": 9, **more} for v in values]
        return [{"layer": layer, **row} for layer, row in enumerate(numbers)]

    def removed(values, token):
        return rows(values, stack="decoder", token=token, text="targets")

    tables = {
        "patterns": rows(fall, kind="last token", sign="positive", stack="decoder"),
        "token_removal": [
            *removed([-0.5 - v for v in fall] if like_the_paper else fall, "last"),
            *removed([-0.1] * layers if like_the_paper else [-0.9] * layers, "first"),
        ],
        "value_agreement": rows(rise, **both, dealt=0.001),
        "next_token_rank": [
            {"layer": layer, "q50": 1000 * v, **both} for layer, v in enumerate(fall)
        ],
        "agreement_by_probability": rows(rise, **both),
        "highest_probability": [
            {"layer": layer, "among_highest": round(100 * v), "of": 100, **both}
            for layer, v in enumerate(rise)
        ],
        "active_memories": rows(
            [0.2 if like_the_paper else 0.8] * layers,
            rule="coefficient above 0",
            stack="decoder",
        ),
        "composition": rows([high] * layers, reading="scaled", memories="all"),
        "residual_refinement": [
            {**row, "probability": row["mean"]} for row in rows(rise, reading="scaled")
        ],
        "prediction_cases": [
            row
            for case, share in zip(
                ("residual", "agreement", "composition", "feed-forward"),
                (0.6, 0.1, 0.25, 0.05) if like_the_paper else (0.1, 0.1, 0.2, 0.6),
                strict=True,
            )
            for row in rows([share] * layers, reading="scaled", case=case)
        ],
    }
    return {
        "model": model,
        "title": "made up",
        "stacks": {"decoder": {"layers": layers, "memories": 8 * layers, "signs": ["positive"]}},
        "settings": {"positions": 9, "keys": 1, "triggers": 1, "seed": 0},
        "corpus": {"texts": 1234},
        "tokens": {"decoder": 5678},
        "vocabulary": 100,
        "step": 10,
        "perplexity": {},
        "seconds": {"index": 60.0, "analyses": 60.0},
        "tables": tables,
    }


@pytest.mark.parametrize("like_the_paper", [True, False])
def test_rules_tell_a_model_like_the_paper_from_its_opposite(like_the_paper):
    result = made_up(RELU, 16, like_the_paper=like_the_paper)
    for finding in FINDINGS:
        assert findings.verdict(finding, result) is like_the_paper, finding.says


def test_two_layers_are_no_trend():
    result = made_up(ATLAS_MODELS[0], 2, like_the_paper=True)
    for finding in FINDINGS:
        assert findings.verdict(finding, result) is (None if finding.trend else True)


def test_page_says_what_the_models_have(tmp_path):
    relu = made_up(RELU, 4, like_the_paper=True)
    relu["perplexity"] = {
        "test": {"by_piece": 81.26, "by_word": 412.4, "pieces": 1000, "words": 800}
    }
    atlas = made_up(ATLAS_MODELS[0], 2, like_the_paper=True)
    atlas["tables"]["encoder_lens"] = [
        {"layer": 0, "mean": 0.97, "low": 0.9, "high": 0.99, "n": 9, "probability": 0.5}
    ]
    results = [atlas, relu, made_up(SMOLLM2, 30, like_the_paper=False)]
    page = report.write(results, PLANS["quick"], tmp_path / "docs" / "page.md").read_text("utf-8")
    assert "ARGS='--plan quick --only atlas_qa relu smollm2'` (3 models, 6 minutes)" in page
    assert (
        "| ReLU LM | made up | decoder 4 x 8 | 1,234 | 5,678 | 9 | index 60, analyses 60 |" in page
    )
    assert "(step 10, 20,480 tokens read)" in page
    assert "on the test set 81.3 by piece (1,000 pieces) and 412 by word (800 words" in page
    assert "| too few layers | agrees | **does not** |" in page
    assert "| `atlas_qa` | 0 | 97.0 [90.0, 99.0] | 50.0 |" in page
    assert "What this does not show" in page
    drawn = (tmp_path / "docs" / "images" / "memories_study.svg").read_text("utf-8")
    assert drawn.startswith("<svg")
    assert "SmolLM2" in drawn


def test_a_killed_study_runs_only_what_is_missing(tmp_path, monkeypatch):
    ran = []

    def analyse(each, plan, wikitext, out):
        ran.append(each.name)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return {"seconds": {"index": 1.0}}

    monkeypatch.setattr(cell, "analyse", analyse)
    plan = PLANS["quick"]
    with pytest.raises(KeyboardInterrupt):
        driver.run_all(plan.cells, plan, None, tmp_path)
    driver.run_all(plan.cells, plan, None, tmp_path)
    names = [SHORT[each.model] for each in plan.cells]
    assert ran == [*names[:2], *names[1:]]


def test_two_plans_are_not_mixed_and_what_is_missing_is_told(tmp_path, monkeypatch, capsys):
    driver._same_plan(tmp_path, PLANS["quick"])
    with pytest.raises(UserError, match="cells of another plan"):
        driver._same_plan(tmp_path, PLANS["default"])
    with pytest.raises(UserError, match="there is no"):
        driver.possible(PLANS["quick"], tmp_path / "gone.tar")
    assert [each.model for each in driver.possible(PLANS["quick"], None)] == list(ATLAS_MODELS)
    monkeypatch.setattr(driver.smollm2, "place", lambda: tmp_path / "gone.gguf")
    some = driver.possible(PLANS["quick"], tmp_path)
    assert [each.model for each in some] == [*ATLAS_MODELS, RELU]
    assert "`make smollm2` fetches it" in capsys.readouterr().err
