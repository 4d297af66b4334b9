"""WikiText-2 (Merity et al. 2017) as files of text, and in ordinary spelling."""

import csv
import io
import pathlib
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator

from closedbook import whole_files
from closedbook.errors import UserError

_ARCHIVE = "wikitext-2-fastai-csv.zip"  # the training text, an article per row
_TRAIN = "wikitext-2/wiki.train.tokens"
_PLAIN = {"validation": "valid.txt", "test": "test.txt"}
_SPLITS = ("train", *_PLAIN)

# WikiText puts blanks around marks and writes "1 @,@ 000". What is undone is the spelling alone.
_SPELLING = (
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r" ([,.;:!?)\]%])"), r"\1"),
    (re.compile(r"([(\[$]) "), r"\1"),
    (re.compile(r" (['’](?:s|t|re|ve|ll|d|m)?)(?=[ .,;:]|$)", re.MULTILINE), r"\1"),
    (re.compile(r" n(['’])t\b"), r"n\1t"),
    (re.compile(r'" ([^"\n]*?) "'), r'"\1"'),
    (re.compile(r" – (?=\d)"), "–"),
)


def prepare(source: pathlib.Path, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """WikiText-2's splits as files of WikiText's raw form, written once.

    Args:
        source: A tar or a folder in which `wikitext-2-fastai-csv.zip` (train), `valid.txt` and
            `test.txt` lie, at any depth.
        folder: Gets `train.txt`, `validation.txt` and `test.txt`.

    Returns:
        Split -> file.

    Raises:
        UserError: A file is missing, or cannot be read.
    """
    files = {split: folder / f"{split}.txt" for split in _SPLITS}
    if all(file.exists() for file in files.values()):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    found = dict(_members(source))
    missing = [name for name in (_ARCHIVE, *_PLAIN.values()) if name not in found]
    if missing:
        raise UserError(f"{source} has no {', '.join(missing)}; give WikiText-2's folder or tar")
    whole_files.write_text(files["train"], articles(found[_ARCHIVE]))
    for split, name in _PLAIN.items():
        whole_files.write_text(files[split], found[name].decode("utf-8"))
    return files


def _members(source: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    wanted = {_ARCHIVE, *_PLAIN.values()}
    try:
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                if path.name in wanted:
                    yield path.name, path.read_bytes()
            return
        with tarfile.open(source) as archive:
            for member in archive:
                name = pathlib.PurePosixPath(member.name).name
                if name in wanted and (file := archive.extractfile(member)):
                    yield name, file.read()
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"cannot read WikiText-2 from {source}: {error}") from error


def articles(archive: bytes) -> str:
    """The training text out of fastai's zip, whose rows of CSV are articles."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        text = opened.read(_TRAIN).decode("utf-8")
    before = csv.field_size_limit(sys.maxsize)
    try:
        return "".join(cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row)
    finally:
        csv.field_size_limit(before)


def plain(text: str) -> str:
    """WikiText in ordinary spelling, for a model that has read the web; `<unk>` stays.

    >>> plain('The Bell 's 1 @,@ 200 @-@ pound gun ( " Big Tom " ) was n't fired .')
    'The Bell's 1,200-pound gun ("Big Tom") wasn't fired.'
    """
    for pattern, replacement in _SPELLING:
        text = pattern.sub(replacement, text)
    return text
