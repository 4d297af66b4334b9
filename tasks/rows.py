"""Questions and answers out of local files; needs no TensorFlow.

The form is told from the file's name and content:
- `.jsonl`, `.jsonl.gz`: one object per line, `{"question", "answer" or "answers"}`, optional "id"
  (NQ-open, EfficientQA, GenRead's WebQuestions, anybody's own);
- `.json`: a list of such objects (EntityQuestions), WebQuestions' official list (`utterance`,
  `targetValue`), or TriviaQA's `{"Data": [{"Question", "QuestionId", "Answer": {...}}]}`;
- `.csv`, `.tsv`, `.txt`: DPR's two columns, question, tab, a Python list of answers.
"""

import ast
import csv
import dataclasses
import gzip
import json
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from closedbook.errors import UserError

_WEB_QUESTIONS_ANSWER = re.compile(r'\(description (?:"([^"]+)"|([^)]+))\)')
_TRIVIA_QA_START = re.compile(r'\s*\{(?:\s*"(?!Data")\w+"\s*:\s*[^\[{,]*,)*\s*"Data"\s*:\s*\[')
_FORM = '{"question": "...", "answer": ["...", ...]}'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One question of a local file."""

    question: str
    answers: tuple[str, ...]  # every acceptable answer; empty only where answers are hidden
    target: str  # what a model is trained to say: TriviaQA's `Value`, else the first answer
    id: str | None  # as the file has it
    place: str  # file and line, for messages


def read(path: pathlib.Path, *, answers_hidden: bool = False) -> list[Row]:
    """All rows of one file.

    Args:
        path: The file; its form is told from its name and content.
        answers_hidden: Whether rows may lack answers (TriviaQA's test set).

    Raises:
        UserError: The file cannot be read or is empty, or a row is malformed, lacks an answer or
            repeats an id. The message names file and line.
    """
    text = _text(path)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".json":
        found = _json_objects(text, path)
    elif suffix in (".csv", ".tsv", ".txt"):
        found = _dpr_objects(text, path)
    else:
        found = _jsonl_objects(text, path)
    rows = [_row(content, place, answers_hidden) for place, content in found]
    if not rows:
        raise UserError(f"{path} holds no questions; each must have the form {_FORM}")
    refuse_duplicate_ids(rows)
    return rows


def refuse_duplicate_ids(rows: Iterable[Row]) -> None:
    """Raises a UserError that names both places if two rows have the same id."""
    places: dict[str, str] = {}
    for row in rows:
        if row.id is None:
            continue
        if row.id in places:
            raise UserError(
                f"{row.place}: id {row.id!r} stands already at {places[row.id]}; "
                "give every question its own id, or leave ids out"
            )
        places[row.id] = row.place


def _text(path: pathlib.Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (OSError, EOFError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8 text ({error.reason})") from error


def _jsonl_objects(text: str, path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield f"{path}:{number}", json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}:{number}: not JSON ({error.msg} at column {error.colno}); "
                f"each line must have the form {_FORM}"
            ) from error


def _json_objects(text: str, path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """Elements one by one, so that an error has its line."""
    wrapped = _TRIVIA_QA_START.match(text)
    position = wrapped.end() if wrapped else len(text) - len(text.lstrip())
    if not text.strip():
        return
    if not wrapped:
        if text[position] != "[":
            raise UserError(
                f'{path}:1: neither a list of questions nor TriviaQA\'s {{"Data": [...]}}'
            )
        position += 1
    decoder, line, counted = json.JSONDecoder(), 1, 0
    separator = re.compile(r"[\s,]*")
    while True:
        position = separator.match(text, position).end()  # type: ignore[union-attr]
        line += text.count("\n", counted, position)
        counted = position
        if text[position : position + 1] == "]":
            return
        try:
            content, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno}); "
                "is the file cut short?"
            ) from error
        yield f"{path}:{line}", content


def _dpr_objects(text: str, path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):  # other line ends stand in questions
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            question, listed = next(csv.reader([line.rstrip("\r")], delimiter="\t"))
            answers = ast.literal_eval(listed)
        except (ValueError, SyntaxError, csv.Error) as error:
            raise UserError(
                f"{place}: expected a question, a tab and a list such as ['Paris', 'Paris, France']"
            ) from error
        yield place, {"question": question, "answers": answers}


def _row(content: object, place: str, answers_hidden: bool) -> Row:
    if not isinstance(content, dict):
        raise UserError(f"{place}: expected {_FORM}, found {_shown(content)}")
    question = next(
        (content[k] for k in ("question", "Question", "utterance") if k in content), None
    )
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"{place}: no question in {_shown(content)}; expected {_FORM}")
    answers, target = _answers(content, place)
    if not answers and not answers_hidden:
        raise UserError(
            f"{place}: no answer to {_shown(question)}; give at least one, or leave the row out"
        )
    name = next((content[k] for k in ("id", "QuestionId") if content.get(k) is not None), None)
    row = Row(
        question=question.strip(),
        answers=answers,
        target=target,
        id=None if name is None else str(name),
        place=place,
    )
    try:
        "\n".join([row.question, row.target, *row.answers]).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{place}: half a surrogate pair, which is no text, in {_shown(content)}"
        ) from error
    return row


def _answers(content: dict[str, Any], place: str) -> tuple[tuple[str, ...], str]:
    """(all acceptable answers, the one to train on)."""
    if "targetValue" in content:
        found = _WEB_QUESTIONS_ANSWER.findall(str(content["targetValue"]))
        given: Any = [quoted or bare for quoted, bare in found]
    else:
        given = next((content[k] for k in ("answer", "answers", "Answer") if k in content), [])
    value = None
    if isinstance(given, dict):  # TriviaQA
        value, given = given.get("Value"), given.get("Aliases", [])
        if not isinstance(value, str):
            raise UserError(f"{place}: TriviaQA's Answer has no Value in {_shown(content)}")
        given = given or [value]
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list | tuple) or not all(
        isinstance(a, str) and a.strip() for a in given
    ):
        raise UserError(
            f"{place}: answers must be text or a list of texts, none of them empty; "
            f"found {_shown(given)}"
        )
    answers = tuple(answer.strip() for answer in given)
    return answers, value.strip() if value is not None else (answers[0] if answers else "")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
