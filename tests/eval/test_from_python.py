"""The four functions take what people have at hand."""

import json

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval import analyze, compare, judge, score

ROWS = [
    {
        "id": np.int64(1),
        "question": "who wrote it",
        "answers": np.array(["Ann Lee"]),
        "prediction": "ann lee",
    },
    {"id": 2, "question": "when was it", "answers": ["April 15"], "prediction": "April 15th"},
    {"id": 3, "question": "who <b>sang</b>", "answers": ["Bea"], "prediction": float("nan")},
]


class Dataset:
    """Rows as the `datasets` library has them."""

    column_names = ("id",)

    def __iter__(self):
        return iter(ROWS)


def frame():
    return pytest.importorskip("pandas").DataFrame(ROWS)


@pytest.mark.parametrize(
    "made",
    [
        lambda: ROWS,
        frame,
        Dataset,
        lambda: iter(ROWS),
        lambda: {key: [row[key] for row in ROWS] for key in ROWS[0]},
    ],
    ids=["list", "DataFrame", "Dataset", "iterator", "columns"],
)
def test_rows_of_every_kind(made):
    assert score(made()).em == pytest.approx(100 / 3)
    assert [each.equivalent for each in judge(made(), mode="rules")] == [True, True, False]


@pytest.fixture(scope="module")
def analysis():
    return analyze(ROWS, judge="rules", labels={3: "wrong"}, also={"other": ROWS})


def test_an_analysis_is_short_in_a_notebook(analysis):
    assert analysis.meta.notes == {"null prediction, counted as an empty one": 1}
    assert repr(analysis).startswith("<Analysis: exact match 33.3% [")
    assert len(repr(analysis)) < 200
    assert "<th>adjusted</th>" in analysis._repr_html_()


def test_an_analysis_is_a_table(analysis):
    pytest.importorskip("pandas")
    table = analysis.to_pandas()
    assert list(table["verdict"]) == ["correct", "phrasing", "wrong"]
    assert table["answers"][0] == ["Ann Lee"]


def test_a_path_is_read_too(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"Q": "q", "golds": ["a"], "response": "a"}) + "\n")
    assert score(path, columns={"question": "Q"}).em == 100


def test_systems_are_compared():
    found = compare({"a": ROWS, "b": [{**row, "prediction": "Bea"} for row in ROWS]})
    assert [system.name for system in found.systems] == ["a", "b"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: score(3), "rows is int; give a path, a list of dicts"),
        (lambda: score({"test": Dataset()}), "rows is a dict of test; give a list of dicts"),
        (lambda: score([1]), r"row 1: 1 is not a JSON object"),
        (
            lambda: score([{"a": 1}]),
            r"no question and no answers and no prediction among the keys a",
        ),
        (lambda: score(ROWS, protocol=3), "protocol is 3; give a text"),
        (lambda: compare(ROWS), "systems is list; give a dict"),
        (lambda: analyze(ROWS, labels=["wrong"]), "labels is list; give a path"),
        (lambda: analyze(ROWS, train=ROWS), "train is list; give the path of a file"),
        (lambda: analyze(ROWS, threshold="0.5"), "threshold is '0.5'; give a number"),
        (lambda: analyze(ROWS, gold="x"), "gold goes with a path"),
        (lambda: analyze(ROWS, also={"b": 1}), r"also\['b'\] is int; give a path"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()
