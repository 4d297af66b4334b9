"""How a fact is put to a masked language model: its statement, with masks for the object."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.probing.families.masked_scoring import MaskedAnswers, MaskedScorer
from closedbook.knowledge.torch_folders import TorchModel
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact, Relation

_LEFT = "It is"  # before a candidate, so that it is spelled as inside of a sentence


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskedPrompting:
    """How facts are put to one masked language model.

    Attributes:
        tokenizer: The model's, of `transformers`.
        name: The model's folder, for messages.
    """

    tokenizer: Any
    name: str
    way: Literal["mask"] = "mask"
    prefix: str = ""

    @classmethod
    def of(cls, model: TorchModel, way: str | None = None) -> "MaskedPrompting":
        """The prompting of a model.

        Raises:
            UserError: The way is none for it.
        """
        if way not in (None, "mask"):
            raise UserError(
                f'{model.folder} is a masked language model, and the style "{way}" is not for it: '
                "use --style mask or sentence, or leave it out"
            )
        return cls(tokenizer=model.tokenizer, name=str(model.folder))

    def text(self, fact: Fact) -> str:
        """What the model reads where the object has one piece.

        Where a prompt ends before the object, a mask and a full stop follow: LAMA's sentences are
        whole ones, and models give a mask at the very end a stop.

        Raises:
            UserError: The fact asks by a question.
        """
        if fact.style == "question":
            raise UserError(
                f"fact {fact.id} asks by a question ({fact.prompt!r}); a masked language model "
                "fills gaps: give statements with [Y] for the object"
            )
        prompt = fact.prompt
        if templates.OBJECT not in prompt:
            prompt = f"{prompt} {templates.OBJECT}."
        parts = templates.around_object(prompt, fact.subject)
        return " ".join(str(self.tokenizer.mask_token).join(parts).split())

    def wordings(self, fact: Fact) -> tuple[str, ...]:
        """The prompts of a fact that can be put in this way: all of them."""
        return fact.prompts

    def inputs(self, facts: Sequence[Fact]) -> list[list[int]]:
        """Ids of the statements; of several masks the first is the one that candidates fill.

        Raises:
            UserError: A prompt cannot be put in this way.
        """
        texts = [self.text(fact) for fact in facts]
        mask, word = self.tokenizer.mask_token_id, self.tokenizer.mask_token
        if self._ids(f"{_LEFT} {word}") != [*self._ids(_LEFT), mask]:
            # The space belongs to the piece that is masked, but the tokenizer would leave it.
            texts = [text.replace(f" {word}", word) for text in texts]
        rows = self.tokenizer(texts)["input_ids"] if texts else []
        for fact, row in zip(facts, rows, strict=True):
            wanted = fact.prompt.count(templates.OBJECT) or 1
            if row.count(mask) != wanted:
                raise UserError(
                    f"the prompt of fact {fact.id} ({fact.prompt!r}, {fact.subject!r}) has "
                    f"{row.count(mask)} masks after tokenising, not {wanted}; leave the fact out"
                )
        return [list(row) for row in rows]

    def answers(self, relation: Relation, *, single: bool = False) -> MaskedAnswers:
        """The relation's candidates as ids.

        Raises:
            UserError: A candidate has no pieces or unknown ones, or is spelled like another; or,
                with `single`, has several pieces.
        """
        seen: dict[tuple[int, ...], str] = {}
        for name, row in self.spelled(relation.candidates):
            where = f"candidate {name!r} of {relation.name}"
            if not self.knows(name, row):
                raise UserError(
                    f"{where} does not tokenise: the vocabulary of {self.name} makes "
                    f"{self.tokenizer.convert_ids_to_tokens(list(row))} of it; --drop-unspelled "
                    "leaves such facts out"
                )
            if single and len(row) != 1:
                raise UserError(
                    f"{where} is {len(row)} pieces in {self.name}; --single-token ranks single "
                    "pieces: leave it out of --candidates"
                )
            other = seen.setdefault(row, name)
            if other != name:
                raise UserError(
                    f"{where} is spelled like {other!r} by the vocabulary of {self.name}, so that "
                    "no score tells them apart; --drop-unspelled leaves one of them out"
                )
        return MaskedAnswers(pieces=tuple(seen), mask=self.tokenizer.mask_token_id)

    def spelled(self, names: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
        """Each name with its pieces as after a word; none where it merges with that."""
        left = self._ids(_LEFT)
        texts = [f"{_LEFT} {name}" for name in names]
        rows = self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        rows = [row[len(left) :] if row[: len(left)] == left else [] for row in rows]
        return list(zip(names, map(tuple, rows), strict=True))

    def knows(self, name: str, pieces: Sequence[int]) -> bool:
        """Whether the pieces of a name are some, and none of them special or unknown."""
        return bool(pieces) and not set(pieces) & set(self.tokenizer.all_special_ids)

    def single(self, names: Sequence[str]) -> list[bool]:
        """Which names are single pieces of the vocabulary, and known ones."""
        return [len(row) == 1 and self.knows(name, row) for name, row in self.spelled(names)]

    def check_room(
        self,
        model: TorchModel,
        facts: Sequence[Fact],
        inputs: Sequence[Sequence[int]],
        answers: MaskedAnswers,
    ) -> None:
        """Whether the model has positions for statements with the longest candidate.

        Raises:
            UserError: It has not, for one of them.
        """
        room = model.longest - int(answers.lengths.max()) + 1
        for fact, ids in zip(facts, inputs, strict=True):
            if len(ids) > room:
                raise UserError(
                    f"the prompt of fact {fact.id} has {len(ids)} tokens; the model has room for "
                    f"{room} beside its candidates: leave the fact out"
                )

    def lengths(self, inputs: Sequence[Sequence[int]], answers: MaskedAnswers) -> np.ndarray:
        """Ids that are scored, int64 [candidates]."""
        return answers.lengths

    def scorer(self, model: TorchModel) -> MaskedScorer:
        """What scores candidates."""
        return MaskedScorer(model)

    def rule(self, single: bool) -> str:
        """How a candidate's score comes about, in words."""
        if single:
            return "its log-probability at the mask, as in LAMA"
        return (
            "the log-probabilities of its pieces, each at its own mask, those after it masked too"
        )

    def written(
        self, model: TorchModel, inputs: Sequence[Sequence[int]]
    ) -> list[tuple[str, float]]:
        """Raises UserError: nothing is written by a masked language model."""
        raise UserError(
            f"{model.folder} is a masked language model, which writes no answers by itself; leave "
            "--generate out"
        )

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
