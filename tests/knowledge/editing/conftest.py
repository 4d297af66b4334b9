"""The tiny GPT-2 that kmeng01/rome has edited, as a folder that any command can open."""

import json
import shutil

import numpy as np
import pytest


@pytest.fixture(scope="session")
def rome(golden):
    """Settings, token ids and results of kmeng01/rome (torch, CPU): JSON and arrays."""
    told = json.loads((golden / "rome" / "gpt2_tiny_a.json").read_text())
    with np.load(golden / "rome" / "gpt2_tiny_a.npz") as arrays:
        return told, {name: arrays[name] for name in arrays}


@pytest.fixture(scope="session")
def gpt2_folder(golden, tmp_path_factory):
    """The tiny GPT-2 as Hugging Face has it."""
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("gpt2_tiny")
    with np.load(golden / "rome" / "gpt2_tiny_weights.npz") as arrays:
        weights = {name: arrays[name] for name in arrays if name != "lm_head.weight"}
    for layer in range(6):  # torch was given no bias of these, and took zeros
        weights[f"transformer.h.{layer}.attn.c_attn.bias"] = np.zeros(96, np.float32)
    save_file(weights, folder / "model.safetensors")
    shutil.copy(golden / "rome" / "gpt2_tiny_config.json", folder / "config.json")
    shutil.copy(golden / "rome" / "gpt2_tiny_tokenizer.json", folder / "tokenizer.json")
    return folder


@pytest.fixture(scope="session")
def gpt2(gpt2_folder):
    from closedbook.knowledge.loading import load_model

    return load_model(gpt2_folder)
