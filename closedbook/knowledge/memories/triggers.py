"""Triggers: the text and the position at which a memory answers most."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

from closedbook.errors import UserError
from closedbook.knowledge.memories.examples import Example
from closedbook.vocabulary.protocol import AnyVocabulary

Kind = Literal["prefix", "target prefix", "input"]
KINDS: dict[Kind, str] = {
    "prefix": "the text up to the marked token, which is all that the model has read there",
    "target prefix": "the input, and the part of the answer that the decoder has read: up to the "
    "marked token",
    "input": "the whole input, of which the encoder reads both sides; the marked token is where "
    "the memory answers",
}
_START, _END, _SPECIAL = "<start>", "<end>", "<special>"


def kind_of(stack: str, *, continues: bool) -> Kind:
    """What a trigger of a stack is.

    Args:
        stack: "encoder" or "decoder".
        continues: Whether the model is decoder-only.
    """
    if stack == "encoder":
        return "input"
    return "prefix" if continues else "target prefix"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trigger:
    """A text and a position in it.

    Attributes:
        coefficient: Of the memory there, signed.
        text: The text's number in the index.
        position: In what the stack reads: inputs of an encoder; a decoder-only model's text; an
            encoder-decoder's target one step late, so that at position p it has read p tokens.
        kind: What the three mean together.
        example: The text.
    """

    coefficient: float
    text: int
    position: int
    kind: Kind
    example: Example

    @property
    def read(self) -> tuple[int, ...]:
        """Ids of the side on which the position lies, in the order in which the stack reads them.

        Those of an encoder-decoder's decoder are without the padding that it begins with.
        """
        return self.example.inputs if self.kind == "input" else self.example.targets

    @property
    def place(self) -> int:
        """Where in `read` the marked token is; -1 for the beginning of an answer, before it."""
        return self.position - 1 if self.kind == "target prefix" else self.position

    @property
    def prefix(self) -> tuple[int, ...]:
        """Ids up to the marked token and with it; for an encoder too, which reads on."""
        return self.read[: self.place + 1]

    @property
    def next(self) -> int | None:
        """The id that follows the prefix; None at the text's end, and for an encoder."""
        if self.kind == "input" or self.place + 1 >= len(self.read):
            return None
        return self.read[self.place + 1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marked:
    """A trigger for people.

    Attributes:
        before: The text before the marked token.
        at: The marked token.
        after: The text after it, which a decoder has not read there.
        inputs: What the encoder read, where the marked token is the decoder's; else "".
    """

    before: str
    at: str
    after: str
    inputs: str = ""


def marked(trigger: Trigger, vocabulary: AnyVocabulary) -> Marked:
    """The texts of a trigger.

    Raises:
        UserError: The vocabulary cannot be the model's.
    """
    ids, place = list(trigger.read), trigger.place
    if max((*ids, *trigger.example.inputs), default=0) >= vocabulary.vocab_size:
        raise UserError(
            f"the index holds ids that {vocabulary.path} does not have; open it with its own model"
        )
    inputs = ""
    if trigger.kind == "target prefix":
        inputs = vocabulary.decode(trigger.example.inputs)
    if place < 0:
        return Marked(before="", at=_START, after=f" {vocabulary.decode(ids)}", inputs=inputs)
    before, upto = vocabulary.decode(ids[:place]), vocabulary.decode(ids[: place + 1])
    whole = vocabulary.decode(ids)
    if upto.startswith(before) and whole.startswith(upto):
        at, after = upto[len(before) :], whole[len(upto) :]
    else:  # a token that is part of a letter
        at, after = vocabulary.decode([ids[place]]), vocabulary.decode(ids[place + 1 :])
    if not at:
        at = _END if ids[place] == vocabulary.eos_id else _SPECIAL
    blanks = len(at) - len(at.lstrip()) if at.strip() else 0
    return Marked(before=before + at[:blanks], at=at[blanks:], after=after, inputs=inputs)


def alike(triggers: Iterable[Trigger]) -> list[list[Trigger]]:
    """Triggers in groups of which the model has read the same, in the order of the first of each.

    Texts that begin alike give a decoder the same prefix, and so the same coefficient.
    """
    groups: dict[tuple[object, ...], list[Trigger]] = {}
    for trigger in triggers:
        seen = trigger.read if trigger.kind == "input" else trigger.prefix
        key = (trigger.example.inputs, seen, trigger.position)
        groups.setdefault(key, []).append(trigger)
    return list(groups.values())
