"""Texts in, answers out: tokenises, sorts, pads, decodes, restores the order."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from closedbook.errors import UserError
from closedbook.inference.decode import decode
from closedbook.inference.score import score_candidates
from closedbook.inference.settings import DecodeSettings
from closedbook.inference.steps import EOS, Decoded
from closedbook.models import T5Config, unboxed

# Matrix products are library calls on a CPU; what this leaves slow is little.
_QUICK: Any = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
_SHORTEST = 16  # tokens; shorter inputs are padded to it, so that few programs are compiled


class TextVocabulary(Protocol):
    """What is needed of a vocabulary; `closedbook.vocabulary.sentencepiece.Vocabulary` is one."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without EOS."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to EOS."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """An answer, its log-probability and the other hypotheses, best first."""

    text: str
    log_prob: float  # natural logarithm, summed over tokens, EOS included
    alternatives: tuple[tuple[str, float], ...] = ()  # (text, log_prob)


def bucket(length: int, longest: int, shortest: int = _SHORTEST) -> int:
    """The padded length of a text: a power of two from `shortest` on, at most `longest`.

    >>> [bucket(n, 48) for n in (1, 16, 17, 33, 48)]
    [16, 16, 32, 48, 48]
    """
    size = shortest
    while size < length:
        size *= 2
    return min(size, longest)


class Predictor:
    """Answers texts with a model.

    Programs are compiled at first use, one for each pair of padded length (16, 32, 64, ...,
    `max_input_length`) and batch size (1, 8, 64, ..., `batch_size`); the smallest that fits is
    taken. Answers do not depend on the padding, on the order or on the batch that a text is in.

    Args:
        config: The model's.
        params: The model's parameters; may be sharded, and may be exchanged for others of the
            same shapes by setting `predictor.params`, which compiles nothing anew.
        vocabulary: Encodes the inputs and decodes the answers.
        settings: How to decode.
        max_input_length: Tokens of an input, EOS included; longer ones are cut, as SeqIO does.
        batch_size: Rows decoded at once.
        batch_multiple: Batch sizes are multiples of this: the devices that share a batch.
        place: Puts a NumPy batch on the devices; as it is if None.
        quick_compile: Spend less on optimising programs: worth it for a few questions.
    """

    def __init__(
        self,
        config: T5Config,
        params: Any,
        vocabulary: TextVocabulary,
        *,
        settings: DecodeSettings | None = None,
        max_input_length: int = 128,
        batch_size: int = 64,
        batch_multiple: int = 1,
        place: Callable[[np.ndarray], Any] | None = None,
        quick_compile: bool = False,
    ) -> None:
        for name, value in (("max_input_length", max_input_length), ("batch_size", batch_size)):
            if value < 1:
                raise UserError(f"Predictor.{name} is {value}; it must be at least 1")
        if batch_size % batch_multiple:
            raise UserError(
                f"Predictor.batch_size is {batch_size}; {batch_multiple} devices share a batch, "
                f"so it must be a multiple of {batch_multiple}"
            )
        self.params = unboxed(params)
        self.settings = settings or DecodeSettings()
        self._vocabulary = vocabulary
        self._longest = max_input_length
        self._batch_size = batch_size
        self._multiple = batch_multiple
        self._place = place or (lambda batch: batch)
        # Programs of this object alone: logical axis rules are no part of jit's cache key.
        quick = quick_compile and jax.default_backend() == "cpu"
        jit = functools.partial(jax.jit, compiler_options=_QUICK if quick else None)
        self._decode = jit(functools.partial(decode, config, self.settings))
        self._score = jit(functools.partial(score_candidates, config))

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """The answer to each text, in the order of the texts."""
        return self.predict_tokens(self._tokenise(texts))

    def predict_tokens(self, inputs: Sequence[Sequence[int]]) -> list[Prediction]:
        """The answer to each input, given as ids that end in EOS."""
        inputs = [_cut(row, self._longest) for row in inputs]
        batches = list(self._batches([len(row) for row in inputs]))
        arrays = ({"encoder_input_tokens": self._pad(inputs, b), "rows": _rows(b)} for b in batches)
        answers: list[Any] = [None] * len(inputs)
        for (chosen, _), decoded in zip(batches, self.predict_batches(arrays), strict=True):
            for row, number in enumerate(chosen):
                answers[number] = self._prediction(decoded, row)
        return answers

    def predict_batches(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[Decoded]:
        """Decodes batches of tokens; results are NumPy arrays, in the order of the batches.

        Args:
            batches: Each with `encoder_input_tokens` int32 [batch, inputs], and optionally
                `rows` [batch], numbers of the inputs on which samples depend (0, 1, ... over
                all batches if missing). Other keys are left alone.
        """
        waiting = None
        seen = 0
        for batch in batches:
            tokens = batch["encoder_input_tokens"]
            rows = batch.get("rows", np.arange(seen, seen + len(tokens), dtype=np.int32))
            seen += len(tokens)
            running = self._decode(self.params, self._place(tokens), self._place(rows))
            # The next batch is prepared while the devices work on this one.
            if waiting is not None:
                yield _fetch(waiting)
            waiting = running
        if waiting is not None:
            yield _fetch(waiting)

    def score(self, texts: Sequence[str], targets: Sequence[str]) -> list[float]:
        """The log-probability of one given answer to each text, EOS included."""
        if len(texts) != len(targets):
            raise UserError(f"{len(texts)} inputs but {len(targets)} targets to score")
        return [row[0] for row in self.score_candidates(texts, [[t] for t in targets])]

    def score_candidates(
        self, texts: Sequence[str], candidates: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Log-probabilities of several given answers to each text, which is encoded once."""
        if len(texts) != len(candidates):
            raise UserError(f"{len(texts)} inputs but {len(candidates)} lists of candidates")
        inputs = self._tokenise(texts)
        flat = self._vocabulary.encode_batch([c for row in candidates for c in row])
        rest = iter(flat)
        targets = [[[*next(rest), EOS] for _ in row] for row in candidates]
        scores: list[list[float]] = [[] for _ in texts]
        for batch in self._batches([len(row) for row in inputs]):
            chosen, size = batch
            width = bucket(max(len(targets[n]) for n in chosen), 2**30, shortest=1)
            length = max((len(t) for n in chosen for t in targets[n]), default=1)
            tokens = np.zeros((size, width, bucket(length, 2**30, shortest=8)), np.int32)
            for row, number in enumerate(chosen):
                for column, target in enumerate(targets[number]):
                    tokens[row, column, : len(target)] = target
            source = self._place(self._pad(inputs, batch))
            found = _fetch(self._score(self.params, source, self._place(tokens)))
            for row, number in enumerate(chosen):
                scores[number] = found[row, : len(targets[number])].tolist()
        return scores

    def _tokenise(self, texts: Sequence[str]) -> list[Sequence[int]]:
        ids = self._vocabulary.encode_batch(list(texts))
        return [_cut([*row, EOS], self._longest) for row in ids]

    def _batches(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Numbers of the texts of each batch, of like lengths, and its padded size."""
        order = np.argsort(lengths, kind="stable").tolist()
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            size = 1
            while size < len(chosen):
                size *= 8
            size = -(-size // self._multiple) * self._multiple
            yield chosen, min(size, self._batch_size)

    def _pad(self, inputs: Sequence[Sequence[int]], batch: tuple[list[int], int]) -> np.ndarray:
        chosen, size = batch
        width = bucket(max(len(inputs[number]) for number in chosen), self._longest)
        tokens = np.zeros((size, width), np.int32)
        for row, number in enumerate(chosen):
            tokens[row, : len(inputs[number])] = inputs[number]
        return tokens

    def _prediction(self, decoded: Decoded, row: int) -> Prediction:
        hypotheses = [
            (self._vocabulary.decode(_text_ids(tokens)), float(log_prob))
            for tokens, log_prob in zip(decoded.tokens[row], decoded.log_probs[row], strict=True)
            if not np.isneginf(log_prob)
        ]
        (text, log_prob), *others = hypotheses
        return Prediction(text=text, log_prob=log_prob, alternatives=tuple(others))


def _fetch(decoded: Any) -> Any:
    """All rows as NumPy arrays, those on other processes' devices included."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(decoded, tiled=True)
    return jax.tree.map(np.asarray, decoded)


def _cut(row: Sequence[int], longest: int) -> Sequence[int]:
    """An input that ends in EOS, at most so long."""
    return row if len(row) <= longest else [*row[: longest - 1], EOS]


def _rows(batch: tuple[list[int], int]) -> np.ndarray:
    chosen, size = batch
    return np.array(chosen + [0] * (size - len(chosen)), np.int32)


def _text_ids(tokens: np.ndarray) -> list[int]:
    """Ids before EOS and without padding."""
    ended = np.flatnonzero(tokens == EOS)
    tokens = tokens[: ended[0]] if len(ended) else tokens
    return tokens[tokens > 0].tolist()
