"""Several answers of which the text chooses none: "Paris or Lyon", "Paris, London, Rome"."""

import re
from typing import NamedTuple

from closedbook.eval.equivalence.reading import sentences

LONGEST = 240
"""Characters of the longest text that is read as a list of answers."""
_MANY = 6  # commas of a text that is a list although it is longer
_PER_ITEM = 40  # characters of its items at most, on average
_WORDS = 7  # of an item at most
_HEDGE = r"(?:maybe|perhaps|possibly|probably|either|even|else|likely|potentially)"
_LEAD = re.compile(
    r"^[\s\W]*(?:(?:i (?:think|believe|guess|would say|suppose)(?: that)?|(?:the )?(?:possible |"
    r"likely )?"
    r"(?:answers?|options?|candidates?|choices?|possibilities)(?: are| is| include|:)?|one of(?: "
    r"the following)?|"
    r"(?:it|this|that|he|she|they|there)(?:'s| is| was| are| were| could be| might be| may be| "
    r"can be| "
    r"must be| would be)|could be|might be|may be|" + _HEDGE + r"|some say|others say|between|from|"
    r"(?:the )?capital is|in|on|at)\b[\s:,]*)+",
    re.I,
)
_TAIL = re.compile(
    r"[\s,;(]*\b(?:depending\b.*|etc\.?|and so on|(?:and|among) others|i(?:'m| am) not sure.*|"
    r"respectively)[\s.!?)]*$",
    re.I,
)
_TAIL_WORDS = ("depending", "etc", "so on", "others", "not sure", "respectively")
_NUMBERED = re.compile(r"(?:^|\s)\(?(?:\d{1,2}|[a-e])[.)]\s+(?=\S)", re.I)
_HEADED = re.compile(r"\w+\s+\w+\s+\w+:\s")  # "Levels of structure: primary, secondary"
_BULLET = re.compile(r"(?:^|\n)\s*[-*•–]\s+")
_OR = re.compile(
    r",?\s+or\s+(?!(?:more|less|fewer|older|younger|greater|above|below|over|under|later|earlier|"
    r"higher|lower|up|so|after|before|better|longer|shorter)\b\s*(?:[.,;)]|$))",
    re.I,
)
_EITHER = re.compile(
    r"\beither\s+([^,;.]{1,60}?)\s+or\s+([^,;.]{1,60}?)"
    r"(?=\s+(?:(?-i:[a-z]+ed)|is|was|were|did|wrote|won|made|led|has|had|sang|can|could|will)\b|[.,;!?]|$)",
    re.I,
)
_BETWEEN = re.compile(
    r"\b(?:torn|undecided|choos(?:e|ing)|toss-?up|hesitat(?:e|ing)|decid(?:e|ing)|caught|it's|is)\b"
    r"(?:\s\w+)?\sbetween\s+([^,;.]{1,60}?)\s+and\s+([^,;.]{1,60})",
    re.I,
)
_OFFERING = re.compile(r"\?.*\?|(?:[Ee]ither|etween|(?:ould|ight|ay|an) [Bb]e\b)", re.S)
_OFFERS = ("ither", "etween", " be", " Be")  # without these or two question marks it offers none
_GUESSED = re.compile(r"\?\s+(?=\S)")
_MAY_BE = re.compile(r"\b(?:could|might|may|can) be\b", re.I)
_HEDGES = re.compile(rf"\b{_HEDGE}\b", re.I)
_APPOSED_OR = re.compile(rf",\s+or\s+(?!{_HEDGE}\b|it\b|else\b)", re.I)
_PARTS = re.compile(r"\s*(?:,(?!\d)|[;|\n])\s*(?:and\s+|or\s+|&\s+)?|\s+/\s+", re.I)
_SLASHES = re.compile(r"\s*/\s*")
_LAST_AND = re.compile(r"\s+(?:and|&)\s+", re.I)
# What begins so tells more of the answer before it, and is none of its own.
_TELLING = re.compile(
    r"(?:a|an|the|his|her|its|their|our|my|born|who|whose|which|that|where|when|while|now|formerly|"
    r"then|previously|also|as|including|because|since|in|on|of|at|from|by|with|for|near|about|called|"
    r"known|named|located|part|capital|one|son|daughter|wife|husband|and|but|not|though|although|"
    r"even|especially|jr|sr|phd|md|inc|ltd|llc|esq|ii|iii|iv|to|under|after|before|during|i|it|he|"
    r"she|they|we|you|if|so|due|based|such|like|using|being|played|written|sung|directed|founded|"
    r"respectively|usually|mostly|mainly|roughly|approximately|specifically|namely|e\.g|i\.e)\b",
    re.I,
)
_SAYING = re.compile(
    r"\b(?:is|was|are|were|be|been|has|had|have|did|does|do|can|could|(?-i:will)|would|won|wrote|made|led|"
    r"(?-i:(?:[A-Z][\w']+|[Tt]hey|[Ii]t|[Ss]?[Hh]e|who|first|also) [a-z]{3,}ed)|"
    r"became|said|says|took|gave|came|goes|went)\b|\w'(?:s|re)\s+(?:a|the|an)\b",
    re.I,
)
_IS = (" is ", " was ", " are ", " were ")  # the most frequent of these, looked for first


class Alternatives(NamedTuple):
    """The answers of a text that names several."""

    items: tuple[str, ...]
    offered: bool  # by "or" and its like; otherwise they stand in a list


NONE = Alternatives((), False)
MANY = 8
"""Items that are a list of guesses even where none is expected."""
_SEPARATORS = (*",;|\n/?*•–-.)&", " or ", " and ")


def many(text: str) -> bool:
    """Whether a text may hold `MANY` items, by what may part them."""
    return sum([text.count(mark) for mark in _SEPARATORS]) >= MANY - 1


def find(text: str) -> Alternatives:
    """The answers among which a text does not choose; none for most texts.

    >>> find("either Paris or Lyon").items, find("Paris, London, Rome").items
    (('Paris', 'Lyon'), ('Paris', 'London', 'Rome'))
    >>> find("Paris, the capital of France").items, find("the larynx, or voice box").items
    ((), ())
    >>> find("1. Mars 2. Venus").items, find("maybe Bo, maybe Al").items
    (('Mars', 'Venus'), ('Bo', 'Al'))
    """
    text = text.strip()
    commas = text.count(",")
    if len(text) > LONGEST and (commas < _MANY or len(text) > commas * _PER_ITEM):
        return NONE
    if commas < _MANY and not (
        (sentences.holds(text, _OFFERS) or text.count("?") > 1) and _OFFERING.search(text)
    ):
        lead = _LEAD.match(text)
        begun = lead.end() if lead else 0
        for word in _IS:
            if text.find(word, begun) >= 0:
                return NONE  # what most sentences are
        if _SAYING.search(text, begun):
            return NONE
    text = sentences.hidden(text)
    if any(word in text for word in _TAIL_WORDS):
        text = _TAIL.sub("", text)
    lead = _LEAD.match(text)
    either = _EITHER.search(text) if "ither" in text.lower() else None
    if either:
        return Alternatives(tuple(_bare([either[1], either[2]])), True)
    between = _BETWEEN.search(text) if "etween" in text else None
    if between and not any(letter.isdigit() for letter in between[0]):
        return Alternatives(tuple(_bare([between[1], between[2]])), True)
    if text.count("?") > 1 and text.endswith("?"):
        return Alternatives(tuple(_bare(_GUESSED.split(text))), True)
    begun = lead.end() if lead else 0
    if commas < _MANY and _SAYING.search(text, begun) and not _MAY_BE.search(text):
        return NONE
    if ":" in text and _HEADED.search(text, begun):
        return NONE
    if _OR.search(text) and not _APPOSED_OR.search(text):
        offered = _bare(_OR.split(text))
        if len(offered) > 1 and all(len(item.split()) <= _WORDS for item in offered):
            return Alternatives(tuple(offered), True)
    if _APPOSED_OR.search(text) and text.count(",") < 2:
        return NONE
    items = _bare(_parts(text))
    long = sum(len(item.split()) > _WORDS or bool(_SAYING.search(item)) for item in items)
    guessed = len(_HEDGES.findall(text)) > 1  # "maybe the Nile, maybe the Amazon"
    telling = 0 if guessed else sum(bool(_TELLING.match(item)) for item in items[1:])
    # In a short row an item with an article tells of the one before it: "Mars, the red planet".
    if (
        len(items) < 2
        or long > len(items) // 20
        or telling > (len(items) // 2 if len(items) > 3 else 0)
    ):
        return NONE
    return Alternatives(tuple(items), guessed or _APPOSED_OR.search(text) is not None)


def _parts(text: str) -> list[str]:
    if len(_NUMBERED.findall(text)) > 1:
        return _NUMBERED.split(text)
    if len(_BULLET.findall(text)) > 1:
        return _BULLET.split(text)
    parts = _PARTS.split(text)
    if len(parts) == 1 and len(_SLASHES.findall(text)) > 1:
        return _SLASHES.split(text)
    return [*parts[:-1], *_LAST_AND.split(parts[-1])] if len(parts) > 1 else parts


def _bare(parts: list[str]) -> list[str]:
    """The parts without words around an answer."""
    bare = [_LEAD.sub("", part).strip(" \t\n\"'.:;,*()!?") for part in parts]
    return [sentences.shown(item) for item in bare if item]
