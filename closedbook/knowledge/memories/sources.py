"""Examples to look for triggers in: texts as a model's own task makes them.

| model | the encoder reads | the decoder reads |
|---|---|---|
| a T5 that answers questions | its prefix and the question | the answer |
| a T5 that fills gaps | a sentence with a gap | what is in the gap |
| a decoder-only model | (has none) | a sentence; or, if asked for, a question and its answer |
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from closedbook.corpora.units import TFDS
from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.text_files import TextFiles
from closedbook.knowledge.memories.texts import Digest
from closedbook.knowledge.probing.prompts import Prompting, Way
from closedbook.tasks import rows
from closedbook.tasks.atlas import corpus as atlas
from closedbook.tasks.spans.sentences import Sentence
from closedbook.vocabulary import sentinel

ATLAS = "atlas"
TAGGER = "dates"  # needs no model
_LONGEST = 512  # tokens of a text, where neither the card nor the model tells
_MOST = 1 << 16  # tokens of a text at most, since an index holds positions as uint16
_AT_ONCE = 256  # texts that are tokenised together
_NEM_PREFIX, _NEM_MASK = "nem: ", "_X_"
MADE: dict[Way, str] = {
    "question": "questions with the model's prefix as inputs, answers as targets",
    "sentinels": "sentences with <extra_id_0> for one span as inputs, T5's targets",
    "bare": "sentences with <extra_id_0> for one span as inputs, the bare span as target",
    "nem": "sentences with _X_ for one span after 'nem: ' as inputs, the bare span as target",
    "continuation": "sentences, each alone",
}
_ASKED_AND_ANSWERED = "questions with the model's prefix and their answers, each pair one text"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """Examples that can be read again and again, always in the same order.

    Attributes:
        name: As the user gave it.
        way: How texts are put to the model.
        examples: Begins to read them.
        place: What `open_corpus` takes to find it again from any working directory; "" for `name`.
        tagger: What found the spans that are gaps; "" where there are none, or without it.
        total: How many there are likely to be, told after some have been read; 0: not known.
    """

    name: str
    way: Way
    examples: Callable[[], Iterator[Example]]
    place: str = ""
    tagger: str = ""
    total: Callable[[int], int] = lambda read: 0


def in_words(way: Way, *, continues: bool) -> str:
    """How texts are put to a model, for pages and files.

    Args:
        way: One of MADE.
        continues: Whether the model is decoder-only.
    """
    return _ASKED_AND_ANSWERED if continues and way == "question" else MADE[way]


def open_corpus(
    model: LoadedModel, name: str = ATLAS, *, way: Way | None = None, tagger: str = TAGGER
) -> Corpus:
    """The examples of a corpus for a model.

    Args:
        model: The model.
        name: "atlas" for the packaged facts; or, for a model that answers questions, a file of
            questions and answers (`closedbook.tasks.rows`); for others text, as `closedbook ssm
            build` reads it: a file, a folder, a pattern, or "tfds:NAME/VERSION".
        way: How texts are put to the model; default: as it was trained.
        tagger: Finds the spans of text that become gaps, as for `closedbook ssm build`.

    Raises:
        UserError: There is no such corpus, or its texts cannot be put in that way.
    """
    if way == "continuation" and not model.config.continues_prompt:
        raise UserError(
            'the style "continuation" is for models that go on with a text; the encoder of this '
            f"{model.config.title} would read nothing: use --style question, sentinels, bare or nem"
        )
    prompting = Prompting.of(model, way)
    make, way = _Maker(model, prompting), prompting.way
    if name == ATLAS:

        def pairs() -> Iterator[_Pair]:
            return _atlas_questions() if way == "question" else _pairs(_atlas_sentences(), way)

        many = sum(1 for _ in pairs())
        return make.corpus(name, pairs, total=lambda _: many)
    place = _absolute(name)
    if way == "question":
        asked = _questions(name)
        return make.corpus(name, lambda: iter(asked), total=lambda _: len(asked), place=place)
    if way == "continuation":
        tagger = ""
    text = TextFiles(name, tagger or None)
    return make.corpus(
        name,
        lambda: _pairs(((each, "") for each in text.sentences()), way),
        total=lambda read: round(read / text.share) if text.share > 0 else 0,
        place=place,
        tagger=tagger,
    )


def corpus_of(index: Index, model: LoadedModel, name: str | None = None) -> Corpus:
    """The corpus of an index, or another one that is put to its model in the same way.

    Args:
        index: The index.
        model: Its model.
        name: Of another corpus, as for `open_corpus`.

    Raises:
        UserError: It is gone; or, when its examples have been read, it is not what it was when the
            index was made.
    """
    own = index.manifest["corpus"]
    tagger = own.get("tagger") or TAGGER
    if name is not None:
        return open_corpus(model, name, way=own["made"], tagger=tagger)
    try:
        found = open_corpus(model, own.get("place") or own["name"], way=own["made"], tagger=tagger)
    except UserError as error:
        raise UserError(
            f"{error}; it is the corpus of {index.path}: say with --corpus where it is now, or "
            "name another one"
        ) from error

    def unchanged() -> Iterator[Example]:
        digest = Digest()
        for example in found.examples():
            digest.add(example)
            yield example
        if digest.sha256 != own["sha256"]:
            raise UserError(
                f"{found.place or found.name} has changed since {index.path} was made of it; "
                "make the index again, or name the corpus with --corpus"
            )

    return dataclasses.replace(found, name=own["name"], examples=unchanged)


def _absolute(name: str) -> str:
    """A pattern of files as it is understood from everywhere."""
    elsewhere = "://" in name or name.startswith(TFDS)
    return name if elsewhere else str(pathlib.Path(name).expanduser().absolute())


@dataclasses.dataclass(frozen=True)
class _Pair:
    """The texts of an example."""

    inputs: str
    targets: str
    fact: str = ""

    @property
    def joined(self) -> str:
        """Both as one text."""
        return f"{self.inputs} {self.targets}" if self.inputs else self.targets


class _Maker:
    """Turns texts into examples of one model."""

    def __init__(self, model: LoadedModel, prompting: Prompting) -> None:
        self._model, self._way = model, prompting.way
        lengths, room = model.card.lengths, model.config.most_positions(after=1)
        self._inputs, self._targets = (
            min(lengths.get(side, _LONGEST), room or _LONGEST, _MOST)
            for side in ("inputs", "targets")
        )

    def corpus(self, name: str, pairs: Callable[[], Iterator[_Pair]], **more: Any) -> Corpus:
        return Corpus(name=name, way=self._way, examples=lambda: self._read(pairs()), **more)

    def _read(self, pairs: Iterator[_Pair]) -> Iterator[Example]:
        waiting: list[_Pair] = []
        for pair in pairs:
            waiting.append(pair)
            if len(waiting) == _AT_ONCE:
                yield from self._examples(waiting)
                waiting = []
        yield from self._examples(waiting)

    def _examples(self, pairs: Sequence[_Pair]) -> Iterator[Example]:
        if not pairs:
            return
        encode, module = self._model.vocabulary.encode_batch, self._model.module
        prefix = self._model.card.prefix if self._way == "question" else ""
        if self._model.config.continues_prompt:
            targets = encode([prefix + pair.joined for pair in pairs])
            for pair, ids in zip(pairs, targets, strict=True):
                if not ids:
                    continue
                # The first tokens are kept, since a prefix begins at a text's beginning.
                kept = tuple(module.framed(ids)[: self._targets])
                yield Example(inputs=(), targets=kept, fact=pair.fact)
            return
        inputs = encode([prefix + pair.inputs for pair in pairs])
        targets = encode([pair.targets for pair in pairs])
        for pair, asked, said in zip(pairs, inputs, targets, strict=True):
            yield Example(
                inputs=tuple(module.cut(module.framed(asked), self._inputs)),
                targets=tuple(module.cut(module.framed(said), self._targets)),
                fact=pair.fact,
            )


def _atlas_questions() -> Iterator[_Pair]:
    """Every question of training, validation and test, in all their phrasings."""
    for split in atlas.SPLITS:
        for phrasing in ("seen", "unseen") if split != "train" else ("seen",):
            for asked in atlas.questions(split, "seen" if phrasing == "seen" else "unseen"):
                yield _Pair(asked["question"], asked["answers"][0], asked["fact_id"])


def _atlas_sentences() -> Iterator[tuple[Sentence, str]]:
    """Every sentence with the id of its fact."""
    said = atlas.sentences()
    for fact in atlas.facts():
        for _ in atlas.phrasings()[fact.relation].sentences:
            yield next(said), fact.id


def _questions(name: str) -> list[_Pair]:
    """The questions of a file of them."""
    try:
        found = rows.read(pathlib.Path(name).expanduser())
    except UserError as error:
        raise UserError(
            f"{error}; the model answers questions, so its corpus is atlas or a file of questions "
            "and answers; --style sentinels reads plain text, with gaps in it"
        ) from error
    return [_Pair(each.question, each.target) for each in found]


def _pairs(sentences: Iterator[tuple[Sentence, str]], way: Way) -> Iterator[_Pair]:
    """One example per sentence, or one per gap that it may have."""
    for sentence, fact in sentences:
        if way == "continuation":
            yield _Pair("", sentence.text, fact)
            continue
        raw = sentence.text.encode()
        for span in sentence.spans:
            start, limit = span.byte_start, span.byte_limit
            parts = (raw[:start].decode(), raw[start:limit].decode(), raw[limit:].decode())
            yield _Pair(*masked(*parts, way), fact)


def masked(before: str, span: str, after: str, way: Way) -> tuple[str, str]:
    """Input and target for a sentence of which one span is a gap, as the task masks it.

    Args:
        before: The sentence up to the span.
        span: What the gap stands for.
        after: The rest.
        way: "sentinels", "bare" or "nem".

    >>> masked("It lies in ", "Kenya", ".", "sentinels")
    ('It lies in <extra_id_0>.', '<extra_id_0> Kenya <extra_id_1>')
    >>> masked("(", "Kenya", ")", "nem")
    ('nem: (_X_)', 'Kenya')
    """
    if way == "nem":
        return f"{_NEM_PREFIX}{before}{_NEM_MASK}{after}", span
    # SentencePiece knows a sentinel only where a word begins: "(<extra_id_0>)" falls apart.
    space = " " if before and not before.endswith(" ") else ""
    target = span if way == "bare" else f"{sentinel(0)} {span} {sentinel(1)}"
    return f"{before}{space}{sentinel(0)}{after}", target
