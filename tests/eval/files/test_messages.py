"""Files that cannot be read: one plain sentence with the remedy, and no more memory than is due."""

import gzip
import json
import zipfile

import pytest

from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.eval.analysis import labels
from closedbook.eval.files import gold, text_files
from closedbook.eval.files.forms import contents

ROW = '"question": "q", "answers": ["a"], "prediction": "a"'
DIGITS = "7" * 5000


def written(tmp_path, name, text):
    path = tmp_path / name
    data = text.encode()
    path.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    return path


def refused(read, path):
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    assert "Exceeds" not in message
    assert "Traceback" not in message
    return message


BIG = {
    "id.jsonl": "{" + ROW + f', "id": {DIGITS}' + "}\n",
    "score.jsonl": "{" + ROW + f', "score": {DIGITS}' + "}\n",
    "other.jsonl": "{" + ROW + f', "other": [1, -{DIGITS}]' + "}\n",
    "answers.jsonl": f'{{"question": "q", "answers": [{DIGITS}], "prediction": "a"}}\n',
    "list.json": "[{" + ROW + f', "id": {DIGITS}' + "}]",
    "document.json": '{"question": {"0": "q"}, "prediction": {"0": ' + DIGITS + "}}",
}


@pytest.mark.parametrize("name", BIG)
def test_a_number_of_thousands_of_digits_is_named_as_one(tmp_path, name):
    message = refused(predictions.read_any, written(tmp_path, name, BIG[name]))
    assert "5,000 digits" in message
    assert "quotes" in message


def test_it_is_so_in_labels_and_gold_too(tmp_path):
    label = f'{{"id": {DIGITS}, "label": "wrong"}}\n'
    assert "5,000 digits" in refused(labels.read, written(tmp_path, "labels.jsonl", label))
    answers = f'{{"question": "q", "answers": [{DIGITS}]}}\n'
    assert "5,000 digits" in refused(gold.read, written(tmp_path, "gold.jsonl", answers))


def test_text_of_thousands_of_digits_is_text(tmp_path):
    row = {"question": "q", "answers": [DIGITS], "prediction": DIGITS}
    [found] = predictions.read_any(written(tmp_path, "text.jsonl", json.dumps(row) + "\n")).rows
    assert found.prediction == DIGITS


def test_a_number_from_memory_that_is_too_long_to_write_is_refused():
    with pytest.raises(UserError, match="score"):
        predictions.of_rows(
            [{"question": "q", "answers": ["a"], "prediction": "a", "score": 10**5000}]
        )


@pytest.mark.parametrize("mark", [",", ";", "|", "\t"])
def test_a_table_without_names_shows_its_first_line_and_two_ways_out(tmp_path, mark):
    text = "".join(f"{mark.join(row)}\n" for row in (("who wrote it", "Ann", "ann"),) * 2)
    path = written(tmp_path, "rows.csv", text)
    message = refused(predictions.read_any, path)
    assert "who wrote it | Ann | ann" in message
    assert "--columns question=1,answers=2,prediction=3" in message
    columns = {"question": "1", "answers": "2", "prediction": "3"}
    assert len(predictions.read_any(path, columns=columns).rows) == 2


def test_names_that_nobody_uses_are_shown_and_may_be_given(tmp_path):
    path = written(tmp_path, "rows.csv", "Frage;Lösung;Modell\nwho wrote it;Ann;ann\n")
    assert "Frage | Lösung | Modell" in refused(predictions.read_any, path)
    columns = {"question": "Frage", "answers": "Lösung", "prediction": "Modell"}
    [row] = predictions.read_any(path, columns=columns).rows
    assert row.answers == ("Ann",)


def test_semicolons_part_cells(tmp_path):
    path = written(tmp_path, "rows.csv", "question;answers;prediction\nwho, again?;Ann;ann\n")
    [row] = predictions.read_any(path).rows
    assert (row.question, row.prediction) == ("who, again?", "ann")


LONG = "{" + ROW[:-2] + "a" * 1000 + '"}'
PACKED = {
    "line.jsonl.gz": ("{" + ROW[:-2], "a" * 1000, '"}\n'),
    "lines.jsonl.gz": ("", LONG + "\n", ""),
    "list.json.gz": ("[\n", LONG + ",\n", "{" + ROW + "}]\n"),
    "cell.csv.gz": ('question,answers,prediction\nq,a,"', "a" * 1000 + "\n", '"\n'),
}


@pytest.mark.parametrize("name", PACKED)
def test_what_unpacks_to_a_hundred_times_its_size_is_not_unpacked(tmp_path, name, monkeypatch):
    # The limit of a line is the least size that is looked at; a small one makes a small test.
    monkeypatch.setattr(text_files, "_MOST_OF_A_PACKED_LINE", 1 << 20)
    head, middle, tail = PACKED[name]
    path = written(tmp_path, name, head + middle * 4000 + tail)
    assert path.stat().st_size < 60_000
    message = refused(predictions.read_any, path)
    assert "unpack the file" in message
    assert message.count(name) == 1


def test_a_sample_of_an_archive_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_MOST_OF_A_MEMBER", 1 << 16)
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1.json", '{"id": "' + "a" * (1 << 17) + '"}')
    assert "unpack it" in refused(predictions.read_any, path)


def test_packed_files_of_usual_texts_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_MOST_OF_A_PACKED_LINE", 1 << 16)
    text = "".join(
        json.dumps({"question": f"who was number {n * 7919}", "answers": ["a"], "prediction": "b"})
        + "\n"
        for n in range(5000)
    )
    assert len(predictions.read_any(written(tmp_path, "rows.jsonl.gz", text)).rows) == 5000


def test_a_log_of_inspect_that_python_cannot_unpack_names_the_way_out(tmp_path):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("samples/1.json", "{}")
    data = bytearray(path.read_bytes())
    for start in range(len(data) - 4):  # method 93, Zstandard, in every header
        if data[start : start + 4] == b"PK\x03\x04":
            data[start + 8] = 93
        if data[start : start + 4] == b"PK\x01\x02":
            data[start + 10] = 93
    path.write_bytes(data)
    assert "inspect log convert" in refused(predictions.read_any, path)


def test_damaged_parquet_is_one_sentence(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 50 + b"PAR1")
    assert "make it again" in refused(predictions.read_any, path)
