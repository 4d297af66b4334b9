"""The atlas: a closed book of true facts that ships with the package, and models that know it.

Here stand the places of its files, for whoever needs no more. Importing this needs neither
TensorFlow nor JAX, and reads nothing.
"""

import pathlib

from closedbook.tasks.file_hashes import FileHash, file_hashes

_HERE = pathlib.Path(__file__).parent

DATA = _HERE / "data"
"""Folder of the tables and the vocabulary."""

VOCABULARY = DATA / "atlas.model"
"""The SentencePiece model of the atlas and of its packaged models."""

MODELS = _HERE / "models"
"""Folder of the packaged models."""


def models() -> dict[str, pathlib.Path]:
    """The folders of the packaged models by name; each holds a `model.json`."""
    return {card.parent.name: card.parent for card in sorted(MODELS.glob("*/model.json"))}


def fingerprint() -> list[FileHash]:
    """Hashes of all that the atlas's sentences and questions depend on: tables and their readers.

    What only builds the tables is left out, since its work is in the tables.
    """
    tables = [DATA / "facts.tsv", DATA / "phrasings.toml"]
    return file_hashes([*tables, _HERE / "corpus.py", _HERE / "phrasings.py"])
