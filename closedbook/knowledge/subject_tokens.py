"""Prompts with the tokens of their subject: what tracing disturbs and editing keys on."""

import dataclasses
import re

from closedbook.errors import UserError
from closedbook.knowledge.leaving_out import CannotBePut
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.tasks.facts.form import Fact

_MARK = "\ue000"  # a private character, in no text: stands in a prompt for the subject


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubjectPrompt:
    """What a model reads, and which of its tokens are the subject's.

    Attributes:
        text: The prompt, with the model's prefix.
        subject: As it stands in the prompt.
        ids: Of the prompt, with what the network wants around them.
        tokens: What each id stands for, for people; as many as ids.
        first, limit: The subject's tokens are `ids[first:limit]`, one at least. A token that
            holds a part of the subject and more is the subject's too.
    """

    text: str
    subject: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    first: int
    limit: int

    @property
    def last(self) -> int:
        """Where the subject's last token stands."""
        return self.limit - 1


def in_text(
    model: LoadedModel,
    text: str,
    subject: str,
    *,
    occurrence: int | None = None,
    prefixed: bool = True,
) -> SubjectPrompt:
    """A prompt in which the subject is looked for.

    Args:
        model: Who reads it.
        text: The prompt, without the model's prefix.
        subject: As it stands in the prompt.
        occurrence: Which of several occurrences is meant, from 1; needed where there are several.
        prefixed: Whether the model's prefix is put before the prompt.

    Raises:
        UserError: The subject is empty, does not stand in the prompt as a whole word or else as
            a part of one, or stands there several times; or the prompt is too long.
    """
    prefix = model.card.prefix if prefixed else ""
    asked, subject = prefix + _in_line(model, text), " ".join(subject.split())
    if not subject:
        raise CannotBePut(
            "the subject is empty; give it as it stands in the prompt", "without a subject"
        )
    starts = [place.start() for place in re.finditer(rf"(?<!\w){re.escape(subject)}(?!\w)", asked)]
    starts = starts or [place.start() for place in re.finditer(re.escape(subject), asked)]
    starts = [start for start in starts if start >= len(prefix)]
    if not starts:
        raise CannotBePut(
            f"the subject {subject!r} does not stand in the prompt {text!r}; write it as it is "
            "written there, capitals and accents too",
            "subject not in the prompt",
        )
    if occurrence is None and len(starts) > 1:
        raise UserError(
            f"the subject {subject!r} stands {len(starts)} times in the prompt {text!r}; say which "
            f"is meant by --occurrence 1 to {len(starts)}"
        )
    chosen = 1 if occurrence is None else occurrence
    if not 1 <= chosen <= len(starts):
        raise UserError(
            f"--occurrence is {occurrence}, but the subject {subject!r} stands "
            f"{_times(len(starts))} in the prompt {text!r}"
        )
    return _located(model, asked, starts[chosen - 1], subject)


def of_fact(model: LoadedModel, fact: Fact, prompting: Prompting) -> SubjectPrompt:
    """The prompt of a fact with its subject where the fact says that it stands.

    Args:
        model: Who reads it.
        fact: It has a subject.
        prompting: How it is put to the model.

    Raises:
        UserError: The fact has no subject, or cannot be put to the model in this way.
    """
    if not fact.subject.strip():
        raise CannotBePut(
            f"fact {fact.id} has no subject ({fact.prompt!r}); leave it out", "without a subject"
        )
    marked = prompting.text(dataclasses.replace(fact, subject=_MARK))
    if _MARK not in marked:
        raise CannotBePut(
            f"the prompt of fact {fact.id} does not name its subject {fact.subject!r}: {marked!r}",
            "subject not in the prompt",
        )
    subject = fact.subject
    if prompting.way != "continuation":  # which alone keeps blanks as they are
        subject = " ".join(subject.split())
    return _located(model, marked.replace(_MARK, subject), marked.index(_MARK), subject)


def _in_line(model: LoadedModel, text: str) -> str:
    """The prompt as `LoadedModel.ask` reads it: a blank at the end would be a token of its own."""
    return text.rstrip() if model.config.continues_prompt else " ".join(text.split())


def _located(model: LoadedModel, text: str, start: int, subject: str) -> SubjectPrompt:
    """The tokens of a text in which the subject begins at character `start`."""
    ids, places = model.vocabulary.encode(text), model.vocabulary.places(text)
    framed = model.module.framed(ids)
    longest = model.card.lengths.get("inputs")
    room = model.config.most_positions(after=1)
    longest = min((each for each in (longest, room) if each is not None), default=len(framed))
    if len(framed) > longest:
        raise CannotBePut(
            f"the prompt {text!r} has {len(framed)} tokens; the model has room for {longest}: give "
            "a shorter one",
            "prompt too long",
        )
    before = next(n for n in range(len(framed)) if framed[n : n + len(ids)] == ids)
    limit = start + len(subject)
    inside = [n for n, (a, b) in enumerate(places) if max(a, start) < min(b, limit)]
    if not inside:
        raise CannotBePut(
            f"the vocabulary {model.vocabulary.path} has no tokens for {subject!r}",
            "no tokens for the subject",
        )
    around = [_special(model, token) for token in framed]
    own = [_shown(text[a:b]) for a, b in places]
    return SubjectPrompt(
        text=text,
        subject=subject,
        ids=tuple(framed),
        tokens=(*around[:before], *own, *around[before + len(ids) :]),
        first=before + inside[0],
        limit=before + inside[-1] + 1,
    )


def _shown(text: str) -> str:
    """What a token stands for without the blanks around it; a mark where there is nothing else."""
    return text.strip() or "␣"


def _special(model: LoadedModel, token: int) -> str:
    return "</s>" if token == model.module.eos_id else "<s>"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
