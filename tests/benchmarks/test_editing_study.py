"""The study of edits: its cells, how long they take, in which order they are run, its page."""

import json

import pytest

from benchmarks import workers
from benchmarks.editing_study import __main__ as driver
from benchmarks.editing_study import estimates, layers, report
from benchmarks.editing_study.cell import Sources, best
from benchmarks.editing_study.plan import BEST, DATA_SETS, DEEP, PLANS, SMOLLM2
from closedbook.errors import UserError
from closedbook.knowledge.editing.settings import METHODS
from closedbook.knowledge.loading import load_model

ESTIMATE = {"mean": 0.5, "low": 0.25, "high": 0.75}
ALL = frozenset(DATA_SETS)


@pytest.fixture(scope="module")
def model():
    return load_model("closedbook://atlas_qa")


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_cell_has_a_result_of_its_own_and_settings_that_exist(model, plan):
    found = plan.cells(6, ALL)
    assert len({cell.file for cell in found}) == len(found)
    for cell in found:
        assert cell.settings(model).method == cell.method
    assert {cell.name for cell in found if cell.part == "methods"} >= set(METHODS)
    switches = [cell for cell in found if cell.part == "row" and cell.name.startswith("rome, ")]
    assert len({cell.changes for cell in switches}) == 8
    assert {cell.name for cell in switches if cell.value}  # and shorter values
    assert sum(cell.model == DEEP and cell.part == "layers" for cell in found) == 6
    assert not any(cell.model == DEEP for cell in plan.cells(None, ALL))
    assert {cell.data for cell in found if cell.model == SMOLLM2} == ALL
    assert not any(cell.model == SMOLLM2 for cell in plan.cells(6, frozenset()))


def test_the_default_plan_takes_an_hour_of_two_idle_cores_and_goes_to_a_thousand_in_a_row():
    found = PLANS["default"].cells(6, ALL)
    assert estimates.minutes(found, 2) <= 60
    assert max(max(cell.points, default=0) for cell in found) == 1000
    methods = [cell for cell in found if cell.part == "methods"]
    assert all(cell.edits >= 100 for cell in methods)
    assert estimates.minutes(PLANS["quick"].cells(6, ALL), 2) < estimates.minutes(found, 2) / 3


def result(cell):
    told = {"part": cell.part, "name": cell.name, "model": cell.model, "data": cell.data}
    told |= {"edits": cell.edits, "processor_seconds": 60.0, "seconds": 31.0}
    if cell.part == "tracing":
        effects = {"encoder.mlp": [0.1, 0.2], "encoder.state": [0.2, 0.1]}
        return {**told, "effects": {"one": effects, "two": effects}}
    if cell.points:
        point = {
            "edits": 10,
            "told": {"prompt": ESTIMATE, "rephrasings": ESTIMATE},
            "kept": ESTIMATE,
            "norms": {"encoder layer 1": 1.52},
            "collapsed": False,
        }
        return {**told, "points": [point]}
    groups = ("prompt", "rephrasings", "same subject", "all others", "neighbours")
    summary = {
        "free": dict.fromkeys(groups, ESTIMATE),
        "judged": {"prompt": ESTIMATE},
        "before": {"negated prompt": ESTIMATE},
        "forced": {"ES": ESTIMATE},
        "S": 0.931,
        "published": {"drawdown": ESTIMATE, "retain rate": ESTIMATE},
        "yes_no": {"yes to the target": {"before": ESTIMATE, "after": ESTIMATE}},
        "counts": {"all others": {"lost": 3, "questions": 1500, "changed": 4}},
        "seconds": 1.5,
    }
    layer = int(cell.name[-1]) if cell.part == "layers" else 0
    edits = {"one": {"told": layer / 2, "kept": 1.0}, "two": {"told": 1 - layer, "kept": None}}
    return {**told, "summary": summary, "by_edit": edits}


def test_the_page_has_every_cell_with_its_interval_and_both_figures(tmp_path):
    found = PLANS["quick"].cells(2, ALL)
    page = report.write([result(cell) for cell in found], PLANS["quick"], tmp_path / "page.md")
    text = page.read_text()
    for cell in found:
        assert cell.part == "tracing" or f"| {cell.name} |" in text
    assert "50.0 [25.0, 75.0]" in text
    assert "0.20 (3 of 1500)" in text
    assert "93.1" in text
    assert f"{len(found)} cells, {len(found)} minutes of processor time" in text
    for name in ALL:
        assert f"### {name}" in text
    for name in ("editing_trade_off", "editing_row"):
        assert f"images/{name}.svg" in text
        assert (tmp_path / "images" / f"{name}.svg").read_text().startswith("<svg")


def test_a_page_of_some_parts_alone_says_nothing_of_the_others(tmp_path):
    found = [cell for cell in PLANS["quick"].cells(2, ALL) if cell.part == "row"]
    page = report.write([result(cell) for cell in found], PLANS["quick"], tmp_path / "page.md")
    assert "## Edits in a row" in page.read_text()
    assert "## Methods" not in page.read_text()


def test_tracing_and_editing_are_compared_within_facts():
    found = [result(c) for c in PLANS["quick"].cells(2, ALL) if c.part in ("layers", "tracing")]
    edited, (traced,) = found[:-1], found[-1:]
    # The effect of the feed-forward unit rises over layers: with one fact's outcome, against the
    # other's. What is kept is the same in all layers of the one, and not asked of the other.
    assert layers.within(edited, traced["effects"], "encoder.mlp", "told") == [1.0, -1.0]
    assert layers.within(edited, traced["effects"], "encoder.state", "told") == [-1.0, 1.0]
    assert layers.within(edited, traced["effects"], "encoder.mlp", "kept") == []


def row(prompt, kept):
    return {"points": [{"told": {"prompt": {"mean": prompt}}, "kept": {"mean": kept}}]}


def test_the_longest_row_goes_on_with_the_best_combination(tmp_path):
    candidates = [c for c in PLANS["default"].cells(None, ALL) if c.name.startswith("rome, ")][:3]
    for cell, scores in zip(candidates, [(0.9, 0.5), (0.8, 0.95), (0.99, 0.6)], strict=True):
        (tmp_path / cell.file).write_text(json.dumps(row(*scores)))
    assert best(candidates, tmp_path) == candidates[1]


def test_what_others_wait_for_is_run_first_and_what_is_there_is_not_run_again(
    tmp_path, monkeypatch, capsys
):
    plan = PLANS["default"]
    wanted = plan.cells(2, ALL)
    switched = [c for c in wanted if c.name.startswith("rome, ") and c.part == "row"]
    (tmp_path / switched[0].file).write_text("{}")
    calls = []

    def run_all(work, items, cores, compiled, done):
        calls.append(list(items))
        for item in items:
            done(item, {"seconds": 2.0})

    monkeypatch.setattr(workers, "run_all", run_all)
    driver.run_all(wanted, plan, Sources(out=tmp_path), [0, 1])
    assert calls[0] == switched[1:]
    assert calls[1][0].name == BEST
    assert sorted(c.file for some in calls for c in some) == sorted(
        c.file for c in wanted if c != switched[0]
    )
    said = capsys.readouterr().out
    assert f"{len(wanted) - 1} of {len(wanted)} cells to run: about " in said
    assert f"[{len(wanted) - 1}/{len(wanted) - 1}, 0 min, about 0 left]" in said


def test_results_of_another_plan_are_not_mixed_in(tmp_path):
    driver._same_plan(tmp_path, PLANS["quick"])
    driver._same_plan(tmp_path, PLANS["quick"])
    with pytest.raises(UserError, match="holds results of another plan"):
        driver._same_plan(tmp_path, PLANS["full"])
