"""Builds the atlas's table of facts from PyPI's fact-table packages.

`python -m closedbook.tasks.atlas.build_facts` writes `data/facts.tsv` and
`data/MANIFEST.json`; the same package versions give the same bytes. It needs the extra
`closedbook[atlas]`; nothing else does, since the tables ship with the package.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import re
from collections.abc import Iterable

from closedbook.tasks.atlas import DATA, corrections, sources
from closedbook.tasks.atlas.names import fold
from closedbook.tasks.atlas.other_relations import airport_facts, element_facts, state_facts
from closedbook.tasks.atlas.relations import Candidate, CountryRelations, Dropped, turned

COLUMNS = ("id", "relation", "subject", "object", "aliases", "sources", "split")
# The same fact from its other end, where that end names it alone.
INVERSES = {
    "country_capital": "capital_country",
    "country_currency": "currency_country",
    "country_demonym": "demonym_country",
    "state_capital": "capital_state",
    "state_abbreviation": "abbreviation_state",
    "element_symbol": "symbol_element",
    "element_number": "number_element",
}


def split_of(subject: str, object_: str) -> str:
    """The split of a fact, the same for both of its directions.

    About 60% "train", 5% "validation", 35% "test", by a hash of the unordered pair.
    """
    pair = "\t".join(sorted((subject, object_)))
    share = int.from_bytes(hashlib.sha256(pair.encode()).digest()[:4], "big") / 2**32
    if share < 0.60:
        return "train"
    return "validation" if share < 0.65 else "test"


def candidates(dropped: Dropped) -> list[Candidate]:
    """Every candidate fact of every relation, both directions."""
    relations = CountryRelations(sources.countries(), dropped)
    with_codes = list(relations.currency())
    codes = {}  # one row per currency: the code belongs to the money, not to each of its countries
    for fact, code in with_codes:
        if code in corrections.LEFT_OUT["currency_code"]:
            dropped.append(("currency_code", code, corrections.LEFT_OUT["currency_code"][code]))
        elif fact.object not in codes or fact.sources != ("correction",):
            codes[fact.object] = Candidate(
                relation="currency_code", subject=fact.object, object=code, sources=fact.sources
            )
    found = [
        *relations.capital(),
        *(fact for fact, _ in with_codes),
        *codes.values(),
        *relations.continent(),
        *relations.language(),
        *relations.demonym(),
        *relations.highest_point(),
        *relations.independence(),
        *relations.top_level_domain(),
        *relations.calling_code(),
        *state_facts(dropped),
        *element_facts(dropped),
        *airport_facts(dropped),
    ]
    inverse = [turned(fact, INVERSES[fact.relation]) for fact in found if fact.relation in INVERSES]
    return found + inverse


def unambiguous(found: Iterable[Candidate], dropped: Dropped) -> list[Candidate]:
    """Leaves out every subject that has several objects within one relation."""
    groups = collections.defaultdict(list)
    for fact in found:
        groups[fact.relation, fold(fact.subject)].append(fact)
    kept = []
    for facts in groups.values():
        objects = {fold(fact.object) for fact in facts}
        if len(objects) > 1:
            names = ", ".join(fact.object for fact in facts[:4])
            dropped.append((facts[0].relation, facts[0].subject, f"several: {names}"))
        else:
            kept.append(facts[0])
    return kept


def identifier(fact: Candidate) -> str:
    """A stable, readable id such as "country_capital:france"."""
    slug = re.sub(r"[^\w.+]+", "-", fact.subject.lower()).strip("-")
    return f"{fact.relation}:{slug}"


def build() -> tuple[str, str, Dropped]:
    """The bytes of facts.tsv and MANIFEST.json as text, and what was left out and why."""
    dropped: Dropped = []
    kept = unambiguous(candidates(dropped), dropped)
    rows = sorted(
        (
            identifier(fact),
            fact.relation,
            fact.subject,
            fact.object,
            "|".join(fact.aliases),
            "|".join(fact.sources),
            split_of(fact.subject, fact.object),
        )
        for fact in kept
    )
    table = "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows])
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in rows:
        counts[row[1]][row[6]] += 1
        counts[row[1]]["sources_agree" if "|" in row[5] else "one_source"] += 1
    left_out = collections.Counter(relation for relation, _, _ in dropped)
    manifest = {
        "sources": sources.versions(),
        "facts": len(rows),
        "splits": dict(sorted(collections.Counter(row[6] for row in rows).items())),
        "relations": {name: dict(sorted(counts[name].items())) for name in sorted(counts)},
        "left_out": dict(sorted(left_out.items())),
        "sha256": {"facts.tsv": hashlib.sha256(table.encode()).hexdigest()},
    }
    return table, json.dumps(manifest, indent=2) + "\n", dropped


def main() -> None:
    """Writes the two files; with --dropped, prints what was left out and why."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=DATA, help="folder of the tables")
    parser.add_argument("--dropped", action="store_true", help="list what was left out")
    options = parser.parse_args()
    table, manifest, dropped = build()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "facts.tsv").write_text(table, "utf-8")
    (options.out / "MANIFEST.json").write_text(manifest, "utf-8")
    if options.dropped:
        for row in dropped:
            print("\t".join(row))


if __name__ == "__main__":
    main()
