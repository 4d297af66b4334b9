"""The quickstart and the making of the packaged models, out of the same gin files as any run."""

import pathlib
import shutil
import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from closedbook import whole_files
from closedbook.checkpoints import (
    Format,
    find_checkpoint,
    model_folder,
    packaged_models,
    soundness,
)
from closedbook.checkpoints.convert import Options, convert
from closedbook.cli import gin_files
from closedbook.errors import UserError, unknown_name
from closedbook.eval import predictions, summary
from closedbook.tasks import atlas

_MIXTURE = "atlas_qa_test"
_TASKS = {"atlas_qa_seen": "seen", "atlas_qa_unseen": "unseen"}


def run(out: pathlib.Path, steps: int | None = None) -> None:
    """Fine-tunes the packaged model and the control, scores both, prints a table.

    Args:
        out: Folder of the two runs.
        steps: Of each fine-tuning; one epoch if None.
    """
    from closedbook.training.loop import train

    started = time.monotonic()
    console = Console()
    rows: dict[str, dict[str, list[predictions.Prediction]]] = {}
    folders = {"pretrained": out / "pretrained", "control": out / "control"}
    for name, folder in folders.items():
        files = ["atlas_qa.gin"] if name == "pretrained" else ["atlas_qa_control.gin"]
        console.print(f"[bold]{name}[/]: fine-tuning on questions, {escape(str(folder))}")
        bindings = [f"MODEL_DIR = {str(folder)!r}"]
        if steps is not None:
            bindings += [f"TRAIN_STEPS_RELATIVE = {steps}", f"SAVE_PERIOD = {steps}"]
        arguments = gin_files.resolve("train", files, bindings)
        result = train(**arguments, config_text=gin_files.config_text())
        if not result.finished:
            console.print(f"stopped at step {result.step}; run again to go on")
            return
        rows[name] = _answers(folder)
    console.print(_table(rows))
    _examples(console, rows["pretrained"]["atlas_qa_unseen"])
    checkpoint, _ = find_checkpoint(folders["pretrained"])
    console.print("\nThe facts of these questions stood in pretraining sentences only.")
    console.print(f"checkpoint   {checkpoint}", soft_wrap=True)
    console.print(
        f"predictions  {folders['pretrained'] / 'test' / 'inference_eval'}", soft_wrap=True
    )
    console.print(
        f"metrics      {folders['pretrained'] / 'train' / 'metrics.jsonl'}", soft_wrap=True
    )
    console.print(
        f'ask it       closedbook ask --model {folders["pretrained"]} "..."', soft_wrap=True
    )
    console.print(f"{time.monotonic() - started:.0f} s")


def _answers(folder: pathlib.Path) -> dict[str, list[predictions.Prediction]]:
    """Answers to the held-out facts' questions, by task."""
    from closedbook.training import jobs

    output = folder / "test"
    bindings = [
        f"CHECKPOINT_PATH = {str(folder)!r}",
        f"EVAL_OUTPUT_DIR = {str(output)!r}",
        f"MIXTURE_OR_TASK_NAME = {_MIXTURE!r}",
    ]
    arguments = gin_files.resolve("eval", ["atlas_eval.gin"], bindings)
    (step,) = jobs.evaluate(**arguments)
    found = output / "inference_eval"
    return {
        task: predictions.read(found / f"{task}-{step:06d}.predictions.jsonl") for task in _TASKS
    }


def _table(rows: dict[str, dict[str, list[predictions.Prediction]]]) -> Table:
    table = Table(
        title="Answers about facts that no fine-tuning question was about",
        caption="95% intervals. seen/unseen: whether fine-tuning had questions so phrased, about\n"
        "other facts. control: the same network and fine-tuning, no pretraining.",
        title_justify="left",
        caption_justify="left",
    )
    for column in ("phrasing", "model", "n", "exact match", "F1"):
        table.add_column(column, justify="right" if column == "n" else "left", no_wrap=True)
    for task, phrasing in _TASKS.items():
        for name, tasks in rows.items():
            score = summary.score_all(tasks[task], "squad")
            assert score.f1_interval is not None  # squad has F1
            table.add_row(
                phrasing,
                name,
                f"{score.n:,}",
                f"{score.em:.1f} [{score.em_interval.low:.1f}, {score.em_interval.high:.1f}]",
                f"{score.f1:.1f} [{score.f1_interval.low:.1f}, {score.f1_interval.high:.1f}]",
            )
    return table


def _examples(console: Console, rows: list[predictions.Prediction], count: int = 10) -> None:
    table = Table(title=f"{count} of its answers, evenly spaced", title_justify="left")
    for column in ("question", "answer", "right answer"):
        table.add_column(column)
    for i in range(count):
        row = rows[i * len(rows) // count]
        right = summary.score_all([row], "squad").em == 100
        style = "green" if right else "red"
        gold = escape(row.answers[0])
        table.add_row(escape(row.question), f"[{style}]{escape(row.prediction)}[/]", gold)
    console.print(table)


_MODELS = {"small": ("atlas_ssm", "atlas_qa"), "deep": ("atlas_deep_ssm", "atlas_deep")}
_PACKED = {"small": ("atlas_ssm", "atlas_qa"), "deep": ("atlas_deep",)}


def reproduce(out: pathlib.Path, *, install: bool, model: str = "small") -> None:
    """Pretrains on the atlas's sentences, fine-tunes on its questions, packs the models.

    Args:
        out: Folder of the two runs, such as `atlas_ssm` and `atlas_qa`.
        install: Copy them into the package.
        model: "small" (2+2 layers) or "deep" (6+4, of which the one for questions is packed).
    """
    from closedbook.training.loop import train

    if model not in _MODELS:
        raise unknown_name("model of the atlas", model, _MODELS)
    started = time.monotonic()
    first, second = _MODELS[model]
    for name in (first, second):
        bindings = [f"MODEL_DIR = {str(out / name)!r}"]
        if name == second:
            bindings.append(f"INITIAL_CHECKPOINT_PATH = {str(out / first)!r}")
        arguments: dict[str, Any] = gin_files.resolve("train", [f"{name}.gin"], bindings)
        result = train(**arguments, config_text=gin_files.config_text())
        if not result.finished:
            raise UserError(f"stopped at step {result.step} of {name}; run again to go on")
    print(f"trained in {time.monotonic() - started:.0f} s: {out}/{first}, {out}/{second}")
    if install:
        for name in _PACKED[model]:
            print(f"packed: {pack(out / name, atlas.MODELS / name, _TYPES[model])}")
        assert set(packaged_models()) >= set(_PACKED[model])


_TYPES = {"small": None, "deep": "bfloat16"}  # of the packed parameters; None: as trained


def pack(
    source: str | pathlib.Path, target: pathlib.Path, dtype: str | None = None
) -> pathlib.Path:
    """Copies a run's newest parameters, card and vocabulary, without optimiser state or logs.

    Args:
        source: A run's folder.
        target: A folder to make; one that exists is replaced.
        dtype: Of the parameters; as they are if None.
    """
    checkpoint, _ = find_checkpoint(source)
    if dtype is not None:
        options = Options(to=Format.CLOSEDBOOK, dtype=dtype, optimizer="drop")
        convert(checkpoint, target, options, force=target.exists())
        return target
    soundness.check(checkpoint)
    folder = model_folder(source)
    with whole_files.folder(target, replace=True) as packed:
        for name in ("model.json", "vocabulary.model"):
            shutil.copyfile(folder / name, packed / name)
        shutil.copytree(checkpoint / "params", packed / checkpoint.name / "params")
        soundness.seal(packed / checkpoint.name)
    return target
