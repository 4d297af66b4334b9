"""Runs whose MODEL_DIR is in a bucket, which end as those on a disk do, killed or not.

What a kill leaves in a bucket is what stood there after some write: all states that a run goes
through are kept (`tests/checkpoints/test_store_in_bucket.py` goes on from many).
"""

import json
import random

import numpy as np
import pytest

from closedbook.buckets import client, path_at
from closedbook.checkpoints import open_checkpoint, steps
from closedbook.errors import UserError
from closedbook.telemetry import jsonl
from closedbook.training import jobs
from closedbook.training.settings import DatasetConfig, RestoreCheckpointConfig

RUN = "gs://some-bucket/runs/nq"
KEEP = {"period": 2, "keep": 1, "keep_best": 1, "metric": "eval/loss", "best_mode": "min"}


@pytest.fixture(autouse=True)
def some_bucket(buckets, monkeypatch, tmp_path):
    buckets.made.add("some-bucket")
    buckets.page = 1000
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))


def params(folder: str) -> dict[str, np.ndarray]:
    return {name: tensor.read() for name, tensor in open_checkpoint(folder).params.items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def losses(folder: str) -> list[tuple[float | None, float | None]]:
    return [(row["step"], row["loss"]) for row in jsonl.read(f"{folder}/train/metrics.jsonl")]


def kinds(names: list[str]) -> set[str]:
    """Names without what is drawn: those of Orbax's data, of event files."""
    return {
        "/".join("*" if len(part) == 32 or "tfevents" in part else part for part in name.split("/"))
        for name in names
    }


def steps_of(state: dict[str, bytes]) -> set[int]:
    """Steps of the checkpoints that are marked as finished."""
    marks = [name.split("/") for name in state if name.endswith("/commit_success.txt")]
    return {int(parts[-2].removeprefix("checkpoint_")) for parts in marks if len(parts) == 5}


def test_a_run_in_a_bucket_is_the_one_on_a_disk_and_goes_on_after_a_kill(run, buckets, tmp_path):
    disk, given = (
        tmp_path / "disk",
        {"eval_period": 2, "save": KEEP, "infer_eval_dataset_cfg": None},
    )
    assert run(6, "disk", **given).finished
    buckets.states = states = []
    assert run(6, RUN, **given).finished
    buckets.states = None
    assert steps(path_at(RUN)) == steps(disk) != []
    there = kinds(list(buckets.under("some-bucket/runs/nq/")))
    files = kinds([each.relative_to(disk).as_posix() for each in disk.rglob("*") if each.is_file()])
    assert {each for each in there - files if not each.endswith("/commit_success.txt")} == set()
    assert files <= there
    whole, lines = params(str(disk)), losses(str(disk))
    assert same(params(RUN), whole)
    assert losses(RUN) == lines
    saving = [state for state in states if 2 in steps_of(state) and 4 not in steps_of(state)]
    buckets.objects.clear()
    for name, content in random.Random(0).choice(saving).items():
        if "/lock-" not in name:  # of a process that is gone
            buckets.objects[name] = content
    client.forget()
    assert max(steps(path_at(RUN))) == 2
    assert run(6, RUN, **given).finished
    assert same(params(RUN), whole)
    assert losses(RUN) in (lines, [row for row in lines if row[0] != 2])
    assert kinds(list(buckets.under("some-bucket/runs/nq/"))) == there


def test_scores_and_answers_of_a_run_in_a_bucket_are_written_there(run, tiny, quiz, buckets):
    plain = {"save": {"period": 2}, "infer_eval_dataset_cfg": None, "train_eval_dataset_cfg": None}
    assert run(2, RUN, **plain).finished
    cfg = DatasetConfig(
        mixture_or_task_name="loop_quiz",
        split="validation",
        task_feature_lengths={"inputs": 32, "targets": 16},
        batch_size=8,
        cache_dir=str(quiz / "cache"),
    )
    restore = RestoreCheckpointConfig(path=RUN)
    given = {"model": tiny, "dataset_cfg": cfg, "restore_checkpoint_cfg": restore}
    assert list(jobs.evaluate(**given, output_dir=f"{RUN}/eval")) == [2]
    folder = path_at(f"{RUN}/eval/inference_eval")
    rows = (folder / "loop_quiz-000002.predictions.jsonl").read_text(encoding="utf-8")
    assert [json.loads(row)["step"] for row in rows.splitlines()] == [2] * 15
    (target,) = jobs.infer(**given, output_dir="gs://some-bucket/answers", checkpoint_period=1)
    assert len(target.read_text(encoding="utf-8").splitlines()) == 15
    names = list(buckets.under("some-bucket/answers/"))
    assert names == [target.name, f"{target.name}.COMPLETED", "model-info.txt"]
    assert run(4, "gs://some-bucket/warm", restore=restore, **plain).step == 4
    first = open_checkpoint("gs://some-bucket/warm/checkpoint_2").params
    assert same({name: tensor.read() for name, tensor in first.items()}, params(RUN))


def test_a_bucket_that_may_not_be_written_is_told_before_anything_is_done(run, buckets):
    buckets.read_only.add("some-bucket")
    words = r"MODEL_DIR gs://some-bucket/runs/nq cannot be locked: .*roles/storage\.objectUser"
    with pytest.raises(UserError, match=words):
        run(4, RUN)
    assert buckets.objects == {}
