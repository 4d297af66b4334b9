"""Finds the data sets in a folder, in which archives (.tar, .tar.xz and so on) may lie too."""

import lzma
import pathlib
import tarfile
from collections.abc import Mapping

from benchmarks.lama_study.plan import DATA_SETS
from closedbook import whole_files
from closedbook.errors import UserError

_BESIDE = ("relations.jsonl",)  # LAMA's templates lie beside its folders
FILES = {name: each.files for name, each in DATA_SETS.items() if each.files}
Wanted = Mapping[str, tuple[str, ...]]


def find(
    folder: pathlib.Path, unpacked: pathlib.Path, wanted: Wanted = FILES
) -> dict[str, pathlib.Path]:
    """Where each data set lies; those that are not there are left out.

    Args:
        folder: It is searched with all below it, and with what its archives hold.
        unpacked: A folder into which archives are unpacked, once.
        wanted: Name of a data set -> where it lies in the folder, the first that is there.

    Returns:
        Names of data sets -> file or folder.

    Raises:
        UserError: There is no such folder, or an archive is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder that holds LAMA and others")
    found = _in(folder, wanted)
    if len(found) < len(wanted):
        for archive in sorted(folder.glob("*.tar*")):
            found = _in(_unpack(archive, unpacked, wanted), wanted) | found
    return found


def _in(folder: pathlib.Path, wanted: Wanted) -> dict[str, pathlib.Path]:
    found = {}
    for name, files in wanted.items():
        for file in files:
            there = sorted(folder.rglob(file))
            if there:
                found[name] = there[0]
                break
    return found


def _unpack(archive: pathlib.Path, into: pathlib.Path, wanted: Wanted) -> pathlib.Path:
    target = into / archive.name
    if not target.exists():
        into.mkdir(parents=True, exist_ok=True)
        parts = {part for files in wanted.values() for file in files for part in file.split("/")}
        parts |= {*_BESIDE}
        try:
            with tarfile.open(archive) as opened, whole_files.folder(target) as partial:
                for member in opened:
                    if member.isfile() and not parts.isdisjoint(member.name.split("/")):
                        opened.extract(member, partial, filter="data")
        except (tarfile.TarError, EOFError, lzma.LZMAError) as error:
            raise UserError(f"{archive} is no whole archive ({error}); fetch it anew") from error
    return target
