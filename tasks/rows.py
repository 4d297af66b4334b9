"""Questions and answers out of local files; needs no TensorFlow.

How a file is taken apart: `row_files`. A row is an object with a question, its answers and an
optional id, under the names that are in use (`eval.files.forms.columns`): NQ-open, EfficientQA,
EntityQuestions, PopQA, SQuAD, anybody's own. Besides:
- WebQuestions' official list has its answers in `targetValue`;
- TriviaQA has an object with a value, which is trained, and aliases, which are accepted;
- FiD's rows name what is trained in `target` beside `answers`.
"""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from closedbook.errors import UserError
from closedbook.eval.files.forms import columns, values
from closedbook.eval.files.forms.loading import Faults
from closedbook.tasks import row_files
from closedbook.tasks.row_files import FORM

VERSION = 2
"""Of how own files are read; raised when one gives other texts, so that its cache is rebuilt."""

_WEB_QUESTIONS_ANSWER = re.compile(r'\(description\s+(?:"((?:[^"\\]|\\.)*)"|([^)]+))\)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ANSWERS = ("answers", "answer", "Answer")  # before other names: such files hold no predictions
_WEB_QUESTIONS = {"utterance": "question", "targetValue": "answers"}


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
    faults = Faults(path)
    rows = []
    for place, content in row_files.objects(path, faults.add):
        with faults.at(place):
            rows.append(_row(content, place, answers_hidden))
    faults.tell()
    if not rows:
        raise UserError(f"{path} holds no questions; each must have the form {FORM}")
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


def _row(content: object, place: str, answers_hidden: bool) -> Row:
    if not isinstance(content, dict):
        raise UserError(f"expected {FORM}, found {_shown(content)}")
    names = _names(tuple(content))
    question = content.get(names.get("question", ""))
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"no question in {_shown(content)}; {_has(content)}; expected {FORM}")
    if "answers" not in names and not answers_hidden:
        raise UserError(f"no answer to {_shown(question)}; {_has(content)}; expected {FORM}")
    answers, target = _answers(content, names.get("answers", ""))
    if not answers and not answers_hidden:
        raise UserError(f"no answer to {_shown(question)}; give at least one, or leave the row out")
    name = content.get(names.get("id", ""))
    row = Row(
        question=question.strip(),
        answers=answers,
        target=target,
        id=None if name is None or name == "" else str(name),
        place=place,
    )
    try:
        "\n".join([row.question, row.target, *row.answers]).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"half a surrogate pair, which is no text, in {_shown(content)}") from error
    return row


@functools.lru_cache(maxsize=64)  # a file's rows have the same keys, mostly
def _names(keys: tuple[str, ...]) -> Mapping[str, str]:
    """Which of a row's keys are its question, its answers and its id."""
    own = next((key for key in _ANSWERS if key in keys), None)
    found = dict(columns.guess(keys, {"answers": own} if own else None).paths)
    return found | {field: key for key, field in _WEB_QUESTIONS.items() if key in keys}


def _has(content: Mapping[str, object]) -> str:
    return f"it has the keys {', '.join(content)}"


def _answers(content: Mapping[str, Any], key: str) -> tuple[tuple[str, ...], str]:
    """(all acceptable answers, the one to train on)."""
    given, value = content.get(key), None
    if key == "targetValue":
        given = _web_questions(str(given))
    elif isinstance(given, Mapping) and (trivia := _trivia_qa(given)) is not None:
        value, given = trivia
    listed = given if isinstance(given, list | tuple) else [given]
    # One that stands twice stays so: of random answers it is drawn twice as often.
    answers = tuple(text.strip() for each in listed for text in values.texts(each, key))
    if not all(answers):
        raise UserError(
            f"answers must be text or a list of texts, none of them empty; found {_shown(given)}"
        )
    if value is None:
        beside = (content.get(name) for name in ("target", "answer") if name != key)
        first = answers[0] if answers else ""
        value = next((each for each in beside if isinstance(each, str) and each.strip()), first)
    return answers, value.strip()


def _web_questions(text: str) -> list[str]:
    """The answers of WebQuestions' `targetValue`, a list as Lisp writes it."""
    found = _WEB_QUESTIONS_ANSWER.findall(text)
    return [_ESCAPED.sub(r"\1", quoted) or bare for quoted, bare in found]


def _trivia_qa(answer: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """TriviaQA's value and its aliases, under its own keys or those of its copy on the hub.

    Raises:
        UserError: It has no value.
    """
    plain = {str(key).casefold(): value for key, value in answer.items()}
    if "aliases" not in plain and "value" not in plain:
        return None
    value = plain.get("value")
    if not isinstance(value, str):
        raise UserError(f"TriviaQA's answer has no value in {_shown(answer)}")
    return value, plain.get("aliases") or [value]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
