"""Plain texts out of local files; needs no TensorFlow.

The form is told from the file's name: `.jsonl`, `.jsonl.gz` hold one object per line, with the text
under "text"; every other file, gzipped or not, one text per line. Blank texts are left out.
"""

import gzip
import json
import pathlib

from closedbook.errors import UserError

_FORM = '{"text": "..."}'


def read(path: pathlib.Path) -> list[str]:
    """All texts of one file, in its order.

    Raises:
        UserError: The file cannot be read, holds no text, or a line is malformed. The message
            names file and line.
    """
    try:
        stored = path.read_bytes()
        content = gzip.decompress(stored) if path.suffix == ".gz" else stored
        lines = content.decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    named = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        texts = [_text(line, f"{path}, line {number}") for number, line in named]
    else:
        texts = [line for _, line in named]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise UserError(
            f"{path} holds no text; write one per line, or lines of {_FORM} in a .jsonl"
        )
    return texts


def _text(line: str, place: str) -> str:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place} is not JSON: {error}; each line must be {_FORM}") from error
    text = found.get("text") if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise UserError(f'{place} has no "text"; each line must be {_FORM}')
    return text
