"""Questions with gold answers and no predictions: a training set, or another data set."""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterator, Mapping

from closedbook.errors import UserError
from closedbook.eval.files import json_lines, tables, text_files
from closedbook.eval.files.forms import contents, documents, tools, values
from closedbook.eval.files.json_lines import shown

_ANSWER_KEYS = ("answers", "answer", "golden_answers", "gold_answers", "golds")
_REMEDY = (
    'give JSON lines with "question" and "answers" (or "answer"), a .csv or .tsv with such '
    "columns, or DPR's table of a question, a tab and a list of answers, named .tsv, .csv or .txt"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gold:
    """A question and its acceptable answers."""

    question: str
    answers: tuple[str, ...]
    id: str | None = None


def read(path: str | os.PathLike[str]) -> list[Gold]:
    """Reads NQ-open's JSON lines, a predictions file, a list or table of them, SQuAD's, KILT's...

    Answers are a list of strings, or a string, under "answers", "answer" or another of the names
    in `_ANSWER_KEYS`; of AmbigQA's annotations all answers count. A table without column names
    is DPR's. Rows without any answer are passed over: training sets have them.

    Raises:
        UserError: The file is missing, empty or not UTF-8, or a row is malformed; the message
            names file and line.
    """
    path = pathlib.Path(path)
    table = text_files.suffix(path) in (*tables.SUFFIXES, ".txt")
    rows = []
    for place, value in _table(path) if table else _objects(path):
        with json_lines.place(place):
            row = _parse(value)
        if row.answers:
            rows.append(row)
    if not rows:
        raise UserError(f"{path} holds no answers; {_REMEDY}")
    return rows


def _objects(path: pathlib.Path) -> Iterator[tuple[str, object]]:
    found = contents.opened(path, what="questions", remedy=_REMEDY, names=lambda cells: True)
    if isinstance(found, contents.Rows):
        return found.items
    if (squad := _squad(found.value)) is not None:
        return ((f"{path}: {place}", row) for place, row in squad)
    listed = documents.rows(found.value)
    if listed is None:
        return iter([(f"{path}:1", found.value)])
    return ((f"{path}: {place}", row) for place, row in listed.items)


def _squad(value: object) -> Iterator[tuple[str, object]] | None:
    """The questions of a file in SQuAD's form; None where it is none."""
    articles = value.get("data") if isinstance(value, Mapping) else None
    if not isinstance(articles, list) or not articles:
        return None
    if not isinstance(articles[0], Mapping) or "paragraphs" not in articles[0]:
        return None
    return (
        (f"question {question.get('id')!r}", question)
        for article in _objects_of(articles, articles)
        for paragraph in _objects_of(article.get("paragraphs"), articles)
        for question in _objects_of(paragraph.get("qas"), articles)
    )


def _table(path: pathlib.Path) -> Iterator[tuple[str, object]]:
    """The rows of a table with column names; without them the table is DPR's."""
    lines = text_files.lines(path, what="questions", remedy=_REMEDY)
    _, first = next(lines, (1, ""))
    names = tables.header(first, tables.separator(path))
    if "question" in names and any(key in names for key in _ANSWER_KEYS):
        for number, row in tables.read(path, what="questions", remedy=_REMEDY):
            yield f"{path}:{number}", row
        return
    for number, line in itertools.chain([(1, first)], lines):
        if not line.strip():
            continue
        question, tab, answers = line.rstrip("\r\n").partition("\t")
        with json_lines.place(f"{path}:{number}"):
            if not tab:
                raise UserError(f"no tab between question and answers; {_REMEDY}")
            found = _literal(answers)
        yield f"{path}:{number}", {"question": question, "answers": found}


def _literal(text: str) -> list[object]:
    """A Python list as data; any other text is one answer. CSV doubles the quotes around a list."""
    text = text.strip()
    if text.startswith('"[') and text.endswith(']"'):
        text = text[1:-1].replace('""', '"')
    return tables.listed(text) if text.startswith("[") and text.endswith("]") else [text]


def _parse(value: object) -> Gold:
    if not isinstance(value, Mapping):
        raise UserError(f"{shown(value)} is not a JSON object; {_REMEDY}")
    if tools.is_kilt(value):
        said = [each.get("answer") for each in _objects_of(value["output"], value["output"])]
        value = {"id": value.get("id"), "question": value["input"], "answers": said}
    question = value.get("question")
    if not isinstance(question, str):
        raise UserError(f'"question" is {shown(question)}; it must be a string')
    key = next((name for name in _ANSWER_KEYS if name in value), None)
    if key is None and "annotations" in value:
        answers = tuple(_ambigqa(value["annotations"]))
        return Gold(question=question, answers=answers, id=_id(value))
    if key is None:
        raise UserError(f"no answers; {_REMEDY}")
    return Gold(question=question, answers=tuple(values.texts(value[key], key)), id=_id(value))


def _id(value: Mapping[str, object]) -> str | None:
    found = value.get("id")
    return None if found is None or isinstance(found, bool) else str(found)


def _ambigqa(annotations: object) -> list[str]:
    """The answers to every reading of a question (Min et al. 2020, AmbigQA's files)."""
    answers = []
    for annotation in _objects_of(annotations, annotations):
        single = annotation.get("type") == "singleAnswer"
        readings = [annotation] if single else annotation.get("qaPairs")
        for reading in _objects_of(readings, annotations):
            found = reading.get("answer")
            if not isinstance(found, list):
                raise _not_ambigqa(annotations)
            answers += found
    if not all(isinstance(answer, str) for answer in answers):
        raise UserError(f'"annotations" has answers {shown(answers)}; they must be strings')
    return list(dict.fromkeys(answers))


def _objects_of(value: object, annotations: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise _not_ambigqa(annotations)
    return value


def _not_ambigqa(annotations: object) -> UserError:
    return UserError(f'"annotations" is {shown(annotations)}; it must be as AmbigQA has it')
