"""Whether a memory's value promotes what follows its key's top trigger (section 4, figures 4-6)."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses.readout import Promoted, Readout, promoted
from closedbook.knowledge.memories.cells import Cell, Sign
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.values import READINGS, Reading, Values

STACK = "decoder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """Memories' values beside their top triggers' next tokens; arrays are [layers, cells].

    Attributes:
        sign: Of the coefficients. With a negative one a memory writes the opposite of its value.
        next: The token that follows the top trigger; -1 where there is none.
        found: Reading -> what the values promote, and the rank of `next`.
    """

    sign: Sign
    next: np.ndarray
    found: Mapping[Reading, Promoted]

    def agrees(self, reading: Reading) -> np.ndarray:
        """Whether the value's top token is the next one, [layers, cells]."""
        return (self.next >= 0) & (self.found[reading].top == self.next)


def agreement(model: LoadedModel, index: Index) -> dict[Sign, Agreement]:
    """Projects the values of a decoder's memories, and compares them with their top triggers.

    Args:
        model: The model.
        index: Of its triggers; the decoder's are among them.

    Raises:
        UserError: The index has no decoder.
    """
    if STACK not in index.cells:
        raise UserError(f"{index.path} has no triggers of the {STACK}; make an index of it")
    readout = Readout.of(model)
    vectors = Values(model, STACK, "raw").vectors
    found: dict[Sign, Agreement] = {}
    for sign in index.cells[STACK].signs:
        after = next_tokens(index, sign)
        turned = vectors if sign == "positive" else -vectors
        of_reading = {}
        for reading in READINGS:
            layers = [
                promoted(readout, each, asked, reading)
                for each, asked in zip(turned, after, strict=True)
            ]
            of_reading[reading] = Promoted(
                top=np.stack([each.top for each in layers]),
                probability=np.stack([each.probability for each in layers]),
                rank=np.stack([each.rank for each in layers]),
            )
        found[sign] = Agreement(sign=sign, next=after, found=of_reading)
    return found


def next_tokens(index: Index, sign: Sign) -> np.ndarray:
    """What follows the top trigger of each of a decoder's memories, int [layers, cells]; or -1."""
    cells = index.cells[STACK]
    after = np.full((cells.layers, cells.width), -1)
    used = index.arrays(STACK, sign)["text"][:, :, 0] >= 0
    for layer, number in zip(*np.nonzero(used), strict=True):
        [first, *_] = index.triggers(Cell(STACK, int(layer), int(number)), sign)
        after[layer, number] = -1 if first.next is None else first.next
    return after
