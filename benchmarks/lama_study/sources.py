"""Finds the data sets in a folder, in which archives (.tar, .tar.xz and so on) may lie too."""

import lzma
import pathlib
import tarfile

from benchmarks.lama_study.plan import DATA_SETS
from closedbook import whole_files
from closedbook.errors import UserError

_BESIDE = ("relations.jsonl",)  # LAMA's templates lie beside its folders
_WANTED = frozenset(
    part for each in DATA_SETS.values() for file in each.files for part in file.split("/")
) | frozenset(_BESIDE)


def find(folder: pathlib.Path, unpacked: pathlib.Path) -> dict[str, pathlib.Path]:
    """Where each data set lies; those that are not there are left out.

    Args:
        folder: It is searched with all below it, and with what its archives hold.
        unpacked: A folder into which archives are unpacked, once.

    Returns:
        Names of `DATA_SETS` -> file or folder.

    Raises:
        UserError: There is no such folder, or an archive is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder that holds LAMA and others")
    found = _in(folder)
    if len(found) < len(DATA_SETS) - 1:
        for archive in sorted(folder.glob("*.tar*")):
            found = _in(_unpack(archive, unpacked)) | found
    return found


def _in(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    found = {}
    for name, each in DATA_SETS.items():
        for file in each.files:
            there = sorted(folder.rglob(file))
            if there:
                found[name] = there[0]
                break
    return found


def _unpack(archive: pathlib.Path, into: pathlib.Path) -> pathlib.Path:
    target = into / archive.name
    if not target.exists():
        into.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(archive) as opened, whole_files.folder(target) as partial:
                for member in opened:
                    if member.isfile() and not _WANTED.isdisjoint(member.name.split("/")):
                        opened.extract(member, partial, filter="data")
        except (tarfile.TarError, EOFError, lzma.LZMAError) as error:
            raise UserError(f"{archive} is no whole archive ({error}); fetch it anew") from error
    return target
