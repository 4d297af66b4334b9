"""A trained model by its path alone: parameters, vocabulary, habits."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Sequence

import jax

from closedbook.checkpoints import (
    Checkpoint,
    ModelCard,
    load_params,
    open_checkpoint,
    recognise,
)
from closedbook.checkpoints.card import GIVE_VOCABULARY, check_fits
from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.errors import UserError
from closedbook.inference.predictor import Prediction, Predictor
from closedbook.inference.settings import DecodeSettings
from closedbook.models import abstract_parameters, network
from closedbook.models.families import Config, Network
from closedbook.models.parameters import Params
from closedbook.vocabulary import EXTRA_IDS
from closedbook.vocabulary.protocol import AnyVocabulary

_log = logging.getLogger(__name__)
DEFAULT_MODEL = "closedbook://atlas_qa"  # the packaged model that answers questions
_LONGEST = 512  # tokens of an input, where the card does not tell
BEAMS = DecodeSettings(method="beam", num_beams=4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that is ready to be asked.

    Attributes:
        config: The network's, without dropout.
        params: On the default device.
        vocabulary: Of the training.
        card: What the checkpoint folder says of itself.
        step: The checkpoint's.
    """

    config: Config
    params: Params
    vocabulary: AnyVocabulary
    card: ModelCard
    step: int

    @functools.cached_property
    def module(self) -> Network:
        """The network."""
        return network(self.config)

    @functools.cached_property
    def _predictors(self) -> dict[DecodeSettings, Predictor]:
        return {}

    def predictor(self, settings: DecodeSettings = BEAMS) -> Predictor:
        """A predictor for texts with their prefix; one per settings, with its programs, is kept.

        Args:
            settings: How to decode.

        Raises:
            UserError: The model has no room for answers of that length.
        """
        if settings not in self._predictors:
            longest = self.card.lengths.get("inputs", _LONGEST)
            room = self.config.most_positions(after=settings.max_decode_length)
            if room is not None and room < 1:
                raise UserError(
                    f"DecodeSettings.max_decode_length is {settings.max_decode_length}, which "
                    "leaves no position for a prompt; give a smaller one"
                )
            self._predictors[settings] = Predictor(
                self.module,
                self.vocabulary,
                settings=settings,
                max_input_length=longest if room is None else min(longest, room),
                quick_compile=True,
            )
        return self._predictors[settings]

    def ask(self, questions: Sequence[str], settings: DecodeSettings = BEAMS) -> list[Prediction]:
        """Answers to questions, the task's prefix added.

        A decoder-only model goes on with the question. Its answer is what it writes up to its
        first line break that follows text, or to its end; the log-probability is that of all
        that it wrote, because where it would have stopped is no event of its own.

        The first call compiles; later ones with the same settings do not.

        Args:
            questions: Without prefix.
            settings: How to decode.
        """
        continues = self.config.continues_prompt
        # Lines of a prompt mean something; a blank at its end would be a token of its own.
        texts = [text.rstrip() if continues else " ".join(text.split()) for text in questions]
        texts = [self.card.prefix + text for text in texts]
        found = self.predictor(settings).predict(self.params, texts)
        return [_first_lines(each) for each in found] if continues else found


def _first_lines(answer: Prediction) -> Prediction:
    """The first line of each hypothesis that has text in it."""

    def first(text: str) -> str:
        return next((line.strip() for line in text.splitlines() if line.strip()), "")

    others = tuple((first(text), log_prob) for text, log_prob in answer.alternatives)
    return dataclasses.replace(answer, text=first(answer.text), alternatives=others)


def load_model(
    path: str | pathlib.Path = DEFAULT_MODEL,
    *,
    vocabulary: str | pathlib.Path | None = None,
    extra_ids: int | None = None,
    prefix: str | None = None,
) -> LoadedModel:
    """Loads a T5 of any format, a model that `t5x train` wrote, or a packaged one.

    GPT-2 and Llama are loaded from Hugging Face's folders, GGUF files and closedbook's own.

    Args:
        path: A folder or file, "gs://...", "hf://organisation/name" or "closedbook://NAME"; see
            `closedbook.checkpoints.open_checkpoint`.
        vocabulary: A SentencePiece model, or a folder or tokenizer.json of byte pairs, for
            checkpoints that come without one.
        extra_ids: Sentinels after the pieces of that file; 100 if None.
        prefix: Text before each question; None for what the model was trained with, where its
            `model.json` or the name of a published model tells.

    Raises:
        UserError: There is no such model, its vocabulary is missing or another than the card's,
            or its parameters are not those of a model that closedbook knows.
    """
    checkpoint = open_checkpoint(path)
    config = recognise(checkpoint)
    words = _vocabulary(checkpoint, vocabulary, extra_ids)
    check_fits(
        words.vocab_size,
        config.vocab_size,
        vocabulary=words.path,
        embedding=checkpoint.params["token_embedder/embedding"].place,
        known=checkpoint.card is not None and vocabulary is None,
    )
    card = checkpoint.card or ModelCard(
        config=config, vocabulary_sha256=words.sha256, extra_ids=words.extra_ids
    )
    if prefix is None and checkpoint.prefix and not checkpoint.card:
        _log.info(
            "questions get the prefix %r, as the name of the model says; --prefix sets another",
            checkpoint.prefix,
        )
    prefix = checkpoint.prefix if prefix is None else prefix
    card = dataclasses.replace(card, prefix=prefix or "")
    config = dataclasses.replace(config, dropout_rate=0.0, remat_policy="none")
    if jax.default_backend() == "cpu":  # which has to emulate bfloat16 and is slower with it
        config = dataclasses.replace(config, dtype="float32")
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        abstract_parameters(config),
    )
    params = load_params(checkpoint, wanted)
    return LoadedModel(
        config=config, params=params, vocabulary=words, card=card, step=checkpoint.step or 0
    )


def _vocabulary(
    checkpoint: Checkpoint, given: str | pathlib.Path | None, extra_ids: int | None
) -> AnyVocabulary:
    if given is not None:
        path = given if "://" in str(given) else pathlib.Path(given).expanduser()
        return open_vocabulary(path, EXTRA_IDS if extra_ids is None else extra_ids)
    if extra_ids is not None:
        raise UserError("extra ids belong to a vocabulary; give --vocabulary FILE with them")
    if checkpoint.vocabulary is None:
        raise UserError(f"{checkpoint.path} comes without a vocabulary; {GIVE_VOCABULARY}")
    vocabulary = open_vocabulary(checkpoint.vocabulary, checkpoint.extra_ids)
    card = checkpoint.card
    if card and vocabulary.sha256 != card.vocabulary_sha256:
        raise UserError(
            f"{checkpoint.vocabulary} is not the vocabulary that model.json names (sha256 "
            f"{card.vocabulary_sha256[:12]}...); restore the file of the training"
        )
    return vocabulary
