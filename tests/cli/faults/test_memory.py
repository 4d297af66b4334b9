"""Out of memory: what was asked, what there is, and the settings of this run that help."""

import functools
import os
import pathlib
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook import memory
from closedbook.cli import gin_files
from closedbook.cli.faults import memory_advice
from closedbook.cli.run import guarded
from closedbook.errors import UserError
from closedbook.memory import Memory, Shortage, TooLarge, readable, shortage
from closedbook.parallel import programs_memory
from closedbook.parallel.programs_memory import FittingProgram

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
TERABYTES = 1 << 46  # 64 of them: more than any host gives


def raised(ask) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        ask()
    return caught.value


def test_a_refusal_of_xla_is_recognised_with_its_bytes():
    error = raised(lambda: jnp.zeros((TERABYTES // 4,), jnp.float32).block_until_ready())
    assert isinstance(error, jax.errors.JaxRuntimeError)
    assert shortage(error) == Shortage(TERABYTES, False)


def test_a_refusal_of_numpy_and_of_python_is_recognised():
    assert shortage(raised(lambda: np.zeros((1 << 53,), np.float32))) == Shortage(1 << 55, False)
    assert shortage(raised(lambda: bytearray(1 << 62))) == Shortage(None, False)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 137438953472 bytes.", 1 << 37),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12.00GiB.", 12 << 30),
        (
            "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 18.00G of 15.48G hbm. "
            "Exceeded hbm capacity by 2.52G.",
            18 << 30,
        ),
        ("RESOURCE_EXHAUSTED: something new", None),
    ],
)
def test_messages_of_accelerators_are_read(text, asked):
    found = shortage(RuntimeError("a step failed")) or shortage(jax.errors.JaxRuntimeError(text))
    assert found is not None
    assert found.asked == asked


def test_causes_are_looked_at_and_other_errors_are_none():
    error = RuntimeError("the reader of batches failed")
    error.__cause__ = MemoryError()
    assert shortage(error) == Shortage(None, False)
    assert shortage(ValueError("RESOURCE_EXHAUSTED: Error writing: No space left")) is None
    assert shortage(jax.errors.JaxRuntimeError("INTERNAL: a kernel failed")) is None


def test_the_host_has_what_its_container_may_use(tmp_path, monkeypatch):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    groups.mkdir()
    monkeypatch.setattr(memory, "_PROC", proc)
    monkeypatch.setattr(memory, "_CGROUPS", groups)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert memory.host_memory() is None
    (proc / "meminfo").write_text("MemTotal:  64 kB\nMemFree: 1 kB\nMemAvailable: 32 kB\n")
    assert memory.host_memory() == Memory(32 << 10, 64 << 10)
    (groups / "memory.max").write_text("max\n")
    assert memory.host_memory() == Memory(32 << 10, 64 << 10)
    (groups / "memory.max").write_text(f"{16 << 10}\n")
    (groups / "memory.current").write_text(f"{12 << 10}\n")
    (groups / "memory.stat").write_text(f"anon 5\ninactive_file {1 << 10}\n")
    assert memory.host_memory() == Memory(5 << 10, 16 << 10)
    # A job's group in the container's, and the process's own, which has no limit, in it.
    (proc / "self" / "cgroup").write_text("4:cpu:/else\n0::/job/own\n")
    (groups / "job" / "own").mkdir(parents=True)
    (groups / "job" / "memory.max").write_text(f"{8 << 10}\n")
    (groups / "job" / "memory.current").write_text(f"{6 << 10}\n")
    (groups / "job" / "memory.stat").write_text("inactive_file 0\n")
    (groups / "job" / "own" / "memory.max").write_text("max\n")
    assert memory.host_memory() == Memory(2 << 10, 8 << 10)


def test_swap_is_memory_that_a_host_has(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text(
        "MemTotal: 64 kB\nMemAvailable: 32 kB\nSwapTotal: 16 kB\nSwapFree: 8 kB\n"
    )
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "none")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert memory.host_memory() == Memory(40 << 10, 80 << 10)


def test_sizes_are_readable():
    assert [readable(n) for n in (0, 999, 1 << 20, 1000 << 20)] == [
        "0 bytes", "999 bytes", "1 MiB", "0.977 GiB",
    ]  # fmt: skip


@pytest.fixture
def limited(monkeypatch):
    """Sets how much memory there is."""

    def limit(free: int, total: int) -> None:
        for module in (memory, programs_memory):
            monkeypatch.setattr(module, "host_memory", lambda: Memory(free, total))

    return limit


def test_a_program_that_cannot_fit_is_refused_before_it_runs_and_compiled_once(limited, caplog):
    compiled = []

    def hear(name: str, seconds: float, **_: object) -> None:
        if "backend_compile" in name:
            compiled.append(name)

    jax.monitoring.register_event_duration_secs_listener(hear)
    ran = []

    def double(x):
        jax.debug.callback(lambda: ran.append(1))
        return x * 2.0

    step = FittingProgram(jax.jit(double), "train step")
    x = jnp.ones((1 << 20,), jnp.float32)  # 4 MiB, and as much for the result
    x.block_until_ready()
    limited(0, 1 << 20)
    with pytest.raises(TooLarge, match="the train step needs"):
        step(x)
    assert ran == []
    limited(1 << 20, 1 << 40)
    before = len(compiled)
    again = FittingProgram(jax.jit(lambda x: x * 3.0), "train step")
    result = again(x)
    assert len(compiled) == before + 1
    jax.monitoring.unregister_event_duration_listener(hear)
    assert float(result[0]) == 3.0
    assert "the train step needs 4 MiB more, and 1 MiB of 1 TiB are free" in caplog.text
    assert "it may run out of memory" in caplog.text
    caplog.clear()
    again(x)
    assert caplog.text == ""


@pytest.fixture
def arguments():
    def made(mode: str, *bindings: str) -> dict:
        files = ["atlas_qa.gin"] if mode == "train" else ["models/atlas.gin", f"runs/{mode}.gin"]
        given = [
            "MIXTURE_OR_TASK_NAME = 'atlas_qa'",
            "CHECKPOINT_PATH = 'x'",
            "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}",
            f"{'EVAL' if mode == 'eval' else 'INFER'}_OUTPUT_DIR = 'y'",
        ]
        chosen = given[:1] if mode == "train" else given
        return gin_files.resolve(mode, files, [*chosen, *bindings])

    return made


def test_training_is_advised_with_the_numbers_of_the_run(limited, arguments):
    limited(1 << 30, 2 << 30)
    found = arguments("train", "BATCH_SIZE = 96", "trainer.Trainer.num_microbatches = 2")
    error = TooLarge("the train step", 5 << 29, on_device=False)  # 2.5 times what is free
    message = str(
        memory_advice.told(error, functools.partial(memory_advice.of_run, "train", found))
    )
    first, *rows = message.splitlines()
    assert first.startswith("out of memory on this machine: the train step asked for 2.5 GiB, and ")
    assert "1 GiB of 2 GiB are free" in first
    # 8 devices share a batch: 96 / 6 rows split over them, 96 / 5 and 96 / 8 do not all.
    assert rows[0].startswith("- trainer.Trainer.num_microbatches = 6 (it is 2): 16 of the 96 rows")
    assert "network.T5Config.remat_policy = 'minimal', or 'full' (it is 'none')" in rows[1]
    assert rows[2].startswith("- BATCH_SIZE = 32 (it is 96): another training")
    assert "{'inputs': 128, 'targets': 40}" in rows[3]


def test_what_stays_is_not_helped_by_smaller_batches(limited, arguments):
    limited(1 << 30, 1 << 30)
    error = TooLarge("the model", 5 << 30, on_device=False, lasting=True)
    advice = functools.partial(memory_advice.of_run, "train", arguments("train"))
    message = str(memory_advice.told(error, advice))
    assert "BATCH_SIZE" not in message
    assert "num_microbatches" not in message
    assert "a smaller model than this T5 1.0" in message


@pytest.mark.parametrize("mode", ["eval", "infer"])
def test_answering_is_advised_with_rows_and_beams(mode, limited, arguments):
    limited(1 << 30, 2 << 30)
    bindings = ("BATCH_SIZE = 128", "decoding.beam_search.num_decodes = 4",
                "models.EncoderDecoderModel.decode_fn = @decoding.beam_search",
                "models.EncoderDecoderModel.predict_batch_with_aux.num_decodes = 4")  # fmt: skip
    found = Shortage(3 << 30, False, "the decoding of a batch")
    rows = memory_advice.of_run(mode, arguments(mode, *bindings), found)
    assert rows[0] == "BATCH_SIZE = 32 (it is 128)"
    assert rows[1].startswith("2 beams (there are 4: decoding.beam_search.num_decodes")


@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        (
            "ask",
            {"beams": 8, "alternatives": 1, "model": None},
            ["--beams 4 (it is 8)", "a smaller --model"],
        ),
        ("trace", {"samples": 10, "model": "x"}, ["--samples 5 (it is 10)", "a smaller --model"]),
        ("convert", {"max_shard_gb": 5.0}, ["--max-shard-gb 2.5 (it is 5.0)"]),
        ("calibrate", {"risk": 0.1}, []),
    ],
)
def test_commands_are_advised_by_their_options(name, options, rows):
    assert memory_advice.of_options(name, options)[: len(rows)] == rows


def test_a_command_that_is_refused_memory_says_so(capsys):
    command = memory_advice.advising("ask", lambda *, beams: np.zeros((1 << 53,), np.float32))
    assert guarded(lambda: command(beams=6)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: out of memory on this machine: it asked for 32 PiB, and ")
    assert message.splitlines()[1:] == ["- --beams 3 (it is 6)"]


def test_a_command_without_advice_says_what_there_is(capsys):
    assert guarded(lambda: bytearray(1 << 62)) == 2
    assert capsys.readouterr().err.startswith("error: out of memory on this machine: ")


def test_models_that_are_larger_than_the_memory_are_not_even_read(limited):
    from closedbook.knowledge.loading import load_model

    limited(1 << 10, 1 << 20)
    with pytest.raises(TooLarge, match=r"the model .*atlas_ssm"):
        load_model("closedbook://atlas_ssm")


@pytest.mark.slow
def test_a_training_that_no_host_could_hold_is_one_message(tmp_path):
    program = "from closedbook.cli.t5x import main; main()"
    words = ("train", "--gin_file=atlas_qa.gin", "--gin.BATCH_SIZE=400000",
             "--gin.TRAIN_STEPS_RELATIVE=1", "--gin.MODEL_DIR='run'")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = done.stderr[done.stderr.index("error: ") :]
    assert done.returncode == 2
    assert "out of memory on this machine: the train step asked for" in errors
    assert "num_microbatches = " in errors
    assert "Traceback" not in done.stderr


def test_a_user_error_is_none_of_this():
    assert shortage(UserError("RESOURCE_EXHAUSTED")) is None
