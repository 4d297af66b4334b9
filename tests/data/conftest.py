"""Real questions and small caches for the tests of batches."""

import json
import pathlib
import tarfile

import numpy as np
import pytest

from closedbook.data import cache
from closedbook.vocabulary.sentencepiece import Vocabulary


@pytest.fixture(scope="session")
def vocabulary(shared) -> Vocabulary:
    """T5's own vocabulary."""
    return Vocabulary(shared / "data/vocab/t5_tokenizer_base.model")


@pytest.fixture(scope="session")
def nq_train(shared, tmp_path_factory) -> pathlib.Path:
    """50,435 training questions of NQ-open."""
    name = "qa/nq_open_derived/nq_open_train_51k.jsonl"
    folder = tmp_path_factory.mktemp("nq")
    with tarfile.open(shared / "data/qa.tar.xz") as archive:
        archive.extract(name, folder, filter="data")
    return folder / name


@pytest.fixture(scope="session")
def nq_folder(nq_train, shared, tmp_path_factory) -> pathlib.Path:
    """A user's folder: 3,000 training questions, the 3,610 of dev, under their usual names."""
    folder = tmp_path_factory.mktemp("data")
    lines = nq_train.read_text().splitlines(keepends=True)
    (folder / "NQ-open.train.jsonl").write_text("".join(lines[:3000]))
    dev = (shared / "data/qa/NQ-open.dev.jsonl").read_text()
    (folder / "NQ-open.dev.jsonl").write_text(dev)
    return folder


@pytest.fixture(scope="session")
def nq_rows(nq_train) -> list[dict]:
    """What stands in `nq_train`."""
    return [json.loads(line) for line in nq_train.read_text().splitlines()]


@pytest.fixture
def made(tmp_path):
    """Makes a cache of random ids: `made(examples, ...)`."""

    def make(examples=100, *, seed=0, longest=(20, 8), answers=1, eos=True, name="made"):
        random = np.random.default_rng(seed)
        end = [1] if eos else [5]

        def row(longest):
            return [*random.integers(10, 500, random.integers(1, longest)).tolist(), *end]

        rows = [
            (
                {"inputs": [row(longest[0])], "targets": [row(longest[1]) for _ in range(answers)]},
                None,
            )
            for _ in range(examples)
        ]
        return cache.write(
            tmp_path / f"{name}-{seed}-{examples}-{answers}",
            rows,
            manifest={"task": name, "split": "train"},
            vocab_size=500,
            alternatives=answers > 1,
        )

    return make
