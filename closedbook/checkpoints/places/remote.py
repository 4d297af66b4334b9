"""Copies of checkpoints that cannot be read in place, from buckets and the Hugging Face hub."""

import collections
import concurrent.futures
import contextlib
import fcntl
import hashlib
import itertools
import json
import pathlib
import re
import sys
from collections.abc import Callable, Generator, Iterator

from closedbook import whole_files
from closedbook.cache_folders import VARIABLE, cache_folder
from closedbook.checkpoints.places.hub import HUB, snapshot
from closedbook.checkpoints.places.storage import GCS, list_bucket, read_part
from closedbook.errors import UserError

PARTS_AHEAD = 4  # asked for while one is written
PART_BYTES = 16 * 2**20  # read from a bucket at once; a smaller file is asked for twice


def fetch(url: str) -> pathlib.Path:
    """A local copy of a remote checkpoint.

    Args:
        url: "gs://BUCKET/..." with a folder, a file or the files' common FOLDER/model.ckpt-N; or
            "hf://ORGANISATION/NAME[@REVISION][/FOLDER]".

    Returns:
        The folder, the file, or FOLDER/model.ckpt-N. Of a bucket in
        `$CLOSEDBOOK_CACHE/gs/BUCKET/...` (by default under `~/.cache/closedbook/checkpoints`);
        once complete it is taken as it is, without asking the network. Of the hub in the hub's
        own cache; without network what lies there is taken.

    Raises:
        UserError: There is no such thing, it is closed to the user, the network does not answer
            and nothing is cached, or the disk does not take it.
    """
    if url.startswith(GCS):
        return _mirror(url.rstrip("/"))
    if url.startswith(HUB):
        return snapshot(url)
    raise UserError(f"{url!r} cannot be fetched; give gs://BUCKET/FOLDER or hf://ORGANISATION/NAME")


def _mirror(url: str) -> pathlib.Path:
    bucket, _, path = url[len(GCS) :].partition("/")
    if not path:
        raise UserError(f"{url} is a whole bucket; name a folder or a file in it")
    _check_key(url, f"{bucket}/{path}")
    cache = cache_folder(inside="checkpoints")
    folder = cache / "gs" / bucket
    digest = hashlib.sha256(url.encode()).hexdigest()[:32]
    manifest = cache / "complete" / f"{digest}.json"
    try:
        if not _complete(manifest, folder):
            # In turns, so that two processes do not write one file.
            with _lock(cache / "complete" / f"{bucket}.lock"):
                if not _complete(manifest, folder):
                    _copy(url, folder, manifest)
    except OSError as error:
        raise UserError(
            f"{url} cannot be copied to {folder}: {error.strerror} ({error.filename}); make room, "
            f"or set {VARIABLE} to a folder on another disk"
        ) from error
    return folder / path


def _copy(url: str, folder: pathlib.Path, manifest: pathlib.Path) -> None:
    """Brings over every object that a URL stands for, then writes the list of their sizes."""
    bucket, _, path = url[len(GCS) :].partition("/")
    rests = list_bucket(url)
    inside = [rest for rest in rests if rest.startswith("/") and not rest.endswith("/")]
    if "" in rests:
        inside = [""]
    elif not inside:
        inside = [rest for rest in rests if re.match(r"^\.(index|data-\d+-of-\d+)$", rest)]
    if not inside:
        raise UserError(f"there is nothing at {url}")
    known, sizes = _sizes(manifest), {}
    for number, rest in enumerate(inside, 1):
        key = path + rest
        _check_key(f"{GCS}{bucket}/{key}", key)
        target = folder / key
        # A file under its own name was whole, and is if it kept its size.
        if not target.is_file() or known.get(key, target.stat().st_size) != target.stat().st_size:
            say = _progress(f"{GCS}{bucket}/{key}", number, len(inside))
            _download(f"{GCS}{bucket}/{key}", target, say)
        sizes[key] = target.stat().st_size
    manifest.parent.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(manifest, json.dumps({"url": url, "files": sizes}, indent=1))


def _download(url: str, target: pathlib.Path, say: Callable[[int, bool], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with whole_files.opened(target) as file, contextlib.closing(_parts(url)) as parts:
        for part in parts:
            file.write(part)
            done += len(part)
            say(done, False)
    say(done, True)


def _parts(url: str) -> Generator[bytes, None, None]:
    """An object's content in order, parts that follow being asked for ahead of time."""

    def read(number: int) -> bytes:
        part = read_part(url, number * PART_BYTES, (number + 1) * PART_BYTES)
        if part is None:
            raise UserError(f"{url} vanished while it was copied; start again")
        return part

    part = read(0)
    yield part
    if len(part) < PART_BYTES:
        return
    # Where the object ends is not known: the first part that is not full tells.
    with concurrent.futures.ThreadPoolExecutor(PARTS_AHEAD) as pool:
        numbers = itertools.count(1)
        ahead = collections.deque(pool.submit(read, next(numbers)) for _ in range(PARTS_AHEAD))
        try:
            while len(part) == PART_BYTES:
                part = ahead.popleft().result()
                ahead.append(pool.submit(read, next(numbers)))
                yield part
        finally:
            for future in ahead:
                future.cancel()


def _complete(manifest: pathlib.Path, folder: pathlib.Path) -> bool:
    sizes = _sizes(manifest)
    try:
        return bool(sizes) and all((folder / k).stat().st_size == n for k, n in sizes.items())
    except OSError:
        return False


def _sizes(manifest: pathlib.Path) -> dict[str, int]:
    """Bytes of each file of a copy that was complete once; {} if it never was."""
    try:
        return dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _check_key(url: str, key: str) -> None:
    """An object's name may hold anything; here it becomes a path that must stay in the cache."""
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key or "\\" in key:
        raise UserError(f"{url!r} is no name for a file here; copy it by hand and give its path")


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # Some file systems have no locks; there two processes may copy the same files.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _progress(url: str, number: int, count: int) -> Callable[[int, bool], None]:
    """Prints a line for each file, which grows on a terminal."""
    terminal = sys.stderr.isatty()

    def say(done: int, whole: bool) -> None:
        if terminal or whole:
            line = f"{url} ({number}/{count}): {done / 2**20:.1f} MiB"
            start, end = ("\r", "\n" if whole else "") if terminal else ("", "\n")
            print(start + line, end=end, file=sys.stderr, flush=True)

    return say
