"""`closedbook ask`: prints answers with probabilities and alternatives."""

import contextlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from closedbook.errors import UserError

_CHUNK = 64  # lines of a pipe that are answered at once
_MOST_BEAMS = 64


def run(
    questions: Sequence[str],
    *,
    model: str | None,
    beams: int,
    alternatives: int,
    prefix: str | None,
    vocabulary: str | None,
    extra_ids: int | None,
    as_json: bool,
) -> None:
    """Answers the questions, or the lines of standard input."""
    if beams < 1 or alternatives < 0:
        raise UserError(f"--beams is {beams}, --alternatives {alternatives}; use 1 and 0 or more")
    if beams > _MOST_BEAMS:
        raise UserError(f"--beams is {beams}; use at most {_MOST_BEAMS}")
    if any(not question.strip() for question in questions):
        raise UserError('an empty question; give one like "What is the capital of France?"')

    from closedbook.inference.settings import DecodeSettings
    from closedbook.knowledge.loading import DEFAULT_MODEL, load_model

    loaded = load_model(
        model or DEFAULT_MODEL, vocabulary=vocabulary, extra_ids=extra_ids, prefix=prefix
    )
    settings = DecodeSettings(method="beam", num_beams=max(beams, alternatives + 1))
    several = len(questions) != 1
    for chunk in _chunks(questions):
        rows = [_row(line) for line in chunk]
        asked = [row["question"] for row in rows]
        for question in asked:
            _check_text(question)
        for row, found in zip(rows, loaded.ask(asked, settings), strict=True):
            question, others = row["question"], found.alternatives[:alternatives]
            if as_json:
                row |= {
                    "prediction": found.text,
                    "score": found.log_prob,
                    "alternatives": [{"text": text, "score": score} for text, score in others],
                    "beams": found.beams(),
                }
                print(json.dumps(row, ensure_ascii=False), flush=True)
                continue
            if several:
                print(f"{_printable(question)}")
            print(f"{_printable(found.text)}  (probability {math.exp(found.log_prob):.2f})")
            if alternatives:
                shown = ", ".join(f"{_printable(t)} ({math.exp(s):.2f})" for t, s in others)
                print(f"  or: {shown or 'nothing else that reads differently'}", flush=True)


def _chunks(questions: Sequence[str]) -> Iterator[Sequence[str]]:
    if questions:
        yield questions
        return
    interactive = sys.stdin.isatty()
    if interactive:
        print("One question per line; end with Ctrl-D.", file=sys.stderr)
    yield from _groups((line.strip() for line in sys.stdin), 1 if interactive else _CHUNK)


def _groups(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    group: list[str] = []
    for line in lines:
        if line:
            group.append(line)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _row(line: str) -> dict[str, Any]:
    """What is known of a question: a text is one, and a JSON object with a question has more."""
    if line.lstrip().startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and str(row.get("question") or "").strip():
                return row | {"question": str(row["question"])}
    return {"question": line}


def _check_text(question: str) -> None:
    try:
        question.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"the question {question[:60]!r} is not UTF-8 text") from error


def _printable(text: str) -> str:
    """Text of a model or of a pipe without control characters, which could drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
