"""The models that are traced: the packaged one, and the tiny GPT-2 that kmeng01/rome traced."""

import json
import shutil
from typing import Any

import numpy as np
import pytest

from closedbook.checkpoints.files.safetensors import write_safetensors
from closedbook.checkpoints.tensors import Tensor
from closedbook.knowledge import LoadedModel, load_model, subject_tokens
from closedbook.knowledge.tracing import cases
from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.program import Tracer


@pytest.fixture(scope="session")
def rome(golden) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What kmeng01/rome found, and with which settings."""
    with np.load(golden / "rome" / "gpt2_tiny_a.npz") as arrays:
        numbers = dict(arrays)
    return json.loads((golden / "rome" / "gpt2_tiny_a.json").read_text()), numbers


@pytest.fixture(scope="session")
def gpt2(golden, tmp_path_factory) -> LoadedModel:
    """The model that it looked into."""
    folder = tmp_path_factory.mktemp("gpt2_tiny")
    shutil.copy(golden / "rome" / "gpt2_tiny_config.json", folder / "config.json")
    shutil.copy(golden / "rome" / "gpt2_tiny_tokenizer.json", folder / "tokenizer.json")
    with np.load(golden / "rome" / "gpt2_tiny_weights.npz") as arrays:
        weights = dict(arrays)
    # A fresh GPT-2 has no biases there yet, and the file does not hold them.
    kernels = [name for name in weights if name.endswith("c_attn.weight")]
    for name in kernels:
        weights[name.replace("weight", "bias")] = np.zeros(weights[name].shape[1], np.float32)
    tensors = {name: Tensor.of(value, name) for name, value in weights.items()}
    write_safetensors(folder / "model.safetensors", tensors)
    return load_model(folder)


@pytest.fixture(scope="session")
def gpt2_tracer(gpt2) -> Tracer:
    return Tracer(gpt2)


@pytest.fixture(scope="session")
def gpt2_case(gpt2, rome) -> Case:
    settings, _ = rome
    text = settings["prompt_template"].format(settings["subject"])
    return cases.of_prompt(gpt2, subject_tokens.in_text(gpt2, text, settings["subject"]))


@pytest.fixture(scope="session")
def atlas_tracer() -> Tracer:
    return Tracer(load_model("closedbook://atlas_qa"))


@pytest.fixture(scope="session")
def kenya(atlas_tracer) -> Case:
    model = atlas_tracer.model
    prompt = subject_tokens.in_text(model, "What is the capital of Kenya?", "Kenya")
    return cases.of_prompt(model, prompt)
