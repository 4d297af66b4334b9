"""Runs one cell of the study, in a process of its own."""

import json
import logging
import pathlib
import time
from typing import Any

from benchmarks.ssm_study.corpora import Corpus
from benchmarks.ssm_study.plan import Cell, Plan
from closedbook import whole_files
from closedbook.errors import UserError

RESULT = "result.json"


def run(cell: Cell, corpus: Corpus, plan: Plan, folder: pathlib.Path) -> dict[str, Any]:
    """Pretrains, fine-tunes and tests; a killed run goes on from its last checkpoint.

    Args:
        cell: What to run.
        corpus: Its tasks are registered and tokenised.
        plan: Steps.
        folder: The cell's own; `result.json` appears in it when all is done.

    Returns:
        What `result.json` holds.
    """
    from closedbook.cli import gin_files
    from closedbook.training.loop import train

    logging.getLogger("closedbook").setLevel(logging.WARNING)
    started = time.monotonic()
    shared = [
        "VOCABULARY = @seqio.SentencePieceVocabulary()",
        f"VOCABULARY_FILE = {str(corpus.vocabulary)!r}",
        f"network.T5Config.vocab_size = {corpus.rows}",
        *cell.size.bindings(),
    ]
    tokens: dict[str, float] = {}
    initial = None
    if cell.objective != "none":
        initial = folder / "pretrain"
        steps = plan.pretrain_steps
        bindings = [
            *shared,
            f"MODEL_DIR = {str(initial)!r}",
            f"MIXTURE_OR_TASK_NAME = {corpus.pretraining(cell.objective)!r}",
            f"RANDOM_SEED = {cell.seed}",
            f"TRAIN_STEPS = {steps}",
            f"SAVE_PERIOD = {steps // 4}",
            f"STATS_PERIOD = {steps // 20}",
            f"utils.create_learning_rate_scheduler.decay_steps = {steps - 50}",
        ]
        arguments = gin_files.resolve("train", ["atlas_ssm.gin"], bindings)
        _finish(train(**arguments, config_text=gin_files.config_text()), initial)
        tokens = _tokens(initial, steps)
    steps, packs = plan.fine_tuning[corpus.name]
    bindings = [
        *shared,
        f"MODEL_DIR = {str(folder / 'finetune')!r}",
        f"INITIAL_CHECKPOINT_PATH = {str(initial) if initial else None!r}",
        f"MIXTURE_OR_TASK_NAME = {corpus.questions!r}",
        f"BATCH_SIZE = {packs}",
        f"RANDOM_SEED = {cell.seed}",
        f"TRAIN_STEPS_RELATIVE = {steps}",
        f"SAVE_PERIOD = {steps}",
        f"STATS_PERIOD = {max(steps // 10, 1)}",
    ]
    arguments = gin_files.resolve("train", ["atlas_qa.gin"], bindings)
    trained = train(**arguments, config_text=gin_files.config_text())
    _finish(trained, folder / "finetune")
    tests = {name: _test(folder, task, trained.step, shared) for name, task in corpus.tests.items()}
    found = {
        "corpus": cell.corpus,
        "size": cell.size.name,
        "objective": cell.objective,
        "seed": cell.seed,
        "parameters": _parameters(folder / "finetune"),
        "pretraining_tokens": tokens,
        "tests": tests,
        "seconds": round(time.monotonic() - started, 1),
    }
    whole_files.write_text(folder / RESULT, json.dumps(found, indent=1) + "\n")
    return found


def _finish(result: Any, folder: pathlib.Path) -> None:
    """Refuses to go on with a run that was stopped before its last step."""
    if not result.finished:
        raise UserError(f"stopped at step {result.step} of {folder}; run the study again to go on")


def _test(folder: pathlib.Path, task: str, step: int, shared: list[str]) -> dict[str, Any]:
    from closedbook.cli import gin_files
    from closedbook.eval import metrics, predictions
    from closedbook.training import jobs

    bindings = [
        *shared,
        f"CHECKPOINT_PATH = {str(folder / 'finetune')!r}",
        f"EVAL_OUTPUT_DIR = {str(folder / 'test')!r}",
        f"MIXTURE_OR_TASK_NAME = {task!r}",
    ]
    jobs.evaluate(**gin_files.resolve("eval", ["atlas_eval.gin"], bindings))
    rows = predictions.read(
        folder / "test" / "inference_eval" / f"{task}-{step:06d}.predictions.jsonl"
    )
    right = [int(metrics.score(row.prediction, row.answers).em > 0) for row in rows]
    return {"n": len(rows), "em": 100 * sum(right) / len(rows), "right": right}


def _tokens(run: pathlib.Path, steps: int) -> dict[str, float]:
    """Input and target tokens of a run: means a step over each line's steps, summed."""
    totals, before = {"input": 0.0, "target": 0.0}, 0
    for line in (run / "train" / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for kind in totals:
            totals[kind] += row[f"{kind}_tokens"] * (row["step"] - before)
        before = row["step"]
    assert before == steps
    return totals


def _parameters(run: pathlib.Path) -> int:
    for line in (run / "model-info.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("Total number of parameters:"):
            return int(line.rpartition(" ")[2].replace(",", ""))
    raise ValueError(f"{run}/model-info.txt has no total")
