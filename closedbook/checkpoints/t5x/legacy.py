"""T5X's older format: one msgpack file with all arrays.

Written until version 3, and by T5X for states that it does not partition. Versions 0 and 1, which
upstream no longer restores, are read as well; their trees differ by where the train state is.
"""

from closedbook.checkpoints.files.msgpack import read_msgpack
from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.t5x.native import resolved
from closedbook.checkpoints.t5x.state import checkpoint_of
from closedbook.checkpoints.tensors import Checkpoint


def open_t5x_legacy(storage: Storage, name: str) -> Checkpoint:
    """Opens one msgpack file; it may also be the `checkpoint` file of a native folder.

    Args:
        storage: The file's folder, local or in a bucket; a file in a bucket is held in memory.
        name: The file's name.

    Raises:
        UserError: It is absent, damaged, or not T5X's.
    """
    tree = read_msgpack(storage, name)
    return checkpoint_of(
        resolved(tree, storage, name), format=Format.T5X_LEGACY, path=f"{storage.root}/{name}"
    )


def is_t5x_file(head: bytes) -> bool:
    """Whether a file that starts so is a msgpack map of a train state.

    Args:
        head: Its first 16 bytes or more.
    """
    keys = (b"version", b"optimizer", b"target", b"state", b"flax_mutables", b"params_axes")
    if not 0x81 <= head[:1].ljust(1, b"\0")[0] <= 0x8F:
        return False
    return any(head[1:].startswith(bytes([0xA0 | len(key)]) + key) for key in keys)
