"""How a coefficient changes when a token of its trigger is removed (section 3.1, figure 3).

The first token, the last one, or one at random goes out of the prefix that triggers a memory, and
the coefficient is read again at the end of what is left. Tokens that the task puts in front of all
texts (a start, a question's prefix) and the end of an input stay.

| stack | the tokens of | read again at |
|---|---|---|
| a decoder-only model's | the prefix, the marked token its last | the end of what is left |
| a T5's decoder | the part of the target that was read, likewise; or else the input | likewise |
| an encoder | the input, the marked token apart, which stays | the marked token |
"""

import dataclasses
import zlib
from typing import Literal

import numpy as np

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses.metrics import relative_change
from closedbook.knowledge.memories.analyses.places import Place, see
from closedbook.knowledge.memories.cells import SITE, Cells, Sign
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.probing.prompts import Prompting, Way
from closedbook.knowledge.progress import CountOf, silent
from closedbook.models.families import Network

Which = Literal["first", "last", "random"]
Side = Literal["inputs", "targets"]
WHICH: tuple[Which, ...] = ("first", "last", "random")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Changes:
    """Relative changes of coefficients; all arrays are [changes].

    Attributes:
        layer: Of the memory.
        cell: Its number in the layer.
        side: Index into `SIDES[...]`: of which text a token was removed.
        which: Index into WHICH.
        change: (after - before) / before.
        skipped: Triggers without a token to remove.
    """

    layer: np.ndarray
    cell: np.ndarray
    side: np.ndarray
    which: np.ndarray
    change: np.ndarray
    skipped: int


def sides(stack: str, *, continues: bool) -> tuple[Side, ...]:
    """Of which texts tokens are removed in a stack."""
    if stack == "encoder":
        return ("inputs",)
    return ("targets",) if continues else ("targets", "inputs")


def without(
    place: Place, stack: str, side: Side, which: Which, begin: int, module: Network, chance: int
) -> Place | None:
    """The place with one token less; None where there is none to remove.

    Args:
        place: A trigger.
        stack: Whose position it is.
        side: Of which text a token is removed.
        which: "first", "last" or "random".
        begin: How many tokens of the side stand before every text and stay.
        module: The network.
        chance: A number from which the random token is taken.
    """
    example, position = place.example, place.position
    continues = module.config.continues_prompt
    if side == "targets":  # a decoder's: what it has read there
        ids = list(example.targets[: position + 1] if continues else example.targets[:position])
        open_ = list(range(begin, len(ids)))
        if len(open_) < 2:  # without it no token of the text's own would be left
            return None
    else:
        ids = list(example.inputs)
        end = len(ids) - (ids[-1:] == [module.eos_id])
        open_ = [n for n in range(begin, end) if stack != "encoder" or n != position]
        if len(open_) < 2:
            return None
    at = {"first": open_[0], "last": open_[-1], "random": open_[chance % len(open_)]}[which]
    del ids[at]
    if side == "targets":
        # What follows the prefix is not read; a T5's target needs one token that is not.
        targets = tuple(ids) if continues else (*ids, example.targets[position])
        return Place(dataclasses.replace(example, targets=targets), position - 1)
    shorter = dataclasses.replace(example, inputs=tuple(ids))
    return Place(shorter, position - (stack == "encoder" and at < position))


def changes(
    model: LoadedModel,
    index: Index,
    cells: Cells,
    *,
    keys: int = 100,
    triggers: int = 50,
    seed: int = 0,
    begin: dict[Side, int] | None = None,
    progress: CountOf = silent,
) -> Changes:
    """Removes tokens from the top triggers of memories chosen at random.

    Args:
        model: The model.
        index: Of its triggers.
        cells: The stack's.
        keys: Memories per layer; the paper takes 100.
        triggers: Of each at most, the strongest; the paper takes 50.
        seed: Of which memories, and of the random tokens.
        begin: Side -> tokens before every text, see `without`; none if None.
        progress: Is told how many texts are read, of how many.
    """
    requests, skipped = _requests(model.module, index, cells, keys, triggers, seed, begin or {})
    order = {edit: n for n, edit in enumerate(dict.fromkeys(each[0] for each in requests))}
    if not order:
        nothing = np.empty(0, np.int64)
        return Changes(
            layer=nothing,
            cell=nothing,
            side=nothing,
            which=nothing,
            change=np.empty(0),
            skipped=skipped,
        )
    edit = np.array([order[each[0]] for each in requests])
    layer, cell, side, which = (
        np.array([each[column] for each in requests]) for column in range(1, 5)
    )
    before = np.array([each[5] for each in requests])
    after = np.empty(len(requests))
    by_edit = np.argsort(edit, kind="stable")
    starts = np.searchsorted(edit[by_edit], np.arange(len(order) + 1))
    done = 0
    for seen in see(model, list(order), cells.stack):
        found = np.asarray(seen.layers[SITE])  # [layers, rows, cells]
        for row, number in enumerate(seen.number.tolist()):
            if number >= 0:
                mine = by_edit[starts[number] : starts[number + 1]]
                after[mine] = found[layer[mine], row, cell[mine]]
        done += int((seen.number >= 0).sum())
        progress(done, len(order))
    return Changes(
        layer=layer,
        cell=cell,
        side=side,
        which=which,
        change=relative_change(before, after),
        skipped=skipped,
    )


def _requests(
    module: Network,
    index: Index,
    cells: Cells,
    keys: int,
    triggers: int,
    seed: int,
    begin: dict[Side, int],
) -> tuple[list[tuple[Place, int, int, int, int, float]], int]:
    """What is to be read again: the shorter text, layer, cell, side, which, the coefficient."""
    found = []
    skipped = 0
    of_stack = sides(cells.stack, continues=module.config.continues_prompt)
    for layer, chosen in enumerate(sample(index, cells, keys, seed)):
        for number, sign in chosen:
            arrays = index.arrays(cells.stack, sign)
            rows = [
                arrays[part][layer, number, :triggers].tolist()
                for part in ("coefficient", "text", "position")
            ]
            for coefficient, text, position in zip(*rows, strict=True):
                if text < 0:
                    continue
                place = Place(index.trigger(cells.stack, text, position).example, position)
                for s, side in enumerate(of_stack):
                    for w, which in enumerate(WHICH):
                        chance = zlib.crc32(f"{seed} {text} {position}".encode())
                        shorter = without(
                            place, cells.stack, side, which, begin.get(side, 0), module, chance
                        )
                        if shorter is None:
                            skipped += w == 0
                            continue
                        found.append((shorter, layer, number, s, w, coefficient))
    return found, skipped


def sample(index: Index, cells: Cells, keys: int, seed: int) -> list[list[tuple[int, Sign]]]:
    """Memories drawn at random per layer, of those that have a trigger: cell and sign.

    Where both signs have triggers, one of the two is drawn.
    """
    random = np.random.default_rng(seed)
    used = {sign: index.arrays(cells.stack, sign)["text"] for sign in cells.signs}
    drawn: list[list[tuple[int, Sign]]] = []
    for layer in range(cells.layers):
        has = {sign: np.asarray(array[layer, :, 0] >= 0) for sign, array in used.items()}
        some = np.flatnonzero(np.logical_or.reduce(list(has.values())))
        chosen = np.sort(random.permutation(some)[:keys]).tolist()
        drawn.append([])
        for number in chosen:
            signs = [sign for sign in cells.signs if has[sign][number]]
            drawn[-1].append((number, signs[int(random.integers(len(signs)))]))
    return drawn


def task_tokens(model: LoadedModel, way: Way) -> dict[Side, int]:
    """How many tokens stand before every text and are not the text's own, see `without`.

    Args:
        model: The model.
        way: How texts are put to it.
    """
    prefix = model.card.prefix if way == "question" else ""
    of_prefix = len(model.vocabulary.encode(prefix)) if prefix else 0
    if model.config.continues_prompt:
        return {"targets": len(model.module.framed([0])) - 1 + of_prefix}
    return {
        "inputs": of_prefix,
        "targets": len(Prompting.of(model, way).answer_start()),
    }
