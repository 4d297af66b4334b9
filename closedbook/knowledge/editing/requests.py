"""What is asked of an edit: which fact, its new object, and what of the subject is to stay."""

import dataclasses
import re
from collections.abc import Sequence

from closedbook.errors import UserError
from closedbook.knowledge import subject_tokens
from closedbook.knowledge.editing.places import has_encoder
from closedbook.knowledge.editing.rows import Row
from closedbook.knowledge.leaving_out import CannotBePut
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.tasks.facts import templates
from closedbook.tasks.facts.form import Fact

ESSENCE = "{} is a"  # whose predictions kmeng01/rome keeps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keep:
    """A prompt about the subject whose predictions an edit is to leave alone.

    Attributes:
        prompt: With `{}` where the subject stands.
        answer: What the model says there; "" to compare the first prediction alone.
        at_subject: Compare predictions after the subject's last token. One-stack models only.
    """

    prompt: str
    answer: str = ""
    at_subject: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Edit:
    """One fact and its new object.

    Attributes:
        id: Its name in records.
        subject: As it stands in prompts.
        prompt: With `{}` where the subject stands, once.
        target: The new object.
        contexts: More prompts, each with `{}` once, in which the target is to be the answer:
            paraphrases, or the prompt after other text.
        keep: Prompts about the subject that are to be left alone.
    """

    id: str
    subject: str
    prompt: str
    target: str
    contexts: tuple[str, ...] = ()
    keep: tuple[Keep, ...] = ()

    def __post_init__(self) -> None:
        if not self.subject.strip():
            raise UserError("the subject is empty; give it as it stands in the prompt")
        if not self.target.strip():
            raise UserError("the target is empty; give the new object")
        for prompt in (self.prompt, *self.contexts, *(each.prompt for each in self.keep)):
            count = prompt.count(templates.SUBJECT)
            if count != 1:
                raise UserError(
                    f"the prompt {prompt!r} has {count} places for the subject "
                    f"{self.subject!r}; write {{}} once, where it stands"
                )

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt and its contexts."""
        return (self.prompt, *self.contexts)

    @classmethod
    def of_fact(cls, fact: Fact) -> "Edit":
        """The edit that a data set asks for; its paraphrases are left for evaluation.

        Raises:
            UserError: The fact has no target.
        """
        if fact.target is None:
            raise UserError(f'fact {fact.id} has no target; give the new object as "target"')
        return cls(id=fact.id, subject=fact.subject, prompt=fact.prompt, target=fact.target)


def tells(model: LoadedModel, edit: Edit) -> list[Row]:
    """The prompts with the target, the bare prompt first.

    Raises:
        UserError: The vocabulary cannot write the target.
    """
    answer = answer_ids(model, edit.target)
    return [_row(model, edit.subject, prompt, answer) for prompt in edit.prompts]


def keeps(model: LoadedModel, edit: Edit) -> list[Row]:
    """The prompts that are to be left alone."""
    rows = []
    for keep in edit.keep:
        answer = answer_ids(model, keep.answer) if keep.answer else ()
        row = _row(model, edit.subject, keep.prompt, answer)
        rows.append(dataclasses.replace(row, at_subject=keep.at_subject))
    return rows


def answer_ids(model: LoadedModel, text: str) -> tuple[int, ...]:
    """Ids of an answer: with its end for an encoder-decoder, after a blank for one stack.

    Raises:
        UserError: The vocabulary cannot write it.
    """
    separate = has_encoder(model.config)
    ids = model.vocabulary.encode(text.strip() if separate else f" {text.strip()}")
    if not ids or _squeezed(model.vocabulary.decode(ids)) != _squeezed(text):
        raise CannotBePut(
            f"the vocabulary {model.vocabulary.path} cannot write {text!r}: it makes "
            f"{model.vocabulary.decode(ids)!r} of it; give another target",
            "target not to be written",
        )
    return (*ids, model.module.eos_id) if separate else tuple(ids)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _row(model: LoadedModel, subject: str, prompt: str, answer: Sequence[int]) -> Row:
    text = templates.with_subject(prompt, subject)
    place = prompt.index(templates.SUBJECT)
    found = subject_tokens.in_text(model, text, subject, occurrence=_which(text, subject, place))
    return Row(prompt=found.ids, subject=found.last, answer=tuple(answer))


def _which(text: str, subject: str, place: int) -> int:
    """Which occurrence begins at a character, counted as `subject_tokens.in_text` does.

    Raises:
        UserError: It is a part of a word there, and a whole word elsewhere.
    """
    name = re.escape(subject)
    starts = [match.start() for match in re.finditer(rf"(?<!\w){name}(?!\w)", text)]
    starts = starts or [match.start() for match in re.finditer(name, text)]
    if place not in starts:
        raise CannotBePut(
            f"the subject {subject!r} is a part of a word where it is meant in {text!r}, and a "
            "word of its own elsewhere; write another prompt",
            "subject a part of a word",
        )
    return starts.index(place) + 1
