"""What a question shows without being answered: its words, its pattern, its times and counts.

Every feature is a short string that a reader understands: the words themselves ("who has the
most"), two words apart ("when .. next"), a stem ("popu*"), or a piece of the question's pattern,
in which words of one kind share a name ("who_PRES_the_ROLE_of_x"). Weights on such features
can be read, and the words that carried a decision can be named.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

MAX_CHARACTERS = 2_000  # of a question; nobody asks longer ones, and hostile text must not be slow
MAX_WORDS = 64
_APART = 8  # words; farther pairs are accidents

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
        "NEXT": "next upcoming coming future new again returning back",
        "OUT": "comes out released releases air airing airs aired premiere premieres start starts"
        " begin begins end ends finish return returns",
        "SHOW": "season seasons episode episodes series show movie movies film films game games"
        " book books album albums chapter chapters volume volumes part parts sequel",
        "VERSION": "version versions update updates generation model edition release os ios"
        " android windows iphone software",
        "CUP": "champions championship championships cup league title titles medal medals bowl"
        " superbowl olympics olympic playoffs playoff final finals tournament award awards oscar"
        " oscars grammy mvp trophy ipl nba nfl mlb nhl fifa uefa ncaa race open idol",
        "WIN": "win won wins winning winner winners beat beaten defeat defeated lose lost champion",
        "SCORE": "score scored scorer goals goal points wickets tds touchdowns homeruns assists"
        " yards hits strikeouts centuries",
        "RECORD": "record records hold holds holder leads leading lead number ranked rank ranks"
        " ranking all-time",
        "LEVEL": "population percentage percent rate average salary price prices cost costs worth"
        " income budget gdp value weather wage tax salaries unemployment inflation debt tuition"
        " fee fees age old subscribers followers revenue sales forecast climate fare hours wages"
        " expectancy density crime poverty ratio share stock rainfall weigh earn make charge pay"
        " profit profits",
        "STOCK": "persons students employees soldiers troops farmers doctors users customers"
        " stores shops restaurants locations casinos theaters churches universities colleges"
        " hospitals airports cars trains planes aircraft ships satellites lawsuits stations"
        " branches languages companies billionaires muslims christians jews immigrants speakers"
        " species tigers children kids women men",
        "FIXED": "element elements atom atoms atomic chromosome chromosomes chemical acid acids"
        " protein proteins enzyme enzymes cell cells bone bones muscle muscles nerve blood brain"
        " heart disease symptom symptoms cause causes caused function purpose bible testament god"
        " war battle treaty revolution empire dynasty century ancient medieval amendment"
        " constitution act novel poem lyrics formula equation theorem particle energy gas liquid"
        " temperature degrees wavelength theory law principle process difference definition define"
        " meaning plant animal mammal insect tooth teeth legs strings originally original inventor"
        " origin come characters",
        "MOST": "most least best worst more top highest lowest largest biggest longest smallest"
        " tallest oldest youngest richest fastest greatest max maximum minimum",
        "ROLE": "president ceo governor mayor coach captain manager owner chairman chairperson"
        " chief minister secretary speaker director head king queen pope commissioner ambassador"
        " senator senators justice justices judge judges host anchor quarterback prime deputy"
        " general treasurer chancellor principal dean superintendent sheriff representative"
        " representatives congressman member members attorney cm leader commander owns runs own"
        " run",
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

    >>> " ".join(pattern(words("who is the president of the world")))
    'who PRES the ROLE of the WORLD'
    >>> " ".join(pattern(words("how many planets did galileo see")))
    'how many xs PAST x'
    """
    shape: list[str] = []
    for token in tokens:
        kind = _kind(token)
        if kind and (not shape or kind != shape[-1]):
            shape.append(kind)
    return shape


@functools.lru_cache(maxsize=1 << 13)
def _kind(token: str) -> str:
    if token in _KIND:
        return _KIND[token]
    if token in _KEPT or token[0] == "#":
        return token
    if token == "'s":
        return ""
    if len(token) > 5 and token.endswith("est") and token not in _NOT_SUPERLATIVE:
        return "MOST"
    if len(token) > 4 and token.endswith("ed"):
        return "xed"
    if len(token) > 5 and token.endswith("ing"):
        return "xing"
    if len(token) > 3 and token.endswith("s") and token[-2] not in "su":
        return "xs"
    return "x"


def _runs(tokens: list[str], longest: int, glue: str) -> list[str]:
    """All runs of two to `longest` tokens, with the ends of the question marked."""
    marked = ["^", *tokens, "$"]
    runs: list[str] = []
    grown = marked
    for length in range(1, longest):
        grown = [f"{run}{glue}{token}" for run, token in zip(grown, marked[length:], strict=False)]
        runs += grown
    return runs


def features(question: str) -> list[str]:
    """The distinct features of a question, in a fixed order.

    >>> [name for name in features("who won") if "won" in name]
    ['won', 'who won', 'won $', '^ who won', 'who won $']
    >>> "^_who_WIN_$" in features("who won")
    True
    """
    return features_of(words(question))


def features_of(tokens: list[str]) -> list[str]:
    """`features` of a question already taken apart by `words`."""
    found = tokens + _runs(tokens, 3, " ")
    joints = [token in _JOINTS for token in tokens]
    for at, left in enumerate(tokens):
        if joints[at]:
            found += [f"{left} .. {right}" for right in tokens[at + 2 : at + _APART]]
        else:
            found += [
                f"{left} .. {right}"
                for right, joint in zip(
                    tokens[at + 2 : at + _APART], joints[at + 2 : at + _APART], strict=True
                )
                if joint
            ]
        found += _stems(left)
    shape = pattern(tokens)
    found += [kind for kind in shape if kind[0] not in "#x" and kind.isupper()]
    found += _runs(shape, 5, "_")
    for at, left in enumerate(shape):
        found += [f"{left}_.._{right}" for right in shape[at + 2 : at + _APART]]
    return list(dict.fromkeys(found))


@functools.lru_cache(maxsize=1 << 13)
def _stems(word: str) -> tuple[str, ...]:
    if len(word) < 5 or word[0] == "#":
        return ()
    if len(word) < 7:
        return (f"{word[:4]}*", f"*{word[-3:]}")
    return (f"{word[:4]}*", f"*{word[-3:]}", f"{word[:6]}*")


def carriers(feature: str, tokens: Sequence[str]) -> list[str]:
    """The words of a question that a feature is made of.

    >>> tokens = words("who has the most populous city")
    >>> carriers("who .. most", tokens), carriers("popu*", tokens), carriers("^_who_PERF", tokens)
    (['who', 'most'], ['populous'], ['who', 'has'])
    """
    if feature.endswith("*"):
        return [token for token in tokens if token.startswith(feature[:-1])]
    if feature.startswith("*"):
        return [token for token in tokens if token.endswith(feature[1:])]
    parts = set(feature.replace("_", " ").split())
    return [token for token in tokens if token in parts or _kind(token) in parts]
