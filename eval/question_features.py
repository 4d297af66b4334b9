"""What a question shows without being answered: its words, its pattern, its times and counts.

Every feature is a short string that a reader understands: the words themselves ("who has the
most"), two words apart ("when .. next"), a stem ("popul*"), or the pattern of the question, in
which words of one kind share a name ("pattern: who PRES the ROLE of x"). Weights on such features
can be read, and the words that carried a decision can be named.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

MAX_CHARACTERS = 2_000  # of a question; nobody asks longer ones, and hostile text must not be slow
MAX_WORDS = 64

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_YEAR = re.compile(r"1[0-9]{3}s?|20[0-4][0-9]s?")
_NUMBER = re.compile(r"[0-9]+")
_ORDINAL = re.compile(r"[0-9]+(?:st|nd|rd|th)")
_CONTRACTED = {
    f"{word}{end}": (word, "is")
    for word in ("who", "what", "when", "where", "how", "which", "why")
    for end in ("'s", "s")
}

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "PRES": "is are am 're isnt aren't isn't",
        "PAST": "was were did had didn't wasn't weren't",
        "DO": "does do dose",
        "PERF": "has have having hasn't haven't",
        "FUT": "will shall gonna going",
        "NOW": "current currently now present presently today nowadays still yet ongoing active"
        " existing living alive tonight tomorrow yesterday",
        "LAST": "last latest recent recently newest previous past",
        "NEXT": "next upcoming coming future new again return returning back",
        "OUT": "come comes out release released releases air airing airs aired premiere premieres"
        " start starts begin begins end ends finish return returns",
        "SHOW": "season seasons episode episodes series show movie movies film films game games"
        " book books album albums chapter chapters volume volumes part parts sequel",
        "VERSION": "version versions update updates generation model edition release os ios android"
        " windows iphone software",
        "CUP": "champion champions championship championships cup league title titles medal medals"
        " bowl superbowl olympics olympic playoffs playoff final finals tournament award awards"
        " oscar oscars grammy mvp trophy ipl nba nfl mlb nhl fifa uefa ncaa race open idol",
        "WIN": "win won wins winning winner winners beat beaten defeat defeated lose lost champion",
        "SCORE": "score scored scorer goals goal points runs wickets tds touchdowns homeruns"
        " assists yards hits strikeouts centuries",
        "RECORD": "record records hold holds holder leader leads leading lead top number ranked"
        " rank ranks ranking all-time",
        "LEVEL": "population percentage percent rate average salary price prices cost costs worth"
        " income budget gdp value temperature weather wage tax salaries unemployment inflation"
        " debt tuition fee fees age old subscribers followers revenue sales",
        "MOST": "most least best worst more top highest lowest largest biggest longest smallest"
        " tallest oldest youngest richest fastest greatest max maximum minimum",
        "ROLE": "president ceo governor mayor coach captain manager owner chairman chairperson"
        " chief minister secretary speaker director head king queen pope commissioner ambassador"
        " senator senators justice justices judge judges host anchor quarterback prime deputy"
        " general treasurer chancellor principal dean superintendent sheriff representative"
        " representatives congressman member members governor attorney cm leader commander"
        " head owner owns runs own run",
        "GROUP": "team country countries state states city cities nation nations company player"
        " players people person artist actor actress singer club school schools university",
        "WORLD": "world us usa america united india uk england canada australia africa europe"
        " california texas china",
        "PLAY": "play plays played playing starring cast character voice sings sang sing wrote"
        " written writes founded invented discovered born died",
    }
)
_KIND = {word: kind for kind, words in _KINDS.items() for word in words.split()}
# Words that make or break a pattern, kept as they are.
_KEPT = frozenset(
    "who what when where which how why whose whom many much long often tall time times date year"
    " first second third ever since far in on at of the a an to for from by with and or there"
    " this that these those it be been being can could would should may only same be so as"
    " you we i your our my they he she his her their not no all every before after during until"
    " name names mean means called use used make made get got".split()
)
_NOT_SUPERLATIVE = frozenset(
    "west rest test guest forest contest request interest conquest protest harvest invest priest"
    " quest chest nest pest vest arrest suggest digest honest modest midwest northwest southwest"
    " budapest everest bucharest latest newest ernest".split()
)
# One of a pair of words apart must be one of these; all other pairs are accidents.
_JOINTS = frozenset(_KEPT | set(_KIND) | {"#year", "#number", "#ordinal"})


def words(question: str) -> list[str]:
    """The words of a question: lower case, no punctuation, years and numbers as kinds.

    >>> words("Who's the world's richest man in 2018?")
    ['who', 'is', 'the', 'world', "'s", 'richest', 'man', 'in', '#year']
    >>> words("the 25th amendment, 50 states")
    ['the', '#ordinal', 'amendment', '#number', 'states']
    """
    found: list[str] = []
    text = question[:MAX_CHARACTERS].lower().replace("’", "'")
    for word in _WORD.findall(text)[:MAX_WORDS]:
        if word in _CONTRACTED:
            found.extend(_CONTRACTED[word])
        elif word.endswith("'s"):
            found.extend((word[:-2], "'s"))
        elif word[0].isdigit():
            if _YEAR.fullmatch(word):
                found.append("#year")
            elif _NUMBER.fullmatch(word):
                found.append("#number")
            else:
                found.append("#ordinal" if _ORDINAL.fullmatch(word) else word)
        else:
            found.append(word)
    return found


def pattern(tokens: Iterable[str]) -> list[str]:
    """The question with words of one kind under one name, and names of things as `x`.

    >>> " ".join(pattern(words("who is the president of the united states")))
    'who PRES the ROLE of the WORLD'
    >>> " ".join(pattern(words("how many planets did galileo see")))
    'how many xs PAST x'
    """
    shape: list[str] = []
    for token in tokens:
        if token in _KIND:
            kind = _KIND[token]
        elif token in _KEPT or token[0] == "#":
            kind = token
        elif token == "'s":
            continue
        elif len(token) > 5 and token.endswith("est") and token not in _NOT_SUPERLATIVE:
            kind = "MOST"
        elif len(token) > 4 and token.endswith("ed"):
            kind = "xed"
        elif len(token) > 5 and token.endswith("ing"):
            kind = "xing"
        elif len(token) > 3 and token.endswith("s") and token[-2] not in "su":
            kind = "xs"
        else:
            kind = "x"
        if not shape or kind != shape[-1]:
            shape.append(kind)
    return shape


def _runs(tokens: list[str], longest: int) -> Iterable[str]:
    """All runs of one to `longest` tokens, with the ends of the question marked."""
    marked = ["^", *tokens, "$"]
    for length in range(1, longest + 1):
        for start in range(len(marked) - length + 1):
            if length > 1 or marked[start] not in "^$":
                yield " ".join(marked[start : start + length])


def features(question: str) -> list[str]:
    """The distinct features of a question, in a fixed order.

    >>> [name for name in features("who won") if "won" in name]
    ['won', 'who won', 'won $', '^ who won', 'who won $']
    >>> "pattern: ^ who WIN $" in features("who won")
    True
    """
    return features_of(words(question))


def features_of(tokens: list[str]) -> list[str]:
    """`features` of a question already taken apart by `words`."""
    found = dict.fromkeys(_runs(tokens, 3))
    for at, left in enumerate(tokens):
        joint = left in _JOINTS
        for right in tokens[at + 2 : at + 8]:
            if joint or right in _JOINTS:
                found[f"{left} .. {right}"] = None
        if len(left) >= 5 and left[0] != "#":
            found[f"{left[:4]}*"] = None
            found[f"*{left[-3:]}"] = None
            if len(left) >= 7:
                found[f"{left[:6]}*"] = None
    shape = pattern(tokens)
    found.update((f"pattern: {run}", None) for run in _runs(shape, 5))
    for at, left in enumerate(shape):
        for right in shape[at + 2 : at + 8]:
            found[f"pattern: {left} .. {right}"] = None
    return list(found)
