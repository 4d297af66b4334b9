"""Words that name the same: nicknames, countries and their peoples, abbreviations; and titles."""

import functools
from collections.abc import Sequence

TITLES = frozenset(
    """mr mrs ms miss dr sir dame lord lady king queen prince princess president general gen col
    colonel captain capt major lieutenant lt sergeant sgt admiral senator sen governor gov judge
    justice chief minister prime professor prof reverend rev father brother sister saint st pope
    bishop emperor empress duke earl baron count maestro actor actress singer author writer
    footballer player coach american british english french german indian swedish canadian
    australian irish scottish the""".split()
)
SUFFIXES = frozenset("jr sr ii iii iv junior senior mbe obe cbe esq phd md".split())

_NICKNAMES = """
alexander alex sandy|albert al bert|andrew andy drew|anthony tony|antonio tony|archibald archie
|arthur art|benjamin ben benny benji|bernard bernie|bradley brad|catherine kate kathy cathy katie
|charles charlie chuck|christopher chris kit|christina chris tina|christine chris tina
|clifford cliff|cynthia cindy|daniel dan danny|david dave davey|deborah debbie deb|dennis denny
|donald don donnie|dorothy dot dottie|douglas doug|edward ed eddie ted ned|edwin ed
|eleanor ellie nell|elizabeth liz beth betty lizzie eliza bess|eugene gene|florence flo
|frances fran|francis frank|frederick fred freddie|gerald gerry jerry|gerard gerry
|gregory greg|harold harry hal|henry harry hank hal|herbert herb bert|jacob jake|james jim jimmy
jamie|jeffrey jeff|jennifer jen jenny|jerome jerry|jessica jess|joan joanie|john jack johnny jon
|jonathan jon|joseph joe joey|joshua josh|judith judy|katherine kate kathy katie kat
|kathleen kathy kate|kenneth ken kenny|laurence larry|lawrence larry|leonard leo len lenny
|leslie les|louis lou louie|margaret maggie meg peggy marge|martin marty|matthew matt
|melvin mel|michael mike mick mickey micky|mitchell mitch|nancy nan|nathaniel nate nat
|nathan nate|nicholas nick nicky|norman norm|pamela pam|patricia pat patty tricia|patrick pat
paddy|peter pete pyotr|philip phil|phillip phil|randall randy|raymond ray|rebecca becky becca
|reginald reggie reg|richard rick dick rich richie ricky|robert bob rob bobby robbie bert
|ronald ron ronnie|rosemary rose|russell russ|samantha sam|samuel sam sammy|sandra sandy
|stanley stan|stephen steve stevie|steven steve|susan sue susie|sylvester sly|terence terry
|theodore ted teddy theo|thomas tom tommy|timothy tim|valerie val|victoria vicky|vincent vince
vinny|virginia ginny|walter walt wally|wesley wes|wilfred wilf|william will bill billy willie
|winston win|zachary zach zack
"""
# Country, and the words for what comes from there.
_PEOPLES = """
afghanistan afghan|africa african|albania albanian|algeria algerian|america american us usa
|argentina argentine argentinian|asia asian|australia australian aussie|austria austrian
|belgium belgian|bolivia bolivian|brazil brazilian|britain british uk|bulgaria bulgarian
|canada canadian|chile chilean|china chinese|colombia colombian|croatia croatian|cuba cuban
|czechia czech|denmark danish dane|egypt egyptian|england english|ethiopia ethiopian
|europe european|finland finnish finn|france french|georgia georgian|germany german
|ghana ghanaian|greece greek hellenic|hungary hungarian|iceland icelandic|india indian
|indonesia indonesian|iran iranian persian|iraq iraqi|ireland irish|israel israeli
|italy italian|jamaica jamaican|japan japanese|jordan jordanian|kenya kenyan|korea korean
|lebanon lebanese|libya libyan|malaysia malaysian|mexico mexican|mongolia mongolian
|morocco moroccan|nepal nepali nepalese|netherlands dutch holland|nigeria nigerian
|norway norwegian|pakistan pakistani|peru peruvian|philippines filipino philippine
|poland polish pole|portugal portuguese|romania romanian|rome roman|russia russian
|scotland scottish scots scot|serbia serbian|singapore singaporean|slovakia slovak
|spain spanish hispanic|sudan sudanese|sweden swedish swede|switzerland swiss|syria syrian
|thailand thai|tibet tibetan|tunisia tunisian|turkey turkish turk|ukraine ukrainian
|venezuela venezuelan|vietnam vietnamese|wales welsh|yemen yemeni|zimbabwe zimbabwean
"""
# One thing under several words: states' letters, chemical symbols, frequent abbreviations.
_SAME = """
alabama al|arizona az|california ca calif|colorado co|connecticut ct|florida fl|georgia ga
|illinois il|kansas ks|kentucky ky|louisiana la|maryland md|massachusetts ma mass|michigan mi
|minnesota mn|mississippi ms|missouri mo|montana mt|nebraska ne|nevada nv|ohio oh|oklahoma ok
|oregon or|pennsylvania pa penn|tennessee tn tenn|texas tx|utah ut|vermont vt|virginia va
|washington wa|wisconsin wi|wyoming wy|gold au|silver ag|iron fe|copper cu|lead pb|sodium na
|potassium k|oxygen o2 o|hydrogen h2 h|nitrogen n2 n|carbon c|calcium ca|magnesium mg|mercury hg
|helium he|chlorine cl|zinc zn|uranium u|water h2o|soccer football|television tv|movie film
|film motion picture|mother mom mum|father dad|automobile car|nyc newyork|percent %
|kilometer km|meter m|mile mi|hour hr|minute min|university univ|company co|corporation corp
|incorporated inc|limited ltd|department dept|government govt|championship champ|avenue ave
|street st|mountain mt|mountains mts|number no|volume vol|association assn|september sept sep
"""


def _table(rows: str) -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for number, row in enumerate(rows.split("|")):
        for word in row.split():
            groups.setdefault(word, set()).add(number)
    return {word: frozenset(numbers) for word, numbers in groups.items()}


_NICKNAME = _table(_NICKNAMES)
_PEOPLE = _table(_PEOPLES)
_ALIAS = _table(_SAME)
LINKED = _NICKNAME.keys() | _PEOPLE.keys() | _ALIAS.keys()
"""All words of the tables."""


def _together(table: dict[str, frozenset[int]], a: str, b: str) -> bool:
    first = table.get(a)
    second = table.get(b)
    return bool(first and second and first & second)


@functools.lru_cache(maxsize=1 << 16)
def bridge(a: str, b: str) -> str:
    """The table by which two words name the same: "nickname", "people", "alias" or "".

    >>> bridge("bill", "william"), bridge("swedish", "sweden"), bridge("texas", "tx")
    ('nickname', 'people', 'alias')
    >>> bridge("bill", "robert")
    ''
    """
    if _together(_NICKNAME, a, b):
        return "nickname"
    if _together(_PEOPLE, a, b):
        return "people"
    if _together(_ALIAS, a, b):
        return "alias"
    return ""


def core(words: Sequence[str]) -> list[str]:
    """A person's name without titles before it and suffixes behind it.

    >>> core(["general", "george", "washington", "jr"])
    ['george', 'washington']
    """
    start, end = 0, len(words)
    while start < end - 1 and words[start] in TITLES:
        start += 1
    while end > start + 1 and words[end - 1] in SUFFIXES:
        end -= 1
    return list(words[start:end])
