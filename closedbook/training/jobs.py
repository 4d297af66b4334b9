"""`t5x eval` and `t5x infer`: a checkpoint's scores on a split, and its answers to questions."""

import contextlib
import dataclasses
import json
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

from closedbook import whole_files
from closedbook.buckets import folder_at
from closedbook.checkpoints import load_params, model_folder, open_checkpoint, whole_checkpoints
from closedbook.checkpoints.ctranslate2_folders import check_held
from closedbook.data.cache import TokenCache
from closedbook.data.evaluation import lines
from closedbook.data.example_features import plain
from closedbook.errors import UserError
from closedbook.inference.predictor import Predictor
from closedbook.inference.settings import ENGINES, check_engine
from closedbook.models.parameters import Params
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import is_alone, is_first, lost_peers_named
from closedbook.parallel.programs_memory import check_arrays_fit
from closedbook.telemetry import Progress, TensorBoardWriter
from closedbook.training import checks, feeds, programs, report
from closedbook.training.assignment import taken
from closedbook.training.evaluators import QuestionScores
from closedbook.training.model import TransformerModel
from closedbook.training.model_info import describe
from closedbook.training.run.interrupt import StopRequest
from closedbook.training.run.lock import only_writer
from closedbook.training.settings import DatasetConfig, Evaluator, RestoreCheckpointConfig
from closedbook.training.state import abstract_state, rounded

_log = logging.getLogger(__name__)


def evaluate(
    *,
    model: TransformerModel,
    dataset_cfg: DatasetConfig,
    restore_checkpoint_cfg: RestoreCheckpointConfig,
    output_dir: str,
    partitioner: Partitioner | None = None,
    inference_evaluator: Evaluator | None = None,
    config_text: str = "",
) -> dict[int, dict[str, float]]:
    """Answers and scores a split with one checkpoint, or with all of a run.

    Args:
        model: What the checkpoint holds.
        dataset_cfg: The questions.
        restore_checkpoint_cfg: The checkpoint; mode "all" takes every one of a run's folder.
        output_dir: Where files are written, as by the evaluation in training.
        partitioner: How arrays lie on the devices.
        inference_evaluator: How questions are answered.
        config_text: The configuration, for `config.gin`.

    Returns:
        Step to scores, "<task>/<metric>".

    Raises:
        UserError: Another process writes into the folder, or a setting is at fault.
        Stopped: A signal asks to; scores of checkpoints that are done are written.
    """
    partitioner, settings = partitioner or Partitioner(), inference_evaluator or Evaluator()
    folder = folder_at(output_dir, "EVAL_OUTPUT_DIR")
    checks.check_trained(restore_checkpoint_cfg)
    path = _path(restore_checkpoint_cfg)
    paths = [path]
    if restore_checkpoint_cfg.mode == "all":
        paths = whole_checkpoints(model_folder(path)) or [path]
    checks.check_vocabulary_ids(model)
    checks.check_checkpoint(open_checkpoint(paths[-1]), model)
    feeds.import_task_modules(dataset_cfg)
    results: dict[int, dict[str, float]] = {}
    with lost_peers_named(), partitioner.activate(), contextlib.ExitStack() as stack:
        stack.enter_context(only_writer(folder, "EVAL_OUTPUT_DIR"))
        model = model.on(partitioner.platform)
        data = feeds.RunData(model.vocabulary, model.converter)
        caches = data.questions(dataset_cfg)
        tasks = data.evaluation_tasks(dataset_cfg, settings.num_examples)
        abstract = abstract_state(model, partitioner)
        info = describe(model, abstract, optimizer=False)
        report.write_config(folder, info, config_text)
        stop = StopRequest()
        place = folder / "inference_eval"
        questions = QuestionScores(
            tasks=tasks,
            target_length=(dataset_cfg.task_feature_lengths or {}).get("targets"),
            predictor=programs.predictor(
                model, partitioner, dataset_cfg, settings, caches, between=stop.check
            ),
            folder=place,
            settings=settings,
            writers={
                task.name: stack.enter_context(TensorBoardWriter(place / task.name))
                for task in tasks
                if is_first()
            },
        )
        for each in paths:
            checkpoint = taken(open_checkpoint(each), abstract, restore_checkpoint_cfg)
            check_arrays_fit(abstract.params, "the model")
            params = load_params(checkpoint, abstract.params)
            params = rounded(params, restore_checkpoint_cfg.dtype)
            step = checkpoint.step or 0
            with stop:
                results[step] = questions(params, step)
            del params  # before the next ones are read: memory for one is enough
    return results


def infer(
    *,
    model: TransformerModel,
    dataset_cfg: DatasetConfig,
    restore_checkpoint_cfg: RestoreCheckpointConfig,
    output_dir: str,
    partitioner: Partitioner | None = None,
    inference_evaluator: Evaluator | None = None,
    mode: str = "predict",
    checkpoint_period: int = 100,
    config_text: str = "",
    shard_id: int = 0,
    num_shards: int = 1,
    engine: str = "jax",
) -> list[pathlib.Path]:
    """Writes a checkpoint's answers, T5X's way; run again, it goes on after the last chunk.

    Args:
        model: What the checkpoint holds.
        dataset_cfg: The questions.
        restore_checkpoint_cfg: The checkpoint.
        output_dir: Where `<task>-<mode>.jsonl-<shard>-of-<shards>` is written.
        partitioner: How arrays lie on the devices.
        inference_evaluator: How questions are answered.
        mode: "predict" writes answers, "score" the log-probability of each target,
            "predict_with_aux" answers with what T5X calls `scores`, log-probabilities divided by
            the brevity penalty, and with the `log_probs` themselves; of a beam search with those
            of all beams too.
        checkpoint_period: Batches of a chunk.
        config_text: The configuration, for `config.gin`.
        shard_id: Which of the questions to answer: every `num_shards`th, from this one on.
        num_shards: How many commands share the questions.
        engine: What answers: "jax", or "ctranslate2" or "ctranslate2-int8" on the CPU, with weights
            of 32 bits or of 8.

    Returns:
        The files, one per task.

    Raises:
        UserError: Another process writes the same files, or a setting is at fault.
        Stopped: A signal asks to; the chunks that are written stay.
    """
    checks.check_shards(
        restore_checkpoint_cfg=restore_checkpoint_cfg,
        mode=mode,
        shard_id=shard_id,
        num_shards=num_shards,
        checkpoint_period=checkpoint_period,
    )
    partitioner, settings = partitioner or Partitioner(), inference_evaluator or Evaluator()
    folder = folder_at(output_dir, "INFER_OUTPUT_DIR")
    path = _path(restore_checkpoint_cfg)
    checkpoint = open_checkpoint(path)
    checks.check_vocabulary_ids(model)
    checks.check_checkpoint(checkpoint, model)
    _check_engine(engine, model)
    feeds.import_task_modules(dataset_cfg)
    files = []
    shard = f"{shard_id:05d}-of-{num_shards:05d}"
    # Other tasks, modes and shards may be written into the folder at the same time.
    name = f"lock-{dataset_cfg.mixture_or_task_name}-{mode}-{shard}".replace("/", "-")
    only = only_writer(folder, "INFER_OUTPUT_DIR", name=name)
    with lost_peers_named(), partitioner.activate(), only:
        model = model.on(partitioner.platform)
        data = feeds.RunData(model.vocabulary, model.converter)
        caches = data.questions(dataset_cfg, scored=False)
        stop = StopRequest()
        predictor = programs.predictor(
            model,
            partitioner,
            dataset_cfg,
            settings,
            caches,
            between=stop.check,
            engine=engine,
        )
        abstract = abstract_state(model, partitioner)
        info = describe(model, abstract, optimizer=False)
        report.write_config(folder, info, config_text)
        checkpoint = taken(checkpoint, abstract, restore_checkpoint_cfg)
        check_arrays_fit(abstract.params, "the model")
        params = rounded(load_params(checkpoint, abstract.params), restore_checkpoint_cfg.dtype)
        by = f" by {engine}" if ENGINES[engine] else ""
        for cache in caches:
            job = _Chunks(
                folder=folder,
                cache=cache,
                mode=mode,
                origin=f"{checkpoint.path} {cache.folder.name} {predictor.settings}{by}",
                size=checkpoint_period * dataset_cfg.batch_size,
                chosen=range(len(cache))[: settings.num_examples][shard_id::num_shards],
                shard=shard,
            )
            with stop:
                files.append(job.run(predictor, params))
    return files


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Chunks:
    """The parts of one output file; a part that is written stays when the job is killed."""

    folder: pathlib.Path
    cache: TokenCache
    mode: str
    origin: str  # what the answers come from; parts of another origin are not mixed in
    size: int
    chosen: range  # of the cache's examples
    shard: str  # of the file's name

    @property
    def total(self) -> int:
        """How many questions are answered."""
        return len(self.chosen)

    @property
    def _stem(self) -> str:
        return f"{self.cache.name}-{self.mode}.jsonl"

    @property
    def _own(self) -> str:
        """What the parts are of."""
        return f"{self.origin} chunks of {self.size} of {self.total}"

    @property
    def _parts(self) -> pathlib.Path:
        return self.folder / "tmp" / f"{self._stem}-{self.shard}"

    def run(self, predictor: Predictor, params: Params) -> pathlib.Path:
        """Answers what is missing and joins the parts."""
        target = self.folder / f"{self._stem}-{self.shard}"
        completed = target.with_name(f"{target.name}.COMPLETED")
        first = is_first()
        if completed.exists() and completed.read_text(encoding="utf-8") == self._own:
            _log.info("%s is whole; it is not written again", target)
            if first:
                self._remove_parts()
            return target
        if first:
            self._prepare(target)
        features = [line["features"] for line in lines(self.cache)]
        with Progress(self.total, description=self._stem, enabled=first) as progress:
            for start in range(0, self.total, self.size):
                part = self._parts / f"{start:010d}"
                if not part.exists():
                    chosen = self.chosen[start : start + self.size]
                    made = list(self._lines(chosen, features, predictor, params))
                    if first:
                        whole_files.write_text(part, "".join(made))
                progress.update(min(start + self.size, self.total))
        if first:
            with whole_files.opened(target) as file:
                for start in range(0, self.total, self.size):
                    file.write((self._parts / f"{start:010d}").read_bytes())
            # Who waits for the answers waits for this file, as in T5X. Until it is there the parts
            # stay, so that a job killed here goes on.
            whole_files.write_text(completed, self._own)
            self._remove_parts()
        return target

    def _remove_parts(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            whole_files.remove_folder(self._parts)
        with contextlib.suppress(OSError):  # parts of another task may lie there
            self._parts.parent.rmdir()

    def _prepare(self, target: pathlib.Path) -> None:
        if target.exists() and not (self._parts / "origin").exists():
            raise UserError(f"{target} exists; give another INFER_OUTPUT_DIR or move it away")
        self._parts.mkdir(parents=True, exist_ok=True)
        origin = self._parts / "origin"
        if not origin.exists():
            whole_files.write_text(origin, self._own)
        if origin.read_text(encoding="utf-8") != self._own:
            raise UserError(
                f"{self._parts} holds parts of another run ({origin.read_text(encoding='utf-8')}); "
                "delete it, or give another INFER_OUTPUT_DIR"
            )

    def _lines(
        self, chosen: range, features: list[dict[str, Any]], predictor: Predictor, params: Params
    ) -> Iterator[str]:
        inputs = [self.cache.inputs(i).tolist() for i in chosen]
        if self.mode == "score":
            # The ids as the cache has them: text may not give the same ones back.
            targets = [[self.cache.targets(i).tolist()] for i in chosen]
            values: list[dict[str, object]] = [
                {"score": score} for (score,) in predictor.score_tokens(params, inputs, targets)
            ]
        else:
            values = []
            for found in predictor.predict_tokens(params, inputs):
                row: dict[str, object] = {"prediction": found.text}
                if self.mode == "predict_with_aux":
                    beams = found.beams()
                    others = {"beams": beams} if beams else {}
                    scores = {"scores": found.decoder_score, "log_probs": found.log_prob}
                    row["aux"] = scores | others
                values.append(row)
        for i, value in zip(chosen, values, strict=True):
            row = {"inputs": plain(features[i]), **value}
            yield json.dumps(row, ensure_ascii=False) + "\n"


def _check_engine(engine: str, model: TransformerModel) -> None:
    check_engine(engine)
    if not ENGINES[engine]:
        return
    if not is_alone():
        raise UserError(
            f"the engine {engine} runs in one process; share the questions among commands with "
            "infer.shard_id and infer.num_shards, or use the engine jax"
        )
    check_held(model.config)


def _path(restore: RestoreCheckpointConfig) -> str:
    if not restore.path:
        raise UserError("no checkpoint is given; set CHECKPOINT_PATH to a run's folder")
    return str(restore.path)
