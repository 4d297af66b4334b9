"""What all models share that are asked by whole statements, with a candidate in the object's place.

The conventions are those of BEAR (Wiland, Ploner, Akbik 2024) and of its package lm-pub-quiz: the
template is filled as it stands, the first letter made a capital one, and a statement is tokenised
whole. What scores a statement is each family's own.
"""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.probing.families.protocol import AnyPrompting
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact, Relation

Parts = Sequence[str]  # of a statement, between which the object stands
Spelled = TypeVar("Spelled", bound=AnyPrompting[Any])
_AROUND = 8  # tokens that a tokenizer may put around a statement or write without a letter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """Candidates by name: which ids they are depends on the statement."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statements(abc.ABC, Generic[Spelled]):
    """How facts are put to one model as statements.

    Attributes:
        spelling: How the vocabulary writes names inside of a text.
    """

    spelling: Spelled
    way: str = "sentence"
    prefix: str = ""

    def text(self, fact: Fact) -> str:
        """The statement with the object's place marked.

        Raises:
            UserError: The fact asks by a question.
        """
        return templates.OBJECT.join(self.inputs([fact])[0])

    def wordings(self, fact: Fact) -> tuple[str, ...]:
        """The prompts of a fact: all are statements, wherever the object stands."""
        return fact.prompts

    def inputs(self, facts: Sequence[Fact]) -> list[tuple[str, ...]]:
        """The parts of each statement, between which the object stands.

        Raises:
            UserError: A fact asks by a question.
        """
        for fact in facts:
            self._refuse_question(fact)
        return [templates.around_object(fact.prompt, fact.subject) for fact in facts]

    def answers(self, relation: Relation, *, single: bool = False) -> Names:
        """The relation's candidates.

        Raises:
            UserError: A candidate has no pieces or unknown ones, or is spelled like another; or,
                with `single`, has several pieces.
        """
        self.spelling.answers(relation, single=single)
        return Names(names=relation.candidates)

    def spelled(self, names: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
        """Each name with its pieces inside of a text; none where they cannot be told."""
        return self.spelling.spelled(names)

    def knows(self, name: str, pieces: Sequence[int]) -> bool:
        """Whether the pieces of a name are some, and none of them special or unknown."""
        return self.spelling.knows(name, pieces)

    def single(self, names: Sequence[str]) -> list[bool]:
        """Which names are single pieces of the vocabulary, and known ones."""
        return self.spelling.single(names)

    def lengths(self, inputs: Sequence[Parts], answers: Names) -> np.ndarray:
        """Ids that are scored, int64 [inputs, candidates]."""
        return np.array([[*self._scored(parts, answers.names)] for parts in inputs], np.int64)

    def rule(self, single: bool) -> str:
        """How a candidate's score comes about, in words."""
        chosen = "; candidates are single pieces when they stand alone" if single else ""
        return (
            f"{self._score()}; the first letter is a capital one, and nothing else of the template "
            f"is changed{chosen}"
        )

    @abc.abstractmethod
    def _refuse_question(self, fact: Fact) -> None:
        """Raises UserError where a fact asks by a question."""

    @abc.abstractmethod
    def _scored(self, parts: Parts, names: Sequence[str]) -> Iterable[int]:
        """How many ids of the statement with each name are scored."""

    @abc.abstractmethod
    def _score(self) -> str:
        """What the score of a statement is, in words."""


def texts(parts: Parts, names: Sequence[str]) -> list[str]:
    """The statements with each name in the object's place.

    >>> texts(("the capital of Peru is ", "."), ["Lima", "Cusco"])
    ['The capital of Peru is Lima.', 'The capital of Peru is Cusco.']
    """
    filled = [name.join(parts) for name in names]
    return [text[:1].upper() + text[1:] for text in filled]


def check_statements(
    room: int,
    facts: Sequence[Fact],
    inputs: Sequence[Parts],
    answers: Names,
    tokens: Callable[[Parts, Sequence[str]], Iterable[int]],
) -> None:
    """Raises UserError where a statement has more tokens than the model has room for.

    Args:
        room: Tokens that the model can read.
        facts: Of each input.
        inputs: Parts of statements.
        answers: The names that complete them.
        tokens: How many the model reads of the statement with each name.
    """
    longest = max(len(name.encode()) for name in answers.names)
    for fact, parts in zip(facts, inputs, strict=True):
        # A token is a byte at least, so that most facts need no look at every name.
        gaps = len(parts) - 1
        if sum(len(part.encode()) for part in parts) + gaps * longest + _AROUND <= room:
            continue
        read = max(tokens(parts, answers.names))
        if read > room:
            raise UserError(
                f"a statement of fact {fact.id} has {read} tokens; the model has room for {room}: "
                "leave the fact out"
            )
