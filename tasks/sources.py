"""Where a task's examples come from: TFDS, a user's folder of files, own files, or the atlas.

Each kind says which splits it has and what a split is made from (`fingerprint`, the part of a token
cache's key); the kinds that hold questions and need no TensorFlow give the `rows` of a split too.
`seqio_sources` opens them all for SeqIO. Needs no TensorFlow.

Some data sets lie in TFDS, in a user's DATA_DIR, or in both: `at` says which of the two is read.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from closedbook.errors import UserError
from closedbook.tasks import atlas, local_files, rows, texts
from closedbook.tasks.atlas import corpus
from closedbook.tasks.file_hashes import file_hashes
from closedbook.tasks.spans import sentence_files
from closedbook.tasks.spans.sentences import Sentence

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """The files of a known data set, under the names that its makers gave them.

    Args:
        dataset: A key of `local_files.DATASETS`.
        splits: Split -> the parts of the data set that make it up; see `local_files`.
        path: The user's folder; None: not said yet.
    """

    dataset: str
    splits: Mapping[str, tuple[str, ...]]
    path: pathlib.Path | None = None

    def at(self, data_dir: str | os.PathLike | None) -> "Folder":
        """The same files in a user's folder."""
        if data_dir is None:
            return self
        return dataclasses.replace(self, path=pathlib.Path(data_dir).expanduser())

    def rows(self, split: str) -> list[rows.Row]:
        """The questions of a split.

        Raises:
            UserError: The folder or a file is missing, or a row is malformed.
        """
        return local_files.split_rows(self.dataset, _part(self.splits, split), self._path())

    def fingerprint(self, split: str) -> dict[str, Any]:
        """The files of a split and how they are cut.

        Raises:
            UserError: The folder or a file is missing.
        """
        parts = _part(self.splits, split)
        files = local_files.split_files(self.dataset, parts, self._path())
        return {"files": file_hashes(files), "parts": parts}

    def _path(self) -> pathlib.Path:
        if self.path is None:
            raise UserError(
                f"{self.dataset} is not in TFDS; give the folder of its files in DATA_DIR or "
                "CLOSEDBOOK_DATA_DIR"
            )
        return self.path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentences:
    """A folder of sentences with salient spans, as `closedbook ssm build` writes it.

    Args:
        folder: The folder; None: not said yet.
        held_out: Share of the titles in the split "validation".
    """

    folder: pathlib.Path | None = None
    held_out: float = 0.0

    @property
    def splits(self) -> tuple[str, ...]:
        """ "train", and "validation" if a share of the titles is held out."""
        return ("train", "validation") if self.held_out else ("train",)

    def at(self, data_dir: str | os.PathLike | None) -> "Sentences":
        """The sentences in a user's folder, or in its folder `salient_span_wikipedia`.

        A user's own task has its folder already and keeps it.

        Raises:
            UserError: Neither folder holds sentences.
        """
        if self.folder is not None or data_dir is None:
            return self
        given = pathlib.Path(data_dir).expanduser()
        places = (given, given / "salient_span_wikipedia")
        for place in places:
            if (place / sentence_files.MANIFEST).is_file():
                return dataclasses.replace(self, folder=place)
        raise UserError(
            f"found no sentences in {places[0]} and {places[1]}: neither has a "
            f"{sentence_files.MANIFEST}; give a folder that `closedbook ssm build` wrote, or "
            "leave DATA_DIR and CLOSEDBOOK_DATA_DIR out to read TFDS"
        )

    def fingerprint(self, split: str) -> dict[str, Any]:
        """The manifest, which knows the inputs of the build, and the sizes of the shards.

        Raises:
            UserError: The folder is not whole.
        """
        del split  # which titles are held out is decided when the shards are read
        assert self.folder is not None, "call `at` first"
        shards = sentence_files.shard_paths(self.folder)
        [manifest] = file_hashes([self.folder / sentence_files.MANIFEST])
        return {
            "sentences": {
                "manifest": manifest["sha256"],
                "shards": [[path.name, path.stat().st_size] for path in shards],
            }
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds:
    """A data set that TFDS prepares.

    Args:
        name: TFDS's name and version.
        splits: Split -> which of the data set's rows, in TFDS's notation ("train[:79168]").
        folder: The same data as files in a user's folder; None: it can be read from TFDS alone.
    """

    name: str
    splits: Mapping[str, str]
    folder: Folder | Sentences | None = None

    def at(self, data_dir: str | os.PathLike | None) -> "Tfds | Folder | Sentences":
        """TFDS itself, or the files in a user's folder where one is given.

        Raises:
            UserError: The data set cannot be read from files.
        """
        if data_dir is None:
            return self
        if self.folder is None:
            raise UserError(
                f"{self.name} cannot be read from a folder of files, only from TFDS; leave "
                "DATA_DIR and CLOSEDBOOK_DATA_DIR out"
            )
        return self.folder.at(data_dir)

    def fingerprint(self, split: str) -> dict[str, Any]:
        """Name, version and rows: TFDS vouches for the content."""
        return {"tfds": self.name, "split": _part(self.splits, split)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnFiles:
    """A user's own files of questions, in any form that `rows` reads.

    Args:
        splits: Split -> its file.
    """

    splits: Mapping[str, pathlib.Path]

    def at(self, data_dir: str | os.PathLike | None) -> "OwnFiles":
        """Itself: a folder for other data sets changes nothing."""
        return self

    def rows(self, split: str) -> list[rows.Row]:
        """The questions of a split.

        Raises:
            UserError: The file cannot be read, or a row is malformed.
        """
        return rows.read(_part(self.splits, split))

    def fingerprint(self, split: str) -> dict[str, Any]:
        """The file of a split."""
        return {"files": file_hashes([_part(self.splits, split)]), "rows": rows.VERSION}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
    """A user's own files of text, in any form that `texts` reads.

    Args:
        files: Split -> its files.
        held_out: Share of the documents of "train" that make up "validation".
    """

    files: Mapping[str, tuple[pathlib.Path, ...]]
    held_out: float = 0.0

    @property
    def splits(self) -> tuple[str, ...]:
        """Those with files, and "validation" if a share of the documents is held out."""
        return (*self.files, "validation") if self.held_out else tuple(self.files)

    def at(self, data_dir: str | os.PathLike | None) -> "Texts":
        """Itself: a folder for other data sets changes nothing."""
        return self

    def documents(self, split: str) -> Iterator[str]:
        """The documents of a split, in the order of the files.

        Raises:
            UserError: A file cannot be read or is malformed, or there are no documents.
        """
        files, shared = self._files(split)
        read = given = 0
        for path in files:
            for document in texts.read(path):
                read += 1
                if not shared or self._is_held_out(document.text) == (split == "validation"):
                    yield document.text
                    given += 1
        if not given:
            names = ", ".join(map(str, files))
            raise UserError(
                f"held_out = {self.held_out} of the documents in {names} ({read:,}) leaves none "
                f"for {split!r}; give more documents, another share, or files for both splits"
                if read
                else f"there is no text in {names}; give files that have some"
            )

    def fingerprint(self, split: str) -> dict[str, Any]:
        """The files of a split, and the share of them that it has."""
        files, shared = self._files(split)
        return {"files": file_hashes(files)} | ({"held_out": self.held_out} if shared else {})

    def _files(self, split: str) -> tuple[tuple[pathlib.Path, ...], bool]:
        """The files of a split, and whether it shares them with another one."""
        shared = bool(self.held_out) and split in ("train", "validation")
        return _part(self.files, "train" if shared else split), shared

    def _is_held_out(self, text: str) -> bool:
        """By a hash of the text, so that copies of a document are not in both splits."""
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.held_out * 2**64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Atlas:
    """Questions about the facts of the packaged atlas.

    Args:
        splits: Split -> which facts (the atlas's split), and in which phrasings they are asked.
    """

    splits: Mapping[str, tuple[str, Literal["seen", "unseen"]]]

    def at(self, data_dir: str | os.PathLike | None) -> "Atlas":
        """Itself: a folder for other data sets changes nothing."""
        return self

    def rows(self, split: str) -> list[rows.Row]:
        """The questions of a split, in the order of the facts."""
        return [
            rows.Row(
                question=asked["question"],
                answers=tuple(asked["answers"]),
                target=asked["answers"][0],
                id=asked["id"],
                place=f"the atlas, {asked['id']}",
            )
            for asked in corpus.questions(*_part(self.splits, split))
        ]

    def fingerprint(self, split: str) -> dict[str, Any]:
        """The packaged tables, the same for all splits."""
        del split
        return {"atlas": atlas.fingerprint()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AtlasSentences:
    """Every sentence of the packaged atlas, to pretrain on."""

    splits: tuple[str, ...] = ("train",)

    def at(self, data_dir: str | os.PathLike | None) -> "AtlasSentences":
        """Itself: a folder for other data sets changes nothing."""
        return self

    def sentences(self) -> Iterator[Sentence]:
        """All sentences, in the order of the facts."""
        return corpus.sentences()

    def fingerprint(self, split: str) -> dict[str, Any]:
        """The packaged tables."""
        del split
        return {"atlas": atlas.fingerprint()}


Source = Tfds | Folder | OwnFiles | Texts | Atlas | AtlasSentences | Sentences


def _part(splits: Mapping[str, _T], split: str) -> _T:
    """What a split is made of."""
    if split not in splits:
        raise UserError(f"there is no split {split!r}; there are {', '.join(splits)}")
    return splits[split]
