"""The commands `closedbook analyze` and `closedbook compare`."""

import json

import pytest

from closedbook.cli.analyze import progress_bar

ROWS = [
    {"id": 1, "question": "who wrote dracula", "answers": ["Bram Stoker"], "prediction": "Stoker"},
    {"id": 2, "question": "where is it", "answers": "Rome", "prediction": "rome"},
    {"id": 3, "question": "when was it", "answers": ["1066"], "prediction": "[red]1067\x1b[31m"},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def mine(tmp_path):
    return write(tmp_path / "mine.jsonl", ROWS)


@pytest.fixture
def other(tmp_path):
    answers = ["Bram Stoker", "Rome", "1067"]
    rows = [row | {"prediction": text} for row, text in zip(ROWS, answers, strict=True)]
    return write(tmp_path / "other.jsonl", rows)


def test_analyze_prints_the_headline_and_writes_the_report(command, mine, tmp_path):
    code, out, err = command("analyze", mine, "--out", "report", "--judge", "rules")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    # One of three; Wilson's interval by hand.
    assert lines[0] == "exact match  33.3% [6.1, 79.2]  (squad, n 3)"
    assert lines[1].startswith("adjusted     ")
    assert "not asserted" in out
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_file_is_not_compared_with_itself(command, mine, tmp_path):
    code, _, err = command("analyze", mine, "--out", "r", "--also", str(tmp_path / "mine.jsonl"))
    assert code == 2
    assert "is the file to analyse; give another system's" in err


def test_differences_of_nothing_have_no_minus_before_the_zero(command, mine, tmp_path):
    code, out, _ = command("compare", mine, write(tmp_path / "copy.jsonl", ROWS), "--out", "r")
    assert code == 0
    assert "+0.0 [-56.1, +56.1]" in out


def test_analyze_takes_everything_at_once(command, mine, other, tmp_path):
    labels = write(tmp_path / "labels.jsonl", [{"id": 1, "label": "phrasing"}])
    train = write(tmp_path / "train.jsonl", [{"question": "when is it", "answer": ["1067"]}])
    words = ["analyze", mine, "--out", "r", "--labels", labels, "--train", train, "--also", other]
    gold = write(tmp_path / "gold.jsonl", [{"question": "When was it?", "answer": ["1067"]}])
    code, out, _ = command(*words, "--other-gold", gold, "--protocol", "nq_open")
    assert code == 0
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["taxonomy"]["labelled"]
    assert summary["meta"]["also"] == ["other"]
    assert "(nq_open, n 3)" in out
    assert any(line["slice"] == "met in training" for line in summary["slices"])


def test_compare_prints_the_best_first(command, mine, other, tmp_path):
    code, out, err = command("compare", mine, other, "--out", "c", "--names", "T5, B[/b]")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "squad, n 3 questions in common"
    assert lines[2].split()[:2] == ["B[/b]", "66.7%"]
    assert lines[3].split()[:2] == ["T5", "33.3%"]
    assert "-33.3 [" in lines[3]
    examples = (tmp_path / "c" / "examples.jsonl").read_text().splitlines()
    assert (tmp_path / "c" / "report.html").is_file()
    assert json.loads(examples[0])["correct"] == {"T5": False, "B[/b]": True}


def test_files_of_one_name_are_told_apart_by_their_folders(command, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "p.jsonl", ROWS)
    code, out, _ = command("compare", "a/p.jsonl", "b/p.jsonl", "--out", "c")
    assert code == 0
    assert "a/p" in out
    assert "b/p" in out


@pytest.mark.parametrize("name", ["analyze", "compare"])
def test_help_teaches_with_examples(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"closedbook {name} " in out
    assert "Examples:" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("analyze", "none.jsonl", "--out", "r"), "cannot read the predictions none.jsonl"),
        (("analyze", "MINE", "--out", "r", "--protocol", "squat"), "unknown protocol 'squat'"),
        (("analyze", "MINE", "--out", "r", "--judge", "gpt"), "unknown judge 'gpt'"),
        (("analyze", "MINE", "--out", "r", "--threshold", "2"), "threshold is 2.0"),
        (("analyze", "MINE", "--out", "MINE"), "no folder"),
        (("analyze", "MINE", "--out", "taken"), "no report of ours"),
        (("analyze", "MINE", "--out", "taken", "--force"), "no report of ours"),
        (("analyze", "MINE", "--out", "r", "--labels", "BAD"), "bad.jsonl:2: not JSON"),
        (("analyze", "MINE", "--out", "r", "--train", "BAD"), "bad.jsonl:2: not JSON"),
        (("analyze", "MINE", "--out", "r", "--also", "BAD"), "bad.jsonl:2: not JSON"),
        (("analyze", "BAD", "--out", "r"), "bad.jsonl:2: not JSON"),
        (("analyze", "EMPTY", "--out", "r"), "holds no predictions"),
        (("analyze", "LATIN", "--out", "r"), "is not UTF-8"),
        (("analyze", "NAN", "--out", "r"), "NaN is not JSON"),
        (("compare", "MINE", "--out", "r"), "two systems"),
        (("compare", "MINE", "MINE", "--out", "r"), "given twice"),
        (("compare", "MINE", "ELSE", "--out", "r"), "common to all files"),
        (("compare", "MINE", "NEXT", "--out", "r", "--names", "a"), "give 2 different names"),
        (("compare", "MINE", "NEXT", "--out", "r", "--names", "a,a"), "give 2 different names"),
        (("compare", "MINE", "NEXT", "--out", "r", "--protocol", "em"), "unknown protocol 'em'"),
    ],
)
def test_mistakes_exit_with_code_2_one_message_and_no_output(command, tmp_path, words, message):
    good = json.dumps(ROWS[0] | {"label": "phrasing"})
    files = {
        "MINE": "\n".join(map(json.dumps, ROWS)),
        "NEXT": "\n".join(map(json.dumps, ROWS)),
        "BAD": good + "\n{oops\n",
        "EMPTY": "\n",
        "LATIN": '{"question": "é", "answers": "a", "prediction": "b"}',
        "NAN": '{"question": "q", "answers": "a", "prediction": "b", "score": NaN}',
        "ELSE": '{"question": "else", "answers": "a", "prediction": "b"}',
    }
    for name, text in files.items():
        path = tmp_path / f"{name.lower()}.jsonl"
        path.write_bytes(text.encode("latin-1" if name == "LATIN" else "utf-8"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("precious")
    code, out, err = command(*[f"{w.lower()}.jsonl" if w in files else w for w in words])
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "r").exists()
    assert not list(tmp_path.glob(".*"))


def test_steps_that_are_named_in_data_are_shown_and_not_obeyed(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard error were a terminal
    monkeypatch.setenv("COLUMNS", "100")
    with progress_bar() as progress:
        progress("[/] [bold]capital\x1b[2J", 1, 2)
    shown = capsys.readouterr().err
    assert r"[/] [bold]capital\x1b[2J" in shown
    assert "\x1b[2J" not in shown


def test_diagnose_names_the_cause_of_a_gap_first(command, tmp_path):
    rows = [
        {"question": f"who built bridge {n}", "answers": [f"Ann {n}"], "prediction": f"Ann {n}"}
        for n in range(20)
    ]
    good = write(tmp_path / "theirs.jsonl", rows)
    bad = [row | {"prediction": f"Answer: {row['prediction']}"} for row in rows]
    path = write(tmp_path / "mine.jsonl", bad)
    code, out, err = command("analyze", "--diagnose", path, good, "--out", "why")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["mine.jsonl", "exact", "match", "0.0%"]
    assert "+100.0 points" in lines[2]
    assert '20 of 20 predictions begin with "Answer:"' in lines[3]
    assert lines[3].split()[:2] == ["+100.0", "prefix"]
    found = json.loads((tmp_path / "why" / "summary.json").read_text())
    assert found["causes"][0]["points"] == 1
    assert '"Answer:"' in (tmp_path / "why" / "report.md").read_text()
    code, out, _ = command("analyze", path, "--diagnose")
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["+100.0", "prefix"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--out is missing"),
        (("mine.jsonl", "--out", "r"), "closedbook compare"),
        (("mine.jsonl", "mine.jsonl", "--diagnose"), "3 files"),
        (("--diagnose", "--protocol", "squid"), "unknown protocol"),
        (("mine.jsonl", "--diagnose", "--other-gold", "mine.jsonl"), "--other-gold goes with one"),
    ],
)
def test_files_that_are_too_many_or_a_folder_that_is_missing_are_told(command, mine, words, said):
    code, _, err = command("analyze", mine, *words)
    assert code == 2
    assert said in err


def test_a_file_in_another_language_is_said_to_have_bounds(command, tmp_path):
    asked = ("wer schrieb das buch", "wann war der krieg zu ende", "wo liegt die stadt rom")
    rows = [
        {"question": f"{text} {n}", "answers": ["Ann"], "prediction": "Anna"}
        for n in range(4)
        for text in asked
    ]
    code, out, _ = command("analyze", write(tmp_path / "p.jsonl", rows), "--out", "r")
    assert code == 0
    assert "bounds, not an interval: the questions are not English" in out


def test_rows_that_share_questions_are_not_called_questions(command, tmp_path):
    rows = [row | {"id": f"{n} {row['id']}"} for n in range(4) for row in ROWS]
    paths = [write(tmp_path / f"{name}.jsonl", rows) for name in ("a", "b")]
    code, out, _ = command("compare", *paths, "--out", "c")
    assert code == 0
    assert out.splitlines()[0] == "squad, n 12 rows of 3 questions in common"
    for name in ("report.md", "report.html", "report.tex"):
        text = (tmp_path / "c" / name).read_text()
        assert "12 questions" not in text
        assert "3 questions" in text
