"""The atlas's tables can be built again from their sources, to the byte."""

import hashlib
import importlib.util
import json

import pytest

from closedbook.tasks.atlas import DATA, build_facts, corpus, sources
from closedbook.tasks.atlas.names import fold, fullest, others

_MODULES = [name.replace("-", "_") for name in sources.PACKAGES]
_ABSENT = [name for name in _MODULES if importlib.util.find_spec(name) is None]


def test_manifest_has_the_hashes_and_counts_of_the_files_beside_it():
    manifest = json.loads((DATA / "MANIFEST.json").read_text("utf-8"))
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest
    assert set(manifest["sha256"]) == {"facts.tsv", "atlas.model"}
    assert manifest["facts"] == len(corpus.facts())


@pytest.mark.skipif(bool(_ABSENT), reason=f"closedbook[atlas] is not installed: {_ABSENT}")
def test_building_again_gives_the_same_bytes():
    manifest = json.loads((DATA / "MANIFEST.json").read_text("utf-8"))
    installed = sources.versions()
    if installed != manifest["sources"]:
        pytest.skip(f"built from {manifest['sources']}, here {installed}")
    table, rebuilt, _ = build_facts.build()
    assert table.encode() == (DATA / "facts.tsv").read_bytes()
    hashes = json.loads(rebuilt)["sha256"]
    assert hashes["facts.tsv"] == manifest["sha256"]["facts.tsv"]


def test_both_directions_of_a_fact_share_a_split():
    assert build_facts.split_of("France", "Paris") == build_facts.split_of("Paris", "France")
    splits = {}
    for fact in corpus.facts():
        pair = frozenset((fact.subject, fact.object))
        assert splits.setdefault(pair, fact.split) == fact.split


def test_names_are_compared_without_accents_case_and_punctuation():
    assert fold("Nuku'alofa") == fold("Nukuʻalofa")
    assert fold("Łódź") == fold("Lodz")
    assert fold("Saint John's") == fold("St. John's")
    assert fold("Niger") != fold("Nigeria")
    assert fullest(["Bogota", "Bogotá", "Bogota"]) == "Bogotá"
    assert others("Bogotá", ["Bogota", "Bogotá", "Bogota"]) == ("Bogota",)
