"""What a run needs, compiled ahead of it."""

import dataclasses
import importlib.util
import json
import types

import jax
import pytest

from closedbook.errors import UserError
from closedbook.parallel import Partitioner
from closedbook.parallel.topologies import topology
from closedbook.training.ahead import plan as planning
from closedbook.training.ahead import table
from closedbook.training.ahead.compiled import Compiled, compile_program
from closedbook.training.ahead.plan import Plan, Run, Settings, plan
from closedbook.training.programs import Program
from closedbook.training.settings import DatasetConfig, Trainer


@pytest.fixture(scope="module")
def a_run(tiny) -> Run:
    data = DatasetConfig(
        mixture_or_task_name="not_read",
        split="train",
        task_feature_lengths={"inputs": 64, "targets": 16},
        batch_size=32,
        pack=True,
    )
    return Run(
        model=tiny,
        train=data,
        trainer=Trainer(),
        partitioner=Partitioner(num_partitions=2),
        held_out=data,
        questions=dataclasses.replace(data, pack=False, batch_size=8),
    )


@pytest.fixture(scope="module")
def made(a_run) -> Plan:
    return plan(a_run, topology("cpu:8"))


def test_memory_is_told_by_kind(made, tiny, a_run):
    step, held_out, answers = made.programs
    # Heads, feed-forward width and vocabulary lie on two devices each; norms and biases on both.
    whole = sum(x.size for x in jax.tree.leaves(jax.eval_shape(tiny.init, jax.random.key(0)))) * 4
    assert whole / 2 < step.memory.parameters < 0.55 * whole
    assert held_out.memory.parameters == answers.memory.parameters == step.memory.parameters
    assert step.memory.optimizer > 0 == held_out.memory.optimizer
    # Rows on four devices: tokens and segments of inputs; of targets what goes in as well, and
    # weights. The step is one number more.
    assert step.memory.batch == 32 // 4 * 4 * (2 * 64 + 4 * 16) + 4
    parts = dataclasses.asdict(step.memory) | {"activations": 0}
    assert step.memory.total == sum(parts.values())
    assert 0 < step.memory.activations <= step.memory.temporaries


def test_microbatches_save_activations(made, a_run):
    parts = dataclasses.replace(a_run, trainer=Trainer(num_microbatches=4), held_out=None)
    fewer = plan(dataclasses.replace(parts, questions=None), topology("cpu:8"))
    assert [each.name for each in fewer.programs] == ["train step"]
    assert fewer.programs[0].memory.activations < 0.5 * made.programs[0].memory.activations
    assert fewer.programs[0].memory.parameters == made.programs[0].memory.parameters
    assert fewer.flops == made.flops


def test_it_fits_where_there_is_room(made, a_run):
    assert made.fits is None  # of the processor's memory nothing is assumed
    assert made.step_seconds is None
    enough = dataclasses.replace(made, memory_limit=int(made.needed / 0.95) + 1)
    scarce = dataclasses.replace(made, memory_limit=int(made.needed / 0.95) - 1)
    assert enough.fits is True
    assert scarce.fits is False
    assert "fits: " in table.as_text(enough, a_run)
    text = table.as_text(scarce, a_run)
    assert "does not fit: " in text
    assert "trainer.Trainer.num_microbatches = 2" in text
    assert "network.T5Config.remat_policy = 'minimal'" in text
    assert "partitioning.PjitPartitioner.num_partitions = 4" in text


def test_the_time_of_a_step_is_arithmetic(made, a_run):
    v5p = dataclasses.replace(made.topology, kind=_kind(peak_flops=459e12))
    timed = dataclasses.replace(made, topology=v5p, mfu=0.5)
    assert timed.step_seconds == made.flops / (8 * 459e12 * 0.5)
    assert "at an assumed 50% of the devices' 459 TFLOP/s" in table.as_text(timed, a_run)


def _kind(peak_flops):
    from closedbook.parallel.devices import DeviceKind

    return DeviceKind(peak_flops=peak_flops, memory=2**30, bandwidth=1e12, links=1e11)


def test_json_has_all_that_the_table_has(made, a_run):
    read = json.loads(json.dumps(table.as_json(made, a_run)))
    assert read["needed"] == made.needed
    assert read["settings"] == {"partitions": 2, "microbatches": 1, "remat_policy": "none"}
    assert [each["name"] for each in read["programs"]] == [each.name for each in made.programs]
    step = read["programs"][0]
    assert step["memory"]["total"] == made.programs[0].memory.total
    assert {each["kind"] for each in step["exchanged"]} == {"all-reduce"}


def test_changed_settings_are_those_of_the_run(a_run):
    settings = Settings(partitions=4, microbatches=2, remat_policy="full")
    assert a_run.changed(settings).settings == settings
    assert a_run.changed(settings).model.config.remat_policy == "full"


def test_auto_is_compiled_as_the_number_types_that_the_devices_will_take(a_run):
    config = dataclasses.replace(a_run.model.config, dtype="auto")
    model = dataclasses.replace(a_run.model, module=a_run.model.module.clone(config=config))
    run = dataclasses.replace(a_run, model=model)
    for platform, dtype in (("tpu", "bfloat16"), ("cuda", "bfloat16"), ("cpu", "auto")):
        devices = types.SimpleNamespace(devices=(types.SimpleNamespace(platform=platform),))
        assert run.on(devices).model.config.dtype == dtype


def test_dropout_is_compiled_with_the_generator_that_the_run_has(a_run, monkeypatch):
    seen = []

    def compiled(program, options):
        seen.append(str(program.arguments[2].dtype))
        return Compiled(name="", seconds=0.0, memory=None, too_large=None, exchanged=())

    monkeypatch.setattr(planning, "compile_program", compiled)
    arguments = {"model": a_run.model, "train_dataset_cfg": a_run.train, "eval_period": 0}
    for given, impl in (({}, "fry"), ({"use_hardware_rng": True}, "urbg")):
        seen.clear()
        plan(Run.of(arguments | given), topology("cpu:8"), train_step_alone=True)
        assert seen == [f"key<{impl}>"]


def test_a_batch_that_does_not_split_is_refused(a_run):
    odd = dataclasses.replace(a_run, train=dataclasses.replace(a_run.train, batch_size=6))
    with pytest.raises(UserError, match="does not split over 4 data-parallel"):
        plan(odd, topology("cpu:8"))


class _Refused:
    def __init__(self, message):
        self.message = message

    def lower(self, *arguments):
        raise jax.errors.JaxRuntimeError(self.message)


def test_a_program_that_the_compiler_finds_too_large_is_told_with_its_words(made, a_run):
    message = (
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space "
        "hbm. Used 125.31G of 15.75G hbm. Exceeded hbm capacity by 109.56G.\n\nTotal hbm usage"
    )
    refused = compile_program(Program(name="train step", function=_Refused(message), arguments=()))
    assert refused == Compiled(
        name="train step",
        seconds=refused.seconds,
        memory=None,
        too_large="Used 125.31G of 15.75G hbm. Exceeded hbm capacity by 109.56G",
        exchanged=(),
        wanted=int(125.31 * 2**30),
    )
    large = dataclasses.replace(made, programs=(refused,), memory_limit=2**34)
    assert large.fits is False
    text = table.as_text(large, a_run)
    assert "Used 125.31G of 15.75G hbm" in text
    assert "does not fit; what helps" in text


def test_another_failure_of_the_compiler_is_one_message():
    program = Program(name="train step", function=_Refused("INTERNAL: no\n way"), arguments=())
    with pytest.raises(UserError, match="the train step does not compile: INTERNAL: no way"):
        compile_program(program)


def test_where_only_an_evaluation_is_too_large_its_batch_is_named(made, a_run):
    step, held_out, answers = made.programs
    large = dataclasses.replace(answers, memory=dataclasses.replace(answers.memory, code=2**40))
    planned = dataclasses.replace(made, programs=(step, held_out, large), memory_limit=2**36)
    text = table.as_text(planned, a_run)
    assert "infer_eval/utils.DatasetConfig.batch_size = a smaller number" in text
    assert "num_microbatches" not in text.partition("does not fit")[2]
    assert "train_eval" not in text


def test_full_rematerialisation_is_a_fourth_pass_that_mfu_does_not_count(made, a_run):
    kind = dataclasses.replace(made.topology, kind=_kind(peak_flops=459e12))
    full = dataclasses.replace(made.settings, remat_policy="full")
    timed = dataclasses.replace(made, topology=kind, settings=full, mfu=0.6)
    assert timed.busy == pytest.approx(0.8)
    assert "the devices reach up to 80%\n" in table.as_text(timed, a_run)
    above = dataclasses.replace(timed, mfu=0.8)
    assert "up to 107%; that is impossible" in table.as_text(above, a_run)
    assert dataclasses.replace(timed, settings=made.settings).busy == 0.6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v9:2x2", "unknown topology 'v9:2x2'; nearest: v2"),
        ("v5p:2x2", "give the chips of a v5p slice along its 3 axes"),
        ("h200:12", "give the number of GPUs, up to 8 or a multiple of it, as in h200:8"),
        ("0xh200", "give the number of GPUs"),
        ("cpu:none", "give the number of devices, as in cpu:64"),
        ("cpu:4096", "JAX runs with 8 CPU devices; run it in a process of its own"),
    ],
)
def test_a_topology_that_does_not_exist_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        topology(name)


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"install closedbook\[tpu-aot\].*--topology=cpu:64"):
        topology("v5p:4x4x4")
    with pytest.raises(UserError, match=r"install closedbook\[cuda-aot\].*--topology=cpu:8"):
        topology("8xh200")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("h200", "1x1x1"), ("H200:8", "1x1x8"), ("8xh200", "1x1x8"), ("h100:16", "1x2x8")],
)
def test_gpus_are_described_to_their_compiler(monkeypatch, name, shape):
    asked = {}

    def described(given, **kwargs):
        asked.update(kwargs)
        kind = next(line for line in kwargs["target_config"].splitlines() if "description" in line)
        gpu = types.SimpleNamespace(device_kind=kind.split('"')[1])
        return types.SimpleNamespace(devices=[gpu] * 16)

    # The whole process's, and other tests use it.
    monkeypatch.setattr("closedbook.parallel.topologies._keep_no_programs", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", described)
    found = topology(name)
    assert asked["platform"] == "cuda"
    assert asked["topology"] == shape
    assert found.kind.memory == int(
        asked["target_config"].split("device_memory_size: ")[1].split()[0]
    )
    assert "its description written from data sheets, not dumped on a device" in found.told


def test_what_jax_takes_of_a_gpu_by_itself_is_told(made, a_run):
    gpu = dataclasses.replace(made.topology, reserved=0.75)
    tight = dataclasses.replace(made, topology=gpu, memory_limit=int(made.needed / 0.8))
    assert "with XLA_PYTHON_CLIENT_MEM_FRACTION=0.95" in table.as_text(tight, a_run)
    loose = dataclasses.replace(tight, memory_limit=int(made.needed / 0.7))
    assert "MEM_FRACTION" not in table.as_text(loose, a_run)


@pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None, reason="needs closedbook[cuda-aot]"
)
def test_a_train_step_compiles_for_gpus_that_are_not_there(a_run):
    held = plan(a_run, topology("h200:8"), train_step_alone=True)
    assert held.fits is True
    assert {each.kind for each in held.programs[0].exchanged} >= {"all-reduce"}
