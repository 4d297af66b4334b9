"""`closedbook ask`: prints answers with probabilities and alternatives."""

import contextlib
import dataclasses
import json
import math
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from closedbook.cli.run import print_json
from closedbook.errors import UserError

if TYPE_CHECKING:
    from closedbook.inference.predictor import Prediction

# Questions that are answered at once. More of them, sorted by length, need less time each; fewer of
# them are shown sooner.
_FEWEST, _MOST = 64, 2048
_SOON = 1.0  # seconds between answers that are shown, beyond which no group grows
_PAUSE = 0.1  # seconds without another line of a pipe, after which those that came are answered
_MANY = 256  # questions, from which on the search is worth optimising
_MOST_BEAMS = 64


class _Pace:
    """How many questions are answered at once: more while answers come soon, fewer if they do not.

    Attributes:
        size: Of the next group.
    """

    def __init__(self, size: int = _FEWEST) -> None:
        self.size = size

    def took(self, seconds: float) -> None:
        """Takes the time of a group into account."""
        if seconds < _SOON:
            self.size = min(2 * self.size, _MOST)
        elif seconds > 4 * _SOON:
            self.size = max(self.size // 2, _FEWEST)


@dataclasses.dataclass(frozen=True)
class _Line:
    """A question, where it stands, and what else its row has.

    Attributes:
        place: For messages: "line 3", "question 1".
        row: With the question; what is passed on.
        fault: Why it cannot be asked; None if it can.
    """

    place: str
    row: dict[str, Any]
    fault: str | None = None


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
    engine: str,
) -> None:
    """Answers the questions, or the lines of standard input.

    Raises:
        UserError: A setting is out of its range; or, after all others were answered, a line is no
            text that can be read.
    """
    if beams < 1 or alternatives < 0:
        raise UserError(f"--beams is {beams}, --alternatives {alternatives}; use 1 and 0 or more")
    if beams > _MOST_BEAMS:
        raise UserError(f"--beams is {beams}; use at most {_MOST_BEAMS}")
    if any(not question.strip() for question in questions):
        raise UserError('an empty question; give one like "What is the capital of France?"')

    from closedbook.cli.analyze import progress_bar
    from closedbook.inference.settings import DecodeSettings
    from closedbook.knowledge.loading import DEFAULT_MODEL, load_model

    loaded = load_model(
        model or DEFAULT_MODEL,
        vocabulary=vocabulary,
        extra_ids=extra_ids,
        prefix=prefix,
        engine=engine,
    )
    # Without a penalty of length, so that the answer is the most probable of what is shown.
    settings = DecodeSettings(method="beam", num_beams=max(beams, alternatives + 1), alpha=0.0)
    several, done, faults, pace = len(questions) != 1, 0, [], _Pace()
    quiet = sys.stdout.isatty()  # the answers themselves show how far it is
    with contextlib.nullcontext() if quiet else progress_bar() as progress:
        for chunk in _chunks(questions, pace):
            began = time.monotonic()
            asked = [line.row["question"] for line in chunk if line.fault is None]
            found = iter(loaded.ask(asked, settings, many=done >= _MANY) if asked else ())
            for line in chunk:
                answer = None if line.fault else next(found)
                faults += [f"{line.place}: {line.fault}"] if line.fault else []
                if answer is not None and answer.cut_to is not None:
                    print(
                        f"{line.place}: the question is longer than the {answer.cut_to} tokens "
                        "that the model reads; the rest was cut off",
                        file=sys.stderr,
                    )
                if as_json:
                    print_json(_as_json(line, answer, alternatives))
                elif answer is not None:
                    _print(line, answer, alternatives, several=several)
            sys.stdout.flush()
            done += len(chunk)
            pace.took(time.monotonic() - began)
            if progress is not None:
                progress(f"{done:,} questions", done, max(done, len(questions)))
    if faults:
        shown = "".join(f"\n  {fault}" for fault in faults[:10])
        more = f"\n  and {len(faults) - 10:,} more" if len(faults) > 10 else ""
        raise UserError(f"{len(faults):,} of {done:,} questions were not asked:{shown}{more}")


def _as_json(line: _Line, found: "Prediction | None", alternatives: int) -> dict[str, Any]:
    if found is None:
        return line.row | {"error": line.fault}
    others = found.alternatives[:alternatives]
    cut = {} if found.cut_to is None else {"cut_to_tokens": found.cut_to}
    return (
        line.row
        | cut
        | {
            "prediction": found.text,
            "score": found.log_prob,
            "alternatives": [{"text": text, "score": score} for text, score in others],
            "beams": found.beams(),
        }
    )


def _print(line: _Line, found: "Prediction", alternatives: int, *, several: bool) -> None:
    if several:
        print(_printable(line.row["question"]))
    text = _printable(found.text) or "(an empty answer)"
    print(f"{text}  (probability {math.exp(found.log_prob):.2f})")
    if alternatives:
        others = found.alternatives[:alternatives]
        shown = ", ".join(f"{_printable(text)} ({math.exp(score):.2f})" for text, score in others)
        print(f"  or: {shown or 'nothing else that reads differently'}")


def _chunks(questions: Sequence[str], pace: _Pace) -> Iterator[Sequence[_Line]]:
    """The questions in groups, those of standard input as they come."""
    if questions:
        given = (_line(text, f"question {n}") for n, text in enumerate(questions, start=1))
        yield from _groups(given, pace)
        return
    if sys.stdin.isatty():
        print("One question per line; end with Ctrl-D.", file=sys.stderr)
        typed = (_line(text.strip(), f"line {n}") for n, text in enumerate(sys.stdin, 1))
        yield from ([line] for line in typed if line.row["question"])
        return
    yield from _groups(_piped(), pace)


def _piped() -> Iterator[_Line | None]:
    """The lines of a pipe or a file that hold text; None where no other comes for a while."""
    number = 0
    # A pipe or a file holds UTF-8, whatever the terminal speaks.
    for line in _lines(getattr(sys.stdin, "buffer", sys.stdin)):
        if line is None:
            yield None
            continue
        number += 1
        text = _decoded(line).strip()
        if text:
            yield _line(text, f"line {number}")


def _lines(stream: Any) -> Iterator[bytes | str | None]:
    """The lines of a stream; None where no other comes for a while."""
    try:
        descriptor = stream.fileno()
    except OSError:  # nothing of the operating system's
        yield from stream
        return
    held = b""
    while True:
        if not select.select([descriptor], [], [], _PAUSE)[0]:
            yield None
        chunk = os.read(descriptor, 1 << 16)  # waits
        if not chunk:
            break
        *whole, held = (held + chunk).split(b"\n")
        yield from whole
    if held:
        yield held


def _decoded(line: bytes | str) -> str:
    """A line as text; bytes that are no UTF-8 stay as surrogates, for `_line` to tell."""
    return line if isinstance(line, str) else line.decode("utf-8", "surrogateescape")


def _groups(lines: Iterable[_Line | None], pace: _Pace) -> Iterator[list[_Line]]:
    """Groups of the size that the pace says, or of what has come before a pause (None)."""
    group: list[_Line] = []
    for line in lines:
        if line is not None:
            group.append(line)
        if group and (line is None or len(group) >= pace.size):
            yield group
            group = []
    if group:
        yield group


def _line(text: str, place: str) -> _Line:
    """A question: a text is one, and a JSON object with a question has more."""
    text = _from_terminal(text)
    row: dict[str, Any] = {"question": text}
    if text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text)
            if isinstance(found, dict) and str(found.get("question") or "").strip():
                row = found | {"question": str(found["question"])}
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        shown = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace").decode()
        fault = f"{row['question'][:60]!r} is not UTF-8 text"
        return _Line(place, json.loads(shown), fault)
    return _Line(place, row)


def _from_terminal(text: str) -> str:
    """UTF-8 that a terminal of another encoding let through as single bytes."""
    try:
        return os.fsencode(text).decode() if not text.isprintable() else text
    except (UnicodeDecodeError, UnicodeEncodeError):
        return text


def _printable(text: str) -> str:
    """Text of a model or of a pipe without control characters, which could drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
