"""Countries, states and large cities: which may hold which, and which are rivals of one another."""

import functools
from collections.abc import Container

_COUNTRIES = """afghanistan|albania|algeria|andorra|angola|argentina|armenia|australia|austria
|azerbaijan|bahamas|bahrain|bangladesh|barbados|belarus|belgium|belize|benin|bhutan|bolivia
|bosnia|bosnia and herzegovina|botswana|brazil|brunei|bulgaria|burkina faso|burma|burundi|cambodia
|cameroon|canada|cape verde|chad|chile|china|colombia|comoros|congo|costa rica|croatia|cuba|cyprus
|czech republic|czechia|denmark|djibouti|dominica|dominican republic|ecuador|egypt|el salvador
|equatorial guinea|eritrea|estonia|eswatini|ethiopia|fiji|finland|france|gabon|gambia|georgia
|germany|ghana|greece|grenada|guatemala|guinea|guinea bissau|guyana|haiti|honduras|hungary|iceland
|india|indonesia|iran|iraq|ireland|israel|italy|ivory coast|jamaica|japan|jordan|kazakhstan|kenya
|kiribati|kosovo|kuwait|kyrgyzstan|laos|latvia|lebanon|lesotho|liberia|libya|liechtenstein
|lithuania|luxembourg|macedonia|north macedonia|madagascar|malawi|malaysia|maldives|mali|malta
|mauritania|mauritius|mexico|moldova|monaco|mongolia|montenegro|morocco|mozambique|myanmar|namibia
|nauru|nepal|netherlands|new zealand|nicaragua|niger|nigeria|north korea|norway|oman|pakistan
|palau|palestine|panama|papua new guinea|paraguay|peru|philippines|poland|portugal|qatar|romania
|russia|rwanda|samoa|san marino|saudi arabia|senegal|serbia|seychelles|sierra leone|singapore
|slovakia|slovenia|solomon islands|somalia|south africa|south korea|south sudan|soviet union|spain
|sri lanka|sudan|suriname|sweden|switzerland|syria|taiwan|tajikistan|tanzania|thailand|togo|tonga
|trinidad|tunisia|turkey|turkmenistan|tuvalu|uganda|ukraine|united arab emirates|uae
|united kingdom|uk|great britain|britain|united states|united states of america|usa|us|america
|uruguay|uzbekistan|vanuatu|vatican city|venezuela|vietnam|yemen|zambia|zimbabwe"""
_WIDER = "europe|asia|africa|north america|south america|oceania|central america|middle east"
_STATES = """alabama al|alaska ak|arizona az|arkansas ar|california ca calif|colorado co
|connecticut ct|delaware de|florida fl|georgia ga|hawaii hi|idaho id|illinois il|indiana in|iowa ia
|kansas ks|kentucky ky|louisiana la|maine me|maryland md|massachusetts ma mass|michigan mi
|minnesota mn|mississippi ms|missouri mo|montana mt|nebraska ne|nevada nv|new-hampshire nh
|new-jersey nj|new-mexico nm|new-york ny|north-carolina nc|north-dakota nd|ohio oh|oklahoma ok
|oregon or|pennsylvania pa penn|rhode-island ri|south-carolina sc|south-dakota sd|tennessee tn tenn
|texas tx|utah ut|vermont vt|virginia va|washington wa|west-virginia wv|wisconsin wi|wyoming wy
|ontario|quebec|british-columbia bc|alberta|manitoba|saskatchewan|nova-scotia|new-brunswick
|newfoundland|england|scotland|wales|northern-ireland|new-south-wales nsw|victoria|queensland
|tasmania|western-australia|south-australia|bavaria|saxony|hesse|catalonia|andalusia|tuscany
|lombardy|sicily|provence|normandy|brittany|punjab|kerala|tamil-nadu|gujarat|maharashtra
|karnataka|bihar|rajasthan|uttar-pradesh|west-bengal|yorkshire|kent|surrey|essex|sussex|cornwall
|district-of-columbia dc|puerto-rico"""
# Cities, and where the one that all know lies.
_CITIES = """paris france|london england uk britain united-kingdom|rome italy|athens greece
|berlin germany|madrid spain|vienna austria|lisbon portugal|dublin ireland|moscow russia
|saint-petersburg russia|st-petersburg russia|warsaw poland|prague czechia czech-republic
|budapest hungary|brussels belgium|amsterdam netherlands holland|copenhagen denmark|oslo norway
|stockholm sweden|helsinki finland|bern switzerland|geneva switzerland|zurich switzerland
|milan italy lombardy|naples italy|venice italy|florence italy tuscany|turin italy|bologna italy
|palermo italy sicily|genoa italy|verona italy|pisa italy tuscany|lyon france|marseille france
|nice france|toulouse france|bordeaux france|lille france|strasbourg france|nantes france
|versailles france|munich germany bavaria|hamburg germany|cologne germany|frankfurt germany
|dresden germany saxony|leipzig germany saxony|bonn germany|stuttgart germany|nuremberg germany
|barcelona spain catalonia|seville spain andalusia|valencia spain|granada spain|toledo spain
|bilbao spain|porto portugal|manchester england uk|liverpool england uk|birmingham england uk
|oxford england uk|cambridge england uk massachusetts|bristol england uk|leeds england uk yorkshire
|york england uk yorkshire|sheffield england uk|newcastle england uk|edinburgh scotland uk
|glasgow scotland uk|cardiff wales uk|belfast northern-ireland uk|cork ireland|athens greece
|sparta greece|corinth greece|istanbul turkey|constantinople turkey|ankara turkey|izmir turkey
|bursa turkey|cairo egypt|alexandria egypt|jerusalem israel palestine|tel-aviv israel
|baghdad iraq|tehran iran|damascus syria|beirut lebanon|tripoli libya lebanon|tunis tunisia
|algiers algeria|casablanca morocco|rabat morocco|lagos nigeria|abuja nigeria|nairobi kenya
|addis-ababa ethiopia|johannesburg south-africa|cape-town south-africa|pretoria south-africa
|durban south-africa|delhi india|new-delhi india|mumbai india|bombay india|kolkata india
|calcutta india|chennai india|bangalore india|hyderabad india pakistan|karachi pakistan
|lahore pakistan|islamabad pakistan|dhaka bangladesh|kabul afghanistan|kathmandu nepal
|beijing china|shanghai china|hong-kong china|nanjing china|guangzhou china|wuhan china|tokyo japan
|kyoto japan|osaka japan|nagasaki japan|hiroshima japan|yokohama japan|seoul south-korea korea
|busan south-korea korea|pyongyang north-korea korea|bangkok thailand|hanoi vietnam
|saigon vietnam|manila philippines|jakarta indonesia|kuala-lumpur malaysia|taipei taiwan
|sydney australia new-south-wales|melbourne australia victoria|brisbane australia queensland
|perth australia western-australia scotland|adelaide australia|canberra australia
|auckland new-zealand|wellington new-zealand|toronto canada ontario|montreal canada quebec
|vancouver canada british-columbia|ottawa canada ontario|calgary canada alberta
|mexico-city mexico|havana cuba|rio-de-janeiro brazil|sao-paulo brazil|brasilia brazil
|buenos-aires argentina|santiago chile cuba|lima peru|cusco peru|bogota colombia|caracas venezuela
|quito ecuador|la-paz bolivia|montevideo uruguay|kiev ukraine|kyiv ukraine|odessa ukraine texas
|minsk belarus|bucharest romania|sofia bulgaria|belgrade serbia|zagreb croatia|sarajevo bosnia
|riga latvia|vilnius lithuania|tallinn estonia|krakow poland|gdansk poland|tbilisi georgia
|yerevan armenia|baku azerbaijan|new-york-city new-york us usa|los-angeles california us usa
|chicago illinois us usa|houston texas us usa|dallas texas us usa|austin texas us usa
|san-francisco california us usa|san-diego california us usa|seattle washington us usa
|boston massachusetts us usa|philadelphia pennsylvania us usa|pittsburgh pennsylvania us usa
|detroit michigan us usa|miami florida us usa|orlando florida us usa|atlanta georgia us usa
|denver colorado us usa|phoenix arizona us usa|las-vegas nevada us usa|new-orleans louisiana us usa
|memphis tennessee egypt us usa|nashville tennessee us usa|minneapolis minnesota us usa
|milwaukee wisconsin us usa|cleveland ohio us usa|cincinnati ohio us usa|baltimore maryland us usa
|honolulu hawaii us usa|salt-lake-city utah us usa|bergen norway|malmo sweden|gothenburg sweden
|aarhus denmark|salzburg austria|graz austria|basel switzerland|antwerp belgium|bruges belgium
|rotterdam netherlands|the-hague netherlands|utrecht netherlands|mecca saudi-arabia
|medina saudi-arabia|riyadh saudi-arabia|dubai united-arab-emirates uae|doha qatar
|abu-dhabi united-arab-emirates uae"""


def _named(row: str) -> list[str]:
    return [name.replace("-", " ") for name in row.split()]


COUNTRIES = frozenset(" ".join(name.split()) for name in _COUNTRIES.split("|"))
_STATE = {name: row[0] for row in map(_named, _STATES.split("|")) for name in row}
_HOMES = {row[0]: frozenset(row[1:]) for row in map(_named, _CITIES.split("|"))}
_CONTINENTS = frozenset(_WIDER.split("|"))


_STATES_OF = {
    frozenset(("us", "usa", "united states", "united states of america", "america")): (0, 50),
    frozenset(("canada",)): (50, 59),
    frozenset(("uk", "united kingdom", "britain", "great britain")): (59, 63),
    frozenset(("australia",)): (63, 69),
}
_NAMES = list(dict.fromkeys(_STATE.values()))
_COUNTRY_OF = {
    state: homes for homes, (start, end) in _STATES_OF.items() for state in _NAMES[start:end]
}


def _plain(name: str) -> str:
    return name.removeprefix("the ")


@functools.lru_cache(maxsize=1 << 12)
def levels(name: str) -> frozenset[int]:
    """What a name may be: 1 a large city, 2 a state, 3 a country, 4 a continent; empty if unknown.

    >>> sorted(levels("georgia")), sorted(levels("paris")), sorted(levels("gotham"))
    ([2, 3], [1], [])
    """
    name = _plain(name)
    tables: tuple[Container[str], ...] = (_HOMES, _STATE, COUNTRIES, _CONTINENTS)
    return frozenset(level for level, table in enumerate(tables, start=1) if name in table)


def chain(names: list[str]) -> bool:
    """Whether each known place may hold the one before it: a town, its state, its country.

    >>> chain(["sudbury", "ontario", "canada"]), chain(["lyon", "paris"]), chain(["rome", "ny"])
    (True, False, True)
    """
    last = 0
    known = False
    for name in names:
        found = levels(name)
        if not found:
            if last:
                return False
            continue
        above = [level for level in found if level > last]
        if not above:
            return False
        last = min(above)
        known = known or last > 1
    return known


def elsewhere(city: str, holder: str) -> bool:
    """Whether the city that all know under a name lies in none of the places of a name.

    >>> elsewhere("paris", "texas"), elsewhere("paris", "france"), elsewhere("gotham", "texas")
    (True, False, False)
    """
    homes = _HOMES.get(_plain(city))
    holder = _plain(holder)
    if homes is None or not levels(holder) & {2, 3}:
        return False
    return holder not in homes and _STATE.get(holder, holder) not in homes


def apart(first: str, second: str) -> bool:
    """Whether two names are known and no names of one place: two states, two countries.

    >>> apart("oregon", "maine"), apart("texas", "tx"), apart("england", "uk")
    (True, False, False)
    >>> apart("texas", "france"), apart("ontario", "canada")
    (True, False)
    """
    first, second = _plain(first), _plain(second)
    a, b = levels(first), levels(second)
    if not a or not b or first == second:
        return False
    if a & b:
        return _STATE.get(first, first) != _STATE.get(second, second)
    state, country = (first, second) if 2 in a else (second, first)
    homes = _COUNTRY_OF.get(_STATE.get(state, ""))
    return homes is not None and country in COUNTRIES and country not in homes
