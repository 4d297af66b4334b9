"""What tests of gin files share: a run's resolved arguments as a flat table."""

import dataclasses
import inspect
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from closedbook.cli import gin_files
from closedbook.parallel import Partitioner

_REQUIRED = {
    "train": [
        "MIXTURE_OR_TASK_NAME = 'web_questions_open'",
        "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}",
        "TRAIN_STEPS = 1000100",
        "INITIAL_CHECKPOINT_PATH = '/c/checkpoint_1000000'",
    ],
    "precompile": [
        "MIXTURE_OR_TASK_NAME = 'web_questions_open'",
        "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}",
        "MODEL_DIR = '/m'",
    ],
    "eval": [
        "MIXTURE_OR_TASK_NAME = 'web_questions_open'",
        "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}",
        "CHECKPOINT_PATH = '/c/checkpoint_1000000'",
        "EVAL_OUTPUT_DIR = '/e'",
    ],
    "infer": [
        "MIXTURE_OR_TASK_NAME = 'web_questions_open'",
        "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}",
        "CHECKPOINT_PATH = '/c/checkpoint_1000000'",
        "INFER_OUTPUT_DIR = '/i'",
    ],
}


def described(value: object, name: str = "") -> dict[str, object]:
    """The values of an argument by dotted name; schedules and optimisers by what they do."""
    if isinstance(value, Partitioner):  # its mesh needs the devices
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {f"{name}.{key}": each for key, each in fields.items()}
    if hasattr(value, "vocabulary"):  # a model
        vocabulary = value.vocabulary
        found = {
            f"{name}.vocabulary": vocabulary.path,
            f"{name}.vocabulary.extra_ids": getattr(vocabulary, "_asked_extra_ids", None),
        }
        names = ("z_loss", "label_smoothing", "loss_normalizing_factor", "decoding")
        parts = {each: getattr(value, each) for each in names}
        for key, each in {**parts, "config": value.config}.items():
            found |= described(each, f"{name}.{key}")
        return found | _optimizer(value.optimizer, f"{name}.optimizer")
    if dataclasses.is_dataclass(value):
        found = {}
        for field in dataclasses.fields(value):
            found |= described(getattr(value, field.name), f"{name}.{field.name}")
        return found
    if callable(value):
        return {f"{name} at {step:,}": round(float(value(step)), 9) for step in (10, 500, 1000050)}
    return {name: value}


def _optimizer(optimizer: object, name: str) -> dict[str, object]:
    """Three updates of a small parameter."""
    params = {"w": jnp.asarray([[0.5, -1.0, 2.0]])}
    state, found = optimizer.init(params), {}
    rate = {"learning_rate": 0.1} if "Own" in type(optimizer).__name__ else {}
    for step in range(3):
        gradient = {"w": jnp.asarray([[0.1, 3.0, -0.2]]) * (step + 1)}
        update, state = optimizer.update(gradient, state, params, **rate)
        params = jax.tree.map(jnp.add, params, update)
        found[f"{name}, parameter after {step + 1}"] = params["w"].round(5).tolist()
    return found


@pytest.fixture
def required() -> dict[str, list[str]]:
    """What T5X's run files require, by mode."""
    return _REQUIRED


@pytest.fixture
def resolved() -> Callable[..., dict[str, object]]:
    """All values of a run's arguments, and of the parameters of its function that have none."""
    return _resolved


def _resolved(mode: str, files: list[str], *bindings: str) -> dict[str, object]:
    from closedbook.training import jobs
    from closedbook.training.ahead.plan import precompile
    from closedbook.training.loop import train

    arguments = gin_files.resolve(mode, files, bindings)
    functions = {"train": train, "eval": jobs.evaluate, "infer": jobs.infer}
    function = {**functions, "precompile": precompile}[mode]
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty and name != "config_text"
    }
    found: dict[str, object] = {}
    for name, value in {**defaults, **arguments}.items():
        found |= described(value, name)
    return found


@pytest.fixture
def outside(monkeypatch, tmp_path) -> pathlib.Path:
    """The working directory is an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
