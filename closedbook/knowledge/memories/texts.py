"""The texts of an index: token ids in one flat file, read by memory map."""

import contextlib
import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import numpy as np

from closedbook.knowledge.memories.examples import Example

_TOKENS, _LENGTHS, _FACTS, _NAMES = "tokens.i32", "lengths.i32", "facts.i32", "facts.json"
_ITEM = 4  # bytes of a token
_AT_ONCE = 1 << 16  # texts that are looked at together


class Digest:
    """The hash of texts in their order, by which a corpus is known again."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {"": -1}
        self._sha256 = hashlib.sha256()

    @property
    def facts(self) -> list[str]:
        """The ids of facts so far, in the order of their numbers."""
        return list(self._names)[1:]

    @property
    def sha256(self) -> str:
        """The hash so far, in hexadecimals."""
        return self._sha256.copy().hexdigest()

    def add(self, example: Example) -> dict[str, bytes]:
        """One more text; what the store's files have of it, by their names."""
        fact = self._names.setdefault(example.fact, len(self._names) - 1)
        numbers: dict[str, Sequence[int]] = {
            _TOKENS: (*example.inputs, *example.targets),
            _LENGTHS: (len(example.inputs), len(example.targets)),
            _FACTS: (fact,),
        }
        content = {name: np.array(each, "<i4").tobytes() for name, each in numbers.items()}
        for each in content.values():
            self._sha256.update(each)
        return content


class TextWriter:
    """Takes down texts as they are read, to keep some of them at the end.

    Args:
        folder: To make; what an earlier run left in it is written over.

    Attributes:
        count: How many texts have been taken down.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder = folder
        self._files = {name: (folder / name).open("wb") for name in (_TOKENS, _LENGTHS, _FACTS)}
        self._digest = Digest()
        self.count = 0

    @property
    def sha256(self) -> str:
        """The hash of all texts so far, in hexadecimals."""
        return self._digest.sha256

    def add(self, example: Example) -> None:
        """Takes down one more text."""
        self.count += 1
        for name, content in self._digest.add(example).items():
            self._files[name].write(content)

    def close(self) -> None:
        """Nothing is added after this."""
        with contextlib.ExitStack() as all_of_them:  # also where the disk refuses the first
            for file in self._files.values():
                all_of_them.callback(file.close)

    def keep(self, chosen: np.ndarray, folder: pathlib.Path) -> None:
        """Writes the store of some texts.

        Args:
            chosen: Int [texts], ascending: which texts stay; they get the numbers 0, 1, ...
            folder: To write into; it exists.
        """
        self.close()
        parts = list(self._found(chosen))
        starts, lengths, facts = (np.concatenate(each) for each in zip(*parts, strict=True))
        offsets = np.concatenate([[0], np.cumsum(lengths.reshape(-1), dtype=np.int64)])
        np.save(folder / "offsets.npy", offsets)
        np.save(folder / "facts.npy", facts.astype(np.int32))
        header = {"descr": "<i4", "fortran_order": False, "shape": (int(offsets[-1]),)}
        with (
            (self._folder / _TOKENS).open("rb") as tokens,
            (folder / "tokens.npy").open("wb") as to,
        ):
            np.lib.format.write_array_header_1_0(to, header)
            for start, length in zip(starts.tolist(), lengths.sum(1).tolist(), strict=True):
                tokens.seek(start * _ITEM)
                to.write(tokens.read(length * _ITEM))
        names = json.dumps(self._digest.facts, ensure_ascii=False)
        (folder / _NAMES).write_text(names, "utf-8")

    def _found(self, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Where the tokens of chosen texts begin, their lengths [texts, 2] and their facts.

        Read part by part and not by memory map, whose pages would count as memory that grows with
        the corpus.
        """
        first = total = 0
        with (
            (self._folder / _LENGTHS).open("rb") as of_all,
            (self._folder / _FACTS).open("rb") as f,
        ):
            while True:
                lengths = np.fromfile(of_all, "<i4", 2 * _AT_ONCE).reshape(-1, 2)
                facts = np.fromfile(f, "<i4", _AT_ONCE)
                ends = total + np.cumsum(lengths.sum(1, dtype=np.int64))
                begins = np.concatenate([[total], ends[:-1]])[: len(ends)]
                low, high = np.searchsorted(chosen, [first, first + len(ends)])
                here = chosen[low:high] - first
                yield begins[here], lengths[here], facts[here]
                if not len(ends):
                    return
                first, total = first + len(ends), int(ends[-1])


def opened(path: pathlib.Path) -> np.ndarray:
    """An array by memory map; one without numbers, which cannot be mapped, as it is.

    Raises:
        OSError, EOFError, ValueError: There is none, or the file holds no array.
    """
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:
        try:
            return np.load(path, allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"{path.parent.name}/{path.name} holds no whole array") from error


class Texts:
    """The texts of an index.

    Args:
        folder: That `TextWriter.keep` wrote.

    Raises:
        OSError, EOFError, ValueError: A file is missing, cut short, or does not fit the others.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._offsets = opened(folder / "offsets.npy")
        self._facts = opened(folder / "facts.npy")
        self._tokens = opened(folder / "tokens.npy")
        self._folder = folder
        self._names: list[str] | None = None
        if len(self._offsets) != 2 * len(self._facts) + 1:
            raise ValueError(f"{folder} holds {len(self._facts)} texts, not as many as offsets")
        if self._offsets[-1] != len(self._tokens):
            raise ValueError(f"{folder} holds {len(self._tokens)} tokens, not as offsets say")

    def __len__(self) -> int:
        return len(self._facts)

    def __getitem__(self, number: int) -> Example:
        """A text by its number in the index."""
        if not 0 <= number < len(self):
            raise IndexError(f"there is no text {number}")
        start, middle, limit = self._offsets[2 * number : 2 * number + 3].tolist()
        if not 0 <= start <= middle <= limit <= len(self._tokens):
            raise ValueError(f"text {number} goes from {start} over {middle} to {limit}")
        if limit > start and self._tokens[start:limit].min() < 0:
            raise ValueError(f"text {number} holds ids below 0")
        fact = int(self._facts[number])
        return Example(
            inputs=tuple(self._tokens[start:middle].tolist()),
            targets=tuple(self._tokens[middle:limit].tolist()),
            fact="" if fact < 0 else self._fact_names()[fact],
        )

    def _fact_names(self) -> list[str]:
        if self._names is None:
            names = json.loads((self._folder / _NAMES).read_text("utf-8"))
            if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
                raise ValueError(f"{self._folder.name}/{_NAMES} is no list of names")
            self._names = names
        return self._names
