"""Names of places, wars and days that are one, in several words."""

import functools
from collections.abc import Sequence

_ROWS = """united states|united states of america|usa|us|u s|u s a|america
|united kingdom|uk|united kingdom of great britain and northern ireland|u k
|soviet union|ussr|union of soviet socialist republics|u s s r
|united arab emirates|uae
|china|peoples republic of china|prc
|taiwan|republic of china
|russia|russian federation
|south korea|republic of korea
|north korea|democratic peoples republic of korea|dprk
|netherlands|holland|the netherlands
|myanmar|burma
|iran|persia|islamic republic of iran
|thailand|siam
|sri lanka|ceylon
|czech republic|czechia
|ivory coast|cote divoire
|cape verde|cabo verde
|eswatini|swaziland
|north macedonia|macedonia
|turkey|turkiye
|east timor|timor leste
|zimbabwe|rhodesia
|ethiopia|abyssinia
|republic of the congo|congo brazzaville|congo republic
|democratic republic of the congo|drc|zaire|congo kinshasa|dr congo
|new york city|nyc|new york ny|city of new york
|los angeles|la|city of los angeles
|washington dc|washington d c|district of columbia|dc|d c|washington district of columbia
|istanbul|constantinople|byzantium
|mumbai|bombay
|kolkata|calcutta
|chennai|madras
|bengaluru|bangalore
|varanasi|benares
|yangon|rangoon
|beijing|peking
|guangzhou|canton
|ho chi minh city|saigon
|saint petersburg|st petersburg|leningrad|petrograd
|volgograd|stalingrad
|kyiv|kiev
|oslo|christiania
|jakarta|batavia
|tokyo|edo
|mecca|makkah
|vatican city|holy see|the vatican|vatican
|world war i|world war one|world war 1|first world war|wwi|ww1|ww i|great war|1st world war
|world war ii|world war two|world war 2|second world war|wwii|ww2|ww ii|2nd world war
|american civil war|us civil war|war between the states
|european union|eu
|united nations|un
|mount everest|everest|mt everest|chomolungma|sagarmatha
|british broadcasting corporation|bbc
|carbon dioxide|co2
|water|h2o
|deoxyribonucleic acid|dna
|ribonucleic acid|rna
|christmas|christmas day|december 25|25 december|xmas
|new years day|january 1|1 january
|independence day|fourth of july|4th of july|july 4|july 4th|4 july
|halloween|october 31|31 october
|valentines day|february 14|14 february
|new years eve|december 31|31 december
|christmas eve|december 24|24 december
|none|zero|0|nil
|nobody|no one|noone"""
_GROUP: dict[str, set[int]] = {}
for _number, _row in enumerate(_ROWS.split("\n|")):
    for _name in _row.split("|"):
        _GROUP.setdefault(_name, set()).add(_number)
LONGEST = max(name.count(" ") + 1 for name in _GROUP)
"""Words of the longest name."""
_BEFORE = frozenset(("the", "in", "on"))
WORDS = frozenset(name.split()[0] for name in _GROUP)
"""Words with which a name begins."""


@functools.lru_cache(maxsize=1 << 12)
def groups(words: Sequence[str]) -> frozenset[int]:
    """What the words may name; empty if they are none of these names.

    >>> groups(("the", "usa")) == groups(("united", "states")), groups(("paris",))
    (True, frozenset())
    """
    if words and words[0] in _BEFORE:
        words = words[1:]
    return frozenset(_GROUP.get(" ".join(words), ()))
