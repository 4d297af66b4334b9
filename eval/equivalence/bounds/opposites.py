"""Words that make two answers differ although they share the rest: north and south, vice, step-."""

import itertools
from collections.abc import Iterable, Sequence

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against
from closedbook.eval.equivalence.evidence import classes, words
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.codes import Stands
from closedbook.eval.equivalence.reasons import Reason

_PAIRS = """north south|northern southern|east west|eastern western|northeast southwest
|northeast northwest|southeast southwest|northeast southeast|northwest southwest|left right
|upper lower|up down|above below|before after|first last|male female|men women|man woman|boy girl
|mother father|son daughter|brother sister|husband wife|king queen|prince princess|uncle aunt
|nephew niece|grandmother grandfather|grandson granddaughter|black white|hot cold|warm cold
|high low|highest lowest|higher lower|large small|largest smallest|big small|biggest smallest
|long short|longest shortest|longer shorter|old new|old young|oldest youngest|older younger
|oldest newest|major minor|positive negative|odd even|inside outside|inner outer|internal external
|interior exterior|win lose|won lost|winner loser|true false|buy sell|increase decrease
|increased decreased|rise fall|rising falling|rose fell|gain loss|ascending descending
|clockwise counterclockwise|clockwise anticlockwise|anterior posterior|dorsal ventral|medial lateral
|proximal distal|afferent efferent|summer winter|spring autumn|spring fall|day night|sunrise sunset
|dawn dusk|morning evening|morning afternoon|public private|alive dead|living dead|arctic antarctic
|acid base|acidic basic|acid alkaline|acidic alkaline|artery vein|arterial venous
|anode cathode|maximum minimum|most least|more less|more fewer|best worst|better worse|fast slow
|fastest slowest|heavy light|heaviest lightest|home away|guilty innocent|domestic foreign
|domestic international|urban rural|import export|entrance exit|arrival departure|early late
|earliest latest|front back|front rear|top bottom|horizontal vertical|latitude longitude
|convex concave|liquid solid|solid gas|liquid gas|hard soft|strong weak|wide narrow|deep shallow
|near far|nearest farthest|rich poor|single double|primary secondary|voluntary involuntary
|union confederacy|union confederate|democrat republican|democratic republican|liberal conservative
|protestant catholic|shia sunni|allied axis|allies axis|offense defense|offensive defensive
|saturated unsaturated|renewable nonrenewable|simple complex|active passive|indoor outdoor
|sympathetic parasympathetic|mitosis meiosis|stalactite stalagmite|centripetal centrifugal
|magnesium manganese|aerobic anaerobic|state city|county city|prokaryotic eukaryotic
|prokaryote eukaryote|yin yang|debit credit|ally enemy|input output|sender receiver|predator prey
|lender borrower|teacher student|employer employee|parent child|plaintiff defendant|senate house
|red blue|red green|green blue|red white|red black|blue white|yellow blue|yellow red|yellow green
|gold silver|silver bronze|gold bronze|iron copper|copper gold|copper silver|dc state|aunt mother
|wife mother|son father|daughter mother|sister mother|brother father|sister daughter|brother son
|pere fils|monoxide dioxide|dioxide trioxide|monoxide trioxide
|unilateral bilateral|biped quadruped|bicycle tricycle|monosaccharide polysaccharide"""
_OPPOSED: dict[str, set[str]] = {}
_QUARTERS = [(quarter, f"{quarter}ern") for quarter in ("north", "south", "east", "west")]
_ACROSS = [
    (first, second)
    for quarter, other in itertools.permutations(_QUARTERS, 2)
    for first in quarter
    for second in other
]
for _one, _other in [*map(str.split, _PAIRS.split("|")), *_ACROSS]:
    _first, _second = words.stem(_one), words.stem(_other)
    _OPPOSED.setdefault(_first, set()).add(_second)
    _OPPOSED.setdefault(_second, set()).add(_first)
WORDS = _OPPOSED.keys()
"""Stems that have an opposite."""

_KIN = frozenset(
    "mother father son daughter brother sister parent aunt uncle cousin mom dad child nephew "
    "niece grandmother grandfather".split()
)
_BEFORE_KIN = frozenset("step half great god foster grand adoptive ex surrogate".split())
_OFFICES = frozenset(
    "president governor minister secretary captain king queen chairman director mayor general "
    "chancellor commissioner editor manager coach marshal admiral chief principal treasurer "
    "premier wife husband champion ambassador senator pope leader".split()
)
_BEFORE_OFFICE = frozenset(
    "vice deputy assistant under lieutenant former ex acting interim sub co shadow honorary past "
    "attorney surgeon junior prime".split()
)
# Places that hold another place's name, and what stands before or behind it.
_BEFORE_PLACE = {
    "new": "mexico england jersey york zealand hampshire orleans delhi brunswick guinea haven "
    "caledonia castle britain",
    "north": "korea america carolina dakota africa macedonia vietnam yemen sudan",
    "south": "korea america carolina dakota africa sudan australia vietnam yemen wales",
    "west": "virginia indies africa germany bank bengal java",
    "east": "germany timor africa indies london java anglia",
    "northern": "ireland territory cyprus",
    "western": "australia sahara samoa europe",
    "southern": "rhodesia sudan",
    "eastern": "europe germany",
    "central": "america asia europe",
    "papua": "guinea new",
    "equatorial": "guinea",
    "american": "samoa",
    "latin": "america",
    "baja": "california",
    "british": "columbia",
    "nova": "scotia",
}
_BEFORE_PLACE_WORDS = {word: frozenset(places.split()) for word, places in _BEFORE_PLACE.items()}
_BEHIND_PLACE = {
    "city": "kansas mexico oklahoma jersey panama guatemala quebec iowa kuwait vatican carson ho",
    "bissau": "guinea",
}
_BEHIND_PLACE_WORDS = {word: frozenset(places.split()) for word, places in _BEHIND_PLACE.items()}


def find(case: Case) -> Bounds | None:
    """A word that makes the prediction another thing than the expected answer."""
    gold, given = case.gold, case.given
    if (case.short or not given.weights.keys().isdisjoint(WORDS)) and _opposite(case):
        return against(Reason.OPPOSITE)
    if len(gold.words) > 5 or not case.short:
        return None
    if _other_thing(gold, given, case) or _other_thing(given, gold, case):
        return against(Reason.HEAD_CONFLICT)
    return None


def opposite(a: str, b: str) -> bool:
    """Whether two stems contradict one another.

    >>> opposite("north", "south"), opposite("austria", "australia"), opposite("north", "pole")
    (True, True, False)
    """
    return b in _OPPOSED.get(a, _NOTHING) or words.opposed(a, b) or classes.rivals(a, b)


def _opposite(case: Case) -> bool:
    """Whether the prediction has the opposite of an expected word, and all others of them."""
    gold, given = case.gold, case.given
    lacking = [stem for stem in gold.weights if stem not in given.weights]
    if not lacking:
        return False
    asked = case.question.keys
    strange = [stem for stem in given.weights if stem not in gold.weights]
    for stem in lacking:
        if len(lacking) > 1 and any(other != stem and other not in asked for other in lacking):
            return False
        contrary = _contrary(stem, strange)
        if not contrary or (set(contrary) <= asked and stem not in asked):
            continue
        if any(not other.keys.isdisjoint(contrary) for other in case.golds):
            continue
        if len(gold.weights) > 1 or case.short:
            return True
    return False


def _contrary(stem: str, others: Sequence[str]) -> list[str]:
    """Those that are opposite to a word; few words may have any, so most are not compared."""
    if stem in _OPPOSED or stem in classes.WORDS or words.may_oppose(stem):
        return [other for other in others if opposite(stem, other)]
    return [other for other in others if words.adds(other, stem)]


_NOTHING: frozenset[str] = frozenset()


def _other_thing(name: Answer, text: Answer, case: Case) -> bool:
    """Whether a text holds a name only as a part of another thing's: mother-in-law, New Mexico."""
    if case.pair.contained < Stands.STEMS and case.pair.within < Stands.STEMS:
        return False
    bare = name.words[1:] if name.words[:1] in (("the",), ("a",), ("an",)) else name.words
    if not bare or len(bare) >= len(text.words):
        return False
    known = case.question.words.union(*[gold.words for gold in case.golds if gold is not name])
    if name is not case.gold:
        known = case.question.words
    count = len(bare)
    first, last = bare[0], bare[-1]
    places = [
        place
        for place in range(len(text.words) - count + 1)
        if text.words[place : place + count] == bare
    ]
    return bool(places) and all(
        _changed(text.words, place, place + count, first, last, known) for place in places
    )


def _changed(
    words_: tuple[str, ...], start: int, end: int, first: str, last: str, known: Iterable[str]
) -> bool:
    before = words_[start - 1] if start else ""
    behind = words_[end] if end < len(words_) else ""
    if last in _KIN and (list(words_[end : end + 2]) == ["in", "law"] or before in _BEFORE_KIN):
        return True
    if (first in _OFFICES or last in _OFFICES) and before in _BEFORE_OFFICE and before not in known:
        return True
    if before not in known and first in _BEFORE_PLACE_WORDS.get(before, _NOTHING):
        return True
    return last in _BEHIND_PLACE_WORDS.get(behind, _NOTHING)
