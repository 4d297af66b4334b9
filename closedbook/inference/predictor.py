"""Texts in, answers out: tokenises, sorts, pads, decodes, restores the order."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError
from closedbook.inference.decode import decode
from closedbook.inference.packing import dealt, packings_of
from closedbook.inference.protocol import Decoder
from closedbook.inference.quick_programs import quick_options
from closedbook.inference.score import score_candidates
from closedbook.inference.search import log_possible
from closedbook.inference.settings import DecodeSettings
from closedbook.inference.steps import Decoded
from closedbook.models import unboxed
from closedbook.models.parameters import Params

# Tokens; what is shorter is padded to it, so that few programs are compiled.
_SHORTEST = 16  # of an input
_SHORTEST_ANSWER = 8  # of an answer that is scored


class TextVocabulary(Protocol):
    """What is needed of a vocabulary; those of `closedbook.vocabulary` are such."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without EOS."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to EOS."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """An answer, its log-probability and the other hypotheses, best first."""

    text: str
    log_prob: float  # natural logarithm, summed over tokens, EOS included
    # As T5X's decoders give it: log_prob divided by the brevity penalty, but of samples log_prob.
    decoder_score: float
    alternatives: tuple[tuple[str, float], ...] = ()  # (text, log_prob)
    tokens: tuple[int, ...] = ()  # of the answer, as it was decoded, without EOS
    # (text, log_prob) of all that a beam search kept, the answer first; different sequences of
    # tokens, so that two may read alike. Empty for other methods, whose answers may repeat.
    hypotheses: tuple[tuple[str, float], ...] = ()
    log_possible: float | None = None  # logarithm of the number of answers that could be given
    cut_to: int | None = None  # tokens that were read of an input that is longer

    def beams(self) -> dict[str, Any] | None:
        """What predictions.jsonl holds of the hypotheses, for `closedbook calibrate`; or None."""
        if not self.hypotheses:
            return None
        texts, log_probs = zip(*self.hypotheses, strict=True)
        return {
            "texts": list(texts),
            "log_probs": list(log_probs),
            "log_possible": self.log_possible,
        }


def bucket(length: int, longest: int, shortest: int = _SHORTEST, *, finer: bool = False) -> int:
    """The padded length of a text: a power of two from `shortest` on, at most `longest`.

    Args:
        length: Of the text.
        longest: Of any text.
        shortest: What is padded least.
        finer: Whether there is a length in the middle between each two: a third more at most.

    >>> [bucket(n, 48) for n in (1, 16, 17, 33, 48)]
    [16, 16, 32, 48, 48]
    >>> [bucket(n, 128, finer=True) for n in (16, 17, 25, 33, 49)]
    [16, 24, 32, 48, 64]
    """
    size = shortest
    while size < length:
        if finer and size * 3 // 2 >= length:
            size = size * 3 // 2
            break
        size *= 2
    return min(size, longest)


class Predictor:
    """Answers texts with a network and parameters of any training step.

    Programs are compiled at first use, one for each pair of padded length (16, 24, 32, 48, 64, ...,
    `max_input_length`) and batch size (1, 8, 64, ..., `batch_size`); the smallest that fits is
    taken. Answers do not depend on the padding, on the order or on the batch that a text is in.

    Every call takes the parameters, as plain arrays or boxed with their axes; they may be
    sharded. Others of the same shapes compile nothing anew.

    Args:
        module: The network.
        vocabulary: Encodes the inputs and decodes the answers.
        settings: How to decode.
        max_input_length: Tokens of an input, EOS included; longer ones are cut: a T5's end goes,
            as in SeqIO, and the beginning of a prompt.
        batch_size: Rows decoded at once.
        batch_multiple: Batch sizes are multiples of this: the devices that share a batch.
        place: Puts a NumPy batch on the devices; as it is if None.
        fetch: Gives a tree of results as NumPy arrays, all rows of them; of one process if None.
        quick_compile: Spend less on optimising programs: worth it for a few questions.
        sets_aside: Whether a beam search leaves the few inputs of a batch that need it longest, to
            search them together: less work for hundreds of texts, and the same answers.
        packs: Whether texts share rows of the encoder, so that it reads hardly any padding: less
            work for dozens of texts, and the same answers. For a network that reads an input
            apart from its answer, on one device; programs are then of a number of rows, too.

    Attributes:
        settings: How to decode.
        decode_function: `inference.decode` with network and settings given, jitted.
        score_function: `inference.score_candidates` with the network given, jitted.
    """

    def __init__(
        self,
        module: Decoder,
        vocabulary: TextVocabulary,
        *,
        settings: DecodeSettings | None = None,
        max_input_length: int = 128,
        batch_size: int = 64,
        batch_multiple: int = 1,
        place: Callable[[np.ndarray], jax.Array] | None = None,
        fetch: Callable[[Any], Any] | None = None,
        quick_compile: bool = False,
        sets_aside: bool = False,
        packs: bool = False,
    ) -> None:
        for name, value in (("max_input_length", max_input_length), ("batch_size", batch_size)):
            if value < 1:
                raise UserError(f"Predictor.{name} is {value}; it must be at least 1")
        if batch_size % batch_multiple:
            raise UserError(
                f"Predictor.batch_size is {batch_size}; {batch_multiple} devices share a batch, "
                f"so it must be a multiple of {batch_multiple}"
            )
        self.settings = settings or DecodeSettings()
        self._module = module
        self._vocabulary = vocabulary
        self._longest = max_input_length
        self._batch_size = batch_size
        self._multiple = batch_multiple
        self._sets_aside = sets_aside and self.settings.method == "beam"
        self._packs = packs
        self._place = place or jnp.asarray
        self._fetch = fetch or (lambda results: jax.tree.map(np.asarray, results))
        # Programs of this object alone: logical axis rules are no part of jit's cache key.
        options = quick_options() if quick_compile else None
        jit = functools.partial(jax.jit, compiler_options=options)
        decoding = functools.partial(decode, module, self.settings)
        self.decode_function: Callable[..., Any] = jit(decoding)
        self._log_possible = log_possible(module, self.settings.max_decode_length)
        self.score_function: Callable[..., Any] = jit(functools.partial(score_candidates, module))

    def predict(self, params: Params, texts: Sequence[str]) -> list[Prediction]:
        """The answer to each text, in the order of the texts."""
        return self.predict_tokens(params, self._framed(texts))

    def predict_tokens(self, params: Params, inputs: Sequence[Sequence[int]]) -> list[Prediction]:
        """The answer to each input, given as ids, framed as the network wants it (EOS for T5)."""
        lengths = [len(row) for row in inputs]
        inputs = self._cut(inputs)
        answers: list[Any] = [None] * len(inputs)
        waiting: Sequence[int] = range(len(inputs))
        while waiting:
            batches = self._dealt(inputs, list(self._batches(inputs, waiting)))
            some_may_wait = self._sets_aside and len(waiting) > self._batch_size
            padded = [self._pad(inputs, batch) for batch in batches]
            pad_id = self._module.pad_id
            packings = packings_of(padded, pad_id) if self._packs else [None] * len(padded)
            arrays = (
                {
                    "encoder_input_tokens": tokens,
                    "rows": _rows(batch),
                    "leave": np.array(len(batch[0]) // 4 if some_may_wait else 0, np.int32),
                    "packing": packing,
                }
                for batch, tokens, packing in zip(batches, padded, packings, strict=True)
            )
            left = []
            found = self.predict_batches(params, arrays)
            for (chosen, _), decoded in zip(batches, found, strict=True):
                for row, number in enumerate(chosen):
                    if decoded.done is None or decoded.done[row]:
                        was_cut = lengths[number] > self._longest
                        answers[number] = self._prediction(decoded, row, was_cut)
                    else:
                        left.append(number)
            waiting = left
        return answers

    def token_rows(self, predictions: Sequence[Prediction]) -> np.ndarray:
        """Predictions as a decoder writes them: EOS where there is room for it, then padding.

        Returns:
            int32 [predictions, tokens of the longest answer that the settings allow].
        """
        length, pad_id = self.settings.max_decode_length, self._module.pad_id
        rows = np.full((len(predictions), length), pad_id, np.int32)
        for row, prediction in zip(rows, predictions, strict=True):
            ids = [*prediction.tokens, self._module.eos_id][:length]
            row[: len(ids)] = ids
        return rows

    def predict_batches(
        self, params: Params, batches: Iterable[Mapping[str, Any]]
    ) -> Iterator[Decoded]:
        """Decodes batches of tokens; results are NumPy arrays, in the order of the batches.

        Args:
            params: The network's parameters.
            batches: Each with `encoder_input_tokens` int32 [batch, inputs], and optionally
                `rows` [batch], numbers of the inputs on which samples depend (0, 1, ... over
                all batches if missing), `leave`, with `sets_aside`: see `beam_search`, and
                `packing`, how they share rows of the encoder. Other keys are left alone.
        """
        params, waiting = unboxed(params), None
        seen = 0
        for batch in batches:
            tokens = batch["encoder_input_tokens"]
            rows = batch.get("rows", np.arange(seen, seen + len(tokens), dtype=np.int32))
            seen += len(tokens)
            leave = (batch.get("leave", np.array(0, np.int32)),) if self._sets_aside else ()
            packing = batch.get("packing")
            packings = {} if packing is None else {"packing": packing}
            running = self.decode_function(
                params, self._place(tokens), self._place(rows), *leave, **packings
            )
            # The next batch is prepared while the devices work on this one.
            if waiting is not None:
                yield self._fetch(waiting)
            waiting = running
        if waiting is not None:
            yield self._fetch(waiting)

    def score_candidates(
        self, params: Params, texts: Sequence[str], candidates: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Log-probabilities of several given answers to each text, EOS included.

        Args:
            params: The network's parameters.
            texts: Each is encoded once.
            candidates: The answers to each text; any number of them.
        """
        if len(texts) != len(candidates):
            raise UserError(f"{len(texts)} inputs but {len(candidates)} lists of candidates")
        flat = self._vocabulary.encode_batch([c for row in candidates for c in row])
        rest = iter(flat)
        targets = [[[*next(rest), self._module.eos_id] for _ in row] for row in candidates]
        return self.score_tokens(params, self.inputs(texts), targets)

    def score_tokens(
        self,
        params: Params,
        inputs: Sequence[Sequence[int]],
        candidates: Sequence[Sequence[Sequence[int]]],
    ) -> list[list[float]]:
        """Log-probabilities of given answers, as ids: what a text loses by them is not lost here.

        Args:
            params: The network's parameters.
            inputs: Ids, framed as for `predict_tokens`; what is longer than `max_input_length` is
                cut.
            candidates: For each input the ids of its answers, EOS included where it counts.
        """
        if len(inputs) != len(candidates):
            raise UserError(f"{len(inputs)} inputs but {len(candidates)} lists of candidates")
        params, pad_id = unboxed(params), self._module.pad_id
        inputs, targets = self._cut(inputs), candidates
        scores: list[list[float]] = [[] for _ in inputs]
        for batch in self._batches(inputs, range(len(inputs))):
            chosen, size = batch
            width = bucket(max(len(targets[n]) for n in chosen), 2**30, shortest=1)
            length = max((len(t) for n in chosen for t in targets[n]), default=1)
            shape = (size, width, bucket(length, 2**30, shortest=_SHORTEST_ANSWER))
            tokens = np.full(shape, pad_id, np.int32)
            for row, number in enumerate(chosen):
                for column, target in enumerate(targets[number]):
                    tokens[row, column, : len(target)] = target
            source = self._place(self._pad(inputs, batch))
            found = self._fetch(self.score_function(params, source, self._place(tokens)))
            for row, number in enumerate(chosen):
                scores[number] = found[row, : len(targets[number])].tolist()
        return scores

    def input_shapes(self) -> list[tuple[int, int]]:
        """All shapes (rows, tokens) of a batch of inputs: `decode_function` has a program each."""
        rows = sorted({self._batch_rows(count) for count in range(1, self._batch_size + 1)})
        lengths = _buckets(self._longest, _SHORTEST, finer=True)
        return [(size, length) for size in rows for length in lengths]

    def answer_lengths(self, longest: int) -> list[int]:
        """All padded lengths of answers of up to `longest` tokens that are scored."""
        return _buckets(bucket(longest, 2**30, _SHORTEST_ANSWER), _SHORTEST_ANSWER)

    def inputs(self, texts: Sequence[str]) -> list[Sequence[int]]:
        """Ids of each text as the network reads them: framed, and cut to `max_input_length`."""
        return self._cut(self._framed(texts))

    def _framed(self, texts: Sequence[str]) -> list[Sequence[int]]:
        ids = self._vocabulary.encode_batch(list(texts))
        return [self._module.framed(row) for row in ids]

    def _cut(self, inputs: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """Inputs of at most `max_input_length` ids."""
        cut, longest = self._module.cut, self._longest
        return [row if len(row) <= longest else cut(row, longest) for row in inputs]

    def _batches(
        self, inputs: Sequence[Sequence[int]], numbers: Sequence[int]
    ) -> Iterator[tuple[list[int], int]]:
        """Numbers of the inputs of each batch, of like lengths, and its padded size.

        Args:
            inputs: All of them.
            numbers: Those to put into batches.
        """
        order = sorted(numbers, key=lambda number: len(inputs[number]))
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            yield chosen, self._batch_rows(len(chosen))

    def _dealt(
        self, inputs: Sequence[Sequence[int]], batches: list[tuple[list[int], int]]
    ) -> list[tuple[list[int], int]]:
        """Batches of `_batches`; where rows are shared, so that few programs are compiled."""
        if not self._packs or not batches:
            return batches
        chosen = [numbers for numbers, _ in batches]
        widths = [self._width(inputs, numbers) for numbers in chosen]
        return [(each, self._batch_rows(len(each))) for each in dealt(chosen, widths)]

    def _width(self, inputs: Sequence[Sequence[int]], chosen: Sequence[int]) -> int:
        """The padded length of a batch."""
        return bucket(max(len(inputs[number]) for number in chosen), self._longest, finer=True)

    def _batch_rows(self, count: int) -> int:
        """The rows of the smallest batch that holds so many inputs."""
        size = 1
        while size < count:
            size *= 8
        return min(-(-size // self._multiple) * self._multiple, self._batch_size)

    def _pad(self, inputs: Sequence[Sequence[int]], batch: tuple[list[int], int]) -> np.ndarray:
        chosen, size = batch
        tokens = np.full((size, self._width(inputs, chosen)), self._module.pad_id, np.int32)
        for row, number in enumerate(chosen):
            tokens[row, : len(inputs[number])] = inputs[number]
        return tokens

    def _prediction(self, decoded: Decoded, row: int, was_cut: bool) -> Prediction:
        hypotheses = [
            # Rounding may lift a certain answer above 1.
            (self._vocabulary.decode(self._text_ids(tokens)), min(float(log_prob), 0.0))
            for tokens, log_prob in zip(decoded.tokens[row], decoded.log_probs[row], strict=True)
            if not np.isneginf(log_prob)
        ]
        (text, log_prob), *others = hypotheses
        beams, sampled = (self.settings.method == each for each in ("beam", "sample"))
        return Prediction(
            text=text,
            log_prob=log_prob,
            decoder_score=log_prob if sampled else min(float(decoded.scores[row, 0]), 0.0),
            alternatives=tuple(others),
            tokens=tuple(self._text_ids(np.asarray(decoded.tokens[row, 0]))),
            hypotheses=tuple(hypotheses) if beams else (),
            log_possible=self._log_possible if beams else None,
            cut_to=self._longest if was_cut else None,
        )

    def _text_ids(self, tokens: np.ndarray) -> list[int]:
        """Ids before EOS and without padding."""
        ended = np.flatnonzero(tokens == self._module.eos_id)
        tokens = tokens[: ended[0]] if len(ended) else tokens
        return tokens[tokens != self._module.pad_id].tolist()


def _buckets(longest: int, shortest: int, *, finer: bool = False) -> list[int]:
    lengths = range(1, longest + 1)
    return sorted({bucket(length, longest, shortest, finer=finer) for length in lengths})


def _rows(batch: tuple[list[int], int]) -> np.ndarray:
    chosen, size = batch
    return np.array(chosen + [0] * (size - len(chosen)), np.int32)
