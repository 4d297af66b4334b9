"""Named entities by a token-classification model of Hugging Face."""

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from closedbook.corpora.taggers import digests
from closedbook.corpora.taggers.base import CharSpan
from closedbook.corpora.taggers.bio import Word, decode, tags_of
from closedbook.corpora.taggers.pieces import pieces
from closedbook.errors import UserError

if TYPE_CHECKING:
    import transformers

MOST_TOKENS = 512  # a window, where the model itself allows more
OVERLAP = 64  # tokens that two windows of a long sentence share
BATCH_TOKENS = 8192  # of a batch of windows, padding included


class _Window(NamedTuple):
    sentence: int
    offset: int  # characters before the piece that the window is of
    row: int  # in the encoding


class HuggingFaceTagger:
    """A model's entities under the model's labels, without their B- and I-.

    A word has the label of its first piece. Sentences longer than the model's window are read in
    windows that overlap; each word is taken from the window where it stands farther from the edge.
    """

    def __init__(self, model: str):
        """Loads a model and its tokeniser.

        Args:
            model: A folder, or a name on the hub such as "dslim/bert-base-NER".

        Raises:
            UserError: PyTorch or Transformers is not installed, there is no such model here or on
                the hub, or it is not one for token classification.
        """
        try:
            import torch
            import transformers
        except ImportError as error:
            raise UserError(
                f"the tagger 'hf:{model}' needs PyTorch and Transformers ({error}): "
                "pip install 'closedbook[interop]'"
            ) from None
        path = os.path.expanduser(model)
        source = path if os.path.isdir(path) else model
        self._torch = torch
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(source, use_fast=True)
            self._model, report = transformers.AutoModelForTokenClassification.from_pretrained(
                source, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = (str(error) or repr(error)).strip().splitlines()[0]
            raise UserError(
                f"there is no tagger model {model!r} to load: {first}. Give a folder with "
                "config.json, the weights and tokenizer.json, or a name on the hub"
            ) from None
        if report["missing_keys"]:
            missing = ", ".join(sorted(report["missing_keys"])[:4])
            raise UserError(
                f"{model!r} has no trained head for token classification (it lacks {missing}); "
                "take a model that was fine-tuned for named entities"
            )
        if not self._tokenizer.is_fast:
            raise UserError(
                f"the tokeniser of {model!r} does not say where its tokens stand in the text; "
                "take a model with a fast tokeniser (tokenizer.json)"
            )
        if self._tokenizer.pad_token is None:  # masked anyhow
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        self._tags = tags_of(self._model.config.id2label, model)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = self._model.to(self._device).eval()
        positions = getattr(self._model.config, "max_position_embeddings", None) or MOST_TOKENS
        if self._model.config.model_type in ("roberta", "xlm-roberta", "camembert"):
            positions -= 2  # theirs begin behind the padding's index
        self._window = max(8, min(self._tokenizer.model_max_length, positions, MOST_TOKENS))
        self.name = f"hf:{model}"
        self.version = f"transformers {transformers.__version__}, " + (
            digests.of_folder(pathlib.Path(path))
            if source == path
            else str(getattr(self._model.config, "_commit_hash", None))
        )

    def tag(self, sentences: Sequence[str]) -> list[list[CharSpan]]:
        """The spans of each sentence, in the order of the text."""
        texts, places = [], []
        for index, text in enumerate(sentences):
            for offset, piece in pieces(text):
                texts.append(piece)
                places.append((index, offset))
        words: list[list[Word]] = [[] for _ in texts]
        if texts:
            self._read(texts, words)
        found: list[list[CharSpan]] = [[] for _ in sentences]
        for (index, offset), text, of_text in zip(places, texts, words, strict=True):
            for start, limit, label in decode(of_text, text):
                found[index].append(CharSpan(start + offset, limit + offset, label))
        return found

    def _read(self, texts: list[str], words: list[list[Word]]) -> None:
        encoded = self._tokenizer(
            texts,
            truncation=True,
            max_length=self._window,
            stride=min(OVERLAP, self._window // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        rows = encoded["input_ids"]
        best: list[dict[int, tuple[int, Word]]] = [{} for _ in texts]
        for batch in _batches([len(row) for row in rows]):
            inputs = self._tokenizer.pad(
                {
                    key: [encoded[key][row] for row in batch]
                    for key in self._tokenizer.model_input_names
                    if key in encoded
                },
                return_tensors="pt",
            ).to(self._device)
            with self._torch.inference_mode():
                predicted = self._model(**inputs).logits.argmax(-1).tolist()
            for row, ids in zip(batch, predicted, strict=True):
                text = encoded["overflow_to_sample_mapping"][row]
                self._collect(best[text], encoded, row, ids)
        for index, of_text in enumerate(best):
            words[index] = [word for _, word in sorted(of_text.values(), key=lambda w: w[1].start)]

    def _collect(
        self,
        best: dict[int, tuple[int, Word]],
        encoded: "transformers.BatchEncoding",
        row: int,
        predicted: list[int],
    ) -> None:
        """Keeps each word of a window that stands farther from the edge here than elsewhere."""
        size = len(encoded["input_ids"][row])
        # By the word's number, which is the same in every window of the text.
        for position, number in enumerate(encoded.word_ids(row)):
            if number is None:
                continue
            start, limit = encoded["offset_mapping"][row][position]
            margin = min(position, size - 1 - position)
            known = best.get(number)
            if known is not None and known[1].row == row:  # a further piece of the same word
                word = known[1]._replace(limit=max(limit, known[1].limit))
                best[number] = (known[0], word)
            elif known is None or margin > known[0]:
                best[number] = (margin, Word(start, limit, *self._tags[predicted[position]], row))


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Rows in batches of `BATCH_TOKENS`, like lengths together."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
