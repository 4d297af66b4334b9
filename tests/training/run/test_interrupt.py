"""Runs that are stopped: by signals, in steps and in evaluations, and by the loss of their lock."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from closedbook.checkpoints import steps
from closedbook.errors import Stopped, UserError
from closedbook.parallel import Partitioner
from closedbook.training import jobs, programs
from closedbook.training.run.interrupt import StopRequest
from closedbook.training.settings import DatasetConfig, RestoreCheckpointConfig

pytestmark = pytest.mark.usefixtures("signals_heard")


def at_first_batch(monkeypatch, act) -> None:
    """Does something while the first batch of questions is answered."""
    original, calls = programs.gather, []

    def gather(tree):
        calls.append(tree)
        if len(calls) == 1:
            act()
        return original(tree)

    monkeypatch.setattr(programs, "gather", gather)


def scored(folder: pathlib.Path) -> list[int]:
    path = folder / "inference_eval/loop_quiz-metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("before_training", [False, True])
def test_a_signal_in_an_evaluation_stops_it_and_the_next_run_makes_it(
    before_training, run, tmp_path, monkeypatch, caplog
):
    step = 0 if before_training else 2
    settings = {
        "eval_period": 2,
        "save": {"period": 100},
        "run_eval_before_training": before_training,
    }
    at_first_batch(monkeypatch, terminate)
    stopped = run(3, **settings)
    assert (stopped.step, stopped.finished) == (step, False)
    # Due to no save but for the evaluation, and yet there.
    assert steps(tmp_path / "run") == sorted({0, step})
    assert scored(tmp_path / "run") == []
    assert f"stopped as asked in the evaluation of step {step}; checkpoint_{step} is" in caplog.text
    assert list((tmp_path / "run").glob("lock-*")) == []
    monkeypatch.undo()
    assert run(3, **settings).finished
    assert scored(tmp_path / "run") == sorted({step, 2, 3})


def test_a_run_that_has_lost_its_folder_stops_and_saves_nothing(run, tmp_path, monkeypatch):
    def take() -> None:
        (tmp_path / "run" / "lock-1.json").unlink()

    at_first_batch(monkeypatch, take)
    with pytest.raises(UserError, match="is not this run's any more: its lock is gone"):
        run(6, eval_period=2, save={"period": 2})
    assert steps(tmp_path / "run") == [0, 2]
    lines = (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2]


def test_a_refused_run_writes_nothing_and_reads_no_data(run, tmp_path, monkeypatch):
    from closedbook.folder_locks import locked
    from closedbook.training import feeds

    def record(*args):
        raise AssertionError("data was looked up")

    monkeypatch.setattr(feeds.RunData, "record", record)
    with locked(tmp_path / "run", "MODEL_DIR"):
        with pytest.raises(UserError, match=f"MODEL_DIR .* in use by process {os.getpid()} on "):
            run(2)
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock-1.json"]


def test_a_signal_ends_answering_after_a_batch_and_infer_goes_on(run, tiny, quiz, tmp_path):
    run(1, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    data = DatasetConfig(
        mixture_or_task_name="loop_quiz",
        split="validation",
        task_feature_lengths={"inputs": 32, "targets": 16},
        batch_size=8,
        cache_dir=str(quiz / "cache"),
    )
    given = {
        "model": tiny,
        "dataset_cfg": data,
        "restore_checkpoint_cfg": RestoreCheckpointConfig(path=str(tmp_path / "run")),
        "partitioner": Partitioner(devices=tuple(jax.devices()[:1])),
    }
    parts = tmp_path / "answers/tmp/loop_quiz-predict.jsonl-00000-of-00001"
    with pytest.MonkeyPatch.context() as patch:
        at_first_batch(patch, terminate)
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            jobs.evaluate(**given, output_dir=str(tmp_path / "scores"))
    assert scored(tmp_path / "scores") == []
    with pytest.MonkeyPatch.context() as patch:
        at_first_batch(patch, terminate)
        with pytest.raises(Stopped) as stopped:
            jobs.infer(**given, output_dir=str(tmp_path / "answers"), checkpoint_period=1)
    assert stopped.value.exit_code == 143
    assert [path.name for path in parts.iterdir() if path.name != "origin"] == ["0000000000"]
    kept = (parts / "0000000000").read_text()
    (path,) = jobs.infer(**given, output_dir=str(tmp_path / "answers"), checkpoint_period=1)
    assert path.read_text().startswith(kept)
    assert len(path.read_text().splitlines()) == 15
    assert list((tmp_path / "answers").glob("lock*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_each_signal_is_heard_once_and_then_is_what_it_was(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        assert stop.requested()
        with pytest.raises(Stopped, match=signal.Signals(number).name):
            stop.check()
        if number == signal.SIGINT:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)  # as nohup does, and a shell for `command &`
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), number)
            assert not stop.requested()
    finally:
        signal.signal(number, before)


_FORKS = """
import os, signal
from closedbook.cli.signals import raised_as_stopped
from closedbook.training.run.interrupt import StopRequest
for hearing in (StopRequest(), raised_as_stopped()):
    with hearing:
        child = os.fork()
        if not child:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_dies_of_the_signal():
    command = [sys.executable, "-W", "ignore", "-c", _FORKS]  # JAX warns of forks
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == [str(-signal.SIGTERM)] * 2, done.stderr


def test_held_out_batches_are_not_measured_after_a_stop():
    from closedbook.training.evaluators import Every, HeldOutLoss

    seen = []

    def check() -> None:
        if seen:
            raise Stopped(signal.SIGHUP)

    loss = HeldOutLoss(
        program=lambda params, batch: seen.append(batch),
        batches=lambda: iter([{"a": np.zeros(1)}] * 3),
        put=lambda batch: batch,
        writer=None,
        every=Every(1, 1),
        check=check,
    )
    with pytest.raises(Stopped):
        loss({}, 1)
    assert len(seen) == 1


def test_the_module_of_signals_starts_nothing():
    # The commands import it before they know what to do.
    code = "import sys, closedbook.cli.signals; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_folder_that_cannot_be_locked_is_refused_in_all_processes(tmp_path, monkeypatch):
    from closedbook.training.run import lock

    heard = []
    monkeypatch.setattr(lock, "text_of_first", lambda text: heard.append(text) or text)
    (tmp_path / "a_file").write_text("")
    with (
        pytest.raises(UserError, match=r"MODEL_DIR .*a_file/run cannot be locked: .*Not a direct"),
        lock.only_writer(tmp_path / "a_file" / "run", "MODEL_DIR"),
    ):
        pytest.fail("it is locked")
    assert len(heard) == 1  # by this process and those that wait for its word
