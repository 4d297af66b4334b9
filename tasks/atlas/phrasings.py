"""How the atlas's facts are said and asked: the templates of `data/phrasings.toml`."""

import dataclasses
import functools
import re
import tomllib

from closedbook.tasks.atlas import DATA

_FILE = DATA / "phrasings.toml"
_SLOT = re.compile(r"\{([so])\}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phrasing:
    """The templates of one relation; `{s}` is the subject's place, `{o}` the object's."""

    labels: tuple[str, str]  # kinds of subject and object: LOC, PER, DATE or MISC
    sentences: tuple[str, ...]
    seen: tuple[str, ...]  # questions for fine-tuning
    unseen: tuple[str, ...]  # questions for tests alone


@functools.cache
def _load() -> tuple[dict[str, Phrasing], frozenset[str]]:
    with _FILE.open("rb") as file:
        table = tomllib.load(file)
    articles = frozenset(table.pop("articles"))
    relations = {
        name: Phrasing(
            labels=(row["labels"][0], row["labels"][1]),
            sentences=tuple(row["sentences"]),
            seen=tuple(row["seen"]),
            unseen=tuple(row["unseen"]),
        )
        for name, row in table.items()
    }
    return relations, articles


def phrasings() -> dict[str, Phrasing]:
    """Relation name -> its templates."""
    return _load()[0]


def render(template: str, subject: str, object_: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """Fills a template; names such as "Netherlands" get their article.

    Returns:
        The text, and for "s" and "o" as far as they occur the characters (start, limit) of
        the bare name, article not included.

    >>> render("{o} is the capital of {s}.", "Netherlands", "Amsterdam")
    ('Amsterdam is the capital of the Netherlands.', {'o': (0, 9), 's': (32, 43)})
    """
    articles = _load()[1]
    text, places, position = "", {}, 0
    for slot in _SLOT.finditer(template):
        text += template[position : slot.start()]
        name = subject if slot[1] == "s" else object_
        if name in articles:
            text += "the " if text else "The "
        places[slot[1]] = (len(text), len(text) + len(name))
        text += name
        position = slot.end()
    rest = template[position:]
    if text.endswith(".") and rest == ".":  # "... is Washington, D.C."
        rest = ""
    return text + rest, places
