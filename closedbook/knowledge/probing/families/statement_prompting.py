"""Facts as whole statements: how likely is each one, with a candidate in the object's place?

For models that go on with a text. The object may stand anywhere, what follows it is scored too, and
a statement is tokenised whole, so that a name may merge with its neighbours. These are the
conventions of BEAR (Wiland, Ploner, Akbik 2024) and of its package lm-pub-quiz: the template is
filled as it stands, the first letter made a capital one, and each token is scored after one that
begins a text.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.families.statements import (
    Names,
    Parts,
    Statements,
    check_statements,
    texts,
)
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.trees import Texts, TreeScorer
from closedbook.knowledge.progress import Count, silent
from closedbook.models import DecoderOnlyConfig
from closedbook.tasks.facts.form import Fact
from closedbook.vocabulary.protocol import AnyVocabulary


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatementPrompting(Statements[Prompting]):
    """How facts are put to one model that goes on with a text, as statements.

    Attributes:
        begin: The id that stands before each statement, and is not scored.
    """

    begin: int

    @classmethod
    def of(cls, model: LoadedModel) -> "StatementPrompting":
        """The prompting of a model.

        Raises:
            UserError: The model fills gaps, or no token begins or ends its texts.
        """
        config = model.config
        if not isinstance(config, DecoderOnlyConfig):
            raise UserError(
                'the style "sentence" is for models that go on with a text, such as GPT-2 and Llama'
            )
        if config.begin_id < 0:
            raise UserError(
                "the model has no token that begins or ends a text, after which the first one "
                "could be scored; use --style continuation"
            )
        return cls(spelling=Prompting.of(model, "continuation"), begin=config.begin_id)

    def check_room(
        self,
        model: LoadedModel,
        facts: Sequence[Fact],
        inputs: Sequence[Parts],
        answers: Names,
    ) -> None:
        """Whether the model has positions for all statements.

        Raises:
            UserError: It has not, for one of them.
        """
        room = model.config.most_positions(after=1)
        if room is not None:
            check_statements(room, facts, inputs, answers, self._scored)

    def rows(self, parts: Parts, names: Sequence[str]) -> list[list[int]]:
        """Ids of a statement with each name in the object's place, after what begins a text."""
        return statements(self.spelling.vocabulary, self.begin, parts, names)

    def scorer(self, model: LoadedModel) -> "StatementScorer":
        """What scores candidates; its compiled programs serve all relations."""
        return StatementScorer(self, TreeScorer(model.module, model.params))

    def written(self, model: LoadedModel, inputs: Sequence[Parts]) -> list[tuple[str, float]]:
        """Raises UserError: a statement asks for no answer."""
        raise UserError(
            'the style "sentence" scores whole statements, after which nothing is left to answer; '
            "leave --generate out, or use --style continuation"
        )

    def _refuse_question(self, fact: Fact) -> None:
        if fact.style == "question":
            raise UserError(
                f"fact {fact.id} asks by a question ({fact.prompt!r}), which is no statement; "
                "use --style question, or give statements with [Y] for the object"
            )

    def _scored(self, parts: Parts, names: Sequence[str]) -> Iterator[int]:
        """As many as the model reads: the last one is not read, the first one not scored."""
        return (len(row) - 1 for row in self.rows(parts, names))

    def _score(self) -> str:
        return (
            "the log-likelihood of the whole statement with it in the object's place, each token "
            f"after those before it and the one that begins a text (id {self.begin}, not scored)"
        )


class StatementScorer:
    """Scores candidates by the statements that they make."""

    def __init__(self, prompting: StatementPrompting, trees: TreeScorer) -> None:
        self._prompting = prompting
        self._trees = trees

    def __call__(
        self,
        inputs: Sequence[Parts],
        answers: Names,
        progress: Count = silent,
        /,
    ) -> np.ndarray:
        """Log-likelihoods of all statements, float32 [inputs, candidates].

        Args:
            inputs: Of `StatementPrompting.inputs`.
            answers: The candidates.
            progress: Is told how many inputs are done.
        """
        asked = [Texts.whole(self._prompting.rows(parts, answers.names)) for parts in inputs]
        found = self._trees(asked, progress)
        return np.stack(found) if found else np.empty((0, len(answers.names)), np.float32)


def statements(
    vocabulary: AnyVocabulary, begin: int, parts: Parts, names: Sequence[str]
) -> list[list[int]]:
    """Ids of statements, each tokenised whole, after the id that begins a text."""
    return [[begin, *row] for row in vocabulary.encode_batch(texts(parts, names))]
