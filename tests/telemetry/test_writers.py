"""Metrics reach their files once, stay one clean curve over restarts, and services are optional."""

import json
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.telemetry import NoWriter, jsonl, open_writer
from closedbook.telemetry.tensorboard import TensorBoardWriter


def steps(path):
    return [entry["step"] for entry in jsonl.read(path)]


def write(folder, numbers, start_step=0, scale=1.0, resumed=None):
    with open_writer(folder, start_step=start_step, resumed=resumed) as writer:
        for step in numbers:
            writer.write(step, {"loss": np.float32(step * scale)})


READER = """
import json, sys, types
# With this module present TensorBoard reads files itself and does not import TensorFlow. It stays
# without TensorFlow then, and so in a process of its own.
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
accumulator = EventAccumulator(sys.argv[1]).Reload()
print(json.dumps([(event.step, event.value) for event in accumulator.Scalars("loss")]))
"""


def curve(folder):
    command = [sys.executable, "-c", READER, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(each) for each in json.loads(done.stdout)]


def test_both_files_hold_every_step(tmp_path):
    write(tmp_path, [1, 2, 3])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {"step": 2, "loss": 2.0}
    assert curve(tmp_path) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_resumed_run_supersedes_steps_beyond_its_checkpoint(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    write(tmp_path, [3, 4, 5], start_step=2, scale=10)
    expected = [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]
    entries = jsonl.read(tmp_path / "metrics.jsonl")
    assert [(entry["step"], entry["loss"]) for entry in entries] == expected
    assert curve(tmp_path) == expected


def test_line_torn_by_a_kill_is_taken_out_on_resume(tmp_path):
    write(tmp_path, [1, 2])
    path = tmp_path / "metrics.jsonl"
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert steps(path) == [1, 2]
    write(tmp_path, [3], start_step=2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_file_of_another_run_is_moved_aside_and_not_lost(tmp_path):
    for _ in range(3):
        write(tmp_path, [1])
    names = ["metrics-1.jsonl", "metrics-2.jsonl", "metrics.jsonl"]
    assert sorted(path.name for path in tmp_path.glob("metrics*")) == names
    assert all(steps(tmp_path / name) == [1] for name in names)


def test_a_run_that_goes_on_from_its_first_checkpoint_keeps_its_file(tmp_path, caplog):
    write(tmp_path, [0, 1, 2])
    write(tmp_path, [1, 2, 3], start_step=0, scale=10, resumed=True)
    assert [path.name for path in tmp_path.glob("metrics*")] == ["metrics.jsonl"]
    entries = jsonl.read(tmp_path / "metrics.jsonl")
    assert [entry["loss"] for entry in entries] == [0.0, 10.0, 20.0, 30.0]
    assert not caplog.records


def test_a_fresh_run_from_a_later_checkpoint_takes_over_no_other_runs_metrics(tmp_path):
    write(tmp_path, [1, 2], resumed=False)
    write(tmp_path, [1001], start_step=1000, resumed=False)
    assert steps(tmp_path / "metrics-1.jsonl") == [1, 2]
    assert steps(tmp_path / "metrics.jsonl") == [1001]


def test_resuming_twice_from_one_checkpoint_changes_nothing_before_it(tmp_path):
    write(tmp_path, [1, 2, 3])
    before = (tmp_path / "metrics.jsonl").read_bytes()
    write(tmp_path, [], start_step=3)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_numbers_that_json_lacks_become_null(tmp_path):
    with open_writer(tmp_path) as writer:
        writer.write(1, {"loss": float("nan"), "norm": np.inf, "tokens": 3})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == '{"step": 1, "loss": null, "norm": null, "tokens": 3}\n'


def test_each_entry_is_on_disk_before_the_next(tmp_path):
    writer = open_writer(tmp_path)
    writer.write(1, {"loss": 1.0})
    assert steps(tmp_path / "metrics.jsonl") == [1]
    assert curve(tmp_path) == [(1, 1.0)]
    writer.close()


def test_only_the_first_process_writes(tmp_path):
    with open_writer(tmp_path / "train", process_index=1) as writer:
        writer.write(1, {"loss": 1.0})
    assert isinstance(writer, NoWriter)
    assert list(tmp_path.iterdir()) == []


def test_event_files_are_written_without_tensorflow(tmp_path):
    program = (
        "import sys; from closedbook.telemetry import open_writer\n"
        f"with open_writer({str(tmp_path)!r}) as writer: writer.write(1, {{'loss': 1.0}})\n"
        "assert 'tensorflow' not in sys.modules and 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert curve(tmp_path) == [(1, 1.0)]


def test_files_opened_in_the_same_second_differ(tmp_path):
    for _ in range(3):
        TensorBoardWriter(tmp_path).close()
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 3


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk_is_said_with_a_remedy(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.symlink_to("/dev/full")
    with (
        pytest.raises(UserError, match="No space left on device; free the disk"),
        jsonl.JsonlWriter(path) as writer,
    ):
        writer.write(1, {"loss": 1.0})


def test_folder_that_cannot_be_made_is_said_clearly(tmp_path):
    (tmp_path / "train").write_text("")
    with pytest.raises(UserError, match="cannot write metrics to"):
        open_writer(tmp_path / "train")


@pytest.mark.parametrize("service", ["wandb", "mlflow"])
def test_missing_service_names_the_command_before_any_file_is_made(monkeypatch, tmp_path, service):
    monkeypatch.setitem(sys.modules, service, None)
    with pytest.raises(UserError, match=rf"pip install 'closedbook\[{service}\]'"):
        open_writer(tmp_path / "train", services=[service])
    assert list(tmp_path.iterdir()) == []


def test_unknown_service_lists_the_nearest(tmp_path):
    with pytest.raises(UserError, match="unknown metric service 'wandbb'; nearest: wandb"):
        open_writer(tmp_path, services=["wandbb"])


class FakeWandb(types.ModuleType):
    """Records what is sent, as wandb.init's run would send it."""

    def __init__(self):
        super().__init__("wandb")
        self.logged, self.inits, self.id, self.fails = [], [], "run-1", False

    def init(self, **options):
        self.inits.append(options)
        return self

    def define_metric(self, name, **options):
        pass

    def log(self, values):
        if self.fails:
            raise ConnectionError("no network")
        self.logged.append(values)

    def finish(self):
        pass


def test_wandb_gets_the_metrics_and_continues_its_run(monkeypatch, tmp_path):
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    for start in (0, 1):
        with open_writer(tmp_path, start_step=start, services=["wandb"]) as writer:
            writer.write(start + 1, {"loss": np.float32(0.5)})
    assert [options["id"] for options in wandb.inits] == [None, "run-1"]
    assert wandb.logged == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.5}]


def test_service_that_fails_is_a_warning_and_files_stay_complete(monkeypatch, tmp_path, caplog):
    wandb = FakeWandb()
    wandb.fails = True
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    with open_writer(tmp_path, services=["wandb"]) as writer:
        writer.write(1, {"loss": 1.0})
    assert "did not take step 1: no network" in caplog.text
    assert steps(tmp_path / "metrics.jsonl") == [1]


def test_service_that_does_not_start_is_said_before_training(monkeypatch, tmp_path):
    wandb = FakeWandb()
    monkeypatch.setattr(wandb, "init", lambda **options: 1 / 0)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    with pytest.raises(UserError, match=r"wandb did not start: division by zero; mend"):
        open_writer(tmp_path, services=["wandb"])


def test_summaries_stand_beside_scalars_and_only_where_they_can_be_shown(tmp_path):
    from tensorboard.compat.proto import summary_pb2

    text = summary_pb2.Summary.Value(tag="eval/sample", simple_value=1.0).SerializeToString()
    with open_writer(tmp_path) as writer:
        writer.write(3, {"loss": 1.0})
        writer.write_summaries(3, [text])
        writer.write_summaries(4, [])
    assert steps(tmp_path / "metrics.jsonl") == [3]
    (path,) = tmp_path.glob("events.out.*")
    assert text in path.read_bytes()
    assert curve(tmp_path) == [(3, 1.0)]


def test_a_writer_that_goes_on_from_nothing_leaves_what_is_there(tmp_path):
    for step in (1_000, 500):
        with TensorBoardWriter(tmp_path) as writer:
            writer.write(step, {"loss": 1.0})
    assert sorted(curve(tmp_path)) == [(500, 1.0), (1_000, 1.0)]
