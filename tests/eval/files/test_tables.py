"""Tables, packed files and lists of questions: what people have, and what they get wrong."""

import csv
import gzip
import json

import pytest

from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.eval.files import gold, tables, text_files
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Alternative, Prediction

HEADER = "question,answers,prediction\n"


def written(tmp_path, text, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_gives_the_rows_that_json_lines_give(tmp_path):
    rows = [
        {
            "id": "a",
            "question": 'who sang "Heroes", and when',
            "answers": json.dumps(["David Bowie", "Bowie, David"]),
            "prediction": "two\nlines, and a comma",
            "score": "-1.5",
            "alternatives": '[{"text": "Queen", "score": -2}]',
            "task": "",
            "step": "1000",
            "meta": '{"s_pop": 7}',
            "note": "kept",
        },
        {"id": "b", "question": "q", "answers": "['x', 'y']", "prediction": "", "note": ""},
    ]
    for name, dialect in (("rows.csv", "excel"), ("rows.tsv", "excel-tab")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), dialect=dialect, restval="")
            writer.writeheader()
            writer.writerows(rows)
        first, second = predictions.read(tmp_path / name)
        assert first == Prediction(
            id="a",
            question='who sang "Heroes", and when',
            answers=("David Bowie", "Bowie, David"),
            prediction="two\nlines, and a comma",
            score=-1.5,
            alternatives=(Alternative(text="Queen", score=-2),),
            step=1000,
            meta={"s_pop": 7},
            extra={"note": "kept"},
        )
        assert second == Prediction(
            id="b", question="q", answers=("x", "y"), prediction="", extra={"note": ""}
        )


def test_a_spreadsheets_mark_line_ends_and_blank_rows_are_no_content(tmp_path):
    text = "\ufeffquestion, answer ,prediction,confidence\r\nq,Beyoncé || Bey,b,0.5\r\n,,,\r\n\r\n"
    [row] = predictions.read(written(tmp_path, text))
    assert (row.answers, row.prediction) == (("Beyoncé", "Bey"), "b")
    assert row.extra == {"confidence": 0.5}


def test_regular_expressions_and_slashes_are_one_answer():
    assert tables.answers("1[45] f(ee|oo)t") == ["1[45] f(ee|oo)t"]
    assert tables.answers("9/11") == ["9/11"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no predictions; write a line of column names"),
        (HEADER, "holds no predictions under its column names"),
        (HEADER + "q,a,b\nq,a\n", r"rows.csv:3: 2 cells, but 3 columns"),
        (HEADER + "q,a,b,c\n", r"rows.csv:2: 4 cells, but 3 columns"),
        (HEADER + 'q,a,"two\nlines"\nq,a\n', r"rows.csv:4: 2 cells"),
        (HEADER + 'q,a,"never closed\nq,a,b\n', r"rows.csv:2: unexpected end of data"),
        (HEADER + 'q,a,"so" called\n', r"rows.csv:2: ',' expected after '\"'"),
        (HEADER + "q,,b\n", "holds no predictions that can be scored: 1 rows: no gold answer"),
        (HEADER + "q,[a],b\n", r"rows.csv:2: '\[a\]' is not a list of strings"),
        (HEADER + "q,['a' 'b'],x\n", r"rows.csv:2: .* has no commas between its strings"),
        (HEADER + "q,[\"a\" 'b'],x\n", r"rows.csv:2: .* has no commas between its strings"),
        (HEADER + "q,[__import__('os')],x\n", "rows.csv:2: .* is not a list of strings"),
        ("question,prediction\nq,a\n", "rows.csv: no answers among the keys question, prediction"),
        (HEADER[:-1] + ",question\nq,a,b,c\n", "rows.csv:1: two columns are named 'question'"),
        (HEADER[:-1] + ",score\nq,a,b,nan\n", 'rows.csv:2: "score" is nan'),
        (HEADER[:-1] + ",score\nq,a,b,high\n", "rows.csv:2: \"score\" is 'high'"),
        (HEADER[:-1] + ",meta\nq,a,b,{\n", "rows.csv:2: \"meta\" is '{'; it must be JSON"),
        (HEADER[:-1] + ",id\nq,a,b,1\nq,a,b,1\n", "rows.csv:3: id '1' also stands in row 2"),
        (HEADER.encode() + b"q,a,b\nq\xff,a,b\n", "rows.csv:3: byte 2 is not UTF-8"),
    ],
)
def test_faults_name_file_and_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        predictions.read(written(tmp_path, text))


def test_a_cell_may_be_a_megabyte(tmp_path):
    limit = csv.field_size_limit()
    [row] = predictions.read(written(tmp_path, HEADER + f"q,a,{'x' * 1_000_000}\n"))
    assert len(row.prediction) == 1_000_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl", "rows.csv.gz"])
def test_packed_files_are_read_whatever_their_name(tmp_path, name):
    text = '{"question": "q", "answers": ["a"], "prediction": "b"}\n'
    if "csv" in name:
        text = HEADER + "q,a,b\n"
    [row] = predictions.read(written(tmp_path, gzip.compress(text.encode()), name))
    assert (row.answers, row.prediction) == (("a",), "b")


def test_a_packed_file_that_is_cut_short_or_damaged_is_refused(tmp_path):
    packed = gzip.compress(HEADER.encode() + b"q,a,b\n" * 1000)
    damaged = packed[:40] + b"\0\0\0\0" + packed[44:]
    for content in (packed[:-20], damaged):
        path = written(tmp_path, content, "rows.csv.gz")
        with pytest.raises(UserError, match=r"rows\.csv\.gz"):
            predictions.read(path)


def test_a_packed_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_MOST_OF_A_PACKED_LINE", 1 << 20)
    bomb = gzip.compress(b'{"question": "' + b"x" * (1 << 21) + b'"}')
    with pytest.raises(UserError, match=r"rows\.jsonl\.gz:1: the line is longer than 1 MB once"):
        predictions.read(written(tmp_path, bomb, "rows.jsonl.gz"))


def test_gold_answers_may_stand_in_a_table_with_column_names_or_in_dprs(tmp_path):
    named = "id,question,answer\n1,\"who, me\",\"['a', 'b']\"\n"
    assert gold.read(written(tmp_path, named)) == [
        Gold(question="who, me", answers=("a", "b"), id="1")
    ]
    dpr = "who, me\t['a', 'b']\nwho\tc\n"
    assert gold.read(written(tmp_path, dpr)) == [
        Gold(question="who, me", answers=("a", "b")),
        Gold(question="who", answers=("c",)),
    ]
    with pytest.raises(UserError, match=r"rows\.csv:1: no tab between question and answers"):
        gold.read(written(tmp_path, f'{"x" * 200_000}"\n'))


def test_one_list_of_objects_is_read_as_lines_are(tmp_path):
    text = '[\n {"question": "q", "answers": ["a"],\n "prediction": "b"}\n]\n'
    [row] = predictions.read(written(tmp_path, text, "rows.json"))
    assert row == Prediction(question="q", answers=("a",), prediction="b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "holds no predictions"),
        ('[{"question": "q"},\n', "rows.json: not JSON at column 20"),
        ('[\n{"question" "q"}]\n', "rows.json: not JSON at line 2, column 13"),
        ('["q"]', r'rows.json:1: "q" is not a JSON object'),
        ('[1]\n{"question": "q"}\n', "rows.json: not JSON at line 2, column 1 .Extra data"),
        ("[" * 100_000, "rows.json: not JSON that we can read"),
    ],
)
def test_faults_of_a_list_name_the_line_or_the_item(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        predictions.read(written(tmp_path, text, "rows.json"))


def test_ambigqas_annotations_are_read(tmp_path):
    single = {"type": "singleAnswer", "answer": ["Ann", "A."]}
    pairs = [{"question": "in 1", "answer": ["Bea"]}, {"question": "in 2", "answer": ["Ann"]}]
    several = {"type": "multipleQAs", "qaPairs": pairs}
    rows = [{"question": "who", "annotations": [several, single], "id": "1"}]
    path = written(tmp_path, json.dumps(rows), "ambigqa.json")
    assert gold.read(path) == [Gold(question="who", answers=("Bea", "Ann", "A."), id="1")]
    for wrong in ("x", [1], [{"type": "multipleQAs"}], [{**single, "answer": [1]}], None):
        rows[0]["annotations"] = wrong
        with pytest.raises(UserError, match=r"ambigqa\.json:1: \"annotations\""):
            gold.read(written(tmp_path, json.dumps(rows), "ambigqa.json"))
