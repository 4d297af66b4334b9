"""Answers by CTranslate2 on the CPU, where a `Predictor` answers by JAX."""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.inference.predictor import Prediction, Predictor, TextVocabulary
from closedbook.inference.protocol import Decoder
from closedbook.inference.settings import DecodeSettings
from closedbook.inference.steps import Decoded
from closedbook.models import unboxed
from closedbook.models.parameters import Params


class CTranslate2Predictor(Predictor):
    """A `Predictor` whose network runs in CTranslate2; texts, answers and scores are the same.

    Greedy answers in float32 are those of JAX. A beam search is CTranslate2's: it keeps what is
    most probable, divided by length ** alpha, and stops at the first `num_beams` that have ended;
    the answers that have ended, or all where none has, are then ranked by the settings' own
    penalty. Nothing is compiled.

    Args:
        module: The network; says how inputs are framed, and which ids end and fill up.
        vocabulary: Encodes the inputs and decodes the answers.
        opened: Opens the model of given parameters, `ctranslate2.Translator`.
        settings: How to decode: "greedy" or "beam", by T5X's rules.
        max_input_length: Tokens of an input, as for `Predictor`.
        batch_size: Rows decoded at once.
        between: Called between batches; what it raises ends the answering.

    Raises:
        UserError: The settings ask for samples, or for the rules of another search.
    """

    def __init__(
        self,
        module: Decoder,
        vocabulary: TextVocabulary,
        *,
        opened: Callable[[Params], Any],
        settings: DecodeSettings | None = None,
        max_input_length: int = 128,
        batch_size: int = 64,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            module,
            vocabulary,
            settings=settings,
            max_input_length=max_input_length,
            batch_size=batch_size,
        )
        if self.settings.method == "sample":
            raise UserError(
                "the engine ctranslate2 draws no samples; use greedy decoding or a beam search, or "
                "the engine jax"
            )
        if self.settings.beam_rules != "t5x":
            raise UserError(
                f"the engine ctranslate2 knows no DecodeSettings.beam_rules "
                f"{self.settings.beam_rules!r}; use the engine jax"
            )
        self._opened = opened
        self._between = between
        self._last: tuple[Params, Any] | None = None

    def _model(self, params: Params) -> Any:
        """The model of these parameters; that of the last ones is kept."""
        if self._last is None or self._last[0] is not params:
            self._last = None  # before the next one is read: memory for one is enough
            self._last = (params, self._opened(unboxed(params)))
        return self._last[1]

    def predict_tokens(self, params: Params, inputs: Sequence[Sequence[int]]) -> list[Prediction]:
        """As `Predictor.predict_tokens`."""
        model = self._model(params)
        lengths = [len(row) for row in inputs]
        inputs = self._cut(inputs)
        answers: list[Any] = [None] * len(inputs)
        for chosen, _ in self._batches(inputs, range(len(inputs))):
            self._between()
            decoded = self._decode(model, [inputs[number] for number in chosen])
            for row, number in enumerate(chosen):
                was_cut = lengths[number] > self._longest
                answers[number] = self._prediction(decoded, row, was_cut)
        return answers

    def _decode(self, model: Any, inputs: Sequence[Sequence[int]]) -> Decoded:
        """Answers to a batch, as `decode` gives them."""
        settings, alpha = self.settings, self.settings.alpha
        beams, length = settings.num_beams, settings.max_decode_length
        greedy = settings.method == "greedy"
        found = model.translate_batch(
            [_names(row, "in") for row in inputs],
            beam_size=beams,
            num_hypotheses=beams,
            length_penalty=0.0 if greedy else alpha,
            max_input_length=0,
            min_decoding_length=0,
            max_decoding_length=length,
            return_scores=True,
            return_end_token=True,
        )
        shape = (len(inputs), beams)
        tokens = np.full((*shape, length), self._module.pad_id, np.int32)
        log_probs = np.full(shape, -np.inf, np.float32)
        scores = np.full(shape, -np.inf, np.float32)
        for row, result in enumerate(found):
            kept = []
            for names, score in zip(result.hypotheses, result.scores, strict=True):
                ids = [int(name) for name in names]
                # CTranslate2 gives log-probabilities divided by its own penalty.
                log_prob = score if greedy else score * max(len(ids), 1) ** alpha
                kept.append((log_prob / ((5.0 + len(ids)) / 6.0) ** alpha, log_prob, ids))
            # As in T5X, what has not ended counts where nothing has.
            ended = [each for each in kept if each[2][-1:] == [self._module.eos_id]]
            kept = sorted(ended or kept, key=lambda each: -each[0])
            for place, (score, log_prob, ids) in enumerate(kept):
                tokens[row, place, : len(ids)] = ids
                log_probs[row, place], scores[row, place] = log_prob, score
        return Decoded(tokens, log_probs, scores)  # type: ignore[arg-type]

    def score_tokens(
        self,
        params: Params,
        inputs: Sequence[Sequence[int]],
        candidates: Sequence[Sequence[Sequence[int]]],
    ) -> list[list[float]]:
        """As `Predictor.score_tokens`."""
        model, inputs = self._model(params), self._cut(inputs)
        scores: list[list[float]] = [[0.0] * len(each) for each in candidates]
        pairs = [
            (number, place)
            for number, of_input in enumerate(candidates)
            for place, target in enumerate(of_input)
            if target
        ]
        for start in range(0, len(pairs), self._batch_size):
            self._between()
            batch = pairs[start : start + self._batch_size]
            found = model.score_batch(
                [_names(inputs[number], "in") for number, _ in batch],
                [_names(candidates[number][place]) for number, place in batch],
                max_input_length=0,
            )
            for (number, place), result in zip(batch, found, strict=True):
                # CTranslate2 adds an end of its own after the target.
                counted = len(candidates[number][place])
                scores[number][place] = float(sum(result.log_probs[:counted]))
        return scores


def opened(folder: pathlib.Path) -> Any:
    """The `ctranslate2.Translator` of a folder, on all cores of the CPU.

    Raises:
        UserError: The folder is damaged.
    """
    import ctranslate2

    try:
        return ctranslate2.Translator(str(folder), device="cpu", intra_threads=_cores())
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"CTranslate2 cannot open {folder}: {error}; delete that folder, it is made again"
        ) from error


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: those that this process may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _names(ids: Sequence[int], before: str = "") -> list[str]:
    return [f"{before}{number}" for number in ids]
