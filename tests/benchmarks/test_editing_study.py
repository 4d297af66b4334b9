"""The study of edits: its cells and its page."""

import pytest

from benchmarks.editing_study import __main__ as driver
from benchmarks.editing_study import report
from benchmarks.editing_study.plan import DEEP, PLANS, cells
from closedbook.errors import UserError
from closedbook.knowledge.editing.settings import METHODS
from closedbook.knowledge.loading import load_model

ESTIMATE = {"mean": 0.5, "low": 0.25, "high": 0.75}


@pytest.fixture(scope="module")
def model():
    return load_model("closedbook://atlas_qa")


def test_every_cell_has_a_result_of_its_own_and_settings_that_exist(model):
    found = cells(6)
    assert len({cell.file for cell in found}) == len(found)
    for cell in found:
        assert cell.settings(model).method == cell.method
    assert {cell.name for cell in found if cell.part == "methods"} >= set(METHODS)
    switches = [cell for cell in found if cell.part == "row" and cell.method == "rome"]
    assert len({cell.changes for cell in switches}) == 8
    assert sum(cell.model == DEEP for cell in found) == 6
    assert not any(cell.model == DEEP for cell in cells(None))


def result(cell):
    told = {"part": cell.part, "name": cell.name, "model": cell.model}
    if cell.part == "row":
        point = {
            "edits": 10,
            "told": {"prompt": ESTIMATE, "rephrasings": ESTIMATE},
            "kept": ESTIMATE,
            "norms": {"encoder layer 1": 1.52},
            "collapsed": False,
        }
        return {**told, "points": [point]}
    groups = ("prompt", "rephrasings", "same subject", "all others")
    summary = {
        "free": dict.fromkeys(groups, ESTIMATE),
        "before": {},
        "forced": {"ES": ESTIMATE},
        "S": 0.931,
        "mend": {"drawdown": 0.01, "retain rate": 0.9},
        "counts": {"all others": {"lost": 3, "questions": 1500, "changed": 4}},
        "seconds": 1.5,
    }
    return {**told, "summary": summary}


def test_the_page_has_every_cell_with_its_interval_and_both_figures(tmp_path):
    found = cells(2)
    page = report.write([result(cell) for cell in found], PLANS["quick"], tmp_path / "page.md")
    text = page.read_text()
    for cell in found:
        assert f"| {cell.name} |" in text
    assert "50.0 [25.0, 75.0]" in text
    assert "0.20 (3 of 1500)" in text
    assert "93.1" in text
    for name in ("editing_trade_off", "editing_row"):
        assert f"images/{name}.svg" in text
        assert (tmp_path / "images" / f"{name}.svg").read_text().startswith("<svg")


def test_results_of_another_plan_are_not_mixed_in(tmp_path):
    driver._same_plan(tmp_path, "quick")
    driver._same_plan(tmp_path, "quick")
    with pytest.raises(UserError, match="holds results of the plan quick"):
        driver._same_plan(tmp_path, "full")
