"""What a fresh run takes from a checkpoint whose parameters have other names, or lack some.

The rules are T5X's: pairs of a pattern that matches the whole name of one of the run's arrays, and
the name in the checkpoint, which may refer to the pattern's groups, or None for none of them. Names
are those of T5X's states, "target/<parameter>" and "state/param_states/<parameter>/<slot>".
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from closedbook.checkpoints import Checkpoint, Tensor
from closedbook.checkpoints.layouts import arranged, is_scanned
from closedbook.errors import UserError, unknown_name
from closedbook.training.state import TrainState

_TARGET, _SLOTS = "target/", "state/param_states/"
Rules = Sequence[tuple[str, str | None]]


def assigned(
    checkpoint: Checkpoint, wanted: TrainState, rules: Rules, scratch: TrainState | None
) -> Checkpoint:
    """A checkpoint under the run's names; nothing is read yet.

    Args:
        checkpoint: To start from.
        wanted: The run's state, or its shapes.
        rules: Pairs of a pattern and a name. The first pattern that matches counts.
        scratch: A fresh state, for what the checkpoint lacks or a rule leaves out; None: that is
            then a mistake, which `load_params` tells.

    Raises:
        UserError: A pattern is malformed or matches nothing, or the checkpoint lacks a name.
    """
    names = list(_leaves(wanted.params))
    checkpoint = arranged(checkpoint, scanned=is_scanned(names))
    found = {_TARGET + name: tensor for name, tensor in checkpoint.params.items()}
    keys = [_TARGET + name for name in names]
    if checkpoint.slots is not None:
        found |= {_SLOTS + name: tensor for name, tensor in checkpoint.slots.items()}
        keys += [_SLOTS + name for name in _slots(wanted)]
    chosen, left_out = _chosen(found, keys, rules, checkpoint.path)
    if scratch is not None:
        fresh = {_TARGET + name: x for name, x in _leaves(scratch.params).items()}
        fresh |= {_SLOTS + name: x for name, x in _slots(scratch).items()}
        place = "begun at random"
        chosen |= {
            key: Tensor.of(np.asarray(fresh[key]), place)
            for key in keys
            if key not in chosen and (key in left_out or key not in found)
        }
    return dataclasses.replace(
        checkpoint,
        format=f"{checkpoint.format}, assigned",  # its arrays are read one by one
        params=_below(chosen, _TARGET),
        slots=None if checkpoint.slots is None else _below(chosen, _SLOTS),
    )


def _chosen(
    found: Mapping[str, Tensor], keys: Sequence[str], rules: Rules, path: str
) -> tuple[dict[str, Tensor], set[str]]:
    """The checkpoint's arrays under the run's names, and names that rules leave out."""
    chosen: dict[str, Tensor] = {}
    left_out: set[str] = set()
    used: set[str] = set()
    kept = dict(found)
    for key in keys:
        for pattern, name in rules:
            match = _matched(pattern, key)
            if match is None:
                continue
            used.add(pattern)
            if name is None:
                left_out.add(key)
                break
            theirs = match.expand(name)
            if theirs not in found:
                raise UserError(
                    f"RestoreCheckpointConfig.assignment_map takes {key} from {theirs}: "
                    f"{unknown_name('array', theirs, found)} (of {path})"
                )
            chosen[key] = found[theirs]
            kept.pop(theirs, None)
            break
    unused = [pattern for pattern, _ in rules if pattern not in used]
    if unused:
        raise UserError(
            f"RestoreCheckpointConfig.assignment_map has patterns that match nothing: "
            f"{', '.join(unused)}; names of the run begin with {keys[0]}, {keys[-1]}"
        )
    kept |= {key: found[key] for key in keys if key in found}
    return {key: each for key, each in kept.items() if key not in left_out} | chosen, left_out


def _matched(pattern: str, key: str) -> re.Match[str] | None:
    try:
        return re.fullmatch(pattern, key)
    except re.error as error:
        raise UserError(
            f"RestoreCheckpointConfig.assignment_map has {pattern!r}, which is no regular "
            f"expression: {error}"
        ) from error


def _leaves(tree: object) -> dict[str, jax.Array]:
    """Arrays by their names, joined with "/"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _slots(state: TrainState) -> dict[str, jax.Array]:
    """Adafactor's accumulators by "<parameter>/<slot>"."""
    found = {}
    for name, leaf in _leaves(state.opt_state).items():
        slot, _, parameter = name.partition("/")
        if parameter:
            found[f"{parameter}/{slot}"] = leaf
    return found


def _below(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
