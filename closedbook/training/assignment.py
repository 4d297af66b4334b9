"""What a fresh run takes from a checkpoint whose parameters have other names, or lack some.

The rules are T5X's: pairs of a pattern that matches the whole name of one of the run's arrays, and
the name in the checkpoint, which may refer to the pattern's groups, or None for none of them. Names
are those of T5X's states, "target/<parameter>" and "state/param_states/<parameter>/<slot>".
"""

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from closedbook.checkpoints import Checkpoint, Tensor
from closedbook.checkpoints.layouts import arranged, is_scanned
from closedbook.errors import UserError, listed, unknown_name
from closedbook.training.settings import RestoreCheckpointConfig
from closedbook.training.state import TrainState

_log = logging.getLogger(__name__)
_TARGET, _SLOTS = "target/", "state/param_states/"
Rules = Sequence[tuple[str, str | None]]


def taken(
    checkpoint: Checkpoint,
    wanted: TrainState,
    restore: RestoreCheckpointConfig,
    scratch: Callable[[], TrainState] | None = None,
) -> Checkpoint:
    """What a run takes of a checkpoint, as `RestoreCheckpointConfig` says; nothing is read yet.

    Args:
        checkpoint: To start from.
        wanted: The run's state, or its shapes.
        restore: Its `assignment_map`, `fallback_to_scratch` and `strict`.
        scratch: Makes a fresh state for `fallback_to_scratch`; None where nothing is trained.

    Raises:
        UserError: As `assigned`.
    """
    fresh = scratch() if scratch and restore.fallback_to_scratch else None
    if restore.assignment_map or fresh is not None:
        checkpoint = assigned(checkpoint, wanted, restore.assignment_map or (), fresh)
    return checkpoint if restore.strict else _without_extra(checkpoint, wanted)


def _without_extra(checkpoint: Checkpoint, wanted: TrainState) -> Checkpoint:
    """The checkpoint without arrays that the run has no place for, which the log names."""
    names = list(_leaves(wanted.params))
    same = arranged(checkpoint, scanned=is_scanned(names))
    extra = [name for name in same.params if name not in names]
    if not extra:
        return checkpoint
    _log.warning(
        "left out of %s, as RestoreCheckpointConfig.strict is False:\n%s",
        checkpoint.path,
        listed(f"  {name} {same.params[name].shape}" for name in extra),
    )
    slots = same.slots
    if slots is not None:
        slots = {name: x for name, x in slots.items() if name.rpartition("/")[0] in names}
    return dataclasses.replace(
        same,
        format=_read_one_by_one(same),
        params={name: x for name, x in same.params.items() if name in names},
        slots=slots,
    )


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
        format=_read_one_by_one(checkpoint),
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


def _read_one_by_one(checkpoint: Checkpoint) -> str:
    """A format that is not closedbook's own, of which all arrays are read together."""
    return checkpoint.format if "," in checkpoint.format else f"{checkpoint.format}, in part"


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
