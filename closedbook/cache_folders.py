"""Where things are kept that can be made or fetched again."""

import atexit
import contextlib
import functools
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from closedbook.errors import UserError

VARIABLE = "CLOSEDBOOK_CACHE"

_logger = logging.getLogger(__name__)


def cache_folder(variable: str = VARIABLE, *, inside: str = "") -> pathlib.Path:
    """The folder that a variable of the environment names, else one under `~/.cache/closedbook`.

    A user without a home folder, as some containers have, gets one that lasts for this process.

    Args:
        variable: Its name.
        inside: Of `~/.cache/closedbook`, the folder that is taken where the variable is not set.

    Raises:
        UserError: The variable names no folder of a disk.

    >>> os.environ["A_CACHE"] = "/data/cache"
    >>> print(cache_folder("A_CACHE", inside="tokens"))
    /data/cache
    """
    given = os.environ.get(variable)
    try:
        return on_disk(given or f"~/.cache/closedbook/{inside}", variable).absolute()
    except RuntimeError:  # neither HOME nor an entry in passwd
        return _of_this_process() / inside


def on_disk(folder: str | os.PathLike[str], what: str) -> pathlib.Path:
    """A folder of a cache, whose files are mapped into memory.

    Args:
        folder: As it was given.
        what: Its name for people.

    Raises:
        UserError: It is a URL.
    """
    if "://" in os.fspath(folder):
        raise UserError(f"{what} is {os.fspath(folder)}; caches lie on a disk: give a folder there")
    return pathlib.Path(folder).expanduser()


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Says, of a file or folder of the cache that the disk refuses, how to have it elsewhere.

    Raises:
        UserError: What happens inside is refused.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}; set {VARIABLE} to another folder"
        ) from error


@functools.cache
def _of_this_process() -> pathlib.Path:
    folder = tempfile.mkdtemp(prefix="closedbook-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _logger.warning(
        "there is no home folder to keep things in: caches are made anew in each run; set HOME, or "
        "%s to a folder",
        VARIABLE,
    )
    return pathlib.Path(folder)
