"""Predictions with a human's word on whether they say the same as the gold: two forms of files.

EVOUNA's (Wang et al. 2023): a JSON list of questions, answers between slashes, five systems'
answers and a judgement of each. Ours: JSON lines of
`{"question", "answers", "prediction", "equivalent": true or false}`.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.eval.files import json_lines, text_files

SYSTEMS = ("fid", "gpt35", "chatgpt", "gpt4", "newbing")
"""The systems whose answers EVOUNA judged."""

_WHAT = "judged predictions"
_REMEDY = 'give EVOUNA\'s NQ.json or lines of {"question", "answers", "prediction", "equivalent"}'
_FRACTION = re.compile(r"(?<=\d)/(?=\d)")
_HELD_OUT = {"validation": range(80, 90), "test": range(90, 100)}  # hundredths of the questions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """One prediction and the judgement of it."""

    question: str
    answers: Sequence[str]
    prediction: str
    equivalent: bool
    system: str | None = None  # whose prediction, where the file tells


def read(path: str | os.PathLike[str]) -> list[Judged]:
    """All judged predictions of a file; EVOUNA's improper questions are left out.

    Raises:
        UserError: The file cannot be read, is in neither form, or a row lacks a value.
    """
    try:
        lines = [text for _, text in text_files.lines(path, what=_WHAT, remedy=_REMEDY)]
        first = next((line.lstrip() for line in lines if line.strip()), "")
        if first.startswith("["):
            return list(_evouna(json.loads("\n".join(lines))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not in EVOUNA's form: {error!r}; {_REMEDY}") from error
    return list(_lines(path))


def _evouna(document: Sequence[Any]) -> Iterator[Judged]:
    for row in document:
        if row["improper"] or not row["golden_answer"]:
            continue
        for system in SYSTEMS:
            text, judged = row[f"answer_{system}"], row[f"judge_{system}"]
            if text is not None and judged is not None:
                yield Judged(
                    question=row["question"],
                    answers=split_answers(row["golden_answer"]),
                    prediction=text,
                    equivalent=bool(judged),
                    system=system,
                )


def _lines(path: str | os.PathLike[str]) -> Iterator[Judged]:
    for number, value in json_lines.read(path, what=_WHAT, remedy=_REMEDY):
        with json_lines.place(f"{path}:{number}"):
            row = predictions.parse(value)
            equivalent = row.extra.get("equivalent")
            if not isinstance(equivalent, bool):
                shown = json_lines.shown(equivalent)
                raise UserError(f'"equivalent" is {shown}; it must be true or false')
        yield Judged(
            question=row.question,
            answers=row.answers,
            prediction=row.prediction,
            equivalent=equivalent,
            system=row.extra.get("system"),
        )


def split_answers(golden: str) -> list[str]:
    """The answers of one field: parts between slashes, and the whole where a slash may belong.

    >>> split_answers("seven/7"), split_answers("9/11")
    (['seven', '7'], ['9', '11', '9/11'])
    """
    parts = [part.strip() for part in golden.split("/") if part.strip()]
    if _FRACTION.search(golden):
        parts.append(golden.strip())
    return parts


def part(question: str) -> str:
    """The split of a question: "train" (80%), "validation" or "test" (10% each).

    It depends on the question's words alone, so that a question is never in two of them, whatever
    the file and the system.

    >>> part("who wrote dracula") == part("Who wrote  Dracula?")
    True
    """
    key = "".join(letter for letter in question.lower() if letter.isalnum())
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 100
    return next((name for name, places in _HELD_OUT.items() if place in places), "train")
