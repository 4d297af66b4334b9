"""Whole probes: what is known scores 100, what is killed goes on, what is asked is said."""

import dataclasses

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.probing import candidates, metrics
from closedbook.knowledge.probing.probe import Settings, places_of, probe
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.scoring import CandidateScorer
from closedbook.knowledge.probing.summary import summarise
from closedbook.knowledge.result_folders import unfinished
from closedbook.tasks.facts import Fact, read_facts
from closedbook.tasks.facts.form import gather


def asked(model, facts, **settings):
    return probe(model, facts, Prompting.of(model), Settings(**settings))


@pytest.mark.parametrize("settings", [{}, {"normalise": "length"}, {"single": True}])
def test_a_model_that_is_a_lookup_table_scores_100(lookup_table, table_facts, settings):
    objects = [fact.object for fact in table_facts.facts]
    rows = asked(lookup_table(objects), table_facts, **settings)
    assert [row["rank"] for row in rows] == [1] * len(objects)
    assert [row["top"][0]["text"] for row in rows] == objects


def test_a_lookup_table_of_wrong_facts_scores_0_and_says_what_it_holds(lookup_table, table_facts):
    objects = [fact.object for fact in table_facts.facts]
    wrong = objects[1:] + objects[:1]
    rows = asked(lookup_table(wrong), table_facts)
    assert [row["top"][0]["text"] for row in rows] == wrong
    assert summarise(table_facts, rows, Settings())["all"]["model"]["P@1"].mean == 0


def test_a_model_that_knows_nothing_is_last_everywhere(lookup_table, table_facts):
    model = lookup_table([fact.object for fact in table_facts.facts])
    params = {**model.params, "token_embedder": {"embedding": np.zeros((3840, 48), np.float32)}}
    rows = asked(dataclasses.replace(model, params=params), table_facts)
    assert {row["rank"] for row in rows} == {118}  # of 118 candidates, all of one score


def test_closed_candidates_are_at_least_as_often_right_as_free_answers(atlas_qa):
    names = ["state_admission", "country_demonym", "state_abbreviation", "element_discoverer"]
    facts = candidates.first_facts(read_facts("atlas", relations=names, style="question"), 60)
    settings = Settings(generate=True)
    rows = probe(atlas_qa, facts, Prompting.of(atlas_qa), settings)
    found = summarise(facts, rows, settings)
    assert [part["name"] for part in found["parts"]] == ["asked", "validation", "held out"]
    for part in found["parts"]:
        assert part["model"]["P@1"].mean >= part["model"]["exact match"].mean > 0.5
        assert part["model"]["judged right"].mean >= part["model"]["exact match"].mean


def test_a_killed_probe_goes_on_and_ends_with_the_same_rows(atlas_ssm, tmp_path, monkeypatch):
    names = ["state_capital", "capital_state", "abbreviation_state"]
    facts = candidates.first_facts(read_facts("atlas", relations=names), 5)
    prompting = Prompting.of(atlas_ssm)
    whole = probe(atlas_ssm, facts, prompting, Settings())
    scored: list[int] = []
    score = CandidateScorer.__call__

    def counted(self, inputs, *others):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(len(inputs))
        return score(self, inputs, *others)

    monkeypatch.setattr(CandidateScorer, "__call__", counted)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), unfinished(out) as kept:
        probe(atlas_ssm, facts, prompting, Settings(), keep=kept)
    assert len(list((tmp_path / "out.unfinished").iterdir())) == 2
    scored.clear()
    with unfinished(out) as kept:
        again = probe(atlas_ssm, facts, prompting, Settings(), keep=kept)
        assert scored == [5]
        scored.clear()
        # What other settings or other facts ask is asked anew.
        other = Settings(normalise="length")
        probe(atlas_ssm, facts.only(names[:1]), prompting, other, keep=kept)
        assert scored == [5]
    assert again == whole
    assert not kept.exists()


def test_other_right_objects_are_removed_or_ranked(atlas_ssm):
    facts = gather(
        [
            Fact(
                id=name,
                subject="France",
                relation="r",
                object=name,
                prompt="The capital of {} is [Y].",
            )
            for name in ("Paris", "Rome", "Lima")
        ],
        source="here",
    )
    removed = asked(atlas_ssm, facts)
    assert [row["rank"] for row in removed] == [1, 1, 1]
    assert [row["candidates"] for row in removed] == [1, 1, 1]
    ranked = asked(atlas_ssm, facts, others="ranked")
    assert sorted(row["rank"] for row in ranked) == [1, 2, 3]
    assert ranked[0]["rank"] == 1
    limited = asked(atlas_ssm, candidates.first_facts(facts, 1))
    assert limited[0]["candidates"] == 1, "the objects of facts that are not asked stay right"


def test_rows_hold_what_the_metrics_need(lookup_table, table_facts):
    rows = asked(lookup_table([fact.object for fact in table_facts.facts]), table_facts)
    for normalise in ("sum", "length"):
        assert metrics.precision(places_of(rows, normalise), 1).tolist() == [1] * len(rows)
    assert rows[0]["prompt"].count("<extra_id_0>") == 1
    assert rows[0]["tokens"] == 2  # the object and the end


def test_damaged_parameters_are_told(lookup_table, table_facts):
    model = lookup_table([fact.object for fact in table_facts.facts])
    model.params["decoder"]["decoder_norm"]["scale"][:] = np.nan
    with pytest.raises(UserError, match="gives no numbers for symbol_element"):
        asked(model, table_facts)


def test_candidates_of_a_file_replace_those_of_relations_and_count_what_they_cost(tmp_path):
    facts = read_facts("atlas", relations=["state_capital"])
    path = tmp_path / "names.txt"
    path.write_text("Albany\nAustin\n\nParis\nAlbany\n")
    names = candidates.read(path)
    found = candidates.of_all(facts, names, "names.txt")
    assert found.relations["state_capital"].candidates == ("Albany", "Austin", "Paris")
    assert sorted(fact.object for fact in found.facts) == ["Albany", "Austin"]
    assert found.dropped == {"object not in names.txt": 47}
    with pytest.raises(UserError, match="no fact is left"):
        candidates.of_all(facts, ("Oslo", "Lima"), "names.txt")
    path.write_text("one\n")
    with pytest.raises(UserError, match="names 1 candidate;"):
        candidates.read(path)


def test_summary_has_baselines_beside_the_model(lookup_table, table_facts):
    rows = asked(lookup_table([fact.object for fact in table_facts.facts]), table_facts)
    found = summarise(table_facts, rows, Settings(), ks=(1, 30))
    [relation] = found["relations"]
    assert relation["candidates"] == 118
    assert relation["chance"]["P@1"] == pytest.approx(1 / 118)
    # Every object that is asked occurs once, the others never.
    assert relation["freq"]["P@1"].mean == pytest.approx(1 / 24)
    assert relation["model"]["P@30"].facts == 24
    assert found["curve"][0].k == 1
    assert found["curve"][0].mean == found["all"]["model"]["P@1"].mean
