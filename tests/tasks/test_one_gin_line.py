"""A user's own questions become a task with one gin line."""

import pytest

from closedbook.cli import gin_files
from closedbook.cli.gin_files import visible
from closedbook.cli.runs.next_steps import after_training
from closedbook.errors import UserError
from closedbook.tasks.specs import SPECS


def test_one_gin_line_makes_a_task(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"question": "who?", "answer": "me"}\n')
    line = f"tasks.qa_from_files.files = {{'gin_quiz': {{'train': '{tmp_path}/mine.jsonl'}}}}"
    given = ["MIXTURE_OR_TASK_NAME = 'gin_quiz'", "VOCABULARY_FILE = 'absent.model'"]
    arguments = gin_files.resolve("train", ["nq_tiny.gin"], [line, *given])
    assert arguments["train_dataset_cfg"].mixture_or_task_name == "gin_quiz"
    assert SPECS["gin_quiz"].splits == ("train",)


def test_a_missing_file_in_the_line_is_named():
    line = "tasks.qa_from_files.files = {'gin_absent': {'train': 'absent.jsonl'}}"
    with pytest.raises(UserError, match=r"'gin_absent', split 'train': .*absent\.jsonl"):
        gin_files.resolve("train", ["nq_tiny.gin"], [line, "VOCABULARY_FILE = 'absent.model'"])


def test_a_split_of_another_name_is_refused_where_it_is_written(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"question": "who?", "answer": "me"}\n')
    line = f"tasks.qa_from_files.files = {{'gin_slip': {{'trian': '{tmp_path}/mine.jsonl'}}}}"
    given = ["MIXTURE_OR_TASK_NAME = 'gin_slip'", "VOCABULARY_FILE = 'absent.model'"]
    with pytest.raises(
        UserError, match=r"split of task 'gin_slip', 'trian'; nearest: train"
    ) as told:
        gin_files.resolve("train", ["nq_tiny.gin"], [line, *given])
    assert "validation" in str(told.value)
    assert "gin_slip" not in SPECS


def test_a_task_without_held_out_questions_trains(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"question": "who?", "answer": "me"}\n')
    files = (
        f"tasks.qa_from_files.files = {{'gin_train_only': {{'train': '{tmp_path}/mine.jsonl'}}}}"
    )
    given = [files, "MIXTURE_OR_TASK_NAME = 'gin_train_only'"]
    model = "VOCABULARY_FILE = 'gs://bucket/spm.model'"
    slip = "infer_eval/utils.DatasetConfig.split = 'vaildation'"

    arguments = gin_files.resolve("train", ["nq_tiny.gin"], [*given, model])
    visible.check("train", arguments)
    said = after_training({**arguments, "model_dir": str(tmp_path / "run")}, 2)
    assert "ask it" in said
    assert "score it" not in said
    with pytest.raises(UserError, match="unknown split 'vaildation'"):
        visible.check("train", gin_files.resolve("train", ["nq_tiny.gin"], [*given, model, slip]))
