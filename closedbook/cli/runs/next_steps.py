"""What a finished training run prints for its user to go on with: commands, ready to be copied."""

import pathlib
import re
import shlex
from typing import TYPE_CHECKING, Any

from closedbook.buckets import is_bucket, path_at
from closedbook.data.task_facts import task_rates, task_splits

if TYPE_CHECKING:
    from closedbook.training.settings import DatasetConfig


def after_training(arguments: dict[str, Any], step: int) -> str:
    """Commands that ask, score and show what was trained.

    Args:
        arguments: Of the run, from `gin_files.resolve`.
        step: Its last.

    Returns:
        A heading, and a line for each command.
    """
    run = path_at(arguments["model_dir"]).expanduser()
    questions: DatasetConfig | None = arguments.get("infer_eval_dataset_cfg")
    texts = len(arguments["model"].converter.features) == 1  # a language model's
    rows = [_asked(run, continues=texts)]
    if questions is not None and _scorable(questions):
        rows.append(("score it", _scored(run, questions.split)))
    ending = f"-{step:06d}.predictions.jsonl"
    for path in sorted(run.glob(f"inference_eval/*{ending}")):
        report = f"report_{path.name.removesuffix(ending)}"
        if is_bucket(run):  # pages are read on a disk
            copied = shlex.join(["gcloud", "storage", "cp", str(path), "."])
            words = ["closedbook", "analyze", path.name, "--out", report]
            rows.append(("see its errors", f"{copied} && {shlex.join(words)}"))
            continue
        words = ["closedbook", "analyze", str(path), "--out", str(run / report)]
        rows.append(("see its errors", shlex.join(words)))
    rows.append(("see its curves", shlex.join(["tensorboard", "--logdir", str(run)])))
    width = max(len(name) for name, _ in rows)
    return "\n".join(["next:", *(f"  {name:{width}}  {command}" for name, command in rows)])


def _scorable(questions: "DatasetConfig") -> bool:
    """Whether `t5x eval` finds a task that has the split and a metric."""
    of_tasks = [task_splits(task) for task in task_rates(questions.mixture_or_task_name)]
    return any(questions.split in each.names and each.evaluated for each in of_tasks)


def _asked(run: pathlib.Path, *, continues: bool) -> tuple[str, str]:
    text = "The beginning of a sentence" if continues else "your question?"
    return "ask it", f'closedbook ask --model {shlex.quote(str(run))} "{text}"'


def _scored(run: pathlib.Path, split: str) -> str:
    """The whole command: the run's own configuration, then the packaged file for evaluation."""
    bindings = {
        "CHECKPOINT_PATH": str(run),
        "EVAL_OUTPUT_DIR": str(run / f"eval_{split}"),
        "SPLIT": split,
    }
    words = ["t5x", "eval", f"--gin_file={run / 'config.gin'}", "--gin_file=runs/eval.gin"]
    return " ".join([*map(shlex.quote, words), *map(_binding, bindings.items())])


def _binding(bound: tuple[str, str]) -> str:
    """A binding as people type it, with quotes that the shell takes off and quotes for gin."""
    name, value = bound
    if re.fullmatch(r"[\w./ +,=@:-]*", value):
        return f"--gin.{name}=\"'{value}'\""
    return shlex.quote(f"--gin.{name}={value!r}")
