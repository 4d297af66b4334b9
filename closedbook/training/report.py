"""What a run writes of itself: metrics per token, config.gin, model-info.txt, the model card."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import SupportsFloat

import jax
import numpy as np

from closedbook import whole_files
from closedbook.checkpoints import ModelCard
from closedbook.data.task_facts import question_prefix
from closedbook.parallel.devices import device_kind
from closedbook.parallel.processes import is_first
from closedbook.telemetry import Throughput
from closedbook.training.evaluation import Answers
from closedbook.training.model import TransformerModel
from closedbook.training.model_info import describe
from closedbook.training.settings import DatasetConfig
from closedbook.training.state import TrainState

_FILLED = ("tokens", "positions")


def means(rows: Sequence[Mapping[str, SupportsFloat]]) -> dict[str, float]:
    """Sums of steps to what people and scripts read.

    Under T5X's names stand T5X's values (its `models.compute_base_metrics`): a loss is the sum
    that is minimised, divided by LOSS_NORMALIZING_FACTOR, per step. Names that T5X lacks are ours.

    Args:
        rows: The sums of each step, as `step.make_train_step` or `make_eval_step` give them.

    Returns:
        Of T5X: `loss`, `z_loss`, `cross_ent_loss`, each `..._per_all_target_tokens`,
        `loss_per_nonpadding_target_token`, `accuracy`, `effective_batch_size/<stack>`,
        `non_padding_fraction/<stack>`; in training `learning_rate` (mean) and
        `learning_rate/current`. Ours: `loss_per_token`, `cross_ent_loss_per_token` and
        `z_loss_per_token`, divided by the targets' weights alone; each kind of tokens per step; in
        training `gradient_norm` per step, and `parameter_norm` after the last.
    """
    steps = len(rows)
    total = {name: float(np.sum([row[name] for row in rows])) for name in rows[0]}
    weights = max(total["loss_weights"], 1e-9)
    positions = total["positions/loss_weights"]
    found = {"accuracy": total["correct"] / max(total["target_tokens"], 1.0)}
    for name in ("loss", "cross_ent_loss", "z_loss"):
        normalized = float(
            np.sum([_float(row, name) / _float(row, "loss_divisor") for row in rows])
        )
        found[name] = normalized / steps
        found[f"{name}_per_all_target_tokens"] = normalized / positions
        found[f"{name}_per_token"] = total[name] / weights
        if name == "loss":
            found["loss_per_nonpadding_target_token"] = normalized / weights
    stacks = [name.removeprefix("examples/") for name in total if name.startswith("examples/")]
    for name in stacks:
        found[f"effective_batch_size/{name}"] = total[f"examples/{name}"] / steps
        found[f"non_padding_fraction/{name}"] = total[f"tokens/{name}"] / total[f"positions/{name}"]
    found["non_padding_fraction/loss_weights"] = total["loss_weights"] / positions
    tokens, room = (sum(total[f"{kind}/{name}"] for name in stacks) for kind in _FILLED)
    found["non_padding_fraction/overall"] = tokens / max(room, 1.0)
    if "learning_rate" in total:
        found |= {
            "learning_rate": total["learning_rate"] / steps,
            "learning_rate/current": _float(rows[-1], "learning_rate"),
            "gradient_norm": total["gradient_norm"] / steps,
            "parameter_norm": _float(rows[-1], "parameter_norm"),
        }
    return found | {name: total[name] / steps for name in total if name.endswith("_tokens")}


def timing(throughput: Throughput, rows: Sequence[Mapping[str, SupportsFloat]]) -> dict[str, float]:
    """T5X's `timing/...` of the steps that a timer has counted; nothing where it has counted none.

    And what of that time the devices waited for data. Evaluating and saving do not count, nor does
    a run's first step, which compiles.

    Args:
        throughput: Before its `report`.
        rows: The sums of steps, all of batches of one size.
    """
    steps, seconds = throughput.steps, throughput.seconds
    if not steps or seconds <= 0:
        return {}
    sequences = steps * _float(rows[-1], "sequences")
    targets = steps * _float(rows[-1], "positions/loss_weights")
    rates = {"seqs": sequences / seconds, "target_tokens": targets / seconds}
    devices = jax.device_count()
    return {
        "timing/seconds": seconds,
        "timing/seqs": sequences,
        "timing/data_wait_seconds": throughput.waits,
        "timing/data_wait_share": throughput.waits / seconds,
        "timing/steps_per_second": steps / seconds,
        **{f"timing/{name}_per_second": rate for name, rate in rates.items()},
        **{f"timing/{name}_per_second_per_core": rate / devices for name, rate in rates.items()},
    }


def _float(row: Mapping[str, SupportsFloat], name: str) -> float:
    return float(row[name])


def shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """The few metrics of the progress line."""
    names = {
        "loss_per_token": "loss_per_token",
        "accuracy": "accuracy",
        "learning_rate": "learning_rate/current",
        "tokens_per_second": "tokens_per_second",
    }
    return {name: metrics[found] for name, found in names.items() if found in metrics}


def flops_of_step(model: TransformerModel, cfg: DatasetConfig) -> int:
    """The model's own arithmetic in one step, in FLOP: 3 x forward of all positions of the batch.

    Attention and output are counted, recomputation is not.
    """
    return model.flops_per_step(cfg.batch_size, cfg.lengths_of(model.converter.features))


def utilization(flops: int, rates: Mapping[str, float]) -> dict[str, float]:
    """The share of the devices' peak that the model's arithmetic uses, as "mfu".

    Args:
        flops: Of a step, from `flops_of_step`.
        rates: From `Throughput.report`.

    Returns:
        Nothing where the peak of the device or the rate is not known.
    """
    kind = device_kind(jax.devices()[0].device_kind)
    if kind is None or "steps_per_second" not in rates:
        return {}
    peak = kind.peak_flops * jax.device_count()
    return {"mfu": flops * rates["steps_per_second"] / peak}


def write_run_files(
    folder: pathlib.Path,
    model: TransformerModel,
    abstract: TrainState,
    cfg: DatasetConfig,
    config_text: str,
) -> None:
    """Writes `model.json`, `vocabulary.model`, `model-info.txt` and `config.gin`."""
    if is_first():
        card(model, cfg).write(folder, model.vocabulary.local_path)
    write_config(folder, describe(model, abstract), config_text)


def write_config(folder: pathlib.Path, model_info: str, config_text: str) -> None:
    """Writes T5X's two files about a job, in the first process.

    Args:
        folder: Of the job; made if missing.
        model_info: Of `model-info.txt`.
        config_text: Of `config.gin`; "" for no such file.
    """
    if not is_first():
        return
    folder.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(folder / "model-info.txt", model_info)
    if config_text:
        whole_files.write_text(folder / "config.gin", config_text)


def card(model: TransformerModel, cfg: DatasetConfig) -> ModelCard:
    """The card of a model trained on a task or mixture."""
    return ModelCard(
        config=model.config,
        vocabulary_sha256=model.vocabulary.sha256,
        extra_ids=model.vocabulary.extra_ids,
        task=cfg.mixture_or_task_name,
        prefix=question_prefix(cfg.mixture_or_task_name),
        lengths=dict(cfg.task_feature_lengths or {}),
    )


def append_scores(folder: pathlib.Path, answers: Answers, step: int) -> None:
    """Adds a line to T5X's `<task>-metrics.jsonl`; a step that is evaluated again replaces its."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{answers.task.name}-metrics.jsonl"
    kept = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [row for row in map(json.loads, lines) if row["step"] != step]
    kept.append({"step": step, **answers.scored.values, "n": len(answers.task.questions)})
    kept.sort(key=lambda row: row["step"])
    whole_files.write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
