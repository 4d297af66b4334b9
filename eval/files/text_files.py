"""Lines of text files, plain or packed by gzip, with every fault named by file and line."""

import gzip
import itertools
import os
import pathlib
import zlib
from collections.abc import Iterator

from closedbook.errors import UserError

_GZIP = b"\x1f\x8b"  # the first bytes; a name may say anything
# A small file may unpack to any size. Texts unpack to 3 to 30 times theirs.
_MOST_OF_A_PACKED_LINE = 1 << 26
_MOST_OF_A_PACKED_FILE = 100  # times its size, where that is more than a line may have


def lines(path: str | os.PathLike[str], *, what: str, remedy: str) -> Iterator[tuple[int, str]]:
    """Yields the number, from 1, and the text of every line, with its ending.

    Only "\\n" ends a line: U+2028 and its like may stand inside a value.

    Args:
        path: The file.
        what: What it holds, in the plural, for messages.
        remedy: What to give instead if it cannot be read.

    Raises:
        UserError: The file cannot be read, or a line is not UTF-8.
    """
    path = pathlib.Path(path)
    try:
        with path.open("rb") as plain:
            packed = plain.peek(2)[:2] == _GZIP
            most = max(
                _MOST_OF_A_PACKED_LINE, _MOST_OF_A_PACKED_FILE * os.fstat(plain.fileno()).st_size
            )
            total = 0
            with gzip.open(plain) if packed else plain as file:
                for number in itertools.count(1):
                    line = file.readline(_MOST_OF_A_PACKED_LINE + 1 if packed else -1)
                    if packed and len(line) > _MOST_OF_A_PACKED_LINE:
                        raise UserError(
                            f"{path}:{number}: the line is longer than "
                            f"{_MOST_OF_A_PACKED_LINE >> 20} MB once unpacked; unpack the file "
                            "and give that, if it is meant"
                        )
                    total += len(line)
                    if packed and total > most:
                        raise UserError(
                            f"{path} holds more than {most >> 20} MB once unpacked, "
                            f"{_MOST_OF_A_PACKED_FILE} times its size or more; unpack the file "
                            "and give that, if it is meant"
                        )
                    if not line:
                        break
                    yield number, _decoded(line, path, number)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot read the {what} {path}: {reason}; {remedy}") from error
    except (EOFError, zlib.error) as error:
        raise UserError(
            f"cannot unpack the {what} {path}: {error}; the file is cut short or damaged, make "
            "it again"
        ) from error


def suffix(path: str | os.PathLike[str]) -> str:
    """The ending that tells the format, in lower case: that before ".gz".

    >>> suffix("a/answers.TSV.gz"), suffix("rows.jsonl")
    ('.tsv', '.jsonl')
    """
    name = os.fspath(path).lower()
    return pathlib.PurePath(name.removesuffix(".gz")).suffix


def _decoded(line: bytes, path: pathlib.Path, number: int) -> str:
    try:
        # An editor may have put a byte order mark before the first row.
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}:{number}: byte {error.start + 1} is not UTF-8; save the file in UTF-8"
        ) from error
