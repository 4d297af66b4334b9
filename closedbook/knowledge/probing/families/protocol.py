"""What a probe asks of a model: how facts are put to it, and what it gives candidates."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from closedbook.knowledge.progress import Count
from closedbook.knowledge.result_folders import AnyModel
from closedbook.tasks.facts.form import Fact, Relation

Model = TypeVar("Model", bound=AnyModel)
Asked = TypeVar("Asked", bound=AnyModel, contravariant=True)


class Scorer(Protocol):
    """Scores candidates with one network."""

    def __call__(self, inputs: Sequence[Any], answers: Any, progress: Count = ..., /) -> np.ndarray:
        """Log-probabilities of all candidates after each input, float32 [inputs, candidates].

        Args:
            inputs: Of `AnyPrompting.inputs`.
            answers: Of `AnyPrompting.answers`.
            progress: Is told how many inputs are done.
        """


class Spelling(Protocol):
    """How a model's vocabulary writes candidates."""

    def spelled(self, names: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
        """Each name with its pieces; none where it cannot be written."""

    def knows(self, name: str, pieces: Sequence[int]) -> bool:
        """Whether the pieces of a name are some, and none of them unknown."""

    def single(self, names: Sequence[str]) -> list[bool]:
        """Which names are single pieces of the vocabulary, and known ones."""


class AnyPrompting(Spelling, Protocol[Asked]):
    """How facts are put to models of one kind.

    `Prompting` (T5, GPT-2, Llama), `StatementPrompting` (GPT-2, Llama) and `MaskedPrompting` (BERT,
    RoBERTa, ...) are such.
    """

    @property
    def way(self) -> str:
        """One of `prompts.WAYS`."""

    @property
    def prefix(self) -> str:
        """Before questions."""

    def text(self, fact: Fact) -> str:
        """What the model reads."""

    def wordings(self, fact: Fact) -> tuple[str, ...]:
        """The prompts of a fact that can be put in this way, the one that is asked first."""

    def inputs(self, facts: Sequence[Fact]) -> Sequence[Sequence[Any]]:
        """The prompts as the scorer reads them, such as ids."""

    def answers(self, relation: Relation, *, single: bool = False) -> Any:
        """The relation's candidates as the scorer reads them; its `repr` tells them from others.

        `single` is LAMA's ranking of single pieces.
        """

    def check_room(
        self,
        model: Asked,
        facts: Sequence[Fact],
        inputs: Sequence[Any],
        answers: Any,
    ) -> None:
        """Raises UserError where the model has no room for a prompt and its candidates."""

    def lengths(self, inputs: Sequence[Any], answers: Any) -> np.ndarray:
        """Ids that are scored, by which `length` normalises, int64 [inputs, candidates].

        Where they are the same after every input, [candidates].
        """

    def scorer(self, model: Asked) -> Scorer:
        """What scores candidates; one for all relations, so that it compiles once."""

    def rule(self, single: bool) -> str:
        """How a candidate's score comes about, in words."""

    def written(self, model: Asked, inputs: Sequence[Any]) -> list[tuple[str, float]]:
        """What the model answers by itself, with its log-probability.

        Raises:
            UserError: It does not answer by itself.
        """
