"""The README's first command, end to end with fewer steps, as a newcomer runs it."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from closedbook.checkpoints import find_checkpoint
from closedbook.eval import predictions

COMMAND = pathlib.Path(sys.executable).parent / "closedbook"
STEPS = 2


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The finished command and its folder; token caches are built anew."""
    folder = tmp_path_factory.mktemp("quickstart")
    environment = dict(os.environ, HOME=str(folder / "home"))
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # our tests set it, a newcomer does not
    result = subprocess.run(
        [COMMAND, "atlas", "quickstart", "--steps", str(STEPS), "--out", "run"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result, folder / "run"


def test_table_compares_both_models_in_both_phrasings(ran):
    rows = re.findall(
        r"│ (seen|unseen) +│ (pretrained|control) +│ 1,111 │ +([\d.]+) \[", ran[0].stdout
    )
    scores = {(phrasing, model): float(em) for phrasing, model, em in rows}
    assert len(scores) == 4
    for phrasing in ("seen", "unseen"):  # after two steps: knowledge comes from pretraining alone
        assert scores[phrasing, "pretrained"] > 20
        assert scores[phrasing, "control"] < 1


def test_files_that_it_names_are_there(ran):
    result, folder = ran
    named = dict(re.findall(r"^(checkpoint|predictions|metrics) +(\S+)$", result.stdout, re.M))
    assert set(named) == {"checkpoint", "predictions", "metrics"}
    assert all((folder.parent / path).exists() for path in named.values())
    _, step = find_checkpoint(folder / "pretrained")
    found = folder / "pretrained" / "test" / "inference_eval"
    rows = predictions.read(found / f"atlas_qa_seen-{step:06d}.predictions.jsonl")
    assert len(rows) == 1111


def test_a_newcomer_sees_nothing_of_tensorflow(ran):
    noise = r"oneDNN|cuda|cuInit|absl|TensorRT|cpu_feature_guard"
    lines = f"{ran[0].stdout}\n{ran[0].stderr}".splitlines()
    assert [line for line in lines if re.search(noise, line, re.IGNORECASE)] == []
