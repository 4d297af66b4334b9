"""Fixtures shared by all tests."""

import os
import pathlib

import pytest

_REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real data and of other implementations' numbers, beside the checkout."""
    folder = pathlib.Path(os.environ.get("CLOSEDBOOK_SHARED", _REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set CLOSEDBOOK_SHARED to its folder")
    return folder
