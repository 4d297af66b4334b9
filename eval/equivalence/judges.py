"""Judges of equivalence behind one interface: the shipped one, a model, or anybody's function.

A judge that only gives probabilities (a T5, a cross-encoder, a function) is asked about the rows
that `closedbook.eval.equivalence` leaves open: exact matches and predictions without words are
told without it. A T5 needs JAX and so lives elsewhere: the command hands it over as a `Scored`.
"""

import dataclasses
import hashlib
import importlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from closedbook.errors import UserError, unknown_name
from closedbook.eval.equivalence import verdicts
from closedbook.eval.equivalence.evidence import answer
from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.equivalence.verdicts import Verdict
from closedbook.eval.summary import Answered

FORMS = ("learned", "rules", "t5:CHECKPOINT", "cross-encoder:MODEL", "module:function")
"""How judges are named on the command line."""

PREFIX = "answer equivalence "
"""Before every input of the task `answer_equivalence`."""

Judgement: TypeAlias = float | bool | Verdict
"""What a user's function may say of a row."""

DECISION = 0.5
_ANSWERS = 8  # of a question that a model reads; more would push the candidate out of its input
_ANSWER_CHARACTERS = 100
_CANDIDATE_CHARACTERS = 600


class Judge(Protocol):
    """Says of many predictions whether each says the same as an acceptable answer."""

    @property
    def name(self) -> str:
        """As the command line has it, for reports."""

    @property
    def version(self) -> str | None:
        """Which weights it has; None without any."""

    @property
    def threshold(self) -> float:
        """The least probability of an equivalent answer."""

    def judge_all(self, rows: Sequence[Answered]) -> list[Verdict]:
        """One verdict per row, in the order of the rows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """The judge that ships: evidence from the texts, weighed by learned weights or by rules."""

    name: str = "learned"  # or "rules"

    @property
    def version(self) -> str | None:
        """The start of the SHA-256 of the weights' file; None for the rules."""
        if self.name == "rules":
            return None
        return hashlib.sha256(verdicts.WEIGHTS.read_bytes()).hexdigest()[:12]

    @property
    def threshold(self) -> float:
        """The least probability of an equivalent answer."""
        return verdicts.threshold(self.name)

    def judge_all(self, rows: Sequence[Answered]) -> list[Verdict]:
        """See `closedbook.eval.equivalence.judge_all`."""
        return verdicts.judge_all(rows, mode=self.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """A judge made of a function that gives the probability of each row.

    The function may also give booleans, or whole verdicts.
    """

    name: str
    probabilities: Callable[[Sequence[Answered]], Sequence[Judgement]]
    version: str | None = None
    threshold: float = DECISION

    def judge_all(self, rows: Sequence[Answered]) -> list[Verdict]:
        """Asks the function about the rows that texts alone do not decide, all at once.

        Raises:
            UserError: The function gives too few or too many values, or one that is none.
        """
        told = [verdicts.plain(row) for row in rows]
        asked = [place for place, verdict in enumerate(told) if verdict is None]
        if asked:
            found = list(self.probabilities([rows[place] for place in asked]))
            if len(found) != len(asked):
                raise UserError(
                    f"the judge {self.name} gave {len(found)} values for {len(asked)} rows; it "
                    "must give one per row"
                )
            for place, value in zip(asked, found, strict=True):
                told[place] = (
                    value if isinstance(value, Verdict) else self._verdict(rows[place], value)
                )
        return [verdict for verdict in told if verdict is not None]

    def _verdict(self, row: Answered, value: float) -> Verdict:
        try:
            probability = float(value)
        except (TypeError, ValueError):
            probability = math.nan
        if not 0 <= probability <= 1:
            raise UserError(
                f"the judge {self.name} gave {str(value)[:80]!r}; it must give a probability from "
                "0 to 1, a boolean or a Verdict for each row"
            )
        equivalent = probability >= self.threshold
        refused = not equivalent and answer.parse(row.prediction).refusal
        return Verdict(
            equivalent=equivalent,
            probability=probability,
            reason=(Reason.REFUSAL if refused else Reason.JUDGE).value,
            evidence=f"{self.name} gives {probability:.2f}",
        )


def named(name: str) -> Judge:
    """The judge of a name: one of `FORMS` but the T5, which `closedbook.cli.judging` knows.

    Raises:
        UserError: There is no such judge, or what it needs is not there.
    """
    if name in verdicts.MODES:
        return Evidence(name=name)
    kind, colon, rest = name.partition(":")
    if not colon or not kind or not rest or kind == "t5":
        raise unknown_name("judge", name, FORMS)
    if kind == "cross-encoder":
        from closedbook.eval.equivalence import cross_encoder

        return Scored(name=name, **cross_encoder.load(rest))
    return Scored(name=name, probabilities=_function(kind, rest))


def pair_text(question: str, answers: Sequence[str], prediction: str) -> str:
    """What a T5 reads of a row, in training and in judging; long texts are cut.

    >>> pair_text("when was  it signed", ["April 15", "15 April"], "April 15th")
    'answer equivalence question: when was it signed reference: April 15; 15 April candidate: April 15th'
    """  # noqa: E501
    shown = [_line(answer, _ANSWER_CHARACTERS) for answer in answers[:_ANSWERS]]
    asked = _line(question, _CANDIDATE_CHARACTERS)
    candidate = _line(prediction, _CANDIDATE_CHARACTERS)
    return f"{PREFIX}question: {asked} reference: {'; '.join(shown)} candidate: {candidate}"


def _line(text: str, longest: int) -> str:
    return " ".join(text[: 2 * longest].split())[:longest]


def _function(module: str, name: str) -> Callable[[Sequence[Answered]], Sequence[Judgement]]:
    """A user's own judge; modules of the working directory are found too."""
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"cannot take the judge {module}:{name}: {error}; give one of {', '.join(FORMS)}"
        ) from error
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise UserError(f"{module}:{name} is {found!r}; a judge must be a function of rows")
    return found
