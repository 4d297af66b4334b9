"""Evaluation questions that also stand in training."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from closedbook.data.cache import TokenCache
from closedbook.eval import normalize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leakage:
    """How many questions of an evaluation split were trained on."""

    task: str
    split: str
    questions: int
    count: int  # of these, in training
    examples: tuple[str, ...]  # some of them

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.count / self.questions if self.questions else 0.0

    def warning(self) -> str | None:
        """One line for the log; None if nothing leaked."""
        if not self.count:
            return None
        shown = "; ".join(repr(question) for question in self.examples)
        return (
            f"{self.count:,} of {self.questions:,} evaluation questions ({self.share:.1%}) of "
            f"{self.task} {self.split} also stand in training, for example {shown}; scores on "
            "them show memory of the question, not knowledge of the fact"
        )


def leakage(training: Sequence[TokenCache], evaluation: TokenCache, *, shown: int = 3) -> Leakage:
    """Compares questions after NQ-open's normaliser (case, punctuation, articles, white space).

    Eight bytes are held for each training question.

    Args:
        training: Caches of what is trained on; those of sentences hold no questions.
        evaluation: The split to check.
        shown: How many examples to name.
    """
    known = np.fromiter(
        (_key(question) for tokens in training for question in _questions(tokens)), np.uint64
    )
    questions = list(_questions(evaluation))
    asked = np.fromiter(map(_key, questions), np.uint64, len(questions))
    found = np.flatnonzero(np.isin(asked, known))
    return Leakage(
        task=evaluation.name,
        split=evaluation.split,
        questions=len(questions),
        count=len(found),
        examples=tuple(questions[index] for index in found[:shown]),
    )


def _questions(tokens: TokenCache) -> Iterator[str]:
    return (example["question"] for example in tokens.examples())


def _key(question: str) -> int:
    text = normalize.nq_open(question).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
