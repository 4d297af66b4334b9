"""Gin files of people that one does not know: what they import, and what they cannot replace."""

import os
import pathlib
import subprocess
import sys

import pytest

from closedbook.cli import gin_files
from closedbook.errors import UserError

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = "import sys; from closedbook.cli.{0} import main; sys.argv[0] = '{0}'; main()"


@pytest.fixture
def hostile(tmp_path) -> pathlib.Path:
    """A module that leaves a mark where it is imported."""
    mark = "import pathlib\npathlib.Path(__file__).with_name('was-run').touch()\n"
    (tmp_path / "my_tasks.py").write_text(mark)
    (tmp_path / "mine.gin").write_text(
        "import seqio\nfrom t5x import utils\nimport my_tasks\ninclude 'atlas_qa.gin'\n"
        "my_tasks.thing.x = 1\n"
    )
    return tmp_path


def run(folder: pathlib.Path, *words: str, program: str = "t5x") -> subprocess.CompletedProcess:
    """A command as its console script runs it: the working directory is not on the path."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-P", "-c", PROGRAM.format(program), *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_file_of_the_working_directory_replaces_no_module_of_python(hostile):
    for name in ("secrets", "tempfile", "json", "gin", "numpy"):
        (hostile / f"{name}.py").write_text((hostile / "my_tasks.py").read_text())
    done = run(hostile, "train", "--gin_file=atlas_qa.gin", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert not (hostile / "was-run").exists()


def test_a_gin_file_imports_in_a_dry_run_too_and_no_imports_refuses_it(hostile):
    words = ("train", "--gin_file=mine.gin", "--dry_run")
    refused = run(hostile, *words, "--no_imports")
    assert refused.returncode == 2
    assert "import my_tasks is refused by --no_imports" in refused.stderr
    assert "(mine.gin, line 3)" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (hostile / "was-run").exists()
    run(hostile, *words)  # my_tasks.thing may be of the module, so that it is imported
    assert (hostile / "was-run").exists()


@pytest.mark.parametrize("mode", ["train", "eval", "infer"])
def test_a_module_of_tasks_is_refused_in_every_mode(mode, required):
    model = "t5x/examples/t5/t5_1_1/tiny.gin"
    file = {"train": "finetune"}.get(mode, mode)
    bindings = [*required[mode], "MIXTURE_OR_TASK_MODULE = 'my_tasks'", "DROPOUT_RATE = 0.0"]
    with pytest.raises(UserError, match="MIXTURE_OR_TASK_MODULE = 'my_tasks' is refused by"):
        gin_files.resolve(
            mode, [model, f"t5x/configs/runs/{file}.gin"], bindings, imports_allowed=False
        )


def test_modules_that_are_mapped_and_closedbooks_own_are_not_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("a.gin").write_text(
        "from __gin__ import dynamic_registration\nimport seqio\nfrom t5x.examples.t5 import "
        "network\nimport closedbook.tasks\ninclude 'atlas_qa.gin'\n"
    )
    assert gin_files.resolve("train", ["a.gin"], [], imports_allowed=False)["model"]


def test_a_module_whose_code_fails_is_one_message_with_its_line(tmp_path):
    (tmp_path / "my_tasks.py").write_text("x = 1\ny = x / 0\n")
    words = ("--gin.MIXTURE_OR_TASK_MODULE='my_tasks'", "--gin.MODEL_DIR='run'")
    done = run(tmp_path, "train", "--gin_file=atlas_qa.gin", *words)
    assert done.returncode == 2
    assert "its code failed: ZeroDivisionError: division by zero" in done.stderr
    assert "my_tasks.py, line 2)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_converting_a_checkpoint_runs_nothing_that_its_configuration_names(hostile):
    source = hostile / "checkpoint"
    made = run(
        hostile, "convert", "closedbook://atlas_ssm", "checkpoint", "--to=t5x", program="closedbook"
    )
    assert made.returncode == 0, made.stderr
    (source / "config.gin").write_text((hostile / "mine.gin").read_text())
    for target, words in (("a", ()), ("b", ("--no_imports",))):
        found = run(
            hostile,
            "convert",
            "checkpoint",
            target,
            "--to=closedbook",
            *words,
            program="closedbook",
        )
        assert found.returncode == 0, found.stderr
    assert not (hostile / "was-run").exists()
