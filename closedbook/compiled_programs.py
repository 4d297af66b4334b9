"""Keeps what XLA has compiled, so that the next command need not compile it again."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
from collections.abc import Iterator

from closedbook.cache_folders import VARIABLE, cache_folder
from closedbook.on_import import around_import

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_MOST_BYTES = 4 << 30
_WORTH_SECONDS = 0.1  # of compiling; JAX's own default of a second leaves out all that `ask` needs


def keep_compiled_programs() -> None:
    """Gives JAX a folder for compiled programs, once it is imported.

    The user's `JAX_COMPILATION_CACHE_DIR` names another folder, and
    `JAX_ENABLE_COMPILATION_CACHE=false` keeps nothing.

    A program is made for the processor that it was compiled on, and a home folder may be shared by
    machines of several kinds: each kind has a folder of its own, as has each version of XLA.
    The least recently used programs go when a folder holds 4 GiB.
    """
    around_import("jax", _folder_for_jax)


@contextlib.contextmanager
def _folder_for_jax() -> Iterator[None]:
    # By the environment, so that processes which the command starts have the folder as well.
    wanted = os.environ.get("JAX_ENABLE_COMPILATION_CACHE", "true").lower() not in ("false", "0")
    if wanted and _FOLDER not in os.environ and (folder := _folder()) is not None:
        os.environ[_FOLDER] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(_WORTH_SECONDS))
        # JAX needs `filelock` to count what a folder holds.
        if importlib.util.find_spec("filelock"):
            os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_MOST_BYTES))
    yield


def _folder() -> pathlib.Path | None:
    """The folder for this kind of processor, made if need be; None where none can be written."""
    kind = f"jaxlib-{importlib.metadata.version('jaxlib')}-{processor()}"
    try:
        if VARIABLE not in os.environ:
            pathlib.Path.home()  # or nobody's: a folder for this process alone is of no use
        folder = cache_folder() / "compiled" / kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def processor() -> str:
    """A word for this kind of processor: machines with the same one run each other's programs."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    # Of one core: all are alike, but for fast and slow ones, which share their features.
    features = "\n".join(sorted(set(told))) or platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:12]}"
