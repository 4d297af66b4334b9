"""Examples to look for triggers in: texts as a model's own task makes them.

| model | the encoder reads | the decoder reads |
|---|---|---|
| a T5 that answers questions | its prefix and the question | the answer |
| a T5 that fills gaps | a sentence with a gap | what is in the gap |
| a decoder-only model | (has none) | a sentence |
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.text_files import TextFiles
from closedbook.knowledge.probing.prompts import Prompting, Way
from closedbook.tasks import rows
from closedbook.tasks.atlas import corpus as atlas
from closedbook.tasks.spans.sentences import Sentence
from closedbook.vocabulary import sentinel

ATLAS = "atlas"
TAGGER = "dates"  # needs no model
_LONGEST = 512  # tokens of a text, where neither the card nor the model tells
_AT_ONCE = 256  # texts that are tokenised together
_NEM_PREFIX, _NEM_MASK = "nem: ", "_X_"
MADE: dict[Way, str] = {
    "question": "questions with the model's prefix as inputs, answers as targets",
    "sentinels": "sentences with <extra_id_0> for one span as inputs, T5's targets",
    "bare": "sentences with <extra_id_0> for one span as inputs, the bare span as target",
    "nem": "sentences with _X_ for one span after 'nem: ' as inputs, the bare span as target",
    "continuation": "sentences, each alone",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """Examples that can be read again and again, always in the same order.

    Attributes:
        name: As the user gave it.
        way: How texts are put to the model.
        examples: Begins to read them.
        total: How many there are likely to be, told after some have been read; 0: not known.
    """

    name: str
    way: Way
    examples: Callable[[], Iterator[Example]]
    total: Callable[[int], int] = lambda read: 0


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
    prompting = Prompting.of(model, way)
    make, way = _Maker(model, prompting), prompting.way
    if name == ATLAS:

        def pairs() -> Iterator[_Pair]:
            return _atlas_questions() if way == "question" else _pairs(_atlas_sentences(), way)

        many = sum(1 for _ in pairs())
        return make.corpus(name, pairs, lambda _: many)
    if way == "question":
        asked = _questions(name)
        return make.corpus(name, lambda: iter(asked), lambda _: len(asked))
    text = TextFiles(name, None if way == "continuation" else tagger)
    return make.corpus(
        name,
        lambda: _pairs(((each, "") for each in text.sentences()), way),
        lambda read: round(read / text.share) if text.share > 0 else 0,
    )


@dataclasses.dataclass(frozen=True)
class _Pair:
    """The texts of an example."""

    inputs: str
    targets: str
    fact: str = ""


class _Maker:
    """Turns texts into examples of one model."""

    def __init__(self, model: LoadedModel, prompting: Prompting) -> None:
        self._model, self._way = model, prompting.way
        lengths, room = model.card.lengths, model.config.most_positions(after=1)
        self._inputs, self._targets = (
            min(lengths.get(side, _LONGEST), room or _LONGEST) for side in ("inputs", "targets")
        )

    def corpus(
        self, name: str, pairs: Callable[[], Iterator[_Pair]], total: Callable[[int], int]
    ) -> Corpus:
        return Corpus(name=name, way=self._way, examples=lambda: self._read(pairs()), total=total)

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
        targets = encode([pair.targets for pair in pairs])
        if self._model.config.continues_prompt:
            for pair, ids in zip(pairs, targets, strict=True):
                if not ids:
                    continue
                # The first tokens are kept, since a prefix begins at a text's beginning.
                kept = tuple(module.framed(ids)[: self._targets])
                yield Example(inputs=(), targets=kept, fact=pair.fact)
            return
        prefix = self._model.card.prefix if self._way == "question" else ""
        inputs = encode([prefix + pair.inputs for pair in pairs])
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
