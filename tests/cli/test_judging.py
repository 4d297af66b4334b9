"""A T5 as a judge, all the way: made pairs, a few steps of training, an analysis that asks it."""

import io
import json
import os
import pathlib
import subprocess
import sys

import pytest
import sentencepiece

from closedbook.cli import judging
from closedbook.errors import UserError
from closedbook.eval.predictions import Prediction

STEPS = 60
NAMES = "Ann Bob Cleo Dan Eve Finn Gus Hal Ida Jon Kim Leo Mia Ned Ola Pia".split()
OPTIONS = {
    "TASK_FEATURE_LENGTHS": "{'inputs': 32, 'targets': 4}",
    "BATCH_SIZE": "16",
    "TRAIN_STEPS": str(STEPS),
    "SAVE_PERIOD": str(STEPS),
    "EVAL_PERIOD": str(STEPS),
    "RANDOM_SEED": "1",
    "DROPOUT_RATE": "0.0",
    "network.T5Config.emb_dim": "32",
    "network.T5Config.head_dim": "16",
    "network.T5Config.num_heads": "2",
    "network.T5Config.mlp_dim": "64",
    "utils.create_learning_rate_scheduler.factors": "'constant'",
    "utils.create_learning_rate_scheduler.base_learning_rate": "0.01",
}


def pair(number):
    """A prediction that is called equivalent exactly if it is denied by no "not"."""
    name = NAMES[number % len(NAMES)]
    good = number % 3 > 0
    return {
        "question": f"who won race {number}",
        "answers": [name],
        "prediction": f"{'it was' if good else 'not'} {name}",
        "equivalent": good,
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> pathlib.Path:
    """A folder with a trained judge in runs/answer_equivalence_tiny."""
    folder = tmp_path_factory.mktemp("judge")
    rows = [pair(number) for number in range(600)]
    (folder / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = io.BytesIO()
    words = "answer equivalence question : reference candidate true false who won race it was not"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([words, " ".join(NAMES)] * 9),  # numbers are unknown words
        model_writer=model,
        model_type="word",
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "words.model").write_bytes(model.getvalue())
    options = OPTIONS | {"DATA_DIR": "'.'", "VOCABULARY_FILE": "'words.model'"}
    out = run(
        folder,
        *("t5x", "train", "--gin_file=answer_equivalence_tiny.gin"),
        *(f"--gin.{name}={value}" for name, value in options.items()),
    )
    assert f"finished at step {STEPS}" in out
    assert "answer_equivalence/em" in out
    return folder


def run(folder, *words):
    flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / words[0], *words[1:]],
        cwd=folder,
        env=os.environ
        | {"CLOSEDBOOK_CACHE_DIR": str(folder / "cache"), "XLA_FLAGS": " ".join(flags)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_trained_t5_judges_questions_it_never_saw(trained):
    judge = judging.judge(f"t5:{trained / 'runs' / 'answer_equivalence_tiny'}")
    rows = [pair(number) for number in range(700, 760)]
    verdicts = judge.judge_all(
        [Prediction(question=r["question"], answers=r["answers"], prediction=r["prediction"])
         for r in rows]
    )  # fmt: skip
    right = sum(v.equivalent == r["equivalent"] for v, r in zip(verdicts, rows, strict=True))
    assert right >= 54  # of 60; 40 by always saying "true"
    assert {verdict.reason for verdict in verdicts} == {"judge"}
    assert judge.version == f"step {STEPS}"


def test_analyze_asks_the_t5(trained):
    rows = [
        {key: value for key, value in pair(number).items() if key != "equivalent"}
        for number in range(700, 712)
    ]
    rows.append({"question": "who", "answers": ["Ann"], "prediction": "ann"})
    (trained / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = "t5:runs/answer_equivalence_tiny"
    run(trained, "closedbook", "analyze", "mine.jsonl", "--out", "report", "--judge", name)
    summary = json.loads((trained / "report" / "summary.json").read_text())
    assert summary["meta"]["judge"] == {"mode": name, "threshold": 0.5, "weights": f"step {STEPS}"}
    examples = (trained / "report" / "examples.jsonl").read_text().splitlines()
    reasons = [json.loads(line)["reason"] for line in examples]
    assert reasons == ["judge"] * 12 + ["exact"]


def test_a_model_that_does_not_know_the_words_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        judging.judge(f"t5:{tmp_path / 'nowhere'}")
