"""Real questions and predictions, unpacked once per session."""

import pathlib
import tarfile

import pytest


@pytest.fixture(scope="session")
def qa(shared, tmp_path_factory) -> pathlib.Path:
    """The folder of question-answering data sets."""
    return _unpacked(shared / "data" / "qa.tar.xz", tmp_path_factory.mktemp("qa")) / "qa"


@pytest.fixture(scope="session")
def judged(shared, tmp_path_factory) -> pathlib.Path:
    """The folder of systems' predictions and people's judgements."""
    return _unpacked(shared / "data" / "judged.tar.xz", tmp_path_factory.mktemp("judged"))


def _unpacked(archive: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder
