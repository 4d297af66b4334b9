"""A model that is ready to be asked."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import ClassVar

import jax
import numpy as np

from closedbook.checkpoints import ModelCard
from closedbook.checkpoints.ctranslate2_folders import folder_of
from closedbook.errors import UserError
from closedbook.inference.ctranslate2_predictor import CTranslate2Predictor, opened
from closedbook.inference.predictor import Prediction, Predictor
from closedbook.inference.settings import ENGINES, DecodeSettings
from closedbook.models import network
from closedbook.models.families import Config, Network
from closedbook.models.parameters import Params
from closedbook.vocabulary.protocol import AnyVocabulary

_LONGEST = 512  # tokens of an input, where the card does not tell
BEAMS = DecodeSettings(method="beam", num_beams=4)


def no_numbers(what: str) -> UserError:
    """The error of a model that gives NaN or infinite scores for something."""
    return UserError(
        f"the model gives no numbers for {what} (NaN or infinite); its parameters are damaged, or "
        "overflow in its number type"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that is ready to be asked.

    Attributes:
        config: The network's, without dropout.
        params: On the default device.
        vocabulary: Of the training.
        card: What the checkpoint folder says of itself.
        step: The checkpoint's.
        engine: What answers, one of `inference.settings.ENGINES`. All else, such as taps, is JAX's.
    """

    packages: ClassVar[tuple[str, ...]] = ("jax", "flax", "numpy")  # that it runs on
    config: Config
    params: Params
    vocabulary: AnyVocabulary
    card: ModelCard
    step: int
    engine: str = "jax"

    @functools.cached_property
    def module(self) -> Network:
        """The network."""
        return network(self.config)

    @functools.cached_property
    def sha256(self) -> str:
        """The hash of parameters and vocabulary, in hexadecimals: which model it is."""
        digest = hashlib.sha256(self.card.vocabulary_sha256.encode())
        for path, value in jax.tree_util.tree_leaves_with_path(self.params):
            array = np.asarray(value)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def _predictors(self) -> dict[tuple[DecodeSettings, bool], Predictor]:
        return {}

    def predictor(self, settings: DecodeSettings | None = None, *, many: bool = False) -> Predictor:
        """A predictor for texts with their prefix; one per settings, with its programs, is kept.

        Args:
            settings: How to decode; 4 beams if None.
            many: Whether hundreds of texts come, so that programs are worth optimising: on a CPU
                seconds more at first, and half of the time for each text.

        Raises:
            UserError: The model has no room for answers of that length.
        """
        settings = settings or BEAMS
        if (settings, many) not in self._predictors:
            longest = self.card.lengths.get("inputs", _LONGEST)
            room = self.config.most_positions(after=settings.max_decode_length)
            if room is not None and room < 1:
                raise UserError(
                    f"DecodeSettings.max_decode_length is {settings.max_decode_length}, which "
                    "leaves no position for a prompt; give a smaller one"
                )
            longest = longest if room is None else min(longest, room)
            self._predictors[settings, many] = self._made(settings, longest, many)
        return self._predictors[settings, many]

    def _made(self, settings: DecodeSettings, longest: int, many: bool) -> Predictor:
        if kind := ENGINES[self.engine]:
            return CTranslate2Predictor(
                self.module,
                self.vocabulary,
                opened=lambda params: opened(folder_of(self.config, params, kind)),
                settings=settings,
                max_input_length=longest,
            )
        return Predictor(
            self.module,
            self.vocabulary,
            settings=settings,
            max_input_length=longest,
            quick_compile=not many,
            sets_aside=many,
            packs=many and not self.config.continues_prompt,
        )

    def ask(
        self,
        questions: Sequence[str],
        settings: DecodeSettings | None = None,
        *,
        params: Params | None = None,
        many: bool = False,
    ) -> list[Prediction]:
        """Answers to questions, the task's prefix added.

        A decoder-only model goes on with the question. Its answer is what it writes up to its
        first line break that follows text, or to its end; the log-probability is that of all
        that it wrote, because where it would have stopped is no event of its own.

        Of alternatives that read alike, such as hypotheses that part after their first line, the
        most probable one stays.

        The first call compiles; later ones with the same settings do not.

        Args:
            questions: Without prefix.
            settings: How to decode; 4 beams if None.
            params: Others of the same shapes, such as edited ones; the model's own if None.
            many: See `predictor`.
        """
        chosen = self.params if params is None else params
        found = self.predictor(settings, many=many).predict(chosen, self.texts(questions))
        if self.config.continues_prompt:
            found = [_first_lines(each) for each in found]
        return [_distinct(each) for each in found]

    def texts(self, questions: Sequence[str]) -> list[str]:
        """What the model reads of questions: with its prefix, and without needless blanks."""
        continues = self.config.continues_prompt
        # Lines of a prompt mean something; a blank at its end would be a token of its own.
        texts = [text.rstrip() if continues else " ".join(text.split()) for text in questions]
        return [self.card.prefix + text for text in texts]


def _first_lines(answer: Prediction) -> Prediction:
    """The first line of each hypothesis that has text in it."""

    def first(text: str) -> str:
        return next((line.strip() for line in text.splitlines() if line.strip()), "")

    def lines(hypotheses: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
        return tuple((first(text), log_prob) for text, log_prob in hypotheses)

    return dataclasses.replace(
        answer,
        text=first(answer.text),
        alternatives=lines(answer.alternatives),
        hypotheses=lines(answer.hypotheses),
    )


def _distinct(answer: Prediction) -> Prediction:
    """The answer without alternatives that read as it or as a more probable one."""
    best: dict[str, float] = {}
    for text, log_prob in answer.alternatives:
        best.setdefault(text, log_prob)
    best.pop(answer.text, None)
    return dataclasses.replace(answer, alternatives=tuple(best.items()))
