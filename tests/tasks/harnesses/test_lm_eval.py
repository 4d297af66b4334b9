"""lm-evaluation-harness's own command runs our tasks on the packaged model."""

import json
import pathlib
import subprocess
import sys

import pytest

from closedbook.checkpoints import convert
from closedbook.eval import predictions
from closedbook.tasks.harnesses import LM_EVAL

pytest.importorskip("lm_eval", reason="lm-eval is an extra: pip install 'closedbook[lm-eval]'")
pytest.importorskip("torch", reason="lm-eval's models need torch")

COMMAND = pathlib.Path(sys.executable).with_name("lm_eval")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "atlas_qa"
    convert.convert("closedbook://atlas_qa", folder, convert.Options(to="huggingface"))
    return folder


def run(model, task, metadata, out):
    words = [
        *(COMMAND, "run", "--model", "hf", "--model_args", f"pretrained={model}"),
        *("--include_path", LM_EVAL, "--tasks", task, "--metadata", json.dumps(metadata)),
        *("--device", "cpu", "--limit", "8", "--log_samples", "--output_path", out),
    ]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    [results] = out.rglob("results_*.json")
    [samples] = out.rglob("samples_*.jsonl")
    return json.loads(results.read_text(encoding="utf-8"))["results"][task], samples


@pytest.mark.slow
def test_the_packaged_model_answers_facts_that_it_was_never_asked(model, tmp_path):
    found, samples = run(
        model, "closedbook_atlas", {"prompt": "atlas question: {question}"}, tmp_path / "out"
    )
    assert found["exact_match,none"] == 1.0  # as `closedbook ask` answers the first eight
    for name in ("f1", "exact_match_lm_eval", "judged_right", "adjusted", "answerable"):
        assert 0 < found[f"{name},none"] <= 1
    rows = predictions.read(samples)  # and our reports read what it writes
    assert [row.prediction for row in rows] == [row.answers[0] for row in rows]


@pytest.mark.slow
def test_a_file_of_ones_own_is_asked(model, tmp_path):
    questions = tmp_path / "mine.jsonl"
    questions.write_text(
        '{"question": "What is the capital of France?", "answer": ["Paris"]}\n'
        '{"question": "What is the capital of Italy?", "answer": ["Milan"]}\n',
        encoding="utf-8",
    )
    metadata = {"file": str(questions), "prompt": "atlas question: {question}"}
    found, _ = run(model, "closedbook_file", metadata, tmp_path / "out")
    assert found["exact_match,none"] == 0.5
