"""The index of triggers on disk: memory-mapped arrays, texts and a manifest.

    DIR/manifest.json               whose triggers, of what, how found
    DIR/STACK/SIGN.coefficient.npy  float32 [layers, cells, t], the strongest first; 0: empty
    DIR/STACK/SIGN.text.npy         int32, the text's number; -1: empty
    DIR/STACK/SIGN.position.npy     uint16, the position in it
    DIR/STACK/SIGN.active.npy       int64 [layers, cells], positions of the corpus with this sign
    DIR/texts/                      the texts that are triggers of some cell

Ten bytes per trigger. The manifest has the files' digests, which are compared once in a process.
Opening an index needs no JAX, and then reads the manifest and the arrays' headers alone.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from closedbook import digests
from closedbook.errors import UserError, unknown_name
from closedbook.knowledge.memories.cells import Cell, Cells, Sign
from closedbook.knowledge.memories.texts import Texts, opened
from closedbook.knowledge.memories.triggers import KINDS, Trigger

if TYPE_CHECKING:
    from closedbook.knowledge.loaded_model import LoadedModel

MANIFEST = "manifest.json"
FORMAT = 1
TEXTS = "texts"
PARTS = {"coefficient": np.float32, "text": np.int32, "position": np.uint16}
_NEEDED = {"model": ("name", "sha256"), "corpus": ("name", "made", "in_words", "texts", "sha256")}
# What reading a damaged file raises.
_DAMAGE = (OSError, EOFError, ValueError, LookupError, digests.DamagedError)


@dataclasses.dataclass(frozen=True)
class Index:
    """Triggers of a model's memories.

    Attributes:
        path: Its folder.
        manifest: What `manifest.json` says.
        cells: Stack -> its cells.
        texts: The texts that are triggers of some cell.
    """

    path: pathlib.Path
    manifest: Mapping[str, Any]
    cells: Mapping[str, Cells]
    texts: Texts

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Index":
        """Opens an index; takes milliseconds, and the first time some more for each GB.

        Raises:
            UserError: There is none, it is damaged, or another version has written it.
        """
        path = pathlib.Path(path)
        file = path / MANIFEST
        if not file.is_file():
            raise UserError(
                f"there is no index of memories in {path}; make one with `closedbook memories "
                "index --out DIR`, or give its folder with --index DIR"
            )
        try:
            manifest = json.loads(file.read_text("utf-8"))
            if manifest["format"] != FORMAT:
                raise UserError(
                    f"{file} has format {manifest['format']!r}, this closedbook reads {FORMAT}; "
                    "make the index again with `closedbook memories index`"
                )
            cells = {
                name: Cells(
                    stack=name,
                    layers=stack["layers"],
                    width=stack["cells"],
                    signs=tuple(stack["signs"]),
                )
                for name, stack in manifest["stacks"].items()
            }
            found = cls(path, manifest, cells, Texts(path / TEXTS))
            found._check_whole()
            return found
        except (*_DAMAGE, TypeError, AttributeError) as error:
            raise _damaged(path, error) from error

    def _check_whole(self) -> None:
        """Raises one of _DAMAGE if a file is missing, changed or of another shape."""
        if "digests" in self.manifest:  # indexes of earlier versions have none
            digests.check_sealed(self.manifest)
            if fault := digests.fault(self.path, digests.from_json(self.manifest["digests"])):
                raise ValueError(fault)
        for group, names in _NEEDED.items():
            for name in names:
                if self.manifest[group][name] is None:
                    raise ValueError(f"the {name} of the {group} is missing")
        for stack, cells in self.cells.items():
            kind = self.manifest["stacks"][stack]["kind"]
            if kind not in KINDS:
                raise ValueError(f"{kind!r} is no kind of triggers")
            self.positions(stack)
            for sign in cells.signs:
                for part, dtype in {**PARTS, "active": np.int64}.items():
                    array = self._opened(stack, sign, part)
                    shape = (cells.layers, cells.width, self.t)[: array.ndim]
                    if array.ndim != 2 + (part in PARTS) or array.shape != shape:
                        raise ValueError(f"{stack}/{sign}.{part}.npy has shape {array.shape}")
                    if array.dtype != dtype:
                        raise ValueError(f"{stack}/{sign}.{part}.npy holds {array.dtype}")

    @property
    def t(self) -> int:
        """Triggers per cell and sign at most."""
        return int(self.manifest["t"])

    @property
    def model_name(self) -> str:
        """The model as it was named to the command that made the index."""
        return str(self.manifest["model"]["name"])

    def check_model(self, model: "LoadedModel") -> None:
        """Raises a UserError if the index is of another model."""
        if model.sha256 != self.manifest["model"]["sha256"]:
            raise UserError(
                f"{self.path} is the index of another model, {self.model_name} (hash "
                f"{self.manifest['model']['sha256'][:12]}, this one's is {model.sha256[:12]}); "
                "give that one, or make an index of this one"
            )

    def check(self, cell: Cell) -> Cells:
        """The cells among which a cell is.

        Raises:
            UserError: There is no such cell in the index.
        """
        if cell.stack not in self.cells:
            raise unknown_name(f"stack of the index {self.path}", cell.stack, self.cells)
        self.cells[cell.stack].check(cell)
        return self.cells[cell.stack]

    def arrays(self, stack: str, sign: Sign = "positive") -> dict[str, np.ndarray]:
        """Memory-mapped "coefficient", "text" and "position" [layers, cells, t] of a stack.

        Raises:
            UserError: The index has no such stack or sign.
        """
        return {part: self._opened(stack, sign, part) for part in PARTS}

    def active(self, stack: str, sign: Sign = "positive") -> np.ndarray:
        """Int64 [layers, cells]: at how many positions of the corpus coefficients had the sign."""
        return self._opened(stack, sign, "active")

    def positions(self, stack: str) -> int:
        """How many positions of the corpus were looked at in a stack."""
        return int(self.manifest["stacks"][stack]["positions"])

    def triggers(self, cell: Cell, sign: Sign = "positive") -> list[Trigger]:
        """A cell's triggers, the strongest first; fewer than t where it rarely answers.

        Raises:
            UserError: The index has no such cell or sign.
        """
        self.check(cell)
        found = self.arrays(cell.stack, sign)
        rows = (found[part][cell.layer, cell.number].tolist() for part in PARTS)
        return [
            self.trigger(cell.stack, text, position, coefficient)
            for coefficient, text, position in zip(*rows, strict=True)
            if text >= 0
        ]

    def trigger(self, stack: str, text: int, position: int, coefficient: float = 0.0) -> Trigger:
        """A trigger by its place.

        Args:
            stack: That has it.
            text: The text's number.
            position: In what the stack reads of it.
            coefficient: Of the memory there; 0 where it does not matter.

        Raises:
            UserError: There is no such text or position: the index is damaged.
        """
        try:
            found = Trigger(
                coefficient=coefficient,
                text=text,
                position=position,
                kind=self.manifest["stacks"][stack]["kind"],
                example=self.texts[text],
            )
            if not 0 <= position < len(found.read):
                raise IndexError(f"text {text} has no position {position}")
            return found
        except _DAMAGE as error:
            raise _damaged(self.path, error) from error

    def each_cell(self, stack: str) -> Iterator[Cell]:
        """All cells of a stack, by layer and number."""
        cells = self.cells[stack]
        for layer in range(cells.layers):
            for number in range(cells.width):
                yield Cell(stack, layer, number)

    def _opened(self, stack: str, sign: Sign, part: str) -> np.ndarray:
        if stack not in self.cells:
            raise unknown_name(f"stack of the index {self.path}", stack, self.cells)
        if sign not in self.cells[stack].signs:
            raise UserError(
                f"the {stack}'s coefficients are never {sign} (its units are ReLU); ask for "
                f"{' or '.join(self.cells[stack].signs)}"
            )
        return opened(self.path / stack / f"{sign}.{part}.npy")


def check_target(out: pathlib.Path, *, force: bool) -> None:
    """Refuses a folder that must not be written, before any work is done.

    Raises:
        UserError: There is something else than an index, or an index and `force` is not given; or
            it is the working directory or around it.
    """
    if out.resolve() in (here := pathlib.Path.cwd(), *here.parents):
        raise UserError(f"{out} is or holds the working directory; give a folder inside it")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise UserError(
            f"{out} exists and is no index of memories, so it stays as it is; give another --out"
        )
    if not force:
        raise UserError(
            f"{out} holds an index already; give another --out, or --force to replace it"
        )


def _damaged(path: pathlib.Path, error: Exception) -> UserError:
    match error:
        case OSError(filename=str() | os.PathLike() as file):
            why = f"{pathlib.Path(file).relative_to(path)}: {error.strerror}"
        case KeyError():
            why = f"{MANIFEST} does not say {error.args[0]!r}"
        case digests.DamagedError():
            why = f"{MANIFEST} {error}"
        case _:
            why = str(error) or type(error).__name__
    return UserError(
        f"{path} is damaged ({why}); make the index again with `closedbook memories index`"
    )
