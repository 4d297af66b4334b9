"""Hugging Face folders with duplicates, of other times, wrong, damaged or hostile."""

import dataclasses
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.files.safetensors import open_safetensors, write_safetensors
from closedbook.checkpoints.huggingface.folders import open_huggingface, write_huggingface
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.errors import UserError
from closedbook.models import T5Config

CONFIG = T5Config(
    vocab_size=96,
    emb_dim=16,
    num_heads=2,
    num_encoder_layers=2,
    num_decoder_layers=3,
    head_dim=4,
    mlp_dim=24,
    relpos_buckets=8,
    relpos_max_distance=20,
)


def model_of(config: T5Config) -> Checkpoint:
    """Random parameters of a T5, by our names."""
    random = np.random.default_rng(0)
    params = {
        name: Tensor.of(random.normal(size=shape).astype(np.float32), name)
        for name, shape in parameter_shapes(config).items()
    }
    return Checkpoint(format="t5x", path="random", params=params)


def arrays(checkpoint: Checkpoint) -> dict[str, tuple[Any, ...]]:
    """Type, shape and bytes of all parameters."""
    read = {name: tensor.read() for name, tensor in checkpoint.params.items()}
    for name, array in read.items():
        assert array.shape == checkpoint.params[name].shape
        assert array.dtype == checkpoint.params[name].dtype
    return {name: (each.dtype, each.shape, each.tobytes()) for name, each in read.items()}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A written model of version 1.0."""
    path = tmp_path / "model"
    path.mkdir()
    write_huggingface(path, model_of(CONFIG), CONFIG)
    return path


def change(path: pathlib.Path, **fields: Any) -> None:
    """Sets fields of a JSON file; None removes."""
    data = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def rewrite(folder: pathlib.Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Changes the tensors of a folder."""
    path = folder / "model.safetensors"
    tensors = {
        name: Tensor.of(tensor.read(), name) for name, tensor in open_safetensors(path).items()
    }
    edit(tensors)
    write_safetensors(path, tensors)


def refuses(folder: pathlib.Path, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_huggingface(folder)


def test_duplicates_of_the_embedding_and_the_unused_bias_are_left_out(folder: pathlib.Path) -> None:
    def edit(tensors: dict[str, Tensor]) -> None:
        shared = tensors["shared.weight"]
        for name in ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head"):
            tensors[f"{name}.weight"] = shared
        unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        tensors[unused] = Tensor.of(np.zeros((8, 2), np.float32), "unused")

    before = arrays(open_huggingface(folder))
    rewrite(folder, edit)
    assert arrays(open_huggingface(folder)) == before
    rewrite(folder, lambda tensors: tensors.pop("shared.weight"))
    assert arrays(open_huggingface(folder)) == before


@pytest.mark.parametrize("name", ["encoder.embed_tokens.weight", "lm_head.weight"])
def test_a_duplicate_that_differs_is_refused(folder: pathlib.Path, name: str) -> None:
    other = Tensor.of(np.ones((96, 16), np.float32), name)
    rewrite(folder, lambda tensors: tensors.update({name: other}))
    refuses(folder, f"shared.weight and {name} differ")


def test_config_decides_whether_there_is_an_output_matrix(folder: pathlib.Path) -> None:
    change(folder / "config.json", tie_word_embeddings=False, scale_decoder_outputs=None)
    refuses(folder, r"has no lm_head\.weight, though tie_word_embeddings is false")
    # As transformers 5 saves a 1.1 whose output matrix equals the embedding.
    change(folder / "config.json", tie_word_embeddings=True, scale_decoder_outputs=False)
    opened = open_huggingface(folder)
    assert opened.config is not None
    assert not opened.config.logits_via_embedding
    np.testing.assert_array_equal(
        opened.params["decoder/logits_dense/kernel"].read(),
        opened.params["token_embedder/embedding"].read().T,
    )
    change(folder / "config.json", tie_word_embeddings=None, scale_decoder_outputs=None)
    opened = open_huggingface(folder)
    assert opened.config is not None
    assert opened.config.logits_via_embedding


def test_fields_that_old_configs_lack_have_the_defaults_of_their_time(
    folder: pathlib.Path,
) -> None:
    lacking = (
        "relative_attention_max_distance feed_forward_proj dense_act_fn is_gated_act torch_dtype "
        "num_decoder_layers tie_word_embeddings scale_decoder_outputs dropout_rate architectures"
    )
    change(folder / "config.json", **dict.fromkeys(lacking.split()))
    assert open_huggingface(folder).config == dataclasses.replace(
        CONFIG, num_decoder_layers=2, relpos_max_distance=128
    )


def test_mt5_is_read_with_its_own_defaults(tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(
        CONFIG, mlp_activations=("gelu", "linear"), logits_via_embedding=False
    )
    checkpoint = model_of(config)
    write_huggingface(tmp_path, checkpoint, config)
    lacking = (
        "feed_forward_proj dense_act_fn is_gated_act tie_word_embeddings scale_decoder_outputs"
    )
    change(tmp_path / "config.json", model_type="mt5", **dict.fromkeys(lacking.split()))
    assert open_huggingface(tmp_path).config == config
    # Version 5 says of each mT5 that it is tied, and does not scale.
    version = {"tie_word_embeddings": True, "transformers_version": "5.23.0"}
    change(tmp_path / "config.json", **version)
    back = open_huggingface(tmp_path)
    assert back.config == config
    assert arrays(back) == arrays(checkpoint)


def test_the_first_input_of_the_decoder_comes_back(tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(CONFIG, begin_id=5)
    write_huggingface(tmp_path, model_of(config), config)
    for name in ("config.json", "generation_config.json"):
        assert json.loads((tmp_path / name).read_text())["decoder_start_token_id"] == 5
    assert open_huggingface(tmp_path).config == config
    # Either file says it; transformers writes one end as a list too.
    change(tmp_path / "config.json", decoder_start_token_id=None)
    change(tmp_path / "generation_config.json", eos_token_id=[1])
    assert open_huggingface(tmp_path).config == config
    change(tmp_path / "generation_config.json", eos_token_id=3)
    refuses(tmp_path, r"generation_config\.json: eos_token_id is 3")
    change(tmp_path / "generation_config.json", eos_token_id=None, decoder_start_token_id=96)
    refuses(tmp_path, "decoder_start_token_id is 96, but vocab_size, the rows .*, is 96")


def test_the_number_of_sentinels_is_the_tokenizers(folder: pathlib.Path) -> None:
    assert open_huggingface(folder).extra_ids == 100
    path = folder / "tokenizer_config.json"
    path.write_text('{"extra_ids": 0}')
    assert open_huggingface(folder).extra_ids == 0
    path.write_text('{"extra_ids": -1}')
    refuses(folder, r"tokenizer_config\.json: extra_ids is -1")


def test_safetensors_are_preferred_and_the_log_says_so(
    folder: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not even torch's")
    with caplog.at_level(logging.INFO):
        open_huggingface(folder)
    assert "reading model.safetensors, not pytorch_model.bin" in caplog.text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "umt6"}, "model_type is 'umt6'; models that"),
        ({"model_type": "longt5"}, "model_type is 'longt5'; models that"),
        ({"model_type": None}, "model_type is None; models that"),
        ({"model_type": ["t5"]}, "model_type is .'t5'.; models that"),
        ({"architectures": ["T5EncoderModel"]}, "architectures names 'T5EncoderModel'"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is set"),
        ({"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon is 1e-05"),
        ({"d_model": None}, "d_model is None"),
        ({"d_ff": "24"}, "d_ff is '24'"),
        ({"num_layers": True}, "num_layers is True"),
        ({"num_heads": 0}, "num_heads is 0"),
        ({"vocab_size": 10**12}, "vocab_size is 1000000000000"),
        ({"dropout_rate": "0.1"}, "dropout_rate is '0.1'"),
        ({"dropout_rate": 1.5}, "dropout_rate is 1.5"),
        ({"dense_act_fn": "gelu"}, "dense_act_fn 'gelu' cannot be expressed"),
        ({"dense_act_fn": ["relu"]}, "cannot be expressed"),
        ({"feed_forward_proj": "gated-relu-x"}, "'gated-relu-x'.* cannot be expressed"),
        ({"feed_forward_proj": 3, "dense_act_fn": None}, "feed_forward_proj 3"),
        ({"tie_word_embeddings": "yes"}, "must be true or false"),
        ({"is_gated_act": "yes"}, "is_gated_act is 'yes'"),
        ({"decoder_start_token_id": "0"}, "decoder_start_token_id is '0'"),
        ({"decoder_start_token_id": 5}, r"config\.json says 5, but generation_config.* says 0"),
        ({"eos_token_id": 2, "pad_token_id": 1}, r"config\.json: eos_token_id is 2; .*MADLAD"),
        ({"pad_token_id": 1}, "pad_token_id is 1; a T5 whose texts end"),
        ({"eos_token_id": [1, 7]}, r"eos_token_id is \[1, 7\]"),
    ],
    ids=str,
)
def test_a_config_that_is_not_a_t5s_is_refused(
    folder: pathlib.Path, fields: dict[str, Any], message: str
) -> None:
    change(folder / "config.json", **fields)
    refuses(folder, rf"config\.json: .*{message}|{message}")


def test_a_config_that_is_absent_or_malformed_is_refused(folder: pathlib.Path) -> None:
    path = folder / "config.json"
    for text, message in (
        ("{", "is not valid JSON"),
        ("[1]", "must hold a JSON object"),
        ("[" * 100_000, "is not valid JSON"),
        ("\x00", "is not valid JSON"),
    ):
        path.write_text(text)
        refuses(folder, rf"config\.json {message}")
    path.write_bytes(b"\xff\xfe\x00")
    refuses(folder, "is not valid JSON")
    path.unlink()
    refuses(folder, r"has no config\.json")


def test_a_folder_without_readable_weights_is_refused(folder: pathlib.Path) -> None:
    (folder / "model.safetensors").rename(folder / "tf_model.h5")
    refuses(folder, r"has no weights that can be read.*TensorFlow or Flax alone")


def test_names_that_are_not_a_t5s_are_listed_at_once(folder: pathlib.Path) -> None:
    odd = Tensor.of(np.zeros(3, np.float32), "odd")
    rewrite(folder, lambda tensors: tensors.update({"encoder.b": odd, "pooler.weight": odd}))
    refuses(folder, r"has 2 tensors that are not a T5's: encoder\.b, pooler\.weight")


def test_a_tensor_of_another_rank_or_quantised_is_refused(folder: pathlib.Path) -> None:
    name = "encoder.block.0.layer.0.SelfAttention.q.weight"
    for array, message in (
        (np.zeros((8, 16, 1), np.float32), r"has the shape \[8, 16, 1\]"),
        (np.zeros((8, 16), np.int8), "is of type int8.*quantised"),
    ):
        odd = {name: Tensor.of(array, "odd")}
        rewrite(folder, lambda tensors, odd=odd: tensors.update(odd))
        refuses(folder, rf"model\.safetensors: {name} {message}")


def test_an_adapter_that_was_saved_unmerged_is_told(folder: pathlib.Path) -> None:
    def edit(tensors: dict[str, Tensor]) -> None:
        query = "encoder.block.0.layer.0.SelfAttention.q"
        tensors[f"{query}.base_layer.weight"] = tensors.pop(f"{query}.weight")
        tensors[f"{query}.lora_A.default.weight"] = Tensor.of(np.zeros((4, 16), np.float32), "A")

    rewrite(folder, edit)
    refuses(folder, "LoRA's matrices beside its own; merge the adapter first")


def test_a_folder_without_an_embedding_is_refused(folder: pathlib.Path) -> None:
    rewrite(folder, lambda tensors: tensors.pop("shared.weight"))
    refuses(folder, r"has no shared\.weight")


@pytest.fixture
def sharded(tmp_path: pathlib.Path) -> pathlib.Path:
    """A model in several files."""
    path = tmp_path / "sharded"
    path.mkdir()
    write_huggingface(path, model_of(CONFIG), CONFIG, max_shard_bytes=8000)
    return path


@pytest.mark.parametrize(
    "file",
    [
        "../other/model.safetensors",
        "/tmp/model.safetensors",
        "..\\model.safetensors",
        "C:model.safetensors",
        "inner/model.safetensors",
        "..",
        "",
        "a\x00b",
        3,
        None,
        ["model.safetensors"],
    ],
)
def test_an_index_does_not_lead_out_of_its_folder(sharded: pathlib.Path, file: Any) -> None:
    path = sharded / "model.safetensors.index.json"
    for place in ("other", "sharded/inner"):
        inside = sharded.parent / place
        inside.mkdir()
        shutil.copy(next(sharded.glob("model-*")), inside / "model.safetensors")
    index = json.loads(path.read_text())
    index["weight_map"]["shared.weight"] = file
    path.write_text(json.dumps(index))
    refuses(sharded, r"index\.json: shared\.weight is said to be in .* without a folder")


def test_an_index_that_does_not_fit_its_files_is_refused(sharded: pathlib.Path) -> None:
    path = sharded / "model.safetensors.index.json"
    first, *_, last = sorted(sharded.glob("model-*"))
    whole = json.loads(path.read_text())
    in_first = next(name for name, file in whole["weight_map"].items() if file == first.name)
    for weight_map, message in (
        ({in_first: last.name}, f"{in_first} is not in {last.name}"),
        ({in_first: "model-9.safetensors"}, r"names model-9\.safetensors, which is absent"),
    ):
        path.write_text(json.dumps({"weight_map": whole["weight_map"] | weight_map}))
        refuses(sharded, message)
    for wrong in ({}, {"weight_map": []}, {"weight_map": {}}):
        path.write_text(json.dumps(wrong))
        refuses(sharded, "has no weight_map")
    path.write_text(json.dumps(whole))
    last.write_bytes(last.read_bytes()[:-1])
    refuses(sharded, last.name)
    last.unlink()
    refuses(sharded, f"names {last.name}, which is absent")


def test_a_snapshot_of_links_as_the_hubs_cache_has_it_is_read(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in folder.iterdir():
        os.symlink(path, snapshot / path.name)
    assert arrays(open_huggingface(snapshot)) == arrays(open_huggingface(folder))
