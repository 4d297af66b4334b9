"""What the processes of a multi-host run tell each other."""

from typing import Any

import jax
import numpy as np


def is_first() -> bool:
    """Whether this process is the one that writes files and logs."""
    return jax.process_index() == 0


def is_alone() -> bool:
    """Whether the run has no other process."""
    return jax.process_count() == 1


def gather(tree: Any) -> Any:
    """A tree of arrays as NumPy arrays, rows on other processes' devices included.

    Every process must call it, and all get the same.
    """
    if is_alone():
        return jax.tree.map(np.asarray, tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def of_first(number: int) -> int:
    """The first process's number, in all processes: agreement on what one of them drew.

    Args:
        number: From 0 to 2**31 - 1.
    """
    if is_alone():
        return number
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def any_is_to_stop(step: int) -> bool:
    """Whether some process was told to stop, as all see it at the same step.

    Args:
        step: Of the training; each process must ask at every step.
    """
    if is_alone():
        return False
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(step)
