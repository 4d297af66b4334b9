"""Models that `transformers` runs, from a folder of Hugging Face's; an optional extra.

What a stranger wrote is data here: no code that comes with a model is run, and files of torch are
unpickled as weights alone.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from closedbook.checkpoints.places import remote
from closedbook.checkpoints.places.hub import HUB
from closedbook.errors import UserError

_CONFIG = "config.json"
_LOGITS = 1 << 25  # numbers that a batch may give at once, 128 MiB
_MOST_ROWS = 64  # read at once
_LONGEST = 512  # tokens, where a model names no limit
# Positions of RoBERTa's kind begin after the id of padding; a model that is not so loses two.
_UNUSED_POSITIONS = 2


def folder_of(path: str | pathlib.Path) -> pathlib.Path | None:
    """The folder with config.json at a path, fetched if it lies on the hub; None for others."""
    text = str(path)
    if text.startswith(HUB):
        return remote.fetch(text)
    folder = pathlib.Path(text).expanduser()
    return folder if "://" not in text and (folder / _CONFIG).is_file() else None


def architectures(folder: pathlib.Path) -> tuple[str, ...]:
    """What config.json says that the model is, such as "BertForMaskedLM"; () where it says nothing.

    Whether it can be read at all is left to whoever opens the model.
    """
    try:
        named = json.loads((folder / _CONFIG).read_bytes())["architectures"]
        return tuple(name for name in named if isinstance(name, str))
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchModel:
    """A model of `transformers` with its tokenizer.

    Attributes:
        folder: Where it lies.
        network: It, for evaluation.
        tokenizer: Its.
        longest: Tokens that it can read at once, the special ones included.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "numpy")
    step: ClassVar[int] = 0
    folder: pathlib.Path
    network: Any
    tokenizer: Any
    longest: int

    @functools.cached_property
    def sha256(self) -> str:
        """The hash of settings, parameters and tokenizer, in hexadecimals: which model it is."""
        digest = hashlib.sha256((self.folder / _CONFIG).read_bytes())
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        words = backend.to_str() if backend else json.dumps(sorted(self.tokenizer.get_vocab()))
        digest.update(words.encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def outputs(
        self, rows: Sequence[Sequence[int]], width: int, **given: Sequence[Sequence[int]]
    ) -> Iterator[tuple[list[int], Any]]:
        """Runs the network over rows of ids, those of like lengths together.

        Args:
            rows: Ids of each text, special ones included.
            width: Numbers that the network gives per token, for the size of batches.
            given: More inputs of the network by name, a value per id, such as token_type_ids.

        Yields:
            Numbers of rows, and what the network gives for them.
        """
        import torch

        device = next(self.network.parameters()).device
        for chosen in self._batches([len(row) for row in rows], width):
            columns = {
                "input_ids": _padded([rows[n] for n in chosen], self.tokenizer.pad_token_id or 0),
                "attention_mask": _padded([[1] * len(rows[n]) for n in chosen], 0),
                **{name: _padded([each[n] for n in chosen], 0) for name, each in given.items()},
            }
            tensors = {name: torch.from_numpy(each).to(device) for name, each in columns.items()}
            with torch.inference_mode():
                found = self.network(**tensors)
            yield chosen, found

    def _batches(self, lengths: Sequence[int], width: int) -> Iterator[list[int]]:
        """Numbers of rows that are read together."""
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        first = 0
        while first < len(order):
            chosen = order[first : first + _MOST_ROWS]
            size = max(1, _LOGITS // (lengths[chosen[-1]] * width))
            yield chosen[:size]
            first += len(chosen[:size])


def _padded(rows: Sequence[Sequence[int]], fill: int) -> np.ndarray:
    made = np.full((len(rows), max(map(len, rows))), fill, np.int64)
    for row, values in zip(made, rows, strict=True):
        row[: len(values)] = values
    return made


def load(folder: pathlib.Path, kind: str, what: str) -> TorchModel:
    """Loads a model that all weights are there for.

    Args:
        folder: With config.json, weights and the tokenizer's files.
        kind: The class of `transformers` that reads it, such as "AutoModelForMaskedLM".
        what: What it is, in words, for messages.

    Raises:
        UserError: `torch` or `transformers` is not installed, or the folder holds no such model,
            not all of it, or one that runs code of its own.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UserError(
            f"{folder} is {what}, which needs {error.name}: pip install 'closedbook[interop]'"
        ) from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **safe)
        network, found = getattr(transformers, kind).from_pretrained(
            str(folder), **safe, weights_only=True, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # of a dozen libraries that read its files
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{folder} cannot be read as {what}: {said}; give a folder with config.json, "
            "model.safetensors and the tokenizer's files; code that comes with a model is not run"
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{folder} is not all of {what}: its weights lack {len(missing)} tensors "
            f"({', '.join(missing[:5])}); without them it would answer at random"
        )
    network.eval().requires_grad_(False)
    if torch.cuda.is_available():
        network.to("cuda")
    positions = getattr(network.config, "max_position_embeddings", None) or _LONGEST
    longest = min(tokenizer.model_max_length, max(1, positions - _UNUSED_POSITIONS))
    return TorchModel(folder=folder, network=network, tokenizer=tokenizer, longest=longest)
