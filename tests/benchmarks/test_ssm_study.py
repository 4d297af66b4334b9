"""The study of salient span masking: its facts, its statistics, its page, and one tiny cell."""

import dataclasses
import itertools
import json
import tarfile

import numpy as np
import pytest

from benchmarks.ssm_study import cell as cells
from benchmarks.ssm_study import corpora, entity_questions, report
from benchmarks.ssm_study.estimates import estimate
from benchmarks.ssm_study.plan import CORPORA, OBJECTIVES, SMALL, Size
from closedbook.errors import UserError
from closedbook.training.loop import Result


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Files in EntityQuestions' form: 60 made-up facts of every relation, five an object."""
    folder = tmp_path_factory.mktemp("entity_questions") / "dataset" / "train"
    folder.mkdir(parents=True)
    for relation in entity_questions.relations():
        rows = []
        for i in range(60):
            question = relation.question.replace("{s}", f"Zürn {relation.id} {i}")
            rows.append({"question": question, "answers": [f"Ort {i // 5}"]})
        rows.append({"question": relation.question.replace("{s}", "Two"), "answers": ["a", "b"]})
        rows.append({"question": relation.question.replace("{s}", "Rare"), "answers": ["once"]})
        (folder / f"{relation.id}.train.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder.parent.parent


def test_facts_are_fixed_and_evenly_chosen(source):
    facts = entity_questions.triples(source, 40)
    assert facts == entity_questions.triples(source, 40)
    assert len(facts) == len(entity_questions.relations()) * 40
    assert {fact.subject for fact in facts}.isdisjoint({"Two", "Rare"})


def test_no_fact_is_both_trained_and_tested_on(source):
    facts = entity_questions.triples(source, 60)
    asked = {
        split: {row["question"] for row in entity_questions.questions(facts, split)}
        for split in ("train", "test", "never_asked")
    }
    for one, other in itertools.combinations(asked.values(), 2):
        assert one.isdisjoint(other)
    assert sum(map(len, asked.values())) == len(facts)
    trained = {fact.relation.id for fact in facts if fact.split == "train"}
    assert trained.isdisjoint(fact.relation.id for fact in facts if fact.split == "never_asked")
    assert 0.5 < len(asked["train"]) / (len(asked["train"]) + len(asked["test"])) < 0.7


def test_sentences_mark_subject_and_object_in_bytes(source, span_texts):
    facts = entity_questions.triples(source, 40)
    sentences = list(entity_questions.sentences(facts))
    assert len(sentences) == 5 * len(facts)
    for fact, five in zip(facts, zip(*[iter(sentences)] * 5, strict=True), strict=True):
        for sentence in five:
            assert sorted(span_texts(sentence)) == sorted((fact.subject, fact.object))
            assert "{" not in sentence.text
            assert sentence.spans[0].byte_limit <= sentence.spans[1].byte_start


def test_a_tar_gives_the_same_facts_as_its_folder(source, tmp_path):
    with tarfile.open(tmp_path / "eq.tar.xz", "w:xz") as archive:
        archive.add(source, "qa")
    assert entity_questions.triples(tmp_path / "eq.tar.xz", 40) == entity_questions.triples(
        source, 40
    )


def test_missing_relations_and_facts_are_told(source, tmp_path):
    with pytest.raises(UserError, match=r"no P17\.train\.json"):
        entity_questions.triples(tmp_path, 40)
    with pytest.raises(UserError, match="only 60 facts"):
        entity_questions.triples(source, 61)


def test_interval_covers_seeds_and_questions():
    same = np.ones((3, 100))
    assert estimate(same)[:3] == (100.0, 100.0, 100.0)
    seeds = np.repeat([[0.0], [1.0], [0.0]], 100, axis=1)  # all of the doubt is the seeds'
    found = estimate(seeds)
    assert found.seeds == (0.0, 100.0, 0.0)
    assert found.low == 0.0
    assert found.high == 100.0
    one = estimate(np.repeat(np.arange(100)[None] < 30, 3, axis=0).astype(float))
    assert one.mean == pytest.approx(30.0)
    assert (one.low, one.high) == pytest.approx((21, 39), abs=1.5)  # a binomial's, n = 100


def test_page_counts_what_the_results_say(tmp_path):
    """Salient spans are right on all questions, random ones on half, none on none."""
    share = {"none": 0, "span_corruption": 50, "ssm": 100}
    rows = [
        {
            "corpus": cell.corpus,
            "size": cell.size.name,
            "objective": cell.objective,
            "seed": cell.seed,
            "parameters": cell.size.emb_dim * 1000,
            "pretraining_tokens": {"input": 1e6, "target": 2e5} if share[cell.objective] else {},
            "tests": {
                test: {
                    "n": 100,
                    "em": 0.0,
                    "right": [int(i < share[cell.objective]) for i in range(100)],
                }
                for test in ("phrasings seen", "phrasings unseen")
            },
            "seconds": 60.0,
        }
        for cell in SMALL.cells(("atlas",))
    ]
    page = report.write(rows, SMALL, tmp_path / "docs" / "study.md").read_text("utf-8")
    assert "| S | 16,000 | 0.0 [0.0, 0.0] | 50.0 [" in page
    assert "**+50.0** [" in page
    assert "equal budget?** In 6 of 6 comparisons surely" in page
    assert "no pretraining?** In 6 of 6 comparisons surely" in page
    assert (
        "In 0 of 4 comparisons surely (the interval is above 0), in 4 the interval holds 0" in page
    )
    figure = (tmp_path / "docs" / "images" / "ssm_study.svg").read_text("utf-8")
    assert "the atlas: phrasings seen" in figure


def test_grid_is_complete_and_starts_with_the_longest():
    cells_ = SMALL.cells()
    assert len({cell.name for cell in cells_}) == len(CORPORA) * 3 * len(OBJECTIVES) * 3 == 54
    assert cells_[0].size.name == "L"
    assert cells_[-1].objective == "none"


@pytest.mark.slow
def test_a_tiny_cell_runs_and_is_tested(source, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOSEDBOOK_CACHE_DIR", str(tmp_path / "tokens"))
    size = Size(name="XS", emb_dim=16, num_heads=2, mlp_dim=32, layers=1)
    plan = dataclasses.replace(
        SMALL,
        sizes=(size,),
        pretrain_steps=80,
        facts_per_relation=40,
        subwords=500,
        fine_tuning={"atlas": (5, 8), "entity_questions": (5, 8)},
    )
    made = {each.name: each for each in corpora.prepare(tmp_path / "corpora", plan, source)}
    corpora.build_caches([made["entity_questions"]])
    cell = next(c for c in plan.cells() if (c.corpus, c.objective) == ("entity_questions", "ssm"))
    found = cells.run(cell, made["entity_questions"], plan, tmp_path / "cell")
    assert found == json.loads((tmp_path / "cell" / cells.RESULT).read_text("utf-8"))
    assert set(found["tests"]) == {"relations asked", "relations never asked"}
    for test in found["tests"].values():
        assert len(test["right"]) == test["n"]
        assert set(test["right"]) <= {0, 1}
        assert test["em"] == pytest.approx(100 * sum(test["right"]) / test["n"])
    assert 70 * 80 < found["pretraining_tokens"]["input"] <= 8 * 128 * 80
    # Prepared again, nothing is read or written anew.
    again = corpora.prepare(tmp_path / "corpora", plan, source.parent / "gone")
    assert {each.name: each for each in again} == made


def test_a_stopped_training_is_never_tested(tmp_path):
    with pytest.raises(UserError, match=r"stopped at step 3 of .*finetune; run the study again"):
        cells._finish(Result(step=3, finished=False, scores={}), tmp_path / "finetune")
