"""Made-up questions and small caches for the tests of batches."""

import json
import pathlib

import numpy as np
import pytest

from closedbook.data import cache
from closedbook.vocabulary.sentencepiece import Vocabulary


@pytest.fixture(scope="session")
def vocabulary(vocabulary_file) -> Vocabulary:
    return Vocabulary(vocabulary_file)


@pytest.fixture(scope="session")
def nq_rows(made_questions) -> list[dict]:
    """50,000 rows in NQ-open's form."""
    return made_questions


@pytest.fixture(scope="session")
def nq_folder(nq_rows, tmp_path_factory) -> pathlib.Path:
    """A user's folder: the first 3,000 to train on and the last 600, under NQ-open's names."""
    folder = tmp_path_factory.mktemp("data")
    for name, rows in (("train", nq_rows[:3000]), ("dev", nq_rows[-600:])):
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / f"NQ-open.{name}.jsonl").write_text("".join(lines))
    return folder


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
