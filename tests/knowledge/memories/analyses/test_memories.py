"""Measures of memories and their triggers, against formulas over one text at a time."""

import collections

import numpy as np
import pytest

from closedbook.knowledge import load_model
from closedbook.knowledge.memories.analyses import agreement, metrics, patterns, removal
from closedbook.knowledge.memories.analyses.places import Place
from closedbook.knowledge.memories.cells import Cell


def softmax(x):
    grown = np.exp(x - x.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


@pytest.mark.parametrize("kind", ["relu", "llama", "t5"])
def test_agreement_is_between_a_value_and_what_follows_its_top_trigger(tiny, kind):
    made = tiny(kind)
    found = agreement.agreement(made.model, made.index)
    assert set(found) == set(made.index.cells["decoder"].signs)
    agrees = 0
    for sign, own in found.items():
        turn = 1 if sign == "positive" else -1
        for cell in made.index.each_cell("decoder"):
            triggers = made.index.triggers(cell, sign)
            after = triggers[0].next if triggers else None
            at = cell.layer, cell.number
            assert own.next[at] == (-1 if after is None else after)
            layer = made.model.params["decoder"][f"layers_{cell.layer}"]
            value = turn * np.asarray(layer["mlp"]["wo"]["kernel"][cell.number])
            for reading in ("raw", "scaled"):
                scores = made.of_value(value, reading)
                got = own.found[reading]
                assert got.top[at] == scores.argmax()
                assert got.probability[at] == pytest.approx(softmax(scores).max(), rel=1e-4)
                if after is None:
                    assert got.rank[at] == 0
                    continue
                assert got.rank[at] == (scores > scores[after]).sum() + 1
                assert own.agrees(reading)[at] == (scores.argmax() == after)
                agrees += got.rank[at] == 1
    assert agrees < 60  # of random values few agree


def test_chance_agreement_is_the_mean_over_all_ways_to_deal():
    random = np.random.default_rng(0)
    tops, nexts = random.integers(0, 4, 30), random.integers(1, 6, 30)
    dealt = [(tops == random.permutation(nexts)).mean() for _ in range(20000)]
    assert metrics.dealt_anew(tops, nexts) == pytest.approx(np.mean(dealt), abs=0.003)


@pytest.mark.parametrize(
    ("kind", "stack"),
    [("relu", "decoder"), ("llama", "decoder"), ("t5", "decoder"), ("t5", "encoder")],
)
def test_changes_are_those_of_the_shorter_text_alone(tiny, kind, stack):
    made = tiny(kind)
    cells, model = made.index.cells[stack], made.model
    begin = {"inputs": 2, "targets": 1 if kind != "t5" else 0}
    found = removal.changes(model, made.index, cells, keys=3, triggers=3, begin=begin)
    sides = removal.sides(stack, continues=kind != "t5")
    assert len(found.change) > 0
    expected = collections.Counter()
    for layer, chosen in enumerate(removal.sample(made.index, cells, 3, 0)):
        assert len(chosen) == 3
        for number, sign in chosen:
            for trigger in made.index.triggers(Cell(stack, layer, number), sign)[:3]:
                for side, name in enumerate(sides):
                    for which in (0, 1):  # the first and the last
                        change = _changed(made, trigger, stack, name, which, layer, number)
                        if change is not None:
                            expected[layer, number, side, which, round(change, 3)] += 1
    keys = zip(found.layer, found.cell, found.side, found.which, found.change, strict=True)
    got = collections.Counter(
        (layer, cell, side, which, round(float(change), 3))
        for layer, cell, side, which, change in keys
        if which < 2
    )
    assert sum((got - expected).values()) <= 0.02 * sum(got.values())  # but for rounding
    assert sum(got.values()) == sum(expected.values())


def _changed(made, trigger, stack, side, which, layer, number):
    """The relative change, by hand."""
    continues = made.model.config.continues_prompt
    inputs, targets = list(trigger.example.inputs), list(trigger.example.targets)
    position = trigger.position
    site = f"{stack}.{layer}.mlp.coefficients"
    before = made.records(trigger.example)[1][site][position, number]
    if side == "inputs":
        open_ = [n for n in range(2, len(inputs) - 1) if stack == "decoder" or n != position]
        if len(open_) < 2:
            return None
        at = open_[0] if which == 0 else open_[-1]
        del inputs[at]
        position -= stack == "encoder" and at < position
    else:
        own = targets[1 : position + 1] if continues else targets[:position]
        if len(own) < 2:
            return None
        del own[0 if which == 0 else -1]
        targets = [targets[0], *own] if continues else [*own, 1]
        position -= 1
    _, records = made.read(inputs, targets)
    after = np.asarray(records[site])[0, position, number]
    return float((after - before) / before)


def test_what_a_task_puts_before_texts_stays(tiny):
    packaged = load_model("closedbook://atlas_qa")
    prefix = packaged.vocabulary.encode(packaged.card.prefix)
    assert removal.task_tokens(packaged, "question") == {"inputs": len(prefix), "targets": 0}
    assert removal.task_tokens(packaged, "sentinels") == {"inputs": 0, "targets": 1}
    assert removal.task_tokens(tiny("relu").model, "continuation") == {"targets": 1}


def test_the_random_token_is_any_and_always_the_same(tiny):
    made = tiny("relu")
    example = max(made.examples, key=lambda each: len(each.targets))
    place = Place(example, len(example.targets) - 1)

    def without(chance):
        return removal.without(
            place, "decoder", "targets", "random", 1, made.model.module, chance
        ).example.targets

    lengths = {len(without(n)) for n in range(50)}
    assert lengths == {len(example.targets) - 1}
    assert len({without(n) for n in range(50)}) > 3
    assert all(without(n)[0] == example.targets[0] for n in range(50))  # BOS stays


@pytest.mark.parametrize("begin", [0, 2])
@pytest.mark.parametrize(
    ("kind", "stack"), [("relu", "decoder"), ("t5", "encoder"), ("t5", "decoder")]
)
def test_what_triggers_have_in_common_is_counted(tiny, kind, stack, begin):
    """Pairs of the tokens that a task puts before every text say nothing, and are left out."""
    made = tiny(kind)
    relation = {"fact0": "a", "fact1": "b", "fact2": "a"}.get
    cells = made.index.cells[stack]
    found = patterns.common(made.index, cells, "positive", relation, top=4, begin=begin)
    start = ("start",) if (kind, stack) == ("t5", "decoder") else ()
    for cell in made.index.each_cell(stack):
        triggers = made.index.triggers(cell)[:4]
        at = cell.layer, cell.number
        assert found.triggers[at] == len(triggers)
        read = [(*start, *t.prefix) for t in triggers]
        ends = {length: [r[-length:] for r in read] for length in (1, 2, 3)}
        whole = {n: [e for e in end if len(e) == n] for n, end in ends.items()}
        places = [range(max(begin + len(start), 1), len(r)) for r in read]
        pairs = [{(r[n - 1], r[n]) for n in own} for r, own in zip(read, places, strict=True)]
        said = [relation(t.example.fact) for t in triggers if t.example.fact]
        expected = {
            "last token": _most(whole[1]),
            "last two tokens": max(_most(whole[2]), 1),
            "last three tokens": max(_most(whole[3]), 1),
            "two neighbouring tokens": _most([p for each in pairs for p in each]),
            "relation": _most(said),
        }
        for name, most in expected.items():
            share = found.share[name][at]
            if len(triggers) < 2:
                assert np.isnan(share)
            else:
                assert share == pytest.approx(most / len(triggers)), name
    known = ~np.isnan(found.share["relation"])
    assert found.dealt["relation"][known].mean() > 0


def _most(things):
    return max(collections.Counter(things).values(), default=0)


def test_relations_are_left_out_where_no_text_is_a_fact(tiny):
    made = tiny("relu")
    cells = made.index.cells["decoder"]
    found = patterns.common(made.index, cells, "positive", lambda fact: None)
    assert "relation" not in found.share
    assert set(found.share) == set(patterns.KINDS) - {"relation"}
