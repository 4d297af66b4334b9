"""Facts as whole statements: how likely is each one, with a candidate in the object's place?

For models that go on with a text. The object may stand anywhere, what follows it is scored too, and
a statement is tokenised whole, so that a name may merge with its neighbours. These are the
conventions of BEAR (Wiland, Ploner, Akbik 2024) and of its package lm-pub-quiz: the template is
filled as it stands, the first letter made a capital one, and each token is scored after one that
begins a text.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.trees import Texts, TreeScorer
from closedbook.models import DecoderOnlyConfig
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact, Relation
from closedbook.vocabulary.protocol import AnyVocabulary

Parts = Sequence[str]  # of a statement, between which the object stands
_AROUND = 8  # tokens that a tokenizer may put around a statement or write without a letter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """Candidates by name: which ids they are depends on the statement."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatementPrompting:
    """How facts are put to one model as statements.

    Attributes:
        spelling: How the vocabulary writes names inside of a text.
        begin: The id that stands before each statement, and is not scored.
    """

    spelling: Prompting
    begin: int
    way: str = "sentence"
    prefix: str = ""

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
            if fact.style == "question":
                raise UserError(
                    f"fact {fact.id} asks by a question ({fact.prompt!r}), which is no statement; "
                    "use --style question, or give statements with [Y] for the object"
                )
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
        """Whether the pieces of a name are some, and none of them unknown."""
        return self.spelling.knows(name, pieces)

    def single(self, names: Sequence[str]) -> list[bool]:
        """Which names are single pieces of the vocabulary, and known ones."""
        return self.spelling.single(names)

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
            check_statements(room, facts, inputs, answers, self._read)

    def _read(self, parts: Parts, names: Sequence[str]) -> Iterator[int]:
        """How many tokens the model reads of each statement; the last one is not read."""
        return (len(row) - 1 for row in self.rows(parts, names))

    def rows(self, parts: Parts, names: Sequence[str]) -> list[list[int]]:
        """Ids of a statement with each name in the object's place, after what begins a text."""
        return statements(self.spelling.vocabulary, self.begin, parts, names)

    def lengths(self, inputs: Sequence[Parts], answers: Names) -> np.ndarray:
        """Ids that are scored, int64 [inputs, candidates]."""
        return np.array(
            [[len(row) - 1 for row in self.rows(parts, answers.names)] for parts in inputs],
            np.int64,
        )

    def scorer(self, model: LoadedModel) -> "StatementScorer":
        """What scores candidates; its compiled programs serve all relations."""
        return StatementScorer(self, TreeScorer(model.module, model.params))

    def rule(self, single: bool) -> str:
        """How a candidate's score comes about, in words."""
        chosen = "; candidates are single pieces when they stand alone" if single else ""
        return (
            "the log-likelihood of the whole statement with it in the object's place, each token "
            f"after those before it and the one that begins a text (id {self.begin}, not scored); "
            "the first letter is a capital one, and nothing else of the template is changed"
            f"{chosen}"
        )

    def written(self, model: LoadedModel, inputs: Sequence[Parts]) -> list[tuple[str, float]]:
        """Raises UserError: a statement asks for no answer."""
        raise UserError(
            'the style "sentence" scores whole statements, after which nothing is left to answer; '
            "leave --generate out, or use --style continuation"
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
        progress: Callable[[int], None] = lambda done: None,
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


def statements(
    vocabulary: AnyVocabulary, begin: int, parts: Parts, names: Sequence[str]
) -> list[list[int]]:
    """Ids of statements, each tokenised whole, after the id that begins a text."""
    texts = [name.join(parts) for name in names]
    rows = vocabulary.encode_batch([text[:1].upper() + text[1:] for text in texts])
    return [[begin, *row] for row in rows]
