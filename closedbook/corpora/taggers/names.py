"""Names: runs of capitalised words, and what a capital means at the beginning of a sentence.

No model: a person, a place and a work of art look alike, so all are labelled NAME, but for words
of nationality, religion and party (NORP, as spaCy calls them), which a table knows.

What happens at a beginning depends on the sentence alone, never on its neighbours: a single
capitalised word is a name there if a table knows it, if its own spelling says so (NASA, McAdam,
B-52), or if it is no common word and stands before a verb or a possessive ("Richmond joined").
"""

import re

from closedbook.corpora.taggers import dates, words
from closedbook.corpora.taggers.numbers import UNIT_FOLLOWS
from closedbook.corpora.taggers.patterns import CAPITALS, HYPHEN, WORD, one_of

_CAPITAL = f"[{CAPITALS}]"
MOST_CHARACTERS = 200  # a longer "name" is text without sense

_JOINED = rf"(?:['’]{_CAPITAL}{WORD})?(?:{HYPHEN}[{CAPITALS}0-9]{WORD}){{0,5}}+"
_ABBREVIATION = "|".join(rf"(?<=\b{word}\.)" for word in words.ABBREVIATIONS)
# The rest of a word: "U.S.", "W." before another name, "O'Neil", "Coca-Cola", "St.".
_WORD_TAIL = (
    rf"(?:\.(?:{_CAPITAL}\.){{1,6}}+|\.(?= ?[{CAPITALS}<])"
    rf"|{WORD}{_JOINED}(?:\.(?= [{CAPITALS}<])(?:{_ABBREVIATION}))?)"
)
_NO_DATE = (
    rf"(?!{one_of((*dates.MONTHS, *dates.WEEKDAYS))}(?!\w)(?<!May)(?<!March)|(?:May|March) \d)"
)
_PARTICLE = rf"(?:{one_of(words.PARTICLES)}|the(?= {one_of(words.BYNAMES)}(?!\w)))"
_NEXT_WORD = rf" (?:{_PARTICLE} )?{_NO_DATE}{_CAPITAL}{_WORD_TAIL}"
_SUFFIX = r"(?: ?, (?:Inc|Jr|Sr|Ltd|LLC|Co)(?!\w)\.?)?"
# "Hill 94", "Apollo 11", not "Dallas 20 yards".
_NUMBER = rf"(?: \d{{1,3}}(?!\w)(?!{UNIT_FOLLOWS})(?= [a-z(]| ?[.,;:)'’]+(?: |$)|$))?"
# The rest of a name behind its first letter.
RUN = rf"{_WORD_TAIL}(?:{_NEXT_WORD}){{0,15}}+{_NUMBER}{_SUFFIX}"

TITLE = rf"{one_of(words.TITLES)}\.?(?= {_CAPITAL})"
# "2nd Infantry Division".
ORDINAL_RUN = rf"\d{{1,3}}(?:st|nd|rd|th) (?![CM]entur){_CAPITAL}{RUN}"

_LEADING_PARTICLE = re.compile(rf"{_PARTICLE} ")
_SPELT = re.compile(rf".+[{CAPITALS}0-9]")
_VERBS = (
    "is was has had were are became becomes began begins made makes took takes gave gives went "
    "goes came comes won wins lost loses led leads wrote writes said says told tells met meets "
    "ran runs held holds left leaves found finds felt feels saw sees knew knows kept keeps grew "
    "grows sang sings spent spends stood stands thought thinks wanted wants does did would "
    "could will can must may might should himself herself also later then never"
).split()
_AFTER_NAME = re.compile(rf" (?:(?:{'|'.join(_VERBS)}|[a-z]{{2,15}}ed)(?!\w)|['’]s )|['’]s |, who ")
_MARKS = frozenset(" \"'“”‘’`«»„([*–—-:;…/")


def at_beginning(text: str, start: int) -> bool:
    """Whether a capital is due to the place and not to a name: nothing or a full stop before it.

    >>> [at_beginning('It ended . " He left Bath', start) for start in (0, 13, 21)]
    [True, True, False]
    """
    at = start - 1
    while at >= 0 and start - at < 8 and text[at] in _MARKS:
        at -= 1
    if at < 0 or text[at] in ".?!\n\r\t":
        return True
    # Behind an opening mark of quotation a sentence may begin.
    return start >= 2 and text[start - 1] in '"“„«' and text[start - 2] in " ,:"


def skipped(run: str) -> int | None:
    """How many characters of a run at the beginning of a sentence are no name.

    >>> [skipped(run) for run in ("The Hague", "Most of Europe", "Rome", "Rain", "Homer")]
    [4, 8, 0, 4, None]

    Returns:
        The run's length if none of it is a name; None if what follows decides (`acts`).
    """
    first, space, rest = run.partition(" ")
    if space:
        if first.lower() not in words.FUNCTION_WORDS:
            return 0
        particle = _LEADING_PARTICLE.match(rest)
        return len(first) + 1 + (particle.end() if particle else 0)
    if run in words.peoples() or run in words.places():
        return 0
    if run.lower() in words.FUNCTION_WORDS:
        return len(run)
    if _SPELT.match(run):
        return 0
    return len(run) if words.is_common(run) else None


def acts(text: str, limit: int) -> bool:
    """Whether a verb or a possessive follows: "Richmond joined", "Homer 's"."""
    return _AFTER_NAME.match(text, limit) is not None


def is_people(name: str) -> bool:
    """Whether a name is, or after a hyphen ends in, a word of nationality: "Franco-Spanish"."""
    peoples = words.peoples()
    if name in peoples:
        return True
    if "-" not in name:
        return False
    head, _, last = name.replace(" @-@ ", "-").rpartition("-")
    return " " not in head and last in peoples
