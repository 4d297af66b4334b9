"""Google Cloud Storage: its objects, and paths to them that act like those of a disk.

Names of a bucket begin with `gs://`. TensorStore, which reads and writes arrays there, is the one
client: credentials, retries and limits are the same for a checkpoint and for a line of metrics.
"""

import os
import pathlib

from closedbook.buckets.names import GCS, is_bucket
from closedbook.errors import UserError

__all__ = ["GCS", "folder_at", "is_bucket", "path_at"]


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
        UserError: It is a URL of another scheme, or of no bucket or a whole one.
    """
    if not is_bucket(path):
        if "://" in path:
            scheme = path.partition("://")[0]
            raise UserError(
                f"{what} is {path}; closedbook writes to disks and to gs://BUCKET/FOLDER: mount "
                f"what is under {scheme}://, and give the folder where it is mounted"
            )
        return pathlib.Path(path).expanduser().absolute()
    from closedbook.buckets import client

    client.check_name(path)
    if not path.removeprefix(GCS).partition("/")[2].strip("/"):
        raise UserError(f"{what} is {path}, a whole bucket; name a folder in it")
    return path_at(path)
