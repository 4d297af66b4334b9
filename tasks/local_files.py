"""Where each data set's files lie in a user's folder, and which rows make up a split.

Needs no TensorFlow. A data set has up to four parts on disk: `train`, `held_out` (DPR and
EntityQuestions call it dev), `test`, and `hidden` (a test set without answers). A task's split is
a list of parts. Without a `held_out` file the training file is cut where the paper cut it, and
`fit` is what stands before the cut.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import NoReturn

from closedbook.errors import UserError
from closedbook.tasks import answer_pairs, rows

_OTHER_SHARE = 0.9  # of a training file with another number of rows than the official one


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetFiles:
    """The file names of each part of a data set, in the order looked for; `*` is anything."""

    folders: tuple[str, ...]  # within the user's folder, looked into after it
    train: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    # Without `held_out`: rows of the training file that are fit on, and how many it has in all.
    cut: tuple[int, int] | None = None
    many: bool = False  # whether a part is all matching files, not one


_JUDGED = ("*judged*.jsonl*", "*equivalence*.jsonl*", "[NT]Q.json")  # the last: EVOUNA's

DATASETS: dict[str, DatasetFiles] = {
    "natural_questions_open": DatasetFiles(
        folders=("nq_open", "natural_questions_open", "NQ-open", "nq"),
        train=(
            "NQ-open.train.jsonl*",
            "nq_open_train*.jsonl*",
            "nq-train*",
            "nq_open/train.jsonl*",
        ),
        held_out=("nq-dev*", "topics.nq.dev.txt"),
        test=("NQ-open.dev.jsonl*", "nq_open_dev*.jsonl*", "nq-test*", "topics.dpr.nq.test.txt"),
        cut=(79168, 87925),
    ),
    "web_questions_open": DatasetFiles(
        folders=("web_questions", "webquestions", "web_questions_open", "webq"),
        train=("webquestions.examples.train.json*", "*webq*train*.json*", "webquestions-train*"),
        held_out=("*webq*dev*.json*", "webquestions-dev*"),
        test=("webquestions.examples.test.json*", "*webq*test*.json*", "webquestions-test*"),
        cut=(3417, 3778),
    ),
    "trivia_qa_open": DatasetFiles(
        folders=("trivia_qa", "triviaqa", "triviaqa-unfiltered", "trivia_qa_open"),
        train=("unfiltered-web-train.json*", "trivia-train*", "triviaqa*train*.json*"),
        held_out=("trivia-dev*", "topics.dpr.trivia.dev.txt"),
        test=(
            "unfiltered-web-dev.json*",
            "trivia-test*",
            "triviaqa*dev*.json*",
            "topics.dpr.trivia.test.txt",
        ),
        hidden=("unfiltered-web-test-without-answers.json*", "triviaqa*test-without-answers.json*"),
        cut=(78785, 87622),
    ),
    "entity_questions": DatasetFiles(
        folders=("entityquestions", "entity_questions", "dataset"),
        train=("P*.train.json*", "train/P*.train.json*"),
        held_out=("P*.dev.json*", "dev/P*.dev.json*"),
        test=("P*.test.json*", "test/P*.test.json*"),
        many=True,
    ),
    # The same files for every part: `answer_pairs` splits them by question.
    "answer_equivalence": DatasetFiles(
        folders=("answer_equivalence", "evouna"),
        train=_JUDGED,
        held_out=_JUDGED,
        test=_JUDGED,
        many=True,
    ),
}
"""File names of each data set that can be read from a folder."""


def split_files(dataset: str, parts: Sequence[str], folder: pathlib.Path) -> list[pathlib.Path]:
    """The files that the rows of a split come from.

    Args:
        dataset: A key of `DATASETS`.
        parts: The parts that make up the split: "fit", "held_out", "test", "hidden".
        folder: The user's folder.

    Raises:
        UserError: The folder or a file is missing (the message lists the names looked for), or
            several files have a name that fits.
    """
    return [path for paths in _part_files(dataset, parts, folder).values() for path in paths]


def split_rows(dataset: str, parts: Sequence[str], folder: pathlib.Path) -> list[rows.Row]:
    """The rows of a split, in the order of the files; arguments as for `split_files`.

    Raises:
        UserError: As in `split_files`, or for a row as in `rows.read`.
    """
    files = _part_files(dataset, parts, folder)
    found: list[rows.Row] = []
    for part in parts:
        if dataset == "answer_equivalence":
            content = answer_pairs.read(files[part], part)
        elif part in files:
            content = _read(files[part], answers_hidden=part == "hidden")
        else:  # `fit` or `held_out` out of one training file
            content = _read(files["train"])
            at = _cut(DATASETS[dataset], len(content))
            content = content[:at] if part == "fit" else content[at:]
        found.extend(content)
    rows.refuse_duplicate_ids(found)
    return found


def _part_files(
    name: str, parts: Sequence[str], folder: pathlib.Path
) -> dict[str, list[pathlib.Path]]:
    """Files by part; `train` stands for `fit` and `held_out` where one file holds both."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give an existing one as DATA_DIR")
    dataset = DATASETS[name]
    needed: dict[str, list[pathlib.Path]] = {}
    if "fit" in parts or "held_out" in parts:
        held_out = _find(name, "held_out", folder)
        train = _find(name, "train", folder) if "fit" in parts or not held_out else []
        if not held_out and dataset.cut is not None:
            needed["train"] = train or _missing(name, "train", folder)
        else:
            if "fit" in parts:
                needed["fit"] = train or _missing(name, "train", folder)
            if "held_out" in parts:
                needed["held_out"] = held_out or _missing(name, "held_out", folder)
    for part in ("test", "hidden"):
        if part in parts:
            needed[part] = _find(name, part, folder) or _missing(name, part, folder)
    return needed


def _find(name: str, part: str, folder: pathlib.Path) -> list[pathlib.Path]:
    dataset = DATASETS[name]
    for place in (folder, *(folder / each for each in dataset.folders)):
        patterns = list(getattr(dataset, part))
        if place != folder and not dataset.many:
            # A folder of the data set's own may use plain names.
            plain = {"train": "train", "held_out": "dev", "test": "test", "hidden": "hidden"}[part]
            patterns += [f"{plain}.jsonl*", f"{plain}.json*"]
        for pattern in patterns:
            found = sorted(path for path in place.glob(pattern) if path.is_file())
            if len(found) > 1 and not dataset.many:
                raise UserError(
                    f"{name} can read its {part} questions from any of "
                    f"{', '.join(path.name for path in found)} in {place}; leave one"
                )
            if found:
                return found
    return []


def _missing(name: str, part: str, folder: pathlib.Path) -> NoReturn:
    dataset = DATASETS[name]
    folders = ", ".join(dataset.folders)
    raise UserError(
        f"no {part.replace('_', ' ')} file of {name} in {folder}; looked for "
        f"{', '.join(getattr(dataset, part))}, there and in its folders {folders}"
    )


def _read(paths: Sequence[pathlib.Path], *, answers_hidden: bool = False) -> list[rows.Row]:
    found: list[rows.Row] = []
    for path in paths:
        found.extend(_read_file(path, path.stat().st_mtime_ns, answers_hidden))
    return found


@functools.lru_cache(maxsize=4)  # the two parts of one training file are asked for in turn
def _read_file(path: pathlib.Path, changed: int, answers_hidden: bool) -> list[rows.Row]:
    del changed  # part of the key alone
    return rows.read(path, answers_hidden=answers_hidden)


def _cut(dataset: DatasetFiles, count: int) -> int:
    assert dataset.cut is not None
    kept, official = dataset.cut
    return kept if count == official else int(count * _OTHER_SHARE)
