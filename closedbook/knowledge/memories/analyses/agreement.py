"""Whether a memory's value promotes what follows its key's top trigger (section 4, figures 4-6)."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses.readout import Promoted, Readout, promoted
from closedbook.knowledge.memories.cells import Sign
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
    readout, signs = Readout.of(model), index.cells[STACK].signs
    after = {sign: next_tokens(index, sign) for sign in signs}
    found: dict[Sign, dict[Reading, list[Promoted]]] = {sign: {} for sign in signs}
    for layer, vectors in enumerate(Values(model, STACK, "raw").vectors):
        asked = [after[sign][layer] for sign in signs]
        for reading in READINGS:
            told = promoted(readout, jnp.asarray(vectors), asked, reading)
            for sign, each in zip(signs, told, strict=True):
                found[sign].setdefault(reading, []).append(each)
    return {
        sign: Agreement(
            sign=sign,
            next=after[sign],
            found={
                reading: Promoted(*map(np.stack, zip(*layers, strict=True)))
                for reading, layers in found[sign].items()
            },
        )
        for sign in signs
    }


def tops(found: Mapping[Sign, Agreement]) -> dict[Reading, np.ndarray]:
    """The tokens that values and their opposites promote first, int [layers, 2, cells].

    Where coefficients are never below 0 nobody asks for the opposites: the values' stand there.
    """
    positive, negative = found["positive"], found.get("negative", found["positive"])
    return {
        reading: np.stack([each.found[reading].top for each in (positive, negative)], axis=1)
        for reading in READINGS
    }


def next_tokens(index: Index, sign: Sign) -> np.ndarray:
    """What follows the top trigger of each of a decoder's memories, int [layers, cells]; or -1."""
    arrays = index.arrays(STACK, sign)
    texts, positions = (np.asarray(arrays[name][:, :, 0]) for name in ("text", "position"))
    known: dict[tuple[int, int], int] = {}
    after = np.full(texts.shape, -1)
    for place in zip(*np.nonzero(texts >= 0), strict=True):
        key = int(texts[place]), int(positions[place])
        if key not in known:
            after_it = index.trigger(STACK, *key).next
            known[key] = -1 if after_it is None else after_it
        after[place] = known[key]
    return after
