"""The command `closedbook`: asking, the atlas, mistakes."""

import contextlib
import io
import json
import math
import os
import pathlib
import pty
import subprocess
import sys

import pytest

from closedbook.cli import ask, closedbook


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `closedbook` in this process: (exit code, output, errors)."""

    def run(*words: str, text: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["closedbook", *words])
        if text is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        with pytest.raises(SystemExit) as ended:
            closedbook.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_ask_prints_answer_probability_and_alternatives(command):
    code, out, _ = command("ask", "What is the capital of France?", "--alternatives", "3")
    first, second = out.splitlines()
    assert code == 0
    assert first.startswith("Paris  (probability 0.")
    assert second.startswith("  or: ")
    assert second.count("(0.") == 3


def test_ask_reads_lines_and_writes_rows(command):
    text = "What is the capital of Japan?\n\n  What is the capital   of Italy?\n"
    code, out, _ = command("ask", "--json", text=text)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["prediction"] for row in rows] == ["Tokyo", "Rome"]
    assert rows[0]["score"] < 0


def test_ask_takes_rows_and_passes_on_what_they_have(command):
    rows = [
        {"id": 7, "question": "What is the capital of Japan?", "answers": ["Tokyo"]},
        "{what is this} the capital of Italy?",
    ]
    text = "\n".join([json.dumps(rows[0]), rows[1]])
    code, out, _ = command("ask", "--json", "--alternatives", "0", text=text)
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert (first["id"], first["answers"], first["prediction"]) == (7, ["Tokyo"], "Tokyo")
    assert second["question"] == rows[1]
    # All four beams with their probabilities, though no alternatives were asked for.
    beams = first["beams"]
    assert beams["texts"][0] == "Tokyo"
    assert beams["log_probs"][0] == first["score"]
    assert len(beams["texts"]) == len(beams["log_probs"]) == 4
    assert sum(math.exp(score) for score in beams["log_probs"]) <= 1


def test_ask_survives_strange_questions(command):
    strange = "\x1b[31mred\x07 \u202eabc 𝔘𝔫𝔦 " + "long " * 3000
    code, out, _ = command("ask", strange, "ok?")
    assert code == 0
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_ask_orders_by_the_probability_that_it_shows(command):
    asked = [f"What is the {what} of Kenya?" for what in ("capital", "currency", "size", "end")]
    _, out, _ = command("ask", "--json", "--alternatives", "3", *asked)
    for row in map(json.loads, out.splitlines()):
        scores = [row["score"], *(other["score"] for other in row["alternatives"])]
        assert scores == sorted(scores, reverse=True)


def test_ask_answers_the_other_lines_and_names_those_that_are_no_text(command, monkeypatch):
    lines = b"What is the capital of Japan?\n\xff\xfe?\n\nWhat is the capital of C\xc3\xb4te?\n"
    stdin = io.TextIOWrapper(io.BytesIO(lines), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", stdin)
    code, out, err = command("ask", "--json")
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert code == 2
    assert first["prediction"] == "Tokyo"
    assert "not UTF-8" in second["error"]
    assert "prediction" not in second
    assert third["question"] == "What is the capital of C\u00f4te?"
    assert "1 of 3 questions were not asked:\n  line 2: " in err


def test_ask_says_which_questions_are_cut(command):
    code, out, err = command("ask", "--json", "short?", "long " * 300)
    short, long = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert "question 2: the question is longer than the 128 tokens" in err
    assert long["cut_to_tokens"] == 128
    assert "cut_to_tokens" not in short


def test_ask_answers_what_came_before_the_pipe_paused(tmp_path):
    command = pathlib.Path(sys.executable).parent / "closedbook"
    process = subprocess.Popen(
        [command, "ask", "--alternatives", "0"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for country, capital in (("Japan", "Tokyo"), ("Italy", "Rome")):
        process.stdin.write(f"What is the capital of {country}?\n")
        process.stdin.flush()  # and the pipe stays open
        assert process.stdout.readline() == f"What is the capital of {country}?\n"
        assert process.stdout.readline().startswith(f"{capital}  (probability ")
    process.stdin.write("What is the capital of Kenya?")
    out, _ = process.communicate()
    assert out.splitlines()[1].startswith("Nairobi")
    assert process.returncode == 0


def test_answers_go_to_their_file_while_progress_is_on_the_terminal(tmp_path):
    command = pathlib.Path(sys.executable).parent / "closedbook"
    terminal, inner = pty.openpty()
    with (tmp_path / "answers").open("w") as answers:
        process = subprocess.Popen(
            [command, "ask", "--alternatives", "0"],
            cwd=tmp_path,
            env=os.environ | {"TERM": "xterm"},
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=inner,
        )
        process.stdin.write(b"What is the capital of Japan?\nWhat is the capital of Italy?\n")
        process.stdin.close()
        os.close(inner)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone
            while piece := os.read(terminal, 1 << 16):
                shown += piece
        assert process.wait() == 0
    os.close(terminal)
    assert "Tokyo" in (tmp_path / "answers").read_text()
    assert b"Tokyo" not in shown
    assert b"2 questions" in shown


def test_ask_answers_more_at_once_while_answers_come_soon(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"what is {n}?\n" for n in range(500))))
    pace, sizes, asked = ask._Pace(), [], []
    for group in ask._chunks([], pace):
        sizes.append(len(group))
        asked += [line.row["question"] for line in group]
        pace.took(0.1 if len(sizes) < 3 else 60.0)
    assert sizes == [64, 128, 256, 52]
    assert asked == [f"what is {n}?" for n in range(500)]
    assert pace.size == 64


@pytest.mark.parametrize(("encoding", "as_json"), [("ascii", False), ("latin-1", True)])
def test_no_encoding_of_the_terminal_breaks_an_answer(tmp_path, encoding, as_json):
    question = "What do you call someone from S\u00e3o \u039c?"
    command = pathlib.Path(sys.executable).parent / "closedbook"
    done = subprocess.run(
        [command, "ask", question, question, *(["--json"] if as_json else [])],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode("ascii")
    if as_json:
        assert json.loads(shown.splitlines()[0])["question"] == question
    else:
        assert shown.startswith("What do you call someone from S\\xe3o \\u039c?\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ask", " "), "an empty question"),
        (("ask", "--beams", "0", "x"), "--beams is 0"),
        (("ask", "--model", "closedbook://nothing", "x"), "unknown packaged model 'nothing'"),
        (("atlas", "facts", "--relation", "country_capitol"), "nearest: country_capital"),
        (("atlas", "facts", "--subject", "Atlantis"), "no fact about 'Atlantis'"),
        (("atlas", "questions", "--split", "tests"), "test"),
        (("asks",), "No such command"),
    ],
)
def test_mistakes_exit_with_code_2_and_one_message(command, words, message):
    code, _, err = command(*words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_atlas_lists_facts_with_their_sources(command):
    code, out, _ = command("atlas", "facts", "--subject", "france")
    assert code == 0
    capital = [line.split("\t") for line in out.splitlines() if line.startswith("country_capital")]
    assert [row[1:3] for row in capital] == [["France", "Paris"]]
    code, out, _ = command("atlas", "facts")
    assert int(out.splitlines()[-1].split()[0].replace(",", "")) >= 2000


def test_asking_and_dry_runs_need_no_tensorflow(tmp_path):
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text(
        "import sys\n"
        "for name in ('tensorflow', 'seqio', 'tensorflow_datasets', 'tensorflow_text'):\n"
        "    sys.modules[name] = None\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    folder = pathlib.Path(sys.executable).parent
    for words in (
        ["closedbook", "ask", "What is the capital of France?"],
        ["t5x", "train", "--gin_file=nq_11b.gin", "--dry_run"],
    ):
        done = subprocess.run(
            [folder / words[0], *words[1:]],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
