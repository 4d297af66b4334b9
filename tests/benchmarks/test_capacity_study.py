"""The study of capacity: its people, its batches, its trainings, its page."""

import dataclasses
import json
import math
import sys

import jax
import numpy as np
import pytest

from benchmarks.capacity_study import __main__ as study
from benchmarks.capacity_study import cell as cells
from benchmarks.capacity_study import (
    examples,
    networks,
    numbers,
    people,
    plan,
    report,
    training,
    zeroing,
)
from benchmarks.capacity_study.networks import FAMILIES, SIZES
from benchmarks.capacity_study.plan import PLANS, Cell
from closedbook.errors import UserError
from closedbook.memory import Memory

TINY = Cell(meter="pairs", family="t5_1_1", size="6k", amount=0.1, seed=3, exposures=700, rate=0.02)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return people.vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.mark.parametrize("meter", ["pairs", "facts"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_families_have_equal_parameters_within_three_per_cent(size, meter):
    counts = [size.parameters(family, meter).others for family in FAMILIES]
    assert max(counts) < 1.03 * min(counts)


def test_the_small_plan_is_what_it_says():
    small = PLANS["small"]
    raw = [each for each in [*small.cells(), *small.tuning()] if each.meter != "facts"]
    assert len(raw) <= 24
    assert {each.seed for each in small.cells()}.isdisjoint({plan.TUNING_SEED})
    for each in (*PLANS["full"].cells(), *PLANS["large"].cells()):
        assert each.meter != "facts" or each.items + 400 <= len(people.FIRST) ** 3
    names = [each.name for each in PLANS["large"].cells()]
    assert len(set(names)) == len(names)


def test_people_are_drawn_by_a_fair_die_and_the_seed_alone():
    made = people.people(4000, seed=5)
    assert made.names == people.people(4000, seed=5).names
    assert len(set(made.names)) == 4000
    assert made.names != people.people(4000, seed=6).names
    assert people.BITS == 34
    for column, attribute in enumerate(people.ATTRIBUTES):
        counts = np.bincount(made.values[:, column], minlength=len(attribute.values))
        expected = 4000 / len(counts)
        chi = ((counts - expected) ** 2 / expected).sum()
        freedom = len(counts) - 1
        assert abs(chi - freedom) < 4 * math.sqrt(2 * freedom)
    words = [word for a in people.ATTRIBUTES for value in a.values for word in value.split()]
    assert not {*words} & {*people.FIRST, *people.MIDDLE, *people.LAST}
    with pytest.raises(UserError, match="300,000 people are wanted, and there are 262,144"):
        people.people(300_000, seed=0)


def test_every_word_is_a_piece_and_no_two_candidates_are_spelled_alike(vocabulary):
    assert vocabulary.vocab_size <= networks.ROWS["facts"]
    for attribute in people.ATTRIBUTES:
        rows = [tuple(row) for row in vocabulary.encode_batch(attribute.values)]
        assert len(set(rows)) == len(rows)
        assert all(2 not in row for row in rows)
        assert len(attribute.sentences) == 4
        for line in (*attribute.sentences, *attribute.questions):
            told = line.replace("{}", "Bala Lubo Ulberg").replace("[Y]", attribute.values[0])
            assert vocabulary.decode(vocabulary.encode(told)) == told


@pytest.mark.parametrize("objective", examples.OBJECTIVES)
def test_masked_sentences_can_be_put_together_again(vocabulary, objective):
    made = people.people(30, seed=0)
    batches = examples.pretraining(made, vocabulary, objective, batch=180, seed=1)
    batch = batches(0)
    again = examples.pretraining(made, vocabulary, objective, batch=180, seed=1)(0)
    assert all((batch[name] == again[name]).all() for name in batch)
    texts, spans = [], []
    for row, targets in zip(batch.get("encoder", batch["targets"]), batch["targets"], strict=True):
        text = vocabulary.decode(row.tolist())
        if objective != "next_token":
            told = vocabulary.decode(targets.tolist())
            span = told.removeprefix("<extra_id_0>").partition("<extra_id_1>")[0].strip()
            spans.append(span)
            text = text.replace("<extra_id_0>", f" {span} ")
        texts.append(" ".join(text.split()))
    possible = {
        line.replace("{}", name).replace("[Y]", attribute.values[value])
        for column, attribute in enumerate(people.ATTRIBUTES)
        for line in attribute.sentences
        for name, value in zip(made.names, made.values[:, column], strict=True)
    }
    assert len({*texts}) == 180, "each attribute of each person once"
    assert set(texts) <= possible
    if objective == "ssm":
        values = {value for attribute in people.ATTRIBUTES for value in attribute.values}
        assert set(spans) <= values
    # All objectives read the same sentences.
    plain = examples.pretraining(made, vocabulary, "next_token", batch=180, seed=1)(0)
    read = [vocabulary.decode(row.tolist()) for row in plain["targets"]]
    assert texts == read


def test_each_pass_has_every_row_once_and_a_batch_depends_on_its_number_alone():
    chosen = examples.batches_of(10, 4, seed=0)
    rows = np.concatenate([chosen(number)[0] for number in range(5)])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()
    assert chosen(3)[0].tolist() == examples.batches_of(10, 4, seed=0)(3)[0].tolist()


def test_a_key_is_given_and_its_value_told():
    text = examples.pairs(50, 0, SIZES["6k"].config("decoder_only", "pairs"))
    t5 = examples.pairs(50, 0, SIZES["6k"].config("t5_1_0", "pairs"))
    assert (text["targets"][:, :3] == 0).all()
    assert (text["targets"][:, 3:] == t5["targets"]).all()
    assert (t5["encoder"][:, :3] == text["decoder"][:, 1:4]).all()
    assert (t5["encoder"][:, 3] == 1).all()
    assert len({tuple(row) for row in t5["encoder"].tolist()}) == 50
    assert (t5["targets"] > 0).all()


@pytest.mark.parametrize("family", ["t5_1_0", "decoder_only"])
def test_parts_that_are_silenced_are_disjoint_and_all_there_is(family):
    size = SIZES["6k"]
    params = training.fresh(size.config(family, "pairs"), 0)
    parts = {(part.stack, part.kind): (part, gone) for part, gone in zeroing.silenced(params)}
    for stack in {stack for stack, _ in parts}:
        kinds = [
            part.parameters
            for (s, kind), (part, _) in parts.items()
            if (s, kind != "all") == (stack, True)
        ]
        assert sum(kinds) == parts[stack, "all"][0].parameters
    whole = sum(part.parameters for (_, kind), (part, _) in parts.items() if kind == "all")
    others = size.parameters(family, "pairs").others
    assert 0.95 * others < whole < others  # all but norms and relative positions
    silent = parts["decoder", "feed-forward"][1]
    changed = [
        jax.tree_util.keystr(path)
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(silent), strict=True
        )
        if not np.array_equal(a, b)
    ]
    assert changed
    assert all("decoder" in name and "['mlp']['wo']" in name for name in changed)


class Killed(Exception):
    pass


def test_a_memorised_data_set_is_held_and_a_killed_run_ends_with_the_same_bits(
    tmp_path, monkeypatch
):
    first = cells.run(TINY, tmp_path / "first", tmp_path)
    assert first["offered"] == TINY.items * 60
    assert first["held"]["bits"] > 0.75 * first["offered"]
    assert first["untrained"]["bits"] == 0
    assert all(part["held"]["bits"] < first["held"]["bits"] for part in first["silenced"])
    monkeypatch.setattr(training.train, "__kwdefaults__", {"keep": None, "every": 1})
    chunk, done = training._program, []

    def killing(config):
        def run(*given):
            done.append(1)
            if len(done) == 2:
                raise Killed
            return chunk(config)(*given)

        return run

    monkeypatch.setattr(training, "_program", killing)
    with pytest.raises(Killed):
        cells.run(TINY, tmp_path / "again", tmp_path)
    monkeypatch.setattr(training, "_program", chunk)
    assert [file.name for file in (tmp_path / "again").iterdir()] == ["state.msgpack"]
    again = cells.run(TINY, tmp_path / "again", tmp_path)
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    assert [file.name for file in (tmp_path / "again").iterdir()] == ["result.json"]


def test_people_are_asked_for_and_of_those_never_told_of_nothing_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "_ASKED", 24)
    monkeypatch.setattr(cells, "_SILENCED", 2)
    cell = dataclasses.replace(
        TINY, meter="facts", family="decoder_only", amount=0.25, exposures=120, rate=0.01
    )
    found = cells.run(cell, tmp_path / "cell", tmp_path / "vocabulary")
    groups = found["groups"]
    assert {name: group["people"] for name, group in groups.items()} == {
        "asked": 23,
        "held out": 24,
        "never told": 24,
    }
    for never in (groups["never told"]["best"], found["stated"]["never told"]["best"]):
        assert never["low"] == 0
        assert never["bits"] < 0.02 * never["entropy"] == 0.02 * 24 * 34
    assert found["stated"]["told"]["best"]["low"] > 0
    assert groups["asked"]["best"]["low"] > 0
    for group in groups.values():
        assert group["best"]["bits"] == sum(each["bits"] for each in group["relations"].values())
    scaled = numbers.held(found).bits
    assert scaled == pytest.approx(groups["held out"]["best"]["bits"] * cell.items / 24)
    assert [file.name for file in (tmp_path / "cell").iterdir()] == ["result.json"]


def test_parameters_that_are_kept_come_back_with_their_loss(tmp_path):
    params = training.fresh(TINY.config, 0)
    training.write(tmp_path / "kept", params, 0.25)
    again, loss = training.read(tmp_path / "kept", training.fresh(TINY.config, 1))
    assert loss == 0.25
    same = jax.tree.map(np.array_equal, params, again)
    assert all(jax.tree.leaves(same))


def _result(cell, share=0.5):
    """What a cell would have found."""
    size = SIZES[cell.size].parameters(cell.family, cell.meter)
    offered = cell.items * plan.BITS[cell.meter]

    def held(of):
        values = {"bits": share * of, "low": 0.4 * of, "high": 0.6 * of}
        return {**values, "unclipped": share * of, "entropy": of}

    fields = {f.name: getattr(cell, f.name) for f in dataclasses.fields(cell)}
    part = {"stack": "decoder", "kind": "feed-forward", "parameters": 10, "held": held(1.0)}
    common = {
        **fields,
        "items": cell.items,
        "offered": offered,
        "steps": cell.steps,
        "seconds": 60.0,
        "parameters": size.others,
        "embeddings": size.embeddings,
        "silenced": [part],
    }
    if cell.meter != "facts":
        return common | {"held": held(offered), "untrained": held(0.0)}
    group = {"people": 100, "best": held(3400.0), "mean": held(3000.0), "first": held(3000.0)}
    never = {"people": 100, "best": held(0.0), "mean": held(0.0), "first": held(0.0)}
    groups = {"asked": group, "held out": group, "never told": never}
    stated = {"told": group, "never told": never}
    return common | {
        "groups": groups,
        "stated": stated,
        "whole": {"people": 100, "held": held(3400.0)},
    }


def test_the_whole_study_writes_its_page_and_goes_on_where_it_stopped(
    tmp_path, monkeypatch, capsys
):
    ran = []

    def run_all(work, items, cores, compiled, tell):
        assert not work.func.__module__.endswith("__main__"), "another process cannot find it"
        for item in items:
            if len(ran) == 40 and not (tmp_path / "again").exists():
                raise KeyboardInterrupt
            ran.append(item.name)
            found = _result(item, share=0.9 if item.rate == 0.01 else 0.5)
            folder = tmp_path / "out" / work.keywords["kind"] / item.name
            folder.mkdir(parents=True)
            (folder / cells.RESULT).write_text(json.dumps(found))
            tell(item, found)

    monkeypatch.setattr("benchmarks.workers.run_all", run_all)
    page = tmp_path / "docs" / "capacity_study.md"
    words = ["x", "--out", str(tmp_path / "out"), "--page", str(page)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(KeyboardInterrupt):
        study.main()
    (tmp_path / "again").touch()
    study.main()
    small = PLANS["small"]
    assert len(ran) == len(set(ran)) == len(small.cells()) + len(small.tuning())
    assert all("rate0.01" in name for name in ran[len(small.tuning()) :]), "the best rate"
    text = page.read_text()
    for name in ("T5 1.0, salient spans", "T5 1.1, random spans", "decoder-only, strings"):
        assert name in text
    assert "Morris et al." in text
    assert "**0.010**" not in text
    assert "to go]" in capsys.readouterr().out
    assert (page.parent / "images" / "capacity_study.svg").read_text().startswith("<svg")
    monkeypatch.setattr(sys, "argv", [*words, "--plan", "full"])
    with pytest.raises(UserError, match="holds cells of another plan or version"):
        study.main()


def test_what_does_not_fit_the_memory_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("closedbook.memory.host_memory", lambda: Memory(1 << 20, 1 << 20))
    monkeypatch.setattr("benchmarks.workers.run_all", lambda *_: pytest.fail("work was done"))
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path / "out"), "--plan", "large"])
    with pytest.raises(UserError, match="out of memory on this machine: a training of"):
        study.main()


def test_bits_per_parameter_are_means_over_seeds_and_the_most_is_marked():
    cell = Cell(
        meter="pairs", family="t5_1_0", size="25k", amount=1, seed=0, exposures=10, rate=0.01
    )
    other = dataclasses.replace(cell, seed=1)
    more = dataclasses.replace(cell, amount=4)
    found = numbers.points([_result(cell, 0.5), _result(other, 0.7), _result(more, 0.3)])
    assert [round(point.held.bits, 2) for point in found] == [0.6, 1.2]
    assert found[0].seeds == pytest.approx((0.5, 0.7), abs=0.01)
    [most] = numbers.plateaus(found).values()
    assert most.offered == pytest.approx(4, abs=0.01)
    assert report.in_words(_result(cell)).endswith("of 1.00 bits per parameter")
