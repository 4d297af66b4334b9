"""Batches of facts with their candidates, which a network reads at once, bounded in memory."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from closedbook.inference.predictor import bucket
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.scoring import Answers
from closedbook.tasks.facts.form import Facts

_PAIRS = 128  # read at once
_TOKENS = 1 << 15  # read at once, each pair's copy of its prompt among them
_LOGITS = 1 << 25  # numbers that a forward pass may give at once, 128 MiB
_ANY = 1 << 30  # no longest
_SHORTEST = 8  # tokens of a row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs:
    """Facts with a right candidate and some wrong ones each; all arrays are [pairs].

    Attributes:
        fact: The fact's place in the data, ascending; a fact's right candidate is its first.
        candidate: The candidate's place in its relation.
        right: Whether it is the fact's object.
    """

    fact: np.ndarray
    candidate: np.ndarray
    right: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Some facts' pairs as the network reads them; what fills the batch up repeats others.

    Attributes:
        inputs: int32 [facts, length], what the encoder reads.
        rows: int32 [facts * candidates, length], what the decoder reads.
        targets: int32 like `rows`: the scored token after each, or -1.
        last: int32 [facts * candidates], where each candidate's last token stands.
        real: Rows that are pairs, [pairs].
        pairs: Which ones, [pairs].
    """

    inputs: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    last: np.ndarray
    real: np.ndarray
    pairs: np.ndarray


def batches(
    model: LoadedModel,
    facts: Facts,
    inputs: Sequence[Sequence[int]],
    answers: Mapping[str, Answers],
    pairs: Pairs,
) -> Iterator[Batch]:
    """Batches of facts of like lengths, with all their pairs.

    The longer the prompts, the fewer pairs are read at once, so that memory does not grow with
    them; where they are so long that not all pairs of a fact fit, some are, and its prompt is
    read again with the others.

    Args:
        model: Who reads them.
        facts: All.
        inputs: Ids of each fact's prompt.
        answers: Relation -> its candidates.
        pairs: Which candidates each fact is read with.
    """
    module, most = model.module, model.config.most_positions(after=1) or _ANY
    continues = model.config.continues_prompt
    starts = np.flatnonzero(np.diff(pairs.fact, prepend=-1))
    ends = [*starts[1:].tolist(), len(pairs.fact)]
    groups = [np.arange(a, b) for a, b in zip(starts.tolist(), ends, strict=True)]

    def tokens(pair: int) -> tuple[list[int], list[int]]:
        """What the decoder reads of a pair, and what is scored after each token."""
        number = int(pairs.fact[pair])
        answer = answers[facts.facts[number].relation]
        pieces = answer.pieces[int(pairs.candidate[pair])]
        given = inputs[number] if continues else [module.config.begin_id]
        row = [*given, *answer.before, *pieces]
        scored = [*pieces, -1 if answer.end is None else answer.end]
        return row, [*[-1] * (len(row) - len(scored)), *scored]

    def lengths(group: np.ndarray) -> tuple[int, int]:
        rows = max(len(tokens(pair)[0]) for pair in group)
        return bucket(len(inputs[pairs.fact[group[0]]]), _ANY), bucket(rows, most, _SHORTEST)

    most_pairs = max(map(len, groups))
    by_lengths = sorted(groups, key=lengths)
    for (of_inputs, of_rows), alike in itertools.groupby(by_lengths, key=lengths):
        read_of_pair = of_rows if continues else of_inputs + of_rows
        logits = of_rows * model.config.vocab_size
        fit = max(1, min(_PAIRS, _LOGITS // logits, _TOKENS // read_of_pair))
        width = min(fit, most_pairs)  # pairs of one fact
        waiting = [
            group[first : first + width] for group in alike for first in range(0, len(group), width)
        ]
        at_once = fit // width
        for first in range(0, len(waiting), at_once):
            chosen = waiting[first : first + at_once]
            real = [row * width + n for row, group in enumerate(chosen) for n in range(len(group))]
            filled = [*chosen, *[chosen[-1]] * (at_once - len(chosen))]
            asked = [inputs[pairs.fact[group[0]]] for group in filled]
            read = [tokens(group[min(n, len(group) - 1)]) for group in filled for n in range(width)]
            yield Batch(
                inputs=_padded(asked, of_inputs, module.pad_id),
                rows=_padded([row for row, _ in read], of_rows, module.pad_id),
                targets=_padded([scored for _, scored in read], of_rows, -1),
                last=np.array([len(row) - 1 for row, _ in read], np.int32),
                real=np.array(real),
                pairs=np.concatenate(chosen),
            )


def _padded(rows: Sequence[Sequence[int]], length: int, pad: int) -> np.ndarray:
    found = np.full((len(rows), length), pad, np.int32)
    for number, row in enumerate(rows):
        found[number, : len(row)] = row
    return found
