"""Words: which carry content, how rare they are, their stems, and when two are one in other forms.

A common word says little about whether two answers are the same.
"""

import functools
import json
import pathlib

from rapidfuzz.distance import Indel

from closedbook.eval.equivalence.evidence import classes

_WEIGHTS = pathlib.Path(__file__).parent.parent / "weights" / "word_weights.json"
RAREST = 10.0
"""The weight of a word that the table does not hold."""
STOP = frozenset(
    """a an the of in on at to for from by with and or as is are was were be been being am it its
    this that these those there their his her he she they them who whom which what when where
    how do does did has have had will would can could may might shall should into onto than then
    also about around approximately over under up out off so if while during between both either
    s t i you your we our us's not no nor but""".split()
)
NEGATION = frozenset(
    "not no never none nobody nothing neither nor without isnt wasnt arent werent doesnt didnt "
    "dont cannot cant wont hasnt havent non unlike false incorrect".split()
)

_DENYING = frozenset("in un im ir il non dis anti a de".split())


@functools.cache
def rarity() -> dict[str, float]:
    """Each frequent stem's weight, from 1 (in every second text) up.

    >>> rarity()["season"] < RAREST
    True
    """
    rows = json.loads(_WEIGHTS.read_text(encoding="utf-8"))["words"]
    return {word: float(weight) for weight, words in rows.items() for word in words.split()}


# A suffix, and what takes its place. The first that fits and leaves enough letters is used.
_INFLECTIONS = (
    ("ies", "y"),
    ("sses", "ss"),
    ("xes", "x"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ss", "ss"),
    ("us", "us"),
    ("is", "is"),
    ("s", ""),
)
_ENDINGS = ("ing", "ed")
_DERIVATIONS = (
    "ization", "isation", "ational", "ations", "ation", "ianism", "arians", "arian", "ions",
    "ness", "ment", "ical", "ists", "isms", "ism", "ist", "ity", "ian", "ion", "ous", "ive",
    "ize", "ise", "ant", "ent", "ic", "al", "an", "er", "or", "ly", "ia", "um", "us", "es", "y",
    "e", "a", "s",
)  # fmt: skip
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot",
    "teeth": "tooth", "mice": "mouse", "geese": "goose", "wives": "wife", "lives": "life",
    "leaves": "leaf", "knives": "knife", "wolves": "wolf", "died": "die", "dying": "die",
    "wrote": "write", "written": "write", "sung": "sing", "sang": "sing", "made": "make",
    "saint": "st", "mount": "mt", "fort": "ft", "doctor": "dr", "mister": "mr", "versus": "vs",
    "series": "series", "species": "species", "&": "and", "colour": "color", "centre": "center",
    "theatre": "theater", "metres": "meter", "metre": "meter", "defence": "defense",
}  # fmt: skip


def stem(word: str) -> str:
    """The word without plural, -ing and -ed; short words stay as they are.

    >>> [stem(word) for word in ("rivers", "rusting", "churches", "glass", "children", "iPads")]
    ['river', 'rust', 'church', 'glass', 'child', 'iPad']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or word[-1] not in "sgd" or word[0].isdigit():
        return word
    if word[-1] == "s":
        for suffix, other in _INFLECTIONS:
            if word.endswith(suffix):
                word = word[: len(word) - len(suffix)] + other
                break
    for suffix in _ENDINGS:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word[: -len(suffix)]
    return word


# By the last letter, so that few are tried.
_DERIVATIONS_BY_END = {
    end: tuple((suffix, len(suffix) + 4) for suffix in _DERIVATIONS if suffix[-1] == end)
    for end in {suffix[-1] for suffix in _DERIVATIONS}
}


@functools.lru_cache(maxsize=1 << 16)
def root(word: str) -> str:
    """The stem without one ending by which words are derived from it.

    >>> root("zoroastrian"), root("zoroastrianism"), root("eukaryota"), root("italy")
    ('zoroastr', 'zoroastr', 'eukaryot', 'ital')
    """
    for _ in range(2):
        length = len(word)
        for suffix, least in _DERIVATIONS_BY_END.get(word[-1:], ()):
            if length >= least and word.endswith(suffix):
                word = word[: 4 - least]
                break
        else:
            break
    return word


def undenied(stem: str) -> list[str]:
    """What is left of a word without a prefix that denies it.

    >>> undenied("indirect"), undenied("river")
    (['direct'], [])
    """
    if len(stem) < 6 or stem[0] not in "aiund":
        return []
    return [stem[length:] for length in (1, 2, 3, 4) if stem[:length] in _DENYING]


# Beginnings of which one contradicts the other: hypertension and hypotension.
_PREFIXES = (
    ("hyper", "hypo"), ("exo", "endo"), ("inter", "intra"), ("macro", "micro"), ("pre", "post"),
    ("homo", "hetero"), ("mono", "di", "bi", "tri", "tetra", "poly", "uni", "multi"),
    ("eu", "pro"), ("ab", "ad"), ("af", "ef"), ("ana", "cata"), ("ex", "in", "im"),
    ("over", "under"), ("out", "in"), ("mega", "micro", "nano", "kilo", "milli", "giga"),
    ("ante", "post"), ("super", "sub"), ("ultra", "infra"), ("pro", "anti"),
    ("ecto", "endo", "meso"), ("step", "grand", "god", "half"), ("up", "down"),
    ("centri", "centro"), ("in", "de"), ("as", "de"),
)  # fmt: skip
_OPPOSED_PREFIX: dict[str, tuple[str, ...]] = {}
for _group in _PREFIXES:
    for _prefix in _group:
        _others = tuple(other for other in _group if other != _prefix)
        _OPPOSED_PREFIX[_prefix] = _OPPOSED_PREFIX.get(_prefix, ()) + _others
# A beginning that makes another thing of some words.
_ADDED = frozenset(
    "ant an para sub super ultra infra step grand god ex pseudo semi proto neo post pre "
    "great".split()
)
_ADDED_TO = frozenset(
    "arctic aerobic sympathetic mother father son daughter child brother sister parent president "
    "thyroid conscious sonic red violet marine wife husband historic".split()
)


def adds(short: str, long: str) -> bool:
    """Whether the longer of two words is the shorter with a beginning that makes it another.

    >>> adds("mother", "grandmother"), adds("mother", "smother")
    (True, False)
    """
    return short in _ADDED_TO and long.endswith(short) and long[: -len(short)] in _ADDED


@functools.lru_cache(maxsize=1 << 14)
def may_oppose(word: str) -> bool:
    """Whether a word has a beginning that another contradicts, or may be given one.

    >>> may_oppose("hypertension"), may_oppose("mother"), may_oppose("paris")
    (True, True, False)
    """
    begins = any(word[:length] in _OPPOSED_PREFIX for length in range(2, min(6, len(word) - 3)))
    return begins or word in _ADDED_TO


@functools.lru_cache(maxsize=1 << 16)
def opposed(a: str, b: str) -> bool:
    """Whether the beginnings of two words contradict one another, and the rest is the same.

    >>> opposed("hypertension", "hypotension"), opposed("mother", "grandmother")
    (True, True)
    >>> opposed("inland", "inlands"), opposed("provide", "provided")
    (False, False)
    """
    if adds(a, b) or adds(b, a):
        return True
    for length in range(2, min(6, len(a) - 3)):
        prefix = a[:length]
        for other in _OPPOSED_PREFIX.get(prefix, ()):
            if b.startswith(other) and len(b) - len(other) >= 4:
                first, second = a[length:], b[len(other) :]
                if first == second or (first[:4] == second[:4] and root(first) == root(second)):
                    return True
    return False


@functools.lru_cache(maxsize=1 << 17)
def likeness(a: str, b: str) -> float:
    """How far two stems are one word in other forms or spellings, from 0 to 1.

    >>> likeness("zoroastrian", "zoroastrianism"), likeness("ravi", "narmada")
    (0.95, 0.0)
    >>> likeness("gatiman", "gatimaan") > 0.85
    True
    """
    if a == b:
        return 1.0
    if len(a) < 4 or len(b) < 4 or a[0].isdigit() or b[0].isdigit():
        return 0.0
    if (a.endswith(b) and b in undenied(a)) or (b.endswith(a) and a in undenied(b)):
        return 0.0
    if opposed(a, b) or classes.rivals(a, b):
        return 0.0
    # A root keeps four letters of its word at least.
    if a[:4] == b[:4]:
        if root(a) == root(b):
            return 0.95
        if a.startswith(b) or b.startswith(a):
            return max(Indel.normalized_similarity(a, b, score_cutoff=0.85), 0.85)
    return Indel.normalized_similarity(a, b, score_cutoff=0.75)
