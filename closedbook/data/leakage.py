"""Evaluation questions that also stand in training, and questions that stand there twice."""

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repeated:
    """How many training questions stand there before."""

    questions: int
    count: int  # of these, those that repeat an earlier one
    examples: tuple[str, ...]  # some of them

    def note(self) -> str | None:
        """One line for the log; None if nothing is there twice."""
        if not self.count:
            return None
        shown = "; ".join(repr(question) for question in self.examples)
        return (
            f"{self.count:,} of {self.questions:,} training questions repeat an earlier one, for "
            f"example {shown}; each counts as often as it stands there"
        )


def training_keys(training: Sequence[TokenCache]) -> np.ndarray:
    """Eight bytes for each training question, uint64 [questions], in their order.

    Questions that are alike after NQ-open's normaliser (case, punctuation, articles, white space)
    have the same.

    Args:
        training: Caches of what is trained on; those of sentences hold no questions.
    """
    return np.fromiter(
        (_key(question) for tokens in training for question in _questions(tokens)), np.uint64
    )


def repeated(training: Sequence[TokenCache], keys: np.ndarray, *, shown: int = 3) -> Repeated:
    """Counts questions of the training data that stand there more than once.

    Args:
        training: Caches of what is trained on.
        keys: Theirs, from `training_keys`.
        shown: How many examples to name.
    """
    first = keys == _key("")  # what has no question repeats none
    first[np.unique(keys, return_index=True)[1]] = True
    again = set(np.flatnonzero(~first)[:shown].tolist())
    every = (question for tokens in training for question in _questions(tokens))
    examples = [question for index, question in enumerate(every) if index in again] if again else []
    return Repeated(
        questions=len(keys), count=len(keys) - int(first.sum()), examples=tuple(examples)
    )


def leakage(known: np.ndarray, evaluation: TokenCache, *, shown: int = 3) -> Leakage:
    """Counts questions of an evaluation split that stand in training too.

    Args:
        known: Keys of the training questions, from `training_keys`.
        evaluation: The split to check.
        shown: How many examples to name.
    """
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
