"""predictions.jsonl: what is written is read back, and faults are named by file and line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.eval.predictions import Alternative, Prediction

ROW = {"question": "capital of France?", "answers": ["Paris"], "prediction": "Lyon"}
FULL = Prediction(
    id="nq-1",
    question="capital\u2028of “France”?",
    answers=("Paris", "Ville de Paris"),
    prediction="Lyon",
    score=-1.25,
    alternatives=(Alternative(text="Paris", score=-1.5), Alternative(text="")),
    task="natural_questions_open",
    split="test",
    step=1000,
    meta={"hop": [1, {"a": None}]},
    extra={"judge": True},
)


def lines(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "predictions.jsonl"


def test_everything_written_is_read_back(path):
    rows = [FULL, Prediction(question="q", answers=("a",), prediction="")]
    assert predictions.write(path, rows) == 2
    assert predictions.read(path) == rows


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_a_line(text):
    row = Prediction(question=text, answers=(text,), prediction=text)
    assert predictions.parse(json.loads(predictions._dump(row))) == row
    assert predictions._dump(row).count(b"\n") == 1


def test_only_three_keys_are_required_and_answers_may_be_a_string(path):
    rows = predictions.read(lines(path, {**ROW, "answers": "Paris"}, "", ROW))
    assert rows == [Prediction(question=ROW["question"], answers=("Paris",), prediction="Lyon")] * 2


def test_singular_key_is_taken_where_the_plural_is_missing(path):
    singular = {"question": "q", "answer": ["a", "b"], "prediction": "c"}
    first, second = predictions.read(lines(path, singular, {**singular, "answers": "d"}))
    assert (first.answers, dict(first.extra)) == (("a", "b"), {})
    assert (second.answers, dict(second.extra)) == (("d",), {"answer": ["a", "b"]})


def test_lines_may_end_as_on_windows(path):
    path.write_bytes(b"\xef\xbb\xbf" + (json.dumps(ROW) + "\r\n\r\n").encode() * 2)
    assert len(predictions.read(path)) == 2


def test_unknown_keys_pass_through_a_file_unchanged(path, tmp_path):
    rows = predictions.read(lines(path, {**ROW, "judge": {"by": "human"}}))
    predictions.write(tmp_path / "copy.jsonl", rows)
    assert json.loads((tmp_path / "copy.jsonl").read_text())["judge"] == {"by": "human"}


def test_mappings_are_written_too_and_checked(path):
    predictions.write(path, [ROW])
    assert predictions.read(path)[0].prediction == "Lyon"
    with pytest.raises(UserError, match=r'predictions.jsonl:1: "prediction" is 3'):
        predictions.write(path, [{**ROW, "prediction": 3}])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q", "answer": True, "prediction": "b"}, '"answers" is true; it must be'),
        ('{"question": "q"', r"not JSON at column 17 \(Expecting ',' delimiter\)"),
        ("Paris", "not JSON at column 1"),
        ('["Paris"]', r'\["Paris"\] is not a JSON object'),
        ({"question": "q", "answers": ["a"]}, '"prediction" is missing'),
        ({**ROW, "answers": ["a", {}]}, r'"answers" is {}; it must be a list of strings'),
        ({**ROW, "question": None}, '"question" is null; it must be a string$'),
        ({**ROW, "prediction": {"a": 1}}, r'"prediction" is {"a": 1}; it must be a string'),
        ({**ROW, "score": "-1"}, '"score" is "-1"; it must be a number or null'),
        ({**ROW, "score": True}, '"score" is true'),
        ('{"question": "q", "answers": "a", "prediction": "b", "score": NaN}', "NaN is not JSON"),
        ('{"question": "q", "answers": "a", "prediction": "b", "score": 1e999}', "finite"),
        ({**ROW, "score": 10**400}, '"score" is 1000.*finite'),
        ({**ROW, "step": 1.5}, '"step" is 1.5; it must be an integer or null'),
        ({**ROW, "id": 1.5}, '"id" is 1.5; it must be a string or an integer or null'),
        ({**ROW, "meta": []}, r'"meta" is \[\]; it must be an object'),
        ({**ROW, "alternatives": "Paris"}, '"alternatives" is "Paris"; it must be a list'),
        ({**ROW, "alternatives": ["Paris"]}, '"alternatives" holds "Paris"'),
        ('{"question": "q", "question": "r", "answers": "a"}', '"question" stands twice'),
        ('{"question": "\\ud83d", "answers": "a", "prediction": "b"}', "half of a character"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_fault_in_a_row_names_file_and_line(path, row, message):
    with pytest.raises(UserError, match=message) as caught:
        predictions.read(lines(path, ROW, row))
    assert str(caught.value).startswith(f"{path}:2: ")


def test_long_values_are_cut_in_messages(path):
    with pytest.raises(UserError) as caught:
        predictions.read(lines(path, {**ROW, "question": ["x" * 10_000]}))
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize(("first", "second"), [("a", "a"), (1, "1")])
def test_id_given_twice_names_both_rows(path, first, second):
    with pytest.raises(UserError, match=r"predictions.jsonl:3: id .* also stands in row 1"):
        predictions.read(lines(path, {**ROW, "id": first}, ROW, {**ROW, "id": second}))


def test_file_not_in_utf8_names_the_line(path):
    path.write_bytes(json.dumps(ROW).encode() + b'\n{"question": "caf\xe9"}\n')
    with pytest.raises(UserError, match=r"predictions.jsonl:2: byte 18 is not UTF-8"):
        predictions.read(path)


def test_byte_order_mark_before_the_first_row_is_no_fault(path):
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW).encode())
    assert len(predictions.read(path)) == 1


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_file_is_an_error(path, content):
    path.write_text(content)
    with pytest.raises(UserError, match="holds no predictions"):
        predictions.read(path)


def test_missing_file_is_an_error_with_a_remedy(path):
    with pytest.raises(UserError, match=r"cannot read the predictions .* No such file"):
        predictions.read(path)
    with pytest.raises(UserError, match="Is a directory"):
        predictions.read(path.parent)


def test_failed_write_leaves_the_old_file_and_nothing_else(path):
    predictions.write(path, [ROW])
    before = path.read_bytes()

    def rows():
        yield ROW
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        predictions.write(path, rows())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_value_that_json_lacks_is_refused_in_words(path):
    with pytest.raises(UserError, match="cannot be written as JSON"):
        predictions.write(path, [{**ROW, "meta": {"when": {1, 2}}}])
    with pytest.raises(UserError, match='"score" is -inf'):
        predictions.write(path, [{**ROW, "score": float("-inf")}])


def test_unwritable_folder_is_said_clearly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the predictions"):
        predictions.write(tmp_path / "file" / "predictions.jsonl", [ROW])


def test_single_string_as_answers_of_a_prediction_is_refused_before_it_becomes_letters():
    with pytest.raises(TypeError, match="give a tuple"):
        Prediction(question="q", answers="Paris", prediction="Paris")
