"""What `t5x` and `closedbook` say of themselves: files, help, versions, what comes next."""

import re
import shlex
import sys
import types

import pytest

import closedbook
from closedbook.cli import closedbook as closedbook_command
from closedbook.cli import gin_files, t5x
from closedbook.cli.runs import next_steps


@pytest.fixture
def said(monkeypatch, capsys):
    """Runs a command in this process and gives what it prints."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        monkeypatch.setattr(sys, "argv", list(words))
        with pytest.raises(SystemExit) as ended:
            (t5x if words[0] == "t5x" else closedbook_command).main()
        assert not ended.value.code
        return capsys.readouterr().out

    return run


def test_files_are_listed_with_what_each_is_for(said):
    rows = dict(line.split(maxsplit=1) for line in said("t5x", "files").splitlines())
    assert list(rows) == gin_files.packaged_files()
    assert rows["nq_small.gin"] == "Natural Questions without context, T5 Small"
    assert rows["models/t5_base.gin"] == "T5 1.0 Base"
    assert rows["runs/eval.gin"] == "Scores a checkpoint"
    assert rows["t5x/configs/runs/finetune.gin"].startswith("Fine-tuning from a checkpoint")
    assert all(
        purpose.strip() and "closedbook's own defaults" not in purpose for purpose in rows.values()
    )


@pytest.mark.parametrize("command", ["t5x", "closedbook"])
def test_both_commands_have_a_version(said, command):
    assert said(command, "--version") == f"closedbook {closedbook.__version__}\n"


@pytest.mark.parametrize("mode", ["train", "eval", "infer"])
def test_help_has_the_page_and_macros_that_files_use(said, mode):
    shown = said("t5x", mode, "--help")
    assert f"t5x {mode} --gin_file=" in shown
    assert "docs/t5x.md" in shown
    files = "".join(path.read_text() for path in gin_files.PACKAGED.rglob("*.gin"))
    macros = re.findall(r"^\W+([A-Z_]{4,}): ", shown, flags=re.MULTILINE)
    assert len(macros) >= 7
    assert all(name in files for name in macros)


def _arguments(folder, *, features=2, split="validation"):
    questions = (
        types.SimpleNamespace(mixture_or_task_name="natural_questions_open", split=split)
        if split
        else None
    )
    converter = types.SimpleNamespace(features=("inputs", "targets")[-features:])
    return {
        "model_dir": str(folder),
        "infer_eval_dataset_cfg": questions,
        "model": types.SimpleNamespace(converter=converter),
    }


def test_commands_that_come_next_keep_any_path_together(tmp_path):
    folder = tmp_path / "it's $HOME, \u00fc"
    (folder / "inference_eval").mkdir(parents=True)
    rows = folder / "inference_eval" / "quiz-000012.predictions.jsonl"
    rows.touch()
    (folder / "inference_eval" / "quiz-000006.predictions.jsonl").touch()
    title, *lines = next_steps.after_training(_arguments(folder), 12).splitlines()
    ask, score, errors, curves = (shlex.split(line[16:]) for line in lines)
    assert title == "next:"
    assert ask[:4] == ["closedbook", "ask", "--model", str(folder)]
    assert score[2:4] == [f"--gin_file={folder}/config.gin", "--gin_file=runs/eval.gin"]
    assert score[4] == f"--gin.CHECKPOINT_PATH={str(folder)!r}"
    assert errors == ["closedbook", "analyze", str(rows), "--out", f"{folder}/report_quiz"]
    assert curves == ["tensorboard", "--logdir", str(folder)]


def test_a_language_model_goes_on_with_a_text_and_has_no_questions_to_score(tmp_path):
    text = next_steps.after_training(_arguments(tmp_path, features=1, split=None), 5)
    assert "The beginning of a sentence" in text
    assert "t5x eval" not in text
    assert "analyze" not in text
