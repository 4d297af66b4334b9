"""How paths in buckets are called."""

import os

GCS = "gs://"


def is_bucket(path: str | os.PathLike[str]) -> bool:
    """Whether a path lies in a bucket."""
    return os.fspath(path).startswith(GCS)
