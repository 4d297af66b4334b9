"""The atlas: a closed book of true facts that ships with the package, and models that know it.

Here stand the places of its files, for whoever needs no more. Importing this needs neither
TensorFlow nor JAX, and reads nothing.
"""

import json
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
    """What the atlas's sentences and questions depend on, as token caches are named by it.

    As long as the tables are the packaged ones this is what `data/cache_key.json` says, whatever
    becomes of the code, so that runs of older versions find their caches; else the tables' hashes.
    """
    tables = file_hashes([DATA / "facts.tsv", DATA / "phrasings.toml"])
    known = json.loads((DATA / "cache_key.json").read_text(encoding="utf-8"))
    return known["key"] if tables == known["tables"] else tables
