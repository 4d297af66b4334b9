"""A text cut into words, and what is known of each word alone."""

import re
from typing import NamedTuple

from closedbook.eval.equivalence.evidence import aliases, dates, numbers, words
from closedbook.eval.equivalence.evidence.folding import fold

LIMIT = 4000
"""Characters that are read; what stands after them does not count as evidence."""


def _tokens(letter: str, sign: str, digit: str) -> re.Pattern[str]:
    """What a text is split at; the classes are of letters, of letters and digits, and of digits."""
    return re.compile(
        rf"({letter}{letter}+(?:'{letter}+)*{digit}*"  # most words, tried first
        rf"|(?:[A-Za-z]\.){{2,}}|(?:[A-Za-z]\.)+[A-Z](?!{sign})"  # U.S., J.R.R, A.K
        rf"|(?:{digit}|(?<![\w.])\.(?={digit})){digit}*(?:[.,]{digit}+)*(?:st|nd|rd|th|s|k)?"
        rf"(?!{sign})"  # 2.5  15th  .5  12k
        rf"|{digit}+(?:[.,]{digit}+)*"  # the digits of 5km
        rf"|{letter}+(?:'{letter}+)*{digit}*"  # words, O'Neill, V8
        r"|[$€£¥₹%°])"
    )


_TOKENS = _tokens(r"[^\W\d_]", r"[^\W_]", r"\d")
_ASCII_TOKENS = _tokens("[A-Za-z]", "[A-Za-z0-9]", "[0-9]")
"""The same for texts of ASCII alone, in half the time."""
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")

# What a word may announce; the flags of a text are those of its words.
NUMBER, DATE, NEGATION, REFUSAL, HEDGE = 1, 2, 4, 8, 16
CODE, CLOCK, LIMITED, POLAR, ALIAS = 32, 64, 128, 256, 512
# What `closedbook.eval.equivalence.reading` looks for.
DENYING, TURNING, RELATING = 1024, 2048, 4096
FOREIGN_DENYING, LISTING = 8192, 16384
# What a word is by itself.
ACRONYM, PREFIXED = 32768, 65536
NOTE = 131072
_REFUSING = frozenset(
    "know unknown unclear cannot cant unable sorry information not access context ai clarify "
    "specify determine no dont na could couldnt insufficient lack lacks lacking unanswerable "
    "answerable unsure none".split()
)
HEDGING = frozenset(
    "may might possibly perhaps probably likely believed depend depends vary varies however "
    "although possible several various some often typically generally such example".split()
)
_CLOCK = (
    "am pm noon midday midnight oclock clock morning afternoon evening night hours half quarter"
).split()
_LIMITED = (
    "before after until till since under over below above beneath beyond exceeding than least "
    "most prior pre post minimum maximum older younger more less fewer up from by earlier later"
).split()
_DENYING = (
    "not never neither nor no none nobody nothing cannot didnt doesnt dont isnt wasnt arent "
    "werent hasnt havent hadnt cant couldnt wont wouldnt shouldnt mustnt mightnt aint rather "
    "instead opposed other apart aside except excepting excluding exclusion exception unlike "
    "barring bar save wrong incorrect false untrue mistaken inaccurate lie fiction impossible "
    "doubt unlikely hardly falsely wrongly mistakenly erroneously incorrectly wrongfully myth "
    "misconception mistake error fallacy hoax means failed fails fail refused refuses declined "
    "declines neglected unsure uncertain unclear unknown wonder wondering wait sorry oops "
    "apologies correction meant mean scratch nope thought thoughts confused не нет nicht kein "
    "keine keinen keiner pas niet geen nao nie ne bukan tidak inte ikke"
).split()
_TURNING = (
    "but however although though while whilst contrary despite against actually fact reality "
    "truth yet whereas"
).split()
_RELATING = (
    "than near close outside adjacent bordering opposite beat beats beating defeated defeats "
    "defeat defeating lost beaten overcame overcoming edged outlasted outplayed thrashed "
    "thrashing routed routing downed vanquished conquered triumphed triumphing over against "
    "friend son daughter wife husband brother sister father mother cousin nephew niece uncle aunt "
    "student pupil disciple teacher colleague rival grandson granddaughter widow widower "
    "contemporary neighbor neighbour fan mentor protege descendant grandfather grandmother "
    "stepson stepfather lover mistress fiance fiancee parent parents child children sibling "
    "siblings secretary imitator admirer namesake biographer translator suburb enemy north south "
    "east west northeast northwest southeast southwest next far across second third fourth fifth "
    "runner"
).split()
_FOREIGN_DENYING = (
    "не нет nicht kein keine keinen keinem keiner keines pas niet geen nao nie ne bukan tidak inte "
    "ikke es fue non"
).split()
_NOTES = "ab bb cb db eb fb gb".split()
_LISTING = "between or maybe perhaps".split()
_POLAR = "yes yeah yep no nope not never true false correct incorrect".split()

_FLAGS: dict[str, int] = {}
for _flag, _group in (
    (NUMBER, numbers.WORDS),
    (DATE, dates.WORDS),
    (NEGATION, words.NEGATION),
    (REFUSAL, _REFUSING),
    (HEDGE, HEDGING),
    (CLOCK, _CLOCK),
    (LIMITED, _LIMITED),
    (POLAR, _POLAR),
    (ALIAS, aliases.WORDS),
    (DENYING, _DENYING),
    (TURNING, _TURNING),
    (RELATING, _RELATING),
    (FOREIGN_DENYING, _FOREIGN_DENYING),
    (LISTING, _LISTING),
    (NOTE, _NOTES),
):
    for _word in _group:
        _FLAGS[_word] = _FLAGS.get(_word, 0) | _flag


class Word(NamedTuple):
    """A word by itself."""

    text: str  # lower-case, without dots, possessive and thousands' commas
    stem: str
    content: bool  # False for "the", "of" and their like
    capital: bool
    acronym: bool  # whether it may be one: two to eight capitals
    weight: float  # of its rarity
    flags: int
    undenied: list[str]  # what is left of the stem without a prefix that denies it


class _Lexicon(dict[str, Word]):
    """Words by their spelling, worked out when first seen; emptied when it grows too large."""

    SIZE = 200_000  # about 60 MB

    def __missing__(self, spelling: str) -> Word:
        text = spelling.lower() if spelling.isalpha() else _bare(spelling)
        stem = words.stem(text)
        flags = _FLAGS.get(text, 0)
        if text[0].isdigit():
            flags |= NUMBER | DATE | CLOCK
        elif not text.isalpha() and text[-1].isdigit():
            flags |= CODE
        acronym = spelling.isupper() and 2 <= len(text) <= 8
        undenied = words.undenied(stem)
        flags |= ACRONYM * acronym | PREFIXED * bool(undenied)
        word = Word(  # by place, which is faster than by name
            text,
            stem,
            text not in words.STOP,
            spelling[0].isupper(),
            acronym,
            words.rarity().get(stem, words.RAREST),
            flags,
            undenied,
        )
        if len(self) >= self.SIZE:
            self.clear()
        self[spelling] = word
        return word


LEXICON = _Lexicon()


def cut(text: str) -> list[Word]:
    """The words of a text.

    >>> [word.text for word in cut("The U.S. Senate's 1,000 members")]
    ['the', 'us', 'senate', '1000', 'members']
    """
    return cut_folded(fold(text[:LIMIT]))[0]


def cut_folded(folded: str) -> tuple[list[Word], list[str]]:
    """The words of a text that `fold` has seen, and what stands between them.

    That is one piece more than words; none where words are parted by blanks alone.
    """
    # Letters and spaces alone, as most questions and answers are, need no pattern.
    if folded.isascii():
        if folded.replace(" ", "").isalpha():
            return list(map(LEXICON.__getitem__, folded.split())), []
        pieces = _ASCII_TOKENS.split(folded)
    else:
        pieces = _TOKENS.split(folded)
    return list(map(LEXICON.__getitem__, pieces[1::2])), pieces[::2]


def _bare(spelling: str) -> str:
    word = spelling.lower()
    if word[0] == ".":
        return f"0{word}"
    if word[0].isdigit():
        return word.replace(",", "") if _THOUSANDS.fullmatch(word) else word
    if word.endswith("'s"):
        word = word[:-2]
    return word.replace(".", "").replace("'", "") or "'"
