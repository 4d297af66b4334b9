"""`closedbook ssm build` as it is typed."""

import json
import pathlib
import subprocess
import sys

import pytest

from closedbook.cli import closedbook


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs `closedbook ssm` in this process: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": "a", "title": "Zürich", "text": "In 1351 Zürich joined. It rained. " * 3}]
    rows += [{"id": "b", "text": "\ud800"}]
    (tmp_path / "text.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["closedbook", "ssm", *words])
        with pytest.raises(SystemExit) as ended:
            closedbook.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_build_says_what_it_wrote_and_what_it_left_out(command):
    words = ("build", "--input", "text.jsonl", "--output", "out")
    code, out, err = command(*words)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("out: 3 sentences with ")
    assert "out of 1 documents, 1 shards" in lines[0]
    assert any(line.split()[:2] == ["DATE", "3"] for line in lines)
    assert "sentences left out: 3 without a span" in lines
    assert "documents skipped: 1 (listed in manifest.json), such as" in lines
    assert any(line.startswith("  b: a lone surrogate") for line in lines)
    size = pathlib.Path("text.jsonl").stat().st_size
    assert lines[-1].startswith(f"{size} bytes of input in ")
    assert f"bytes of text {size}/{size}" in err
    assert "0.0 MB" not in out
    code, out, _ = command(*words)
    assert (code, out.splitlines()[-1]) == (0, "finished before; nothing was done")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--input", "nothing*", "--output", "out"), "no file matches 'nothing*'"),
        (
            ("--input", "text.jsonl", "--output", "out", "--tager", "spacy"),
            "'--tager' is an option",
        ),
        (("--input", "text.jsonl", "--output", "out", "--tagger", "spac"), "unknown tagger 'spac'"),
        (("--input", "text.jsonl", "--output", "."), ". is not empty"),
        (("--output", "out"), "--input"),
        (("--input", "text.jsonl", "--output", "out", "--workers", "x"), "--workers"),
    ],
)
def test_mistakes_exit_with_code_2_and_one_message(command, words, message):
    code, _, err = command("build", *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not pathlib.Path("out").exists()


def test_help_teaches_and_loads_nothing_heavy():
    program = (
        "import sys\n"
        "from closedbook.cli import closedbook\n"
        "try:\n"
        "    closedbook.app(['ssm', 'build', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'apache_beam', 'spacy', 'torch', 'tensorflow', 'jax', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in ("--tagger", "tfds:wikipedia", "--runner", "Examples:", "manifest.json"):
        assert words in done.stdout
