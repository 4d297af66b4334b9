"""How a fact is put to a model, and how its candidates are to be written: as the model was trained.

| way | a prompt | a candidate |
|---|---|---|
| question | the model's prefix and the question | the answer, and the end of the text |
| sentinels | a sentence with `<extra_id_0>` for the object | it between sentinels, as T5 does |
| bare | the same | the object, and the end of the text |
| nem | `nem: ` and a sentence with `_X_` for the object | the object, and the end of the text |
| continuation | a sentence up to where the object begins | the object, whatever follows |
| sentence | a sentence (`families`) | the object in its place; the whole is scored |
| mask | a sentence with masks for the object (`families`) | its pieces, one per mask |
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from closedbook.errors import UserError, unknown_name
from closedbook.inference.protocol import Decoder
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.scoring import Answers, CandidateScorer
from closedbook.tasks import specs
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact, Relation, Style
from closedbook.vocabulary import sentinel
from closedbook.vocabulary.protocol import AnyVocabulary

Way = Literal["question", "sentinels", "bare", "nem", "continuation", "sentence", "mask"]
WAYS: tuple[Way, ...] = get_args(Way)
IN_WORDS: dict[str, str] = {  # by way
    "question": "the model's prefix, if it has one, and a question; the answer is scored",
    "sentinels": "a sentence with <extra_id_0> for the object; it is scored between sentinels",
    "bare": "a sentence with <extra_id_0> for the object; the object alone is scored",
    "nem": "a sentence with _X_ for the object; the object alone is scored",
    "continuation": "a sentence up to the object, which is scored as what follows",
    "sentence": "a sentence with the object in its place; the whole is scored",
    "mask": "a sentence with masks for the object, one per piece; the pieces are scored",
}
_OF_MASKING: dict[str, Way] = {"nem": "nem", "sentinel": "sentinels", "sentinel_bare": "bare"}
_GREEDY = DecodeSettings(method="greedy")
_NEM_PREFIX, _NEM_MASK = "nem: ", "_X_"
_UNKNOWN = "\N{DOUBLE QUESTION MARK}"  # as SentencePiece writes a piece that it does not know
_LEFT = "It is"  # before a continuation, so that its first piece is one inside of a text


def way_of(model: LoadedModel) -> Way:
    """The way in which a model was trained, by its card.

    A prefix before questions means questions. Else the card's task tells how it masked; a model
    that says nothing of itself is taken for a T5 after its span corruption, or for one that goes
    on with its prompt.
    """
    if model.config.continues_prompt:
        return "continuation"
    if model.card.prefix:
        return "question"
    task = next(iter(specs.MIXTURES.get(model.card.task, (model.card.task,))))
    spec = specs.SPECS.get(task)
    if spec is None or (spec.masking and spec.masking.corruption == "t5"):
        return "sentinels"
    return _OF_MASKING[spec.masking.style] if spec.masking else "question"


def style_of(way: str) -> Style:
    """The style of the atlas's prompts that a way needs."""
    return "question" if way == "question" else "cloze"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompting:
    """How facts are put to one model.

    Attributes:
        way: One of `WAYS`.
        prefix: Before questions.
        vocabulary: The model's.
        module: The network: what it wants around an input, and its end.
        continues: Whether the model goes on with its prompt in every way, so that a candidate is
            more text and nothing ends it.
    """

    way: Way
    prefix: str
    vocabulary: AnyVocabulary
    module: Decoder
    continues: bool = False

    @classmethod
    def of(cls, model: LoadedModel, way: Way | None = None) -> "Prompting":
        """The prompting of a model.

        Args:
            model: The model.
            way: How it is asked; default: as it was trained (`way_of`).

        Raises:
            UserError: There is no such way, or the vocabulary lacks a sentinel that it needs.
        """
        if way is not None and way not in WAYS:
            raise unknown_name("style of asking", way, WAYS)
        if way == "sentence":
            raise UserError(
                'the style "sentence" is for models that go on with a text, such as GPT-2 and '
                "Llama; this one fills gaps: leave --style out to ask it as it was trained"
            )
        if way == "mask":
            raise UserError(
                'the style "mask" is for masked language models such as BERT; this model fills no '
                "masks: leave --style out to ask it as it was trained"
            )
        made = cls(
            way=way or way_of(model),
            prefix=model.card.prefix,
            vocabulary=model.vocabulary,
            module=model.module,
            continues=model.config.continues_prompt or way == "continuation",
        )
        if model.config.continues_prompt and made.way not in ("question", "continuation"):
            raise UserError(
                f'the model goes on with its prompt and fills no gaps; the style "{way}" is not '
                "for it: use --style continuation, sentence or question"
            )
        for number in {"sentinels": (0, 1), "bare": (0,)}.get(made.way, ()):
            made._sentinel(number)
        return made

    def text(self, fact: Fact) -> str:
        """What the model reads.

        Raises:
            UserError: The fact's prompts cannot be put in this way.
        """
        if (fact.style == "question") != (self.way == "question"):
            remedy = "question" if fact.style == "question" else "sentinels, bare or continuation"
            raise UserError(
                f"fact {fact.id} asks by a {fact.style} ({fact.prompt!r}), which cannot be put in "
                f'the style "{self.way}"; use --style {remedy}, or facts of another style'
            )
        if self.way == "question":
            return self.prefix + " ".join(fact.asked().split())
        if self.way == "continuation":
            return self._up_to_object(fact)
        text, *parts = templates.around_object(fact.prompt, fact.subject)
        for number, part in enumerate(parts):
            if self.way == "nem":
                text += f"{_NEM_MASK}{part}"
                continue
            # SentencePiece knows a sentinel only where a word begins: "(<extra_id_0>)" falls apart.
            space = " " if text and not text.endswith(" ") else ""
            text += f"{space}{sentinel(number)}{part}"
        return (_NEM_PREFIX if self.way == "nem" else "") + " ".join(text.split())

    def wordings(self, fact: Fact) -> tuple[str, ...]:
        """The prompts of a fact that can be put in this way, the one that is asked first."""
        if self.way != "continuation":
            return fact.prompts
        return tuple(each for each in fact.prompts if templates.before_object(each, fact.subject))

    def inputs(self, facts: Sequence[Fact]) -> list[list[int]]:
        """Ids of the prompts, with what the network wants around them.

        Raises:
            UserError: A prompt cannot be put in this way, or its sentinel falls apart.
        """
        texts = [self.text(fact) for fact in facts]
        rows = self.vocabulary.encode_batch(texts)
        if self.way in ("sentinels", "bare"):
            for fact, row in zip(facts, rows, strict=True):
                self._check_sentinels(fact, row)
        return [self.module.framed(row) for row in rows]

    def answers(self, relation: Relation, *, single: bool = False) -> Answers:
        """The relation's candidates as ids.

        Args:
            relation: Its candidates are the closed set.
            single: LAMA's ranking: candidates are single pieces, scored without an end.

        Raises:
            UserError: A candidate has no pieces or unknown ones, or is spelled like another; or,
                with `single`, has several pieces.
        """
        rows = [pieces for _, pieces in self.spelled(relation.candidates)]
        self._check(relation, rows, single)
        ended = self.ended(single)
        end = self.module.eos_id if ended else None
        if self.way == "sentinels":
            end = self._sentinel(1) if ended else None
        return Answers(pieces=tuple(rows), before=self.answer_start(), end=end)

    def answer_start(self) -> tuple[int, ...]:
        """Ids that the decoder reads before an answer, beside the id that it begins with."""
        return (self._sentinel(0),) if self.way == "sentinels" else ()

    def ended(self, single: bool) -> bool:
        """Whether an end is scored after a candidate."""
        return not self.continues and not single

    def spelled(self, names: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
        """Each name with its pieces; none where it cannot be told where they begin."""
        if not self.continues:
            rows = self.vocabulary.encode_batch(list(names))
        else:
            left = self.vocabulary.encode(_LEFT)
            rows = self.vocabulary.encode_batch([f"{_LEFT} {name}" for name in names])
            rows = [row[len(left) :] if row[: len(left)] == left else [] for row in rows]
        return list(zip(names, map(tuple, rows), strict=True))

    def knows(self, name: str, pieces: Sequence[int]) -> bool:
        """Whether the pieces of a name are some, and none of them unknown."""
        said = self.vocabulary.decode(pieces) if pieces else ""
        return bool(said.strip()) and (_UNKNOWN not in said or _UNKNOWN in name)

    def pieces_of(self, text: str) -> tuple[int, ...]:
        """The pieces of a user's word or answer, as they stand inside of a text.

        Raises:
            UserError: The vocabulary cannot write it.
        """
        if not text.isascii() and text != text.encode(errors="ignore").decode():
            raise UserError(f"the text {text[:60]!r} is not UTF-8; give another one")
        ((_, pieces),) = self.spelled([text.strip()])
        if not self.knows(text, pieces):
            raise UserError(
                f"the vocabulary {self.vocabulary.path} cannot write {text!r}; give another text"
            )
        return pieces

    def single(self, names: Sequence[str]) -> list[bool]:
        """Which names are single pieces of the vocabulary, and known ones."""
        return [len(row) == 1 and self.knows(name, row) for name, row in self.spelled(names)]

    def check_room(
        self,
        model: LoadedModel,
        facts: Sequence[Fact],
        inputs: Sequence[Sequence[int]],
        answers: Answers,
    ) -> None:
        """Whether the model has positions for prompts and the candidates of their relation.

        Raises:
            UserError: It has not, for one of the prompts.
        """
        room = model.config.most_positions(after=answers.room)
        for fact, ids in zip(facts, inputs, strict=True):
            if room is not None and len(ids) > room:
                raise UserError(
                    f"the prompt of fact {fact.id} has {len(ids)} tokens; the model has room for "
                    f"{room} beside its candidates: leave the fact out"
                )

    def lengths(self, inputs: Sequence[Sequence[int]], answers: Answers) -> np.ndarray:
        """Ids that are scored, int64 [candidates]."""
        return answers.lengths

    def scorer(self, model: LoadedModel) -> CandidateScorer:
        """What scores candidates; its compiled programs serve all relations."""
        return CandidateScorer(model.module, model.params)

    def rule(self, single: bool) -> str:
        """How a candidate's score comes about, in words."""
        end = "its end included" if self.ended(single) else "without an end"
        return f"its log-probability after the prompt, {end}"

    def written(
        self, model: LoadedModel, inputs: Sequence[Sequence[int]]
    ) -> list[tuple[str, float]]:
        """What the model answers by itself (greedy), with its log-probability."""
        found = model.predictor(_GREEDY).predict_tokens(model.params, inputs)
        return [(self.answer_in(each.text), each.log_prob) for each in found]

    def answer_in(self, generated: str) -> str:
        """The answer in what a model wrote by itself."""
        if self.way == "sentinels":
            generated = generated.partition(sentinel(0))[2] or generated
            return generated.partition(sentinel(1))[0].strip()
        if self.continues:
            return generated.strip().partition("\n")[0].strip()
        return generated.strip()

    def _up_to_object(self, fact: Fact) -> str:
        for prompt in fact.prompts:
            text = templates.before_object(prompt, fact.subject)
            if text:
                return text
        raise UserError(
            f"in all prompts of fact {fact.id} text follows the object ({fact.prompt!r}), so that "
            "no model can go on with it; give a prompt that ends with the object"
        )

    def _check_sentinels(self, fact: Fact, row: Sequence[int]) -> None:
        """Of several gaps each has a sentinel of its own, as T5 has them."""
        for number in range(fact.prompt.count(templates.OBJECT) or 1):
            found = row.count(self._sentinel(number))
            if found != 1:
                raise UserError(
                    f"the prompt of fact {fact.id} ({fact.asked()!r}) has {found} sentinels "
                    f"{sentinel(number)} after tokenising; write {templates.OBJECT} as a word of "
                    "its own, and no sentinel"
                )

    def _sentinel(self, number: int) -> int:
        ids = self.vocabulary.encode(sentinel(number))
        if len(ids) != 1 or self.vocabulary.decode(ids).strip() != sentinel(number):
            raise UserError(
                f"the vocabulary {self.vocabulary.path} has no {sentinel(number)}, by which the "
                f'style "{self.way}" marks the object; give it --extra-ids (T5 has 100), or use '
                "--style question, nem or continuation"
            )
        return ids[0]

    def _check(self, relation: Relation, rows: Sequence[tuple[int, ...]], single: bool) -> None:
        path, seen = self.vocabulary.path, dict[tuple[int, ...], str]()
        for name, row in zip(relation.candidates, rows, strict=True):
            where = f"candidate {name!r} of {relation.name}"
            if not self.knows(name, row):
                said = self.vocabulary.decode(row) if row else ""
                raise UserError(
                    f"{where} does not tokenise: the vocabulary {path} makes {said!r} of it; "
                    "--drop-unspelled leaves such facts out, or use a model that knows its letters"
                )
            if single and len(row) != 1:
                raise UserError(
                    f"{where} is {len(row)} pieces in {path}; --single-token ranks single pieces: "
                    "leave it out of --candidates"
                )
            other = seen.setdefault(row, name)
            if other != name:
                raise UserError(
                    f"{where} is spelled like {other!r} by the vocabulary {path}, so that no score "
                    "tells them apart; --drop-unspelled leaves one of them out, or use a model "
                    "that knows both"
                )
