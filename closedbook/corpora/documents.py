"""Documents out of a part of the input; what cannot be read comes out as a skipped document."""

import dataclasses
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from closedbook.corpora import files
from closedbook.corpora.units import TFDS, Part
from closedbook.errors import UserError

if TYPE_CHECKING:
    import pyarrow

_LONGEST_LINE = 100 << 20  # bytes of a line of JSON; more is taken for damage
_PIECE = 1 << 20  # bytes of plain text after which a blank line begins a new document
_LONGEST_PIECE = 16 << 20  # bytes of plain text without a blank line that are read together
_HEAD = 4096  # bytes within which a file of articles shows its first heading
_ROWS_AT_ONCE = 256  # of a Parquet file
# The first heading of a WikiText article, or the first line of one of WikiExtractor's.
_ARTICLE = re.compile(rb'\s*(?:=\s*([^=\s][^=]*)=|<doc id="[^"]*"[^>]*? title="([^"]*)">)\s*')
_ARTICLE_AHEAD = re.compile(rb"\n(?=[ \t]*(?:=[^=\n]+=[ \t\r]*\n|<doc ))")
_BLANK_AHEAD = re.compile(rb"\n[ \t\r]*+\n")


class Document(NamedTuple):
    """A text to split into sentences."""

    place: str  # file
    line: int  # in its part, from 1; 0: unknown
    id: str  # its own; "" if it has none
    title: str
    text: str
    nbytes: int  # of the text in UTF-8
    wrapped: bool = False  # lines are broken for width: `sentence_splitting.paragraphs`


class Skipped(NamedTuple):
    """A document, or what follows in a damaged file, that could not be used."""

    place: str
    line: int
    id: str
    reason: str


@dataclasses.dataclass
class Tally:
    """What a reader has passed by, for progress and for line numbers in the whole file."""

    lines: int = 0
    nbytes: int = 0


def read(part: Part, tally: Tally) -> Iterator[Document | Skipped]:
    """The documents of a part, in order.

    A line belongs to the part in which its first byte lies, so that parts cut anywhere share the
    lines of a file among them.

    Raises:
        UserError: The file cannot be opened or read at all; it may be readable another time.
    """
    if part.kind == "tfds":
        yield from _tfds(part, tally)
        return
    try:
        with files.open_read(part.path) as file:
            if part.kind == "parquet":
                yield from _parquet(file, part, tally)
            else:
                yield from _lines_of(file, part, tally)
    except OSError as error:
        raise UserError(
            f"{part.path} cannot be read: {error.strerror or error}; the shards that are "
            "finished stay, run the same command again to go on"
        ) from error


def _lines_of(file: IO[bytes], part: Part, tally: Tally) -> Iterator[Document | Skipped]:
    """Documents of a file of lines, unpacked if it is compressed."""
    broken: tuple[type[Exception], ...] = (gzip.BadGzipFile, EOFError, zlib.error)
    opened = file
    limit: float = part.limit
    if part.compression:
        limit = float("inf")
        if part.compression == "gz":
            opened = cast("IO[bytes]", gzip.GzipFile(fileobj=file))
        else:
            import zstandard

            from closedbook.corpora import zstd_files

            broken = (zstandard.ZstdError, EOFError)
            opened = zstd_files.open_read(file)
    try:
        kind = part.kind
        if kind == "wiki":
            kind = "jsonl" if _first_byte(opened) == b"{" else "text"
        if kind == "jsonl":
            yield from _json_lines(opened, part, limit, tally)
        else:
            yield from _articles(opened, part, limit, tally)
    except broken as error:
        yield Skipped(
            part.path,
            tally.lines + 1,
            "",
            f"the {part.compression} file is broken here, and what follows in it is lost: {error}",
        )


def _first_byte(file: IO[bytes]) -> bytes:
    """The first byte of a file, which stays to be read."""
    if hasattr(file, "peek"):
        return file.peek(1)[:1]
    first = file.read(1)
    file.seek(0)
    return first


def _json_lines(
    file: IO[bytes], part: Part, limit: float, tally: Tally
) -> Iterator[Document | Skipped]:
    place = part.start
    if part.start:
        file.seek(part.start - 1)
        place += sum(map(len, _whole_line(file))) - 1
    while place < limit:
        pieces = _whole_line(file)
        line = next(pieces, b"")
        if not line:
            return
        rest = sum(map(len, pieces))
        place += len(line) + rest
        tally.lines += 1
        tally.nbytes += len(line) + rest
        if rest:
            reason = f"a line of more than {_LONGEST_LINE >> 20} MB"
            yield Skipped(part.path, tally.lines, "", reason)
        elif not line.isspace():
            yield _json_document(line, part.path, tally.lines)


def _whole_line(file: IO[bytes]) -> Iterator[bytes]:
    """A line in pieces of `_LONGEST_LINE`; nothing at the end of the file."""
    while line := file.readline(_LONGEST_LINE):
        yield line
        if line.endswith(b"\n"):
            return


def _json_document(line: bytes, place: str, number: int) -> Document | Skipped:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Skipped(place, number, "", f"not UTF-8: {error.reason} at byte {error.start}")
    except (ValueError, RecursionError) as error:
        return Skipped(place, number, "", f"not JSON: {error}")
    if not isinstance(row, dict):
        return Skipped(place, number, "", f"not a JSON object but {str(row)[:40]!r}")
    given, title, text = row.get("id"), row.get("title"), row.get("text")
    identity = _printable(str(given)) if isinstance(given, str | int) else ""
    if not isinstance(text, str):
        keys = ", ".join(map(_printable, list(row)[:10]))
        reason = f"no text under the key 'text'; keys: {keys}"
        return Skipped(place, number, identity, reason)
    if title is not None and not isinstance(title, str):
        return Skipped(place, number, identity, f"its title is not a text: {str(title)[:40]!r}")
    return _document(place, number, identity, title or "", text)


def _document(
    place: str, line: int, identity: str, title: str, text: str, *, wrapped: bool = False
) -> Document | Skipped:
    """A document, if its text can be written and read again."""
    try:
        nbytes = len(text.encode())
        title.encode()
    except UnicodeEncodeError as error:
        reason = f"a lone surrogate, {error.object[error.start]!a}, at character {error.start}"
        return Skipped(place, line, identity, reason)
    if "\0" in text or "\0" in title:
        return Skipped(place, line, identity, f"a NUL character at {text.find(chr(0))}")
    if not text or text.isspace():
        return Skipped(place, line, identity, "its text is empty")
    return Document(place, line, identity, title, text, nbytes, wrapped)


def _articles(
    file: IO[bytes], part: Part, limit: float, tally: Tally
) -> Iterator[Document | Skipped]:
    """Plain text: one document per file, or a new one at each article of WikiText or WikiExtractor.

    Long texts are cut at a blank line after each MB, so that memory stays small and a byte that
    is not UTF-8 costs no more than that.
    """
    place = part.start
    if not part.compression:
        place = _boundary(file, part.start)
        limit = _boundary(file, part.limit)
        file.seek(place)
    stem = os.path.basename(part.path).split(".")[0]
    title, lines, nbytes, first = stem, list[bytes](), 0, 1
    is_article = False  # whether lines are paragraphs, or broken for width

    def finished() -> Iterator[Document | Skipped]:
        if any(not line.isspace() for line in lines):
            yield _text_document(lines, part.path, first, title, wrapped=not is_article)

    seen = False
    while place < limit and (line := file.readline(_LONGEST_PIECE)):
        place += len(line)
        tally.nbytes += len(line)
        article = _ARTICLE.fullmatch(line) if len(line) < 1000 else None
        closing = line.strip() == b"</doc>"
        too_long = nbytes >= _PIECE and (line.isspace() or nbytes >= _LONGEST_PIECE)
        if article or closing or too_long:
            for document in finished():
                seen = True
                yield document
            lines, nbytes, first = [], 0, tally.lines + 1
        if article:
            title = (article[1] or article[2]).strip().decode(errors="replace")
            is_article = True
        elif not closing:
            lines.append(line)
            nbytes += len(line)
        tally.lines += line.endswith(b"\n")
    for document in finished():
        seen = True
        yield document
    if not seen and not part.start:
        yield Skipped(part.path, 0, "", "its text is empty")


def _text_document(
    lines: list[bytes], place: str, first: int, title: str, *, wrapped: bool
) -> Document | Skipped:
    try:
        text = b"".join(lines).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = first + error.object.count(b"\n", 0, error.start)
        byte = error.object[error.start]
        return Skipped(place, line, "", f"not UTF-8: {error.reason} (byte 0x{byte:02x})")
    return _document(place, first, "", title, text, wrapped=wrapped)


def _boundary(file: IO[bytes], offset: int) -> int:
    """The first place at or after a byte where a plain text can be cut; two parts agree on it.

    Where an article begins, if one does within a MB; else after a blank line; else after a line.
    """
    if not offset:
        return 0
    file.seek(offset - 1)
    ahead = file.read(_PIECE)
    if found := _ARTICLE_AHEAD.search(ahead):
        return offset - 1 + found.end()
    if len(ahead) < _PIECE:
        file.seek(0)
        if _ARTICLE_AHEAD.search(b"\n" + file.read(_HEAD)):  # within the file's last article
            return offset - 1 + len(ahead)
    if found := _BLANK_AHEAD.search(ahead):
        return offset - 1 + found.end()
    file.seek(offset - 1)
    return offset - 1 + sum(map(len, _whole_line(file)))


def _parquet(file: IO[bytes], part: Part, tally: Tally) -> Iterator[Document | Skipped]:
    import pyarrow
    import pyarrow.parquet

    row = 0
    try:
        table = pyarrow.parquet.ParquetFile(file)
        names = table.schema_arrow.names
        if "text" not in names:
            reason = f"no column 'text'; columns: {', '.join(names[:10])}"
            yield Skipped(part.path, 0, "", reason)
            return
        columns = [name for name in ("id", "title", "text") if name in names]
        groups = list(range(part.start, part.limit))
        row = sum(table.metadata.row_group(index).num_rows for index in range(part.start))
        batches = table.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=columns)
        for batch in batches:
            tally.nbytes += batch.nbytes
            values = {name: _arrow_texts(batch.column(name)) for name in columns}
            empty = [None] * batch.num_rows
            given = [values.get(name, empty) for name in ("id", "title", "text")]
            for cells in zip(*given, strict=True):
                row += 1
                yield _row(part.path, row, *cells)
    except (pyarrow.ArrowException, OSError) as error:
        reason = f"the Parquet file is broken here, and what follows in it is lost: {error}"
        yield Skipped(part.path, row + 1, "", reason)


def _arrow_texts(column: "pyarrow.Array") -> list[object]:
    """A column's texts as bytes, since Arrow may not have checked that they are UTF-8."""
    import pyarrow

    kinds = pyarrow.types
    if kinds.is_string(column.type):
        column = column.cast(pyarrow.binary())
    elif kinds.is_large_string(column.type):
        column = column.cast(pyarrow.large_binary())
    return column.to_pylist()


def _row(place: str, number: int, given: object, title: object, text: object) -> Document | Skipped:
    identity = given.decode(errors="replace") if isinstance(given, bytes) else given
    identity = "" if identity is None else str(identity)
    if not isinstance(text, bytes):
        return Skipped(place, number, identity, "its text is not a text")
    try:
        titled = title.decode() if isinstance(title, bytes) else ""
        return _document(place, number, identity, titled, text.decode())
    except UnicodeDecodeError as error:
        return Skipped(place, number, identity, f"not UTF-8: {error.reason} at byte {error.start}")


def _tfds(part: Part, tally: Tally) -> Iterator[Document | Skipped]:
    from closedbook.tasks import tfds_text

    rows = tfds_text.read(part.path.removeprefix(TFDS), part.start, part.limit)
    for number, (identity, title, text) in enumerate(rows, part.start):
        tally.nbytes += len(text)
        yield _row(part.path, number, identity, title, text)


def _printable(text: str) -> str:
    """A text that can be written, whatever was in it."""
    return text.encode(errors="backslashreplace").decode()
