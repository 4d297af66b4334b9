"""`model.json`: what a checkpoint folder says of itself, so that it works without a gin file."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import closedbook
from closedbook.errors import UserError
from closedbook.models import T5Config

CARD_FILE = "model.json"
VOCABULARY_FILE = "vocabulary.model"
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Architecture, vocabulary and habits of a trained model.

    Attributes:
        config: The network's configuration.
        vocabulary_sha256: Of the SentencePiece file beside the card.
        extra_ids: Sentinels after the file's own pieces.
        task: The task or mixture of the training.
        prefix: Text before each question, for example "nq question: ".
        lengths: Longest inputs and targets of the training, in tokens.
    """

    config: T5Config
    vocabulary_sha256: str
    extra_ids: int = 100
    task: str = ""
    prefix: str = ""
    lengths: dict[str, int] = dataclasses.field(default_factory=dict)

    def write(self, folder: pathlib.Path, vocabulary_path: str | pathlib.Path) -> None:
        """Writes the card and a copy of the vocabulary file, each at once or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / VOCABULARY_FILE
        if not target.exists() or target.read_bytes() != pathlib.Path(vocabulary_path).read_bytes():
            partial = target.with_suffix(".partial")
            shutil.copyfile(vocabulary_path, partial)
            partial.replace(target)
        data = {"format": FORMAT, "closedbook": closedbook.__version__}
        partial = folder / (CARD_FILE + ".partial")
        text = json.dumps(data | dataclasses.asdict(self), indent=2) + "\n"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / CARD_FILE)

    @classmethod
    def read(cls, folder: pathlib.Path) -> "ModelCard":
        """Reads the card of a folder.

        Raises:
            UserError: It is absent, not JSON, or of a newer format.
        """
        path = folder / CARD_FILE
        if not path.is_file():
            raise UserError(
                f"no {CARD_FILE} in {folder}; give a folder that `t5x train` wrote (MODEL_DIR)"
            )
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise UserError(
                    f"{path} has format {data['format']!r}, this closedbook reads {FORMAT}; "
                    f"it was written by closedbook {data.get('closedbook')}"
                )
            known = {field.name for field in dataclasses.fields(cls)}
            values = {name: value for name, value in data.items() if name in known}
            values["config"] = T5Config(**values["config"])
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is not a valid model card: {error!r}") from error
