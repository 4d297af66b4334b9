"""Units of work: each is a part of the input, becomes one shard, and is done or not done."""

import dataclasses
import itertools
import re
from collections.abc import Sequence

from closedbook.corpora import files
from closedbook.errors import UserError, listed, unknown_name

FORMATS = ("auto", "text", "jsonl", "parquet", "tfds")
TFDS = "tfds:"
_KINDS = {
    **dict.fromkeys(("jsonl", "json", "ndjson"), "jsonl"),
    **dict.fromkeys(("txt", "text", "md", "tokens", "raw"), "text"),
    "parquet": "parquet",
}
COMPRESSED = ("gz", "zst")
# WikiExtractor calls its files AA/wiki_00: lines of JSON with --json, and `<doc>` elements without.
_WIKI_EXTRACTOR = re.compile(r"wiki_\d+(\.(gz|zst))?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of one input."""

    path: str  # file, or "tfds:..."
    kind: str  # "text", "jsonl", "wiki" (WikiExtractor's), "parquet" or "tfds"
    start: int  # bytes of an uncompressed line file, row groups, or examples of TFDS
    limit: int  # exclusive
    size: int  # bytes of input, about
    compression: str = ""  # "gz" or "zst"; "" for a file as it stands


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """Parts of the input that make one shard together."""

    index: int  # of the shard
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of input, about."""
        return sum(part.size for part in self.parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """All of a build's input."""

    inputs: tuple[files.Found, ...]  # TFDS aside
    units: tuple[Unit, ...]


def plan(patterns: Sequence[str], *, shard_bytes: int, input_format: str = "auto") -> Plan:
    """Cuts the input into units; the same input gives the same units, whoever works on them.

    Args:
        patterns: Files by pattern, folders, or "tfds:NAME/VERSION".
        shard_bytes: About how much input makes one unit. Compressed files are not cut.
        input_format: One of FORMATS; "auto" goes by the file's name.

    Raises:
        UserError: A pattern matches nothing, or a file's format is not known.
    """
    if input_format not in FORMATS:
        raise unknown_name("input format", input_format, FORMATS)
    if shard_bytes < 1:
        raise UserError(f"the shard size is {shard_bytes} bytes; give a number of MB above 0")
    found: dict[str, files.Found] = {}
    parts: list[Part] = []
    for pattern in patterns:
        if pattern.startswith(TFDS):
            parts += _tfds(pattern, shard_bytes)
            continue
        matched = files.match(pattern)
        if not matched:
            raise UserError(
                f"no file matches {pattern!r}; give a pattern in quotes, such as 'text/*.jsonl', a "
                "folder, or tfds:wikipedia/20230601.en"
            )
        found.update((each.path, each) for each in matched)
    unknown = []
    for each in sorted(found.values()):
        kind, compression = _kind(each.path, input_format)
        if not kind:
            unknown.append(f"  {each.path}")
        elif kind == "parquet":
            parts += _parquet(each, shard_bytes)
        else:
            whole = compression or kind == "wiki"
            for start, limit in _ranges(each.size, each.size if whole else shard_bytes):
                parts.append(
                    Part(
                        path=each.path,
                        kind=kind,
                        start=start,
                        limit=limit,
                        size=limit - start,
                        compression=compression,
                    )
                )
    if unknown:
        raise UserError(
            f"{len(unknown)} files have names that say nothing of their format:\n"
            f"{listed(unknown, most=5)}\ngive files called .txt, .jsonl or .parquet, a narrower "
            "pattern, or, with `ssm build`, --input-format text, jsonl or parquet"
        )
    together = _together([part.size for part in parts], shard_bytes)
    units = tuple(
        Unit(index=index, parts=tuple(parts[start:limit]))
        for index, (start, limit, _) in enumerate(together)
    )
    return Plan(inputs=tuple(sorted(found.values())), units=units)


def _ranges(total: int, step: int) -> list[tuple[int, int]]:
    """(start, limit) of ranges of `step` that cover 0 to `total`; at least one."""
    starts = range(0, max(total, 1), max(step, 1))
    return [(start, min(start + step, total)) for start in starts]


def _kind(path: str, input_format: str) -> tuple[str, str]:
    """(format, compression) of a file by its name; "" for an unknown format."""
    *_, name = re.split(r"[/\\]", path)
    stem, _, suffix = name.lower().rpartition(".")
    compression = suffix if suffix in COMPRESSED else ""
    if input_format != "auto":
        return input_format, compression
    if _WIKI_EXTRACTOR.fullmatch(name):
        return "wiki", compression
    if compression:
        suffix = stem.rpartition(".")[2]
    return _KINDS.get(suffix, ""), compression


def _parquet(file: files.Found, shard_bytes: int) -> list[Part]:
    """Row groups together until they make up a shard."""
    import pyarrow
    import pyarrow.parquet

    try:
        with files.open_read(file.path) as opened:
            metadata = pyarrow.parquet.ParquetFile(opened).metadata
            sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    except (pyarrow.ArrowException, OSError):
        # Left to the unit that reads it, which reports it as any other bad file.
        return [Part(path=file.path, kind="parquet", start=0, limit=0, size=file.size)]
    return [
        Part(path=file.path, kind="parquet", start=start, limit=limit, size=size)
        for start, limit, size in _together(sizes, shard_bytes)
    ]


def _together(sizes: Sequence[int], at_least: int) -> list[tuple[int, int, int]]:
    """Runs of neighbours (start, limit, size) that reach a size."""
    found = []
    start = total = 0
    for index, size in enumerate(sizes):
        total += size
        if total >= at_least or index == len(sizes) - 1:
            found.append((start, index + 1, total))
            start, total = index + 1, 0
    return found


def _tfds(name: str, shard_bytes: int) -> list[Part]:
    from closedbook.tasks import tfds_text

    count, nbytes = tfds_text.size(name.removeprefix(TFDS))
    pieces = max(1, -(-nbytes // shard_bytes))
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    return [
        Part(path=name, kind="tfds", start=start, limit=limit, size=nbytes // pieces)
        for start, limit in itertools.pairwise(bounds)
    ]
