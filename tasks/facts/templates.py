"""Prompts of facts: where the subject stands, where the object, and the text that comes of them.

A prompt is a text in which `{}` marks the subject's place and `[Y]` the object's. A prompt without
`[Y]` is a text that the object follows ("The mother tongue of {} is") or a question. Data sets
mark the places as they like; `parse` understands LAMA's `[X]`, `[Y]` and `[MASK]`.
"""

import re

from closedbook.errors import UserError

SUBJECT = "{}"
OBJECT = "[Y]"

_SLOT = re.compile(r"\{\}|\[Y\]")
_CLOSING = re.compile(r"[\s.!?\"'”’)]*")


def parse(text: str) -> str:
    """A template of any data set with its places marked in our way.

    >>> parse("[X] was born in [Y] ."), parse("The color was [MASK].")
    ('{} was born in [Y] .', 'The color was [Y].')
    """
    return text.strip().replace("[X]", SUBJECT).replace("[MASK]", OBJECT)


def template(text: str, *, cloze: bool) -> str:
    """A template that is made for any subject: it must hold the places that it needs, once each.

    Args:
        text: The template, marked in our way or LAMA's.
        cloze: Whether the object needs a place too; questions have none.

    Raises:
        UserError: A place is missing, or the subject's stands twice.
    """
    found = parse(text)
    if found.count(SUBJECT) != 1:
        raise UserError(
            f"template {text!r} has {found.count(SUBJECT)} places for the subject; write {{}} or "
            "[X] once, where the subject stands"
        )
    if cloze and OBJECT not in found:
        raise UserError(
            f"template {text!r} has no place for the object; write {OBJECT} where it stands"
        )
    return found


def slotted(text: str, subject: str) -> str | None:
    """A text with the subject's first occurrence made its place; None where it does not occur.

    Whole words are looked for first, so that "Al" is not found in "Also".

    >>> slotted("Also Al was born in", "Al")
    'Also {} was born in'
    """
    if not subject:
        return None
    whole = re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", text)
    start = whole.start() if whole else text.find(subject)
    return None if start < 0 else text[:start] + SUBJECT + text[start + len(subject) :]


def with_subject(prompt: str, subject: str) -> str:
    """The prompt with its subject; the object's place stays marked.

    >>> with_subject("{} was born in [Y].", "Ada Lovelace")
    'Ada Lovelace was born in [Y].'
    """
    return _SLOT.sub(lambda slot: subject if slot[0] == SUBJECT else slot[0], prompt)


def subject_place(prompt: str, subject: str) -> tuple[int, int] | None:
    """Characters (start, limit) of the subject in `with_subject`; None where it has no place.

    >>> subject_place("The capital of {} is", "Peru")
    (15, 19)
    """
    start = prompt.find(SUBJECT)
    return None if start < 0 else (start, start + len(subject))


def statement(prompt: str, subject: str, object_: str) -> str:
    """The whole text with both names; the object comes last where it has no place.

    >>> statement("{} was born in [Y] .", "Ada Lovelace", "London")
    'Ada Lovelace was born in London .'
    >>> statement("The capital of {} is [Y].", "the United States", "Washington, D.C.")
    'The capital of the United States is Washington, D.C.'
    >>> statement("The mother tongue of {} is", "Ada Lovelace", "English")
    'The mother tongue of Ada Lovelace is English'
    """
    if OBJECT not in prompt:
        return f"{with_subject(prompt, subject)} {object_}"
    names = {SUBJECT: subject, OBJECT: object_}
    if prompt.endswith(f"{OBJECT}.") and object_.endswith("."):
        prompt = prompt[:-1]
    return _SLOT.sub(lambda slot: names[slot[0]], prompt)


def around_object(prompt: str, subject: str) -> tuple[str, ...]:
    """The parts of the text between which the object stands, as the template has them.

    >>> around_object("[Y] is the capital of {}.", "Peru")
    ('', ' is the capital of Peru.')
    >>> around_object("The mother tongue of {} is", "Ada Lovelace")
    ('The mother tongue of Ada Lovelace is ', '')
    """
    if OBJECT not in prompt:
        prompt = f"{prompt} {OBJECT}"
    return tuple(with_subject(part, subject) for part in prompt.split(OBJECT))


def before_object(prompt: str, subject: str) -> str | None:
    """What a model reads that is to go on with the object; None where text follows the object.

    >>> before_object("{} was born in [Y] .", "Ada Lovelace")
    'Ada Lovelace was born in'
    >>> before_object("[Y] is the capital of {}.", "Peru") is None
    True
    """
    before, slot, after = prompt.partition(OBJECT)
    if slot and not _CLOSING.fullmatch(after):
        return None
    return with_subject(before, subject).rstrip()
