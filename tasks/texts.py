"""Documents out of files of text, for language models; needs no TensorFlow.

The form is told from the file's name (an ending `.gz` apart) and from its first line:
- `.jsonl`, `.json`: one object per line, the document under "text"; other keys are left alone;
- anything else is plain text. If it begins with a heading of WikiText (` = Robert Boulter = `), a
  document is an article, its own headings included. Otherwise blank lines end documents, as in
  BERT's pretraining data: a document is a block of lines. A text that shall stay whole over its
  blank lines belongs into JSON lines.
"""

import gzip
import json
import pathlib
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from closedbook.errors import UserError

_JSON = (".jsonl", ".json")
_FORM = '{"text": "..."}'
_ARTICLE = re.compile(r"[ \t]*=[ \t]*[^=\s][^=\n]*=\s*")  # ` = = Career = = ` begins none


class Text(NamedTuple):
    """A document."""

    text: str  # without white space at its ends, never empty
    place: str  # file and line of its beginning, for messages


def read(path: pathlib.Path) -> Iterator[Text]:
    """The documents of one file, in order; only one of them is held in memory.

    Raises:
        UserError: The file cannot be read, is not UTF-8, or a line is not of the form; the
            message names file and line.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    lines = _lines(path)
    return _objects(lines, path) if suffixes[-1:] and suffixes[-1] in _JSON else _plain(lines, path)


def _lines(path: pathlib.Path) -> Iterator[str]:
    """The lines of a file, with their ends."""
    zipped = path.suffix.lower() == ".gz"
    number = 0
    try:
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}:{number}: not UTF-8 text ({error.reason}); convert the file, for example with "
            "`iconv -f latin1 -t utf-8`"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path} after line {number}: {error}") from error


def _objects(lines: Iterable[str], path: pathlib.Path) -> Iterator[Text]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{place}: not JSON ({error}); each line must have the form {_FORM}"
            ) from error
        text = row.get("text") if isinstance(row, dict) else None
        if not isinstance(text, str):
            found = repr(row)
            raise UserError(
                f"{place}: no text under the key 'text' in "
                f"{found if len(found) <= 120 else found[:117] + '...'}; expected {_FORM}"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{place}: half a surrogate pair, which is no text") from error
        if text := text.strip():
            yield Text(text, place)


def _plain(lines: Iterable[str], path: pathlib.Path) -> Iterator[Text]:
    articles: bool | None = None  # not known before the first line that is not blank
    held: list[str] = []
    first = 1
    for number, line in enumerate(lines, start=1):
        if articles is None and line.strip():
            articles = _ARTICLE.fullmatch(line) is not None
        if _ARTICLE.fullmatch(line) if articles else not line.strip():
            if text := "".join(held).strip():
                yield Text(text, f"{path}:{first}")
            held.clear()
        if not held:
            first = number
        if held or line.strip():
            held.append(line)
    if text := "".join(held).strip():
        yield Text(text, f"{path}:{first}")
