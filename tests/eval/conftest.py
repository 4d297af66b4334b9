"""Real questions and predictions, unpacked once per session."""

import json
import pathlib
import tarfile

import numpy as np
import pytest

from closedbook.eval.equivalence.judged import SYSTEMS

SURNAMES = "Smith Jones Brown Miller Davis Wilson Moore Clark Lewis".split()


@pytest.fixture(scope="session")
def qa(shared, tmp_path_factory) -> pathlib.Path:
    """The folder of question-answering data sets."""
    return _unpacked(shared / "data" / "qa.tar.xz", tmp_path_factory.mktemp("qa")) / "qa"


@pytest.fixture(scope="session")
def judged(shared, tmp_path_factory) -> pathlib.Path:
    """The folder of systems' predictions and people's judgements."""
    return _unpacked(shared / "data" / "judged.tar.xz", tmp_path_factory.mktemp("judged"))


@pytest.fixture(scope="session")
def made_up_judgements(tmp_path_factory) -> pathlib.Path:
    """Judgements of 160 questions in EVOUNA's form, from which weights can be learned.

    The surname decides; one label in twenty is wrong, every tenth question is improper, and New
    Bing's answers are not judged. All answers have five words.
    """
    pytest.importorskip("sklearn")
    drawn = np.random.default_rng(3)
    rows = []
    for number in range(160):
        name, other = drawn.choice(SURNAMES, 2, replace=False)
        row = {
            "question": f"who won the cup in {1800 + number}",
            "golden_answer": f"John {name}/J. {name}",
            "improper": number % 10 == 0,
        }
        for system in SYSTEMS:
            right = bool(drawn.random() < 0.6)
            row[f"answer_{system}"] = f"the great {name if right else other} of John"
            row[f"judge_{system}"] = right != bool(drawn.random() < 0.05)
        row["judge_newbing"] = None
        rows.append(row)
    path = tmp_path_factory.mktemp("made_up") / "NQ.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def _unpacked(archive: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder
