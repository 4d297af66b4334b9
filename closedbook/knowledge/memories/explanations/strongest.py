"""The strongest memories of an explanation, with what they answer to and what they write."""

import dataclasses

import numpy as np

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.cells import Cell, Sign
from closedbook.knowledge.memories.explanations.explain import Explanation, Memory
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.triggers import Marked, alike, marked
from closedbook.knowledge.memories.values import Values, strongest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strong:
    """A memory that adds much.

    Attributes:
        memory: The memory.
        writes: Tokens that its value promotes most, as its coefficient's sign turns it.
        triggers: Texts to which it answers most with this sign; none without an index.
    """

    memory: Memory
    writes: tuple[str, ...]
    triggers: tuple[Marked, ...]


def by_stack(
    model: LoadedModel,
    explanation: Explanation,
    index: Index | None = None,
    *,
    many: int = 10,
    layer: int | None = None,
    tokens: int = 5,
    triggers: int = 3,
) -> dict[str, list[Strong]]:
    """Each stack's memories with the largest numbers, the strongest first.

    Args:
        model: The model.
        explanation: Of it.
        index: Of its triggers.
        many: Memories per stack.
        layer: Only of this layer of each stack.
        tokens: Of what each writes.
        triggers: Of each.
    """
    found: dict[str, list[Strong]] = {}
    for stack in reversed(model.config.stacks):
        chosen = [
            each
            for each in explanation.memories
            if each.stack == stack and layer in (None, each.layer)
        ][:many]
        if not chosen:
            continue
        votes = Values(model, stack).votes([_cell(each) for each in chosen])
        found[stack] = [
            Strong(
                memory=each,
                writes=_writes(model, vote, each.coefficient, tokens),
                triggers=_triggers(model, index, each, triggers),
            )
            for each, vote in zip(chosen, votes, strict=True)
        ]
    return found


def _cell(memory: Memory) -> Cell:
    return Cell(memory.stack, memory.layer, memory.cell)


def _writes(
    model: LoadedModel, votes: np.ndarray, coefficient: float, many: int
) -> tuple[str, ...]:
    promoted, suppressed = strongest(votes, model, many)
    return tuple(vote.text for vote in (suppressed if coefficient < 0 else promoted))


def _triggers(
    model: LoadedModel, index: Index | None, memory: Memory, many: int
) -> tuple[Marked, ...]:
    if index is None or memory.stack not in index.cells:
        return ()
    sign: Sign = "negative" if memory.coefficient < 0 else "positive"
    found = alike(index.triggers(_cell(memory), sign))[:many]
    return tuple(marked(group[0], model.vocabulary) for group in found)
