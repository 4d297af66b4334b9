"""Where a gin file lies: as given, in the search paths, or among the packaged ones.

Below `gin/t5x/` lie files under the paths that T5X's own have, with T5X's values. A T5X checkout
wins over them: what is on the disk is what is read.
"""

import itertools
import os
import pathlib
import re
from collections.abc import Sequence

from closedbook.buckets import is_bucket, path_at
from closedbook.cli.gin_files import upstream
from closedbook.errors import UserError, unknown_name

PACKAGED = pathlib.Path(__file__).resolve().parents[2] / "gin"
# How comments begin that say where values are from.
_ORIGIN = ("# closedbook's own defaults", "# The file of this path in T5X")
# The files for GPUs differ from the others in what `gin/t5x/contrib/gpu/` holds.
_GPU, _SAME = "t5x/contrib/gpu/t5/", ("t5x/examples/t5/", "t5x/")


def found(path: str, search: Sequence[str] = ()) -> str:
    """The file for a path, as given by a user or an `include`.

    Args:
        path: The path.
        search: Folders to look in, after the working directory.

    Raises:
        UserError: There is no such file, or it is one of T5X's for what closedbook does not do.
    """
    if is_bucket(path):
        if not path_at(path).is_file():
            raise UserError(f"there is no gin file {path}")
        return path
    folders = [""] if os.path.isabs(path) else ["", *search, str(PACKAGED)]
    for folder in folders:
        for name in _names(path):
            file = os.path.join(folder, name)
            if os.path.isfile(file):
                if message := upstream.refused_file(path):
                    raise UserError(message)
                return file
    if message := upstream.refused_file(path):
        raise UserError(message)
    if os.path.isdir(path):
        raise UserError(f"the gin file {path} is a folder; name a file in it")
    looked = ", ".join(folder or "the working directory" for folder in ["", *search])
    error = unknown_name("gin file", path, packaged_files())
    raise UserError(f"{error} (looked in {looked} and among the packaged files)")


def is_packaged(path: str) -> bool:
    """Whether a file is one of the package's."""
    return PACKAGED.resolve() in pathlib.Path(path).resolve().parents


def packaged_files() -> list[str]:
    """Names of the gin files in the package, those under T5X's names last."""
    names = [str(path.relative_to(PACKAGED)) for path in PACKAGED.rglob("*.gin") if path.is_file()]
    return sorted(names, key=lambda name: (name.startswith("t5x/"), name))


def described_files() -> dict[str, str]:
    """What each packaged gin file is for, in a line, by name; in the order of `packaged_files`."""
    return {
        name: _first_sentence((PACKAGED / name).read_text("utf-8")) for name in packaged_files()
    }


def _first_sentence(text: str) -> str:
    """The first sentence of the comment that a file begins with, past where its values are from."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    words = [line.removeprefix("#") for line in lines if not line.startswith(_ORIGIN)]
    comment = itertools.takewhile(lambda line: not line.startswith("   "), words)
    sentence = re.split(r"\.\s+(?=[A-Z])", " ".join(map(str.strip, comment)), maxsplit=1)[0]
    return sentence.rstrip(" .:") or "T5X's file of this path, with T5X's values"


def _names(path: str) -> list[str]:
    """A path, and the other paths under which the same file lies."""
    if not path.startswith(_GPU):
        return [path]
    return [path, *(other + path.removeprefix(_GPU) for other in _SAME)]
