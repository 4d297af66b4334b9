"""Arrays on the devices, out of an opened checkpoint of any format."""

import pathlib
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from closedbook.buckets import is_bucket, path_at
from closedbook.checkpoints import soundness
from closedbook.checkpoints.architecture import check_shapes
from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.layouts import arranged, is_scanned
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.errors import UserError

_ADAFACTOR = ("count", "v", "v_col", "v_row")

# Nested dicts, tuples and dataclasses: as `wanted`, leaves that tell shape, type and (where they
# have one) sharding; as a result, the arrays in their places.
Tree = TypeVar("Tree")


def load_params(checkpoint: Checkpoint, wanted: Tree) -> Tree:
    """Parameters of a checkpoint, laid out as a model wants them.

    Layers are stacked or taken apart as needed, numbers converted to the wanted type.

    Args:
        checkpoint: From `open_checkpoint`.
        wanted: Shapes, types and (where they have them) shardings of the parameters.

    Raises:
        UserError: The checkpoint holds other parameters (all differences are listed), or is
            damaged.
    """
    names = _names(wanted)
    scanned = is_scanned(names)
    same_layout = is_scanned(checkpoint.params) == scanned
    checkpoint = arranged(checkpoint, scanned=scanned)
    _check(checkpoint.params, names, checkpoint.path)
    own = checkpoint.format == Format.CLOSEDBOOK and not is_bucket(checkpoint.path)
    # To one device arrays are read as quickly without Orbax, which is slow to import.
    if own and same_layout and _several_devices(wanted):
        return _read_orbax(pathlib.Path(checkpoint.path) / "params", wanted)
    return _on_devices(checkpoint.params, wanted)


def load_opt_state(checkpoint: Checkpoint, wanted: Tree) -> Tree:
    """The optimiser state of a checkpoint, as `load_params`.

    Args:
        checkpoint: One with `slots`, or of closedbook with another optimiser's state.
        wanted: Shapes, types and shardings of the same optimiser's state.

    Raises:
        UserError: It is the state of another optimiser, or of other parameters, or is damaged.
    """
    names = _names(wanted)
    where = f"{checkpoint.path}, optimiser state"
    if checkpoint.format == Format.CLOSEDBOOK:
        soundness.check(path_at(checkpoint.path), soundness.STATE)
    if checkpoint.slots is None:
        item = path_at(checkpoint.path) / "optimizer"
        check_item(item, wanted)
        return _read_orbax(item, wanted)
    parameters = [name.split("/", 1)[1] for name in names if name.startswith("v_row/")]
    slots = arranged(checkpoint, scanned=is_scanned(parameters)).slots or {}
    updates = checkpoint.updates if checkpoint.updates is not None else checkpoint.step
    found_slots = {"count": Tensor.of(np.asarray(updates or 0, np.int32), f"{where}: count")}
    for name, tensor in slots.items():
        parameter, _, slot = name.rpartition("/")
        if slot in _ADAFACTOR:
            found_slots[f"{slot}/{parameter}"] = tensor
    _check(found_slots, names, where)
    return _on_devices(found_slots, wanted)


def check_item(item: pathlib.Path, wanted: object) -> None:
    """Checks that an item of a closedbook checkpoint ("params", "optimizer") holds a tree.

    Raises:
        UserError: The item is absent or unreadable, or arrays are missing, extra or of another
            shape; all are listed.
    """
    if not item.is_dir():
        raise UserError(
            f"{item.parent} is not a whole closedbook checkpoint: {item.name} is absent"
        )
    import orbax.checkpoint as ocp

    try:
        stored = ocp.StandardCheckpointHandler().metadata(item)
    except (ValueError, OSError, KeyError) as error:
        raise UserError(f"{item} cannot be read as an Orbax checkpoint: {error}") from error
    tree = getattr(stored, "item_metadata", stored)
    found = _names(getattr(tree, "tree", tree))
    check_shapes(_shapes(found), _shapes(_names(wanted)), where=str(item.parent))


def _shapes(leaves: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(leaf.shape) for name, leaf in leaves.items()}


def _several_devices(wanted: object) -> bool:
    shardings = (getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(wanted))
    return any(each is not None and len(each.device_set) > 1 for each in shardings)


def _names(tree: object) -> dict[str, Any]:
    """Leaves by their names in the tree, joined with "/"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {"/".join(_key(key) for key in path): leaf for path, leaf in leaves}


def _key(key: object) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))


def _check(found: Mapping[str, Tensor], wanted: Mapping[str, Any], where: str) -> None:
    check_shapes(
        _shapes(found),
        _shapes(wanted),
        where=where,
        places={name: tensor.place for name, tensor in found.items()},
    )


def _on_devices(tensors: Mapping[str, Tensor], wanted: Tree) -> Tree:
    """The wanted tree, each array read, converted and sent to its devices before the next."""
    names = _names(wanted)
    # In the checkpoint's order: layers of one stack come one after the other.
    arrays = {name: _place(tensors[name], names[name]) for name in tensors if name in names}
    return jax.tree.unflatten(jax.tree.structure(wanted), [arrays[name] for name in names])


def _place(tensor: Tensor, leaf: jax.ShapeDtypeStruct) -> jax.Array:
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        return jax.numpy.asarray(tensor.read().astype(leaf.dtype, copy=False))
    parts = sharding.addressable_devices_indices_map(tuple(leaf.shape))
    sizes = [_size(index, leaf.shape) for index in {str(i): i for i in parts.values()}.values()]
    # A process that needs all parts reads once; one of many reads only its own.
    whole = tensor.read() if sum(sizes) >= int(np.prod(leaf.shape)) else None

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        index = index or ()
        array = tensor.read(index) if whole is None else whole[index]
        return array.astype(leaf.dtype, copy=False)

    array = jax.make_array_from_callback(tuple(leaf.shape), sharding, part)
    return array.block_until_ready()


def _size(index: tuple[slice, ...], shape: tuple[int, ...]) -> int:
    return int(np.prod([len(range(n)[part]) for part, n in zip(index, shape, strict=True)]))


def _read_orbax(item: pathlib.Path, wanted: Tree) -> Tree:
    import orbax.checkpoint as ocp

    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
            return reader.restore(item, args=ocp.args.StandardRestore(wanted))
    except (ValueError, OSError, KeyError) as error:
        detail = " ".join(str(error).split())[:300]
        raise UserError(
            f"{item} cannot be read: {detail}; the checkpoint is damaged, copy it again"
        ) from error
