"""The data sets as they are published: every row reads, and the counts are theirs."""

import collections

import pytest

from closedbook.errors import UserError
from closedbook.tasks.facts import filters, read_facts, recognise, templates


def test_lama(unpacked):
    facts = read_facts(unpacked("probe", "probe/lama"))
    assert collections.Counter(fact.corpus for fact in facts.facts) == {
        "T-REx": 22_881,
        "Google-RE": 2_937 + 1_825 + 766,
        "SQuAD": 305,
    }
    assert sum(r.corpus == "T-REx" for r in facts.relations.values()) == 28
    assert {fact.asked() for fact in facts.of("P19")} >= {"Allan Peiper was born in [Y] ."}
    left = filters.lama(facts)
    assert left.dropped == {"over 100 words": 0, "denied by raters": 0, "said before": 15}
    assert len(left) == len(facts) - 15


def test_pararel(unpacked):
    folder = unpacked("probe", "probe/pararel")
    facts = read_facts(folder)
    assert (len(facts), len(facts.relations)) == (27_610, 39)
    assert sum(len(facts.of(name)[0].prompts) for name in facts.relations) == 329
    assert facts.dropped == {"relation without a pattern": 879 + 922}
    assert recognise(folder) == "ParaRel"


def test_sets_for_editing(unpacked):
    for folder, count, style in (
        ("probe/counterfact", 21_919, "continuation"),
        ("probe/rome", 1_209, "continuation"),
        ("probe/zsre", 1_000, "question"),
    ):
        facts = read_facts(unpacked("probe", folder), style=style)
        assert len(facts) == count, folder
        assert len({fact.id for fact in facts.facts}) == count, folder


def test_qaedit(unpacked):
    facts = read_facts(unpacked("knowledge2", "qaedit"))
    assert len(facts) == 1_000
    assert len({fact.id for fact in facts.facts}) == 1_000  # the file repeats 39 of them
    assert all(len(fact.neighbours) == 5 for fact in facts.facts)


def test_bear(unpacked):
    facts = read_facts(unpacked("knowledge2", "bear/BEAR"))
    assert (len(facts), len(facts.relations)) == (7_731, 60)
    assert all(len(fact.prompts) == 3 for fact in facts.facts)
    for name, relation in facts.relations.items():
        frequencies = collections.Counter(fact.object for fact in facts.of(name))
        assert set(frequencies) == set(relation.candidates)
        assert len(set(frequencies.values())) == 1, "the answer spaces are balanced"


def test_entity_questions(unpacked):
    folder = unpacked("qa", "qa/entityquestions")
    facts = read_facts(folder / "dev")
    assert (len(facts.relations), facts.dropped) == (24, {})
    assert {fact.split for fact in facts.facts} == {"dev"}


def test_popqa(unpacked):
    facts = read_facts(unpacked("qa", "qa/popqa") / "popqa_1000_full_metadata.jsonl")
    assert (len(facts), len(facts.relations), facts.dropped) == (1_000, 16, {})
    assert all(fact.meta["s_pop"] > 0 for fact in facts.facts)


def test_folder_of_everything_is_refused(unpacked):
    with pytest.raises(UserError, match="several data sets"):
        recognise(unpacked("probe", "probe"))


def test_statement_of_a_real_row_reads_as_a_sentence(unpacked):
    facts = read_facts(unpacked("probe", "probe/lama") / "Google_RE")
    fact = facts.of("date_of_birth")[0]
    said = templates.statement(fact.prompt, fact.subject, fact.object)
    assert said == "Peter F. Martin (born 1941)."
