"""A model in a folder has no version of its own: the hash of its files is one."""

import hashlib
import pathlib


def of_folder(folder: pathlib.Path) -> str:
    """Eight hex digits that change with the name or content of any file of the folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(str(path.relative_to(folder)).encode("utf-8", "surrogateescape") + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:8]
