"""The token cache: a split's tokens as flat memory-mapped arrays; needs no TensorFlow.

One folder holds `<feature>.tokens` (all ids, one after another), `<feature>.offsets` (where each
row begins, and the end), `manifest.json`, and for tasks with questions `examples.jsonl`. A task
that trains on a random one of several answers has several rows of targets per example;
`alternatives.offsets` then says which. The manifest has the files' digests, which are compared
when a process first opens the cache.
"""

import contextlib
import json
import os
import pathlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from closedbook import digests, whole_files
from closedbook.errors import UserError

# 2: lines of examples.jsonl hold all features of SeqIO's examples. Caches of format 1 are read, but
# for the questions of other packages' tasks, whose own functions score them by those features.
FORMAT = 2
TOKEN_FEATURES = ("inputs", "targets")  # what models are fed, kept as tokens
MANIFEST = "manifest.json"
EXAMPLES = "examples.jsonl"
_OFFSET = np.dtype("<i8")
_OFFSET_BYTES = struct.Struct("<q")  # the same, of one


class BrokenCacheError(Exception):
    """A folder is no whole token cache: absent, of another format, or damaged."""


class TokenCache:
    """Random access to the tokens of one split.

    Args:
        folder: A folder that `write` has made.

    Raises:
        BrokenCacheError: It is not there, or not whole.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = pathlib.Path(folder)
        self.manifest = _checked_manifest(self.folder)
        self._features = {
            name: (
                _map(self.folder / f"{name}.tokens", np.dtype(described["dtype"])),
                _map(self.folder / f"{name}.offsets", _OFFSET),
            )
            for name, described in self.manifest["features"].items()
        }
        path = self.folder / "alternatives.offsets"
        self._alternatives = _map(path, _OFFSET) if path.exists() else None

    def __len__(self) -> int:
        return self.manifest["examples"]

    def __repr__(self) -> str:
        return (
            f"TokenCache({self.manifest['task']}, {self.manifest['split']}, {len(self)} examples)"
        )

    @property
    def name(self) -> str:
        """The task's name."""
        return self.manifest["task"]

    @property
    def split(self) -> str:
        """The split's name."""
        return self.manifest["split"]

    def inputs(self, index: int) -> np.ndarray:
        """Input ids of one example, int32 [length]; empty for a task without inputs."""
        if "inputs" not in self._features:
            return np.zeros(0, np.int32)
        return self._row("inputs", index)

    def targets(self, index: int, alternative: int = 0) -> np.ndarray:
        """Target ids of one example, int32 [length]."""
        first = index if self._alternatives is None else self._alternatives[index]
        return self._row("targets", int(first) + alternative)

    def flat(self, feature: str) -> tuple[np.ndarray, np.ndarray]:
        """All ids of a feature [tokens], and offsets int64 [rows + 1]."""
        if feature not in self._features:
            empty: np.ndarray = np.zeros(0, np.int32)
            return empty, np.zeros(len(self) + 1, np.int64)
        return self._features[feature]

    def target_rows(self, indices: np.ndarray, draws: np.ndarray | None = None) -> np.ndarray:
        """The row of targets of each example, int64.

        Args:
            indices: Examples, int [n].
            draws: Random numbers, uint64 [n], that choose among alternatives; without them the
                first is taken.
        """
        if self._alternatives is None:
            return np.asarray(indices, np.int64)
        first = self._alternatives[indices]
        if draws is None:
            return first
        count = (self._alternatives[indices + 1] - first).astype(np.uint64)
        return first + (draws % count).astype(np.int64)

    @property
    def has_alternatives(self) -> bool:
        """Whether examples have several targets to choose from."""
        return self._alternatives is not None

    def examples(self) -> Iterator[dict[str, Any]]:
        """The line of `examples.jsonl` of each example, in order.

        `{"id", "question", "features"}`: the last as `example_features.encoded` has it, without
        those that are kept as tokens. Of this package's tasks also "answers" and "target".
        Empty for tasks that are only trained on.
        """
        path = self.folder / EXAMPLES
        if not path.exists():
            return
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def _row(self, feature: str, row: int) -> np.ndarray:
        tokens, offsets = self._features[feature]
        return np.asarray(tokens[offsets[row] : offsets[row + 1]], np.int32)


def write(
    folder: pathlib.Path,
    examples: Iterable[tuple[Mapping[str, Sequence[Sequence[int]]], dict[str, Any] | None]],
    *,
    manifest: Mapping[str, Any],
    vocab_size: int,
    alternatives: bool = False,
) -> TokenCache:
    """Writes a cache, which appears whole or not at all.

    Where another process has finished the same cache meanwhile, that one is used.

    Args:
        folder: Where it shall lie.
        examples: For each example its rows of ids by feature (one row, or for "targets" of a task
            with alternatives one per answer), and its line of `examples.jsonl` or None.
        manifest: What to record beside sizes.
        vocab_size: Ids are stored in 16 bits if it allows that.
        alternatives: Whether "targets" has several rows per example.

    Raises:
        UserError: The folder cannot be written, or there are no examples.
    """
    try:
        with whole_files.folder(folder, replace=lambda: not _is_whole(folder)) as new:
            described = _write_files(new, examples, vocab_size, alternatives)
            if not described["examples"]:
                raise UserError(
                    f"task {manifest['task']} has no examples in split {manifest['split']!r}"
                )
            record = digests.taken(new, [path.name for path in new.iterdir()])
            content = {"format": FORMAT, **manifest, **described}
            content["files"] = {name: each.size for name, each in record.items()}
            content["digests"] = digests.as_json(record)
            text = json.dumps(digests.sealed(content), indent=1, ensure_ascii=False)
            (new / MANIFEST).write_text(text, encoding="utf-8")
    except FileExistsError:
        pass  # another process was faster
    except OSError as error:
        raise UserError(
            f"cannot write the token cache {folder}: {error}; set CLOSEDBOOK_CACHE_DIR to a "
            "folder with room"
        ) from error
    return TokenCache(folder)


def _write_files(folder: pathlib.Path, examples, vocab_size: int, alternatives: bool) -> dict:
    dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<i4")
    ends = {"alternatives": 0} if alternatives else {}
    count = 0
    with contextlib.ExitStack() as files:

        def opened(name: str) -> IO[bytes]:
            return files.enter_context((folder / name).open("wb"))

        # Hundreds of millions of offsets go to the disk as they come, not to memory.
        offsets = {name: opened(f"{name}.offsets") for name in ends}
        tokens: dict[str, IO[bytes]] = {}
        lines = files.enter_context((folder / EXAMPLES).open("w", encoding="utf-8"))
        for name in offsets:
            offsets[name].write(_OFFSET_BYTES.pack(0))
        for rows_of, line in examples:
            for feature, rows in rows_of.items():
                if feature not in tokens:
                    tokens[feature] = opened(f"{feature}.tokens")
                    offsets[feature] = opened(f"{feature}.offsets")
                    offsets[feature].write(_OFFSET_BYTES.pack(0))
                    ends[feature] = 0
                for row in rows:
                    tokens[feature].write(np.asarray(row, dtype).tobytes())
                    ends[feature] += len(row)
                    offsets[feature].write(_OFFSET_BYTES.pack(ends[feature]))
            count += 1
            if alternatives:
                ends["alternatives"] += len(rows_of["targets"])
                offsets["alternatives"].write(_OFFSET_BYTES.pack(ends["alternatives"]))
            if line is not None:
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    if not (folder / EXAMPLES).stat().st_size:
        (folder / EXAMPLES).unlink()
    return {
        "examples": count,
        "features": {feature: {"dtype": dtype.str, "tokens": ends[feature]} for feature in tokens},
    }


def _is_whole(folder: pathlib.Path) -> bool:
    try:
        _checked_manifest(folder)
    except BrokenCacheError:
        return False
    return True


def _checked_manifest(folder: pathlib.Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sizes = manifest["files"]
        if "digests" in manifest:  # caches of earlier versions have none
            digests.check_sealed(manifest)
            if fault := digests.fault(folder, digests.from_json(manifest["digests"])):
                raise BrokenCacheError(f"{folder} is damaged: {fault}")
        if manifest["format"] not in (FORMAT, 1):
            raise BrokenCacheError(f"{folder} has format {manifest['format']}, not {FORMAT}")
        if (
            manifest["format"] == 1
            and manifest.get("postprocessor") == "task"
            and EXAMPLES in sizes
        ):
            raise BrokenCacheError(f"{folder} lacks the features of its examples")
    except digests.DamagedError as error:
        raise BrokenCacheError(f"{folder} is damaged: {MANIFEST} {error}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BrokenCacheError(f"{folder} is damaged: {MANIFEST} cannot be read") from error
    for name, size in sizes.items():
        path = folder / name
        found = path.stat().st_size if path.exists() else None
        if found != size:
            raise BrokenCacheError(f"{folder} is damaged: {name} has {found} bytes, not {size}")
    return manifest


def _map(path: pathlib.Path, dtype: np.dtype) -> np.ndarray:
    if not path.stat().st_size:  # an empty file cannot be mapped
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))  # a memmap itself is slow to index
