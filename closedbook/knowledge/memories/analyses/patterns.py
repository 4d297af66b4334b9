"""How much a memory's triggers have in common, without people who look at them.

Geva et al. 2021 (section 3) let people find patterns: shallow ones, such as a last word in common,
and semantic ones, such as a topic. What can be counted is how many of a memory's triggers agree in
their last token, in their last two or three, in a pair of neighbouring tokens anywhere (but for
those that the task puts before every text), and, in a corpus of facts, in the relation of the fact.
Beside it stands the same count after the layer's
triggers were dealt out anew to its memories, because common tokens agree by chance.
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Mapping

import numpy as np

from closedbook.knowledge.memories.analyses.metrics import agreeing
from closedbook.knowledge.memories.cells import Cells, Sign
from closedbook.knowledge.memories.index import Index

_START = -2  # no token
TOP = 25  # triggers of a memory that are looked at, as in the paper's annotation
_ANYWHERE = "two neighbouring tokens"
KINDS = ("last token", "last two tokens", "last three tokens", _ANYWHERE, "relation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """How many triggers of a memory agree; arrays are [layers, cells].

    Attributes:
        triggers: How many were looked at.
        share: Kind -> the share of them that the commonest has; NaN with fewer than two triggers.
        dealt: Kind -> the same after the layer's triggers were dealt out anew.
    """

    triggers: np.ndarray
    share: Mapping[str, np.ndarray]
    dealt: Mapping[str, np.ndarray]


def common(
    index: Index,
    cells: Cells,
    sign: Sign,
    relations: Callable[[str], str | None],
    *,
    top: int = TOP,
    begin: int = 0,
    seed: int = 0,
) -> Common:
    """Counts what a stack's memories have in common in their strongest triggers.

    Args:
        index: Of triggers.
        cells: Of the stack.
        sign: Of the coefficients.
        relations: The id of a fact -> its relation; None for what is none.
        top: Triggers per memory.
        begin: How many tokens the task puts before every text, see `removal.task_tokens`.
        seed: Of dealing out anew.
    """
    arrays = index.arrays(cells.stack, sign)
    places = _Places(index, cells.stack, relations, begin)
    random = np.random.default_rng(seed)
    shape = (cells.layers, cells.width)
    triggers = np.zeros(shape, np.int64)
    share, dealt = ({kind: np.full(shape, np.nan) for kind in KINDS} for _ in range(2))
    for layer in range(cells.layers):
        text, position = (arrays[name][layer, :, :top] for name in ("text", "position"))
        codes = places.codes(layer, np.asarray(text), np.asarray(position))
        real = codes >= 0
        triggers[layer] = real.sum(1)
        anew = codes.copy()
        anew[real] = random.permutation(codes[real])
        for found, own in ((share, codes), (dealt, anew)):
            for kind in KINDS:
                found[kind][layer] = places.shares(kind, own)
    kinds = [kind for kind in KINDS if kind != "relation" or places.has_facts]
    return Common(
        triggers=triggers,
        share={kind: share[kind] for kind in kinds},
        dealt={kind: dealt[kind] for kind in kinds},
    )


class _Places:
    """Numbers for what triggers of a stack have, each trigger looked at once."""

    def __init__(
        self, index: Index, stack: str, relations: Callable[[str], str | None], begin: int
    ) -> None:
        self._index, self._stack, self._relation, self._begin = index, stack, relations, begin
        self._code: dict[tuple[int, int], int] = {}
        self._numbers: dict[object, int] = collections.defaultdict(lambda: len(self._numbers))
        self._of: dict[str, list[int]] = {kind: [] for kind in KINDS if not _anywhere(kind)}
        self._pairs: list[np.ndarray] = []
        self.has_facts = False

    def codes(self, layer: int, text: np.ndarray, position: np.ndarray) -> np.ndarray:
        """A number per trigger, int [cells, top]; -1 where there is none."""
        found = np.full(text.shape, -1)
        for place in zip(*np.nonzero(text >= 0), strict=True):
            key = int(text[place]), int(position[place])
            if key not in self._code:
                self._code[key] = len(self._code)
                self._add(*key)
            found[place] = self._code[key]
        return found

    def shares(self, kind: str, codes: np.ndarray) -> np.ndarray:
        """The share of the commonest of each row's triggers, [cells]; NaN of fewer than two."""
        triggers = (codes >= 0).sum(1)
        if _anywhere(kind):
            most = np.array([self._most_pairs(row[row >= 0]) for row in codes])
        else:
            own = np.array([*self._of[kind], -1])  # the last one for places that are empty
            most = agreeing(own[codes])
        return np.divide(most, triggers, out=np.full(len(codes), np.nan), where=triggers >= 2)

    def _add(self, text: int, position: int) -> None:
        trigger = self._index.trigger(self._stack, text, position)
        # A T5's decoder reads a start before the target, which all empty prefixes share.
        start = (_START,) if trigger.kind == "target prefix" else ()
        prefix = (*start, *trigger.prefix)
        for length, kind in enumerate(KINDS[:3], 1):
            # A shorter prefix has no such end, and agrees with nothing.
            gram = prefix[-length:] if len(prefix) >= length else (-1, text, position)
            self._of[kind].append(self._numbers[gram])
        # Of tokens that all texts begin with, only the last makes a pair: with the text's first.
        own = prefix[max(self._begin + len(start) - 1, 0) :]
        pairs = {self._numbers[pair] for pair in itertools.pairwise(own)}
        self._pairs.append(np.array(sorted(pairs), np.int64))
        relation = self._relation(trigger.example.fact) if trigger.example.fact else None
        self.has_facts |= relation is not None
        self._of["relation"].append(-1 if relation is None else self._numbers["relation", relation])

    def _most_pairs(self, codes: np.ndarray) -> int:
        pairs = [self._pairs[code] for code in codes.tolist()]
        joined = np.concatenate(pairs) if pairs else np.empty(0, np.int64)
        return int(np.unique(joined, return_counts=True)[1].max()) if len(joined) else 0


def _anywhere(kind: str) -> bool:
    return kind == _ANYWHERE
