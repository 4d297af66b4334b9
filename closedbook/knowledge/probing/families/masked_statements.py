"""Facts as whole statements for masked language models: BEAR's pseudo-log-likelihood.

Each token of a statement is scored with itself and the later tokens of its word masked
("within-word l2r", Kauf and Ivanova 2023, arXiv 2305.10588), and the sum is the statement's score:

    PLL(statement) = sum_t log p(token_t | all tokens but t and what follows t in its word)

So BEAR (Wiland, Ploner, Akbik 2024) and `lm-pub-quiz` 0.3.3 (`within_word_l2r`) score: the template
is filled as it stands, the first letter made a capital one, special tokens are not scored.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.probing.families.masked_prompting import MaskedPrompting
from closedbook.knowledge.probing.families.masked_scoring import log_probs
from closedbook.knowledge.probing.families.statements import (
    Names,
    Parts,
    Statements,
    check_statements,
    texts,
)
from closedbook.knowledge.progress import Count, silent
from closedbook.knowledge.torch_folders import TorchModel
from closedbook.tasks.facts.form import Fact

_ROWS = 4096  # that are sorted by length and read one after the other


@dataclasses.dataclass(frozen=True)
class Statement:
    """A statement as ids.

    Attributes:
        ids: With special tokens.
        words: The number of each id's word; None for special tokens, which are not scored.
    """

    ids: Sequence[int]
    words: Sequence[int | None]

    def masked(self, mask: int) -> Iterator[tuple[tuple[int, ...], int]]:
        """For each scored id the ids with it and what follows it in its word masked, and its place.

        >>> list(Statement((9, 5, 6, 7, 9), (None, 0, 0, 1, None)).masked(1))
        [((9, 1, 1, 7, 9), 1), ((9, 5, 1, 7, 9), 2), ((9, 5, 6, 1, 9), 3)]
        """
        for place, word in enumerate(self.words):
            if word is None:
                continue
            limit = place + 1
            while limit < len(self.words) and self.words[limit] == word:
                limit += 1
            masks = [mask] * (limit - place)
            yield (*self.ids[:place], *masks, *self.ids[limit:]), place


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskedStatements(Statements[MaskedPrompting]):
    """How facts are put to one masked language model as statements."""

    @classmethod
    def of(cls, model: TorchModel) -> "MaskedStatements":
        """The prompting of a model.

        Raises:
            UserError: Its tokenizer does not tell which tokens are one word.
        """
        if not model.tokenizer.is_fast:
            raise UserError(
                f'the tokenizer of {model.folder} tells no words, which the style "sentence" '
                "masks; give tokenizer.json, or use --style mask"
            )
        return cls(spelling=MaskedPrompting.of(model))

    def statements(self, parts: Parts, names: Sequence[str]) -> list[Statement]:
        """The statements with each name in the object's place, each tokenised whole."""
        rows = self.spelling.tokenizer(texts(parts, names))
        return [
            Statement(ids=ids, words=rows.word_ids(number))
            for number, ids in enumerate(rows["input_ids"])
        ]

    def check_room(
        self, model: TorchModel, facts: Sequence[Fact], inputs: Sequence[Parts], answers: Names
    ) -> None:
        """Whether the model has positions for all statements.

        Raises:
            UserError: It has not, for one of them.
        """

        def read(parts: Parts, names: Sequence[str]) -> Iterator[int]:
            return (len(each.ids) for each in self.statements(parts, names))

        check_statements(model.longest, facts, inputs, answers, read)

    def scorer(self, model: TorchModel) -> "PseudoLikelihoods":
        """What scores candidates."""
        return PseudoLikelihoods(self, model)

    def written(self, model: TorchModel, inputs: Sequence[Parts]) -> list[tuple[str, float]]:
        """Raises UserError: nothing is written by a masked language model."""
        return self.spelling.written(model, [])

    def _refuse_question(self, fact: Fact) -> None:
        self.spelling.text(fact)

    def _scored(self, parts: Parts, names: Sequence[str]) -> Iterator[int]:
        for each in self.statements(parts, names):
            yield sum(word is not None for word in each.words)

    def _score(self) -> str:
        return (
            "the pseudo-log-likelihood of the whole statement with it in the object's place, each "
            "token scored with itself and what follows it in its word masked (within-word l2r)"
        )


class PseudoLikelihoods:
    """Scores candidates by the statements that they make.

    Args:
        prompting: Makes the statements.
        model: The model.
    """

    def __init__(self, prompting: MaskedStatements, model: TorchModel) -> None:
        self._prompting = prompting
        self._model = model

    def __call__(
        self,
        inputs: Sequence[Parts],
        answers: Names,
        progress: Count = silent,
        /,
    ) -> np.ndarray:
        """Pseudo-log-likelihoods of all statements, float32 [inputs, candidates].

        Candidates of one token leave the same statement where they are masked, which is read once.

        Args:
            inputs: Of `MaskedStatements.inputs`.
            answers: The candidates.
            progress: Is told how many inputs are done.
        """
        mask = self._prompting.spelling.tokenizer.mask_token_id
        scores = np.zeros((len(inputs), len(answers.names)), np.float64)
        waiting: dict[tuple[tuple[int, ...], int], list[tuple[int, int, int]]] = {}
        for number, parts in enumerate(inputs):
            for name, each in enumerate(self._prompting.statements(parts, answers.names)):
                for ids, place in each.masked(mask):
                    one = (number, name, each.ids[place])
                    waiting.setdefault((ids, place), []).append(one)
            if len(waiting) >= _ROWS or number == len(inputs) - 1:
                rows, places = zip(*waiting, strict=True)
                scored = [*waiting.values()]
                for row, found in log_probs(self._model, rows, places):
                    for of, name, token in scored[row]:
                        scores[of, name] += found[token]
                waiting.clear()
                progress(number + 1)
        return scores.astype(np.float32)
