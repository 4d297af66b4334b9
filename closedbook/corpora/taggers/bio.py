"""Entities out of labels of words, in the schemes BIO, BIOES (or BILOU) and IO."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from closedbook.errors import UserError

_PREFIXED = re.compile(r"^([BIESLUM])[-_](.+)$")
_BEGIN = frozenset("BSU")
_END = frozenset("ESLU")


class Word(NamedTuple):
    """A word of a text with its predicted label."""

    start: int  # characters
    limit: int  # exclusive
    prefix: str  # B, I, E, S, ...; "I" in the scheme IO; "" outside an entity
    label: str
    row: int = 0  # which window it was read in


def tags_of(id2label: Mapping[int, str], model: str) -> list[tuple[str, str]]:
    """(prefix, label) of each of a model's classes.

    >>> tags_of({0: "O", 1: "B-PER", 2: "LOC"}, "m")
    [('', ''), ('B', 'PER'), ('I', 'LOC')]

    Raises:
        UserError: The classes have no names.
    """
    names = [id2label[index] for index in range(len(id2label))]
    if all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        raise UserError(
            f"the classes of {model!r} have no names (id2label in its config.json says "
            f"{names[0]}, ...): name them O, B-PER, I-PER, ..."
        )
    tags = []
    for name in names:
        prefixed = _PREFIXED.match(name)
        if name.upper() in ("O", "OUT", "X", "PAD", "[PAD]"):
            tags.append(("", ""))
        else:
            tags.append((prefixed[1], prefixed[2]) if prefixed else ("I", name))
    return tags


def decode(words: Sequence[Word], text: str) -> Iterator[tuple[int, int, str]]:
    """(start, limit, label) of each entity of a text, without white space at its ends.

    An entity goes on while its label does, up to a word that begins one or after one that ends
    one; models often begin with I-, so I- begins one too.

    >>> text = "Ada Lovelace met Ada"
    >>> people = [Word(0, 3, "B", "PER"), Word(4, 12, "I", "PER"), Word(17, 20, "I", "PER")]
    >>> list(decode([*people[:2], Word(13, 16, "", ""), people[2]], text))
    [(0, 12, 'PER'), (17, 20, 'PER')]
    """
    entity: tuple[int, int, str] | None = None
    before = ""
    for word in words:
        goes_on = (
            entity is not None
            and word.label == entity[2]
            and word.prefix not in _BEGIN
            and before not in _END
        )
        if entity is not None and goes_on:
            entity = (entity[0], word.limit, entity[2])
        else:
            if entity is not None:
                yield from _trimmed(entity, text)
            entity = (word.start, word.limit, word.label) if word.label else None
        before = word.prefix
    if entity is not None:
        yield from _trimmed(entity, text)


def _trimmed(entity: tuple[int, int, str], text: str) -> Iterator[tuple[int, int, str]]:
    start, limit, label = entity
    inside = text[start:limit]
    start += len(inside) - len(inside.lstrip())
    limit -= len(inside) - len(inside.rstrip())
    if start < limit:
        yield start, limit, label
