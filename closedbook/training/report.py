"""What a run writes of itself: metrics per token, config.gin, model-info.txt, the model card."""

import dataclasses
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
from closedbook.training.evaluation import Answers
from closedbook.training.model import TransformerModel
from closedbook.training.settings import DatasetConfig
from closedbook.training.state import TrainState


def means(rows: Sequence[Mapping[str, SupportsFloat]]) -> dict[str, float]:
    """Step sums to what people read.

    Args:
        rows: The sums of each step, as `step.make_train_step` gives them.

    Returns:
        Losses and accuracy per target token; gradient norm and each kind of tokens per step;
        learning rate
        and norm of the parameters after the last step.
    """
    total = {name: float(np.sum([row[name] for row in rows])) for name in rows[0]}
    tokens = max(total["target_tokens"], 1.0)
    return {
        "loss": total["loss"] / tokens,
        "cross_ent_loss": total["cross_ent_loss"] / tokens,
        "z_loss": total["z_loss"] / tokens,
        "accuracy": total["correct"] / tokens,
        "learning_rate": float(rows[-1]["learning_rate"]),
        "gradient_norm": total["gradient_norm"] / len(rows),
        "parameter_norm": float(rows[-1]["parameter_norm"]),
        **{name: total[name] / len(rows) for name in total if name.endswith("_tokens")},
    }


def shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """The few metrics of the progress line."""
    names = ("loss", "accuracy", "learning_rate", "tokens_per_second")
    return {name: metrics[name] for name in names if name in metrics}


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
    if not is_first():
        return
    card(model, cfg).write(folder, model.vocabulary.local_path)
    (folder / "model-info.txt").write_text(describe(model, abstract), encoding="utf-8")
    if config_text:
        (folder / "config.gin").write_text(config_text, encoding="utf-8")


def describe(model: TransformerModel, abstract: TrainState) -> str:
    """`model-info.txt`: every parameter with shape and sharding, and the totals."""
    lines, total = [], 0
    for path, x in jax.tree_util.tree_leaves_with_path(abstract.params):
        name = "/".join(str(key.key) for key in path)
        total += int(np.prod(x.shape))
        lines.append(f"{name:80s} {x.shape!s:20s} {x.sharding.spec}")
    config = json.dumps(dataclasses.asdict(model.config), indent=2)
    return "\n".join([*lines, "", f"Total number of parameters: {total:,}", "", config, ""])


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
