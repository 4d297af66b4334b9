"""`model.json`: what a checkpoint folder says of itself, so that it works without a gin file."""

import dataclasses
import json
import pathlib
from typing import Any

import closedbook
from closedbook import whole_files
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.vocabularies import copy_vocabulary
from closedbook.errors import UserError
from closedbook.models import T5Config
from closedbook.models.families import Config, family
from closedbook.vocabulary import EXTRA_IDS

CARD_FILE = "model.json"
FORMAT = 1
GIVE_VOCABULARY = (
    "give its SentencePiece model or tokenizer.json with --vocabulary FILE (the public T5s use "
    "gs://t5-data/vocabs/cc_all.32000.100extra/sentencepiece.model, ByT5 --vocabulary bytes)"
)
_PADDING = 1024  # rows that an embedding may have beyond its vocabulary's ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Architecture, vocabulary and habits of a trained model.

    Attributes:
        config: The network's configuration.
        vocabulary_sha256: Of the vocabulary beside the card.
        extra_ids: Sentinels after the file's own pieces.
        task: The task or mixture of the training.
        prefix: Text before each question, for example "nq question: ".
        lengths: Longest inputs and targets of the training, in tokens.
    """

    config: Config
    vocabulary_sha256: str
    extra_ids: int = EXTRA_IDS
    task: str = ""
    prefix: str = ""
    lengths: dict[str, int] = dataclasses.field(default_factory=dict)

    def write(self, folder: pathlib.Path, vocabulary_path: str | pathlib.Path) -> None:
        """Writes the card and a copy of the vocabulary's files, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        copy_vocabulary(vocabulary_path, folder)
        data = {
            "format": FORMAT,
            "closedbook": closedbook.__version__,
            "family": self.config.family,
        }
        text = json.dumps(data | dataclasses.asdict(self), indent=2) + "\n"
        whole_files.write_text(folder / CARD_FILE, text)

    @classmethod
    def read(cls, folder: pathlib.Path) -> "ModelCard":
        """Reads the card of a folder.

        Raises:
            UserError: It is absent, not JSON, or of a newer format.
        """
        if not (folder / CARD_FILE).is_file():
            raise UserError(
                f"no {CARD_FILE} in {folder}; give a folder that `t5x train` wrote (MODEL_DIR)"
            )
        return cls.load(Storage.at(folder))

    @classmethod
    def load(cls, storage: Storage) -> "ModelCard":
        """Reads the card of a local folder or a bucket's; errors as `read`."""
        path = f"{storage.root}/{CARD_FILE}"
        content = storage.read(CARD_FILE)
        try:
            data: dict[str, Any] = json.loads(content.decode("utf-8"))
            if data["format"] != FORMAT:
                raise UserError(
                    f"{path} has format {data['format']!r}, this closedbook reads {FORMAT}; "
                    f"it was written by closedbook {data.get('closedbook')}"
                )
            known = {field.name for field in dataclasses.fields(cls)}
            values = {name: value for name, value in data.items() if name in known}
            values["config"] = _config(data, path)
            card = cls(**values)
            card._check()
            return card
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} is not a valid model card: {error!r}; copy back the {CARD_FILE} that was "
                "written with these checkpoints"
            ) from error

    def _check(self) -> None:
        """Raises a TypeError for a value of another type; JSON may hold anything."""
        whole = [self.extra_ids, *self.lengths.values()]
        for field in dataclasses.fields(self.config):
            value = getattr(self.config, field.name)
            if field.type == "int" or field.type is int:
                # Where there is no such token, its id is -1.
                whole.append(0 if field.name.endswith("_id") and value == -1 else value)
            elif (field.type == "bool" or field.type is bool) and not isinstance(value, bool):
                raise TypeError(f"{field.name} is {value!r}")
        if any(type(value) is not int or not 0 <= value < 2**31 for value in whole):
            raise TypeError("a size is not a natural number")
        texts = (self.vocabulary_sha256, self.task, self.prefix)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("prefix, task or vocabulary_sha256 is not a text")


def _config(data: dict[str, Any], path: str) -> Config:
    """The configuration in a card; cards of before there was a second family do not name one."""
    try:
        return family(data.get("family", T5Config.family))(**data["config"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def check_fits(
    ids: int, rows: int, *, vocabulary: str, embedding: str, known: bool = False
) -> None:
    """Checks by their sizes that a vocabulary and an embedding belong together.

    Args:
        ids: How many ids the vocabulary has, sentinels included.
        rows: How many rows the embedding has, padding included: 32,128 for T5's 32,100 ids.
        vocabulary: Its file, for the message.
        embedding: Where the embedding is, for the message.
        known: Whether the model's card names this vocabulary. If so, any number of rows above
            `ids` is padding.

    Raises:
        UserError: There are more ids than rows, or so many more rows that the vocabulary must be
            another model's.
    """
    if ids > rows or (ids <= rows - _PADDING and not known):
        raise UserError(
            f"the vocabulary {vocabulary} has {ids} ids, extra ids included, but the embedding has "
            f"{rows} rows ({embedding}); it is another model's vocabulary"
        )
