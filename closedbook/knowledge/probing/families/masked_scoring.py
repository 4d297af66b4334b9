"""Log-probabilities of candidates at the masks of a statement.

A candidate of one piece has its log-probability at the mask, over the whole vocabulary: LAMA's
(Petroni et al. 2019). One of n pieces stands on n masks and is read from left to right: a piece is
scored with the pieces before it in place and it and those after it masked, so that

    log p(candidate) = sum_i log p(piece_i | statement, piece_1 ... piece_(i-1), n - i + 1 masks)

This is "within-word l2r" of Kauf and Ivanova 2023 (arXiv 2305.10588) with the object as the word:
for objects of one word it is theirs; for "New York", theirs would score "New" beside "York", and so
reward names for being long. `lm-pub-quiz` 0.3.3 calls it `answer_l2r+word_l2r`, of the answer's
tokens alone (`conditional_score`). Scores of candidates with unlike numbers of pieces are of unlike
statements: n masks tell that n pieces are missing.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from closedbook.knowledge.progress import Count, silent
from closedbook.knowledge.torch_folders import TorchModel

_ITEMS = 4096  # rows that are sorted by length and read one after the other


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskedAnswers:
    """A closed set of candidates as a masked language model is to fill them in.

    Attributes:
        pieces: Ids of each candidate, one at least.
        mask: The id of the mask.
    """

    pieces: tuple[tuple[int, ...], ...]
    mask: int

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Ids that are scored, int64 [candidates]: by which `length` normalises."""
        return np.array([len(row) for row in self.pieces], np.int64)


@dataclasses.dataclass(frozen=True)
class _Node:
    """What fills the masks before a piece is scored, and all candidates that begin so.

    Candidates of one number of pieces that begin alike share their rows.
    """

    filled: tuple[int, ...]  # pieces and masks
    place: int  # of the piece that is scored, in `filled`
    candidates: np.ndarray
    tokens: np.ndarray  # the piece of each candidate


class MaskedScorer:
    """Scores candidates with one masked language model.

    Args:
        model: The model.
    """

    def __init__(self, model: TorchModel) -> None:
        self._model = model

    def __call__(
        self,
        inputs: Sequence[Sequence[int]],
        answers: MaskedAnswers,
        progress: Count = silent,
    ) -> np.ndarray:
        """Log-probabilities of all candidates in each statement.

        Args:
            inputs: Ids of each statement with one mask for the object, special tokens included.
            answers: The candidates.
            progress: Is told how many inputs are done.

        Returns:
            float32 [inputs, candidates].
        """
        nodes = _nodes(answers)
        scores = np.zeros((len(inputs), len(answers.pieces)), np.float64)
        at_once = max(1, _ITEMS // len(nodes))
        for first in range(0, len(inputs), at_once):
            group = range(first, min(first + at_once, len(inputs)))
            items = [(number, node) for number in group for node in nodes]
            rows, places = [], []
            for number, node in items:
                ids = list(inputs[number])
                start = ids.index(answers.mask)
                rows.append([*ids[:start], *node.filled, *ids[start + 1 :]])
                places.append(start + node.place)
            for item, found in log_probs(self._model, rows, places):
                number, node = items[item]
                scores[number, node.candidates] += found[node.tokens]
            progress(group.stop)
        return scores.astype(np.float32)


def log_probs(
    model: TorchModel, rows: Sequence[Sequence[int]], places: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """What the model expects at one place of each row of ids.

    Yields:
        The number of a row, and float32 [vocabulary], in an order of the rows that is quick.
    """
    for chosen, output in model.outputs(rows, model.network.config.vocab_size):
        at = output.logits[range(len(chosen)), [places[number] for number in chosen]]
        yield from zip(chosen, at.float().log_softmax(-1).cpu().numpy(), strict=True)


def _nodes(answers: MaskedAnswers) -> list[_Node]:
    found: dict[tuple[int, ...], tuple[int, list[int], list[int]]] = {}
    for number, row in enumerate(answers.pieces):
        for place, token in enumerate(row):
            filled = (*row[:place], *[answers.mask] * (len(row) - place))
            _, candidates, tokens = found.setdefault(filled, (place, [], []))
            candidates.append(number)
            tokens.append(token)
    return [
        _Node(filled, place, np.array(candidates), np.array(tokens))
        for filled, (place, candidates, tokens) in found.items()
    ]
