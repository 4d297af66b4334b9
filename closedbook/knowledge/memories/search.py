"""Cells whose value promotes a word, and how many cells chance would give."""

import dataclasses
import math

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.memories.cells import Cell, Sign
from closedbook.knowledge.memories.values import Values
from closedbook.knowledge.probing.prompts import Prompting

Z = 3.0  # standard deviations from which a cell counts as one that promotes a word
_OTHERS = 500  # tokens that the word is compared with
_AT_ONCE = 4096  # cells whose votes are formed together


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hit:
    """A cell whose value promotes a word.

    Attributes:
        cell: The cell.
        sign: Of its coefficient when it promotes the word: with a negative one it writes the
            opposite of its value.
        z: By how many standard deviations its vote lies above the mean of all cells' votes.
        vote: Its vote for the word: the mean over the word's pieces.
        rank: The place of the word's first piece among all tokens that the cell promotes, from 1.
    """

    cell: Cell
    sign: Sign
    z: float
    vote: float
    rank: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The outcome of a search.

    Attributes:
        word: What was looked for.
        pieces: Its pieces in the vocabulary.
        hits: Cells by their z-scores, the highest first: those that reach the threshold, and more
            where they are few.
        above: How many hits reach the threshold.
        threshold: Standard deviations.
        cells: How many cells (twice as many places where both signs count).
        by_normal: How many hits normally distributed votes would give.
        by_others: How many hits other tokens of the vocabulary have, on the mean.
        others: How many other tokens those are.
        share: The share of other tokens that have at least as many hits.
    """

    word: str
    pieces: tuple[int, ...]
    hits: tuple[Hit, ...]
    above: int
    threshold: float
    cells: int
    by_normal: float
    by_others: float
    others: int
    share: float


def search(
    values: Values, word: str, signs: tuple[Sign, ...], threshold: float = Z, *, least: int = 0
) -> Found:
    """Looks for cells that promote a word.

    A cell's vote for a word of several pieces is the mean of its votes for them. Votes are
    compared over cells and not over tokens, because tokens with long embeddings win everywhere.

    Args:
        values: Of the stack.
        word: As it stands inside of a text; several words are allowed.
        signs: Signs that coefficients of the stack have.
        threshold: Standard deviations from which a cell counts.
        least: How many hits to give, whether they reach the threshold or not.

    Raises:
        UserError: The vocabulary cannot write the word, or the threshold is no number above 0.
    """
    if not 0 < threshold < math.inf:
        raise UserError(f"z is {threshold:g}; give a number of standard deviations above 0, like 3")
    pieces = Prompting.of(values.model).pieces_of(word)
    generator = np.random.default_rng(0)
    possible = np.setdiff1d(np.arange(values.tokens), pieces)
    others = generator.permutation(possible)[:_OTHERS]
    vectors = values.vectors.reshape(-1, values.vectors.shape[-1])
    columns = np.concatenate([np.array(pieces), others])
    votes = np.concatenate(
        [
            values.project(vectors[first : first + _AT_ONCE], columns)
            for first in range(0, len(vectors), _AT_ONCE)
        ]
    ).astype(np.float64)
    own = votes[:, : len(pieces)].mean(1)
    z = _standardised(own[:, None])[:, 0]
    of_others = _standardised(votes[:, len(pieces) :])
    counts = np.zeros(len(others))
    hits, above = [], 0
    for sign in signs:
        turn = -1 if sign == "negative" else 1
        counts += (turn * of_others >= threshold).sum(0)
        reach = int((turn * z >= threshold).sum())
        above += reach
        best = np.argsort(-turn * z, kind="stable")[: max(least, reach)]
        for place in best.tolist():
            layer, number = divmod(place, values.vectors.shape[1])
            cell = Cell(values.stack, layer, number)
            every = turn * values.votes([cell])[0]
            hits.append(
                Hit(
                    cell=cell,
                    sign=sign,
                    z=float(turn * z[place]),
                    vote=float(turn * own[place]),
                    rank=1 + int((every > every[pieces[0]]).sum()),
                )
            )
    hits.sort(key=lambda hit: (-hit.z, hit.cell))
    tail = 0.5 * math.erfc(threshold / math.sqrt(2))
    return Found(
        word=word,
        pieces=pieces,
        hits=tuple(hits[: max(least, above)]),
        above=above,
        threshold=threshold,
        cells=len(vectors),
        by_normal=tail * len(vectors) * len(signs),
        by_others=float(counts.mean()) if len(others) else 0.0,
        others=len(others),
        share=float((counts >= above).mean()) if len(others) else 1.0,
    )


def _standardised(votes: np.ndarray) -> np.ndarray:
    """Votes [cells, tokens] less the mean over cells, in standard deviations over cells."""
    spread = votes.std(0)
    return (votes - votes.mean(0)) / np.where(spread > 0, spread, 1.0)
