"""Google Cloud Storage: its objects, and paths to them that act like those of a disk.

Names of a bucket begin with `gs://`. TensorStore, which reads and writes arrays there, is the one
client: credentials, retries and limits are the same for a checkpoint and for a line of metrics.
"""

import os
import pathlib
import re

from closedbook.buckets.names import GCS, is_bucket
from closedbook.errors import UserError

__all__ = ["GCS", "folder_at", "is_bucket", "path_at"]

# Orbax takes a path in a bucket for a URL, whose name ends at the first of these signs, and for a
# path on a disk, where ".." leads back: there its arrays would lie, away from the other files.
_ODD = re.compile(r"[#?\x00-\x1f\x7f]|(?<![^/])\.\.(?![^/])|gs:(?=/|\Z)")


def path_at(path: str | os.PathLike[str]) -> pathlib.Path:
    """A path on a disk, or one in a bucket, as `folder_at` gives it."""
    if not is_bucket(path):
        return pathlib.Path(path)
    from closedbook.buckets import paths

    return paths.at(os.fspath(path))


def folder_at(path: str, what: str) -> pathlib.Path:
    """The folder that a user means, absolute, on a disk or in a bucket.

    Args:
        path: As it was given.
        what: Its name for people, for example "MODEL_DIR".

    Returns:
        A `pathlib.Path`, or for a bucket a `closedbook.buckets.paths.BucketPath`, which has the
        methods of one that this package uses.

    Raises:
        UserError: It is a URL of another scheme, of no bucket or a whole one, or has a name under
            which not all files of a run would come together.
    """
    if not is_bucket(path):
        if path.startswith("gs:"):
            raise UserError(f"{what} is {path}; write gs://BUCKET/FOLDER, with two slashes")
        if "://" in path:
            scheme = path.partition("://")[0]
            raise UserError(
                f"{what} is {path}; closedbook writes to disks and to gs://BUCKET/FOLDER: mount "
                f"what is under {scheme}://, and give the folder where it is mounted"
            )
        return pathlib.Path(path).expanduser().absolute()
    from closedbook.buckets import client

    client.check_name(path)
    inside = path.removeprefix(GCS).partition("/")[2].strip("/")
    if not inside:
        raise UserError(f"{what} is {path}, a whole bucket; name a folder in it")
    if odd := _ODD.search(inside):
        raise UserError(
            f"{what} is {path!r}; Orbax would write the arrays of a folder with {odd[0]!r} in its "
            "name to another one; give a name without"
        )
    return path_at(path)
