"""Hugging Face folders: names, shapes, transposes, config and files, against transformers."""

import dataclasses
import json
import logging
import os
import pathlib
import shutil
import tracemalloc
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from closedbook.checkpoints.huggingface import open_huggingface, write_huggingface
from closedbook.checkpoints.huggingface_names import to_ours, to_theirs
from closedbook.checkpoints.safetensors_files import open_safetensors, write_safetensors
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
ACTIVATIONS = {
    "relu": ("relu",),
    "gated-gelu": ("gelu", "linear"),
    "gated-silu": ("silu", "linear"),
}
# projection, tied
MODELS = [("relu", True), ("gated-gelu", False), ("gated-silu", True), ("relu", False)]


def config_of(projection: str, tied: bool) -> T5Config:
    return dataclasses.replace(
        CONFIG, mlp_activations=ACTIVATIONS[projection], logits_via_embedding=tied
    )


def numbers(shape: tuple[int, ...], seed: int, dtype: Any) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def model_of(config: T5Config, dtype: Any = np.float32) -> Checkpoint:
    """Random parameters of a T5, by our names."""
    inner = config.num_heads * config.head_dim
    attention = {"query": (0, 1), "key": (0, 1), "value": (0, 1), "out": (1, 0)}
    wi = ["wi_0", "wi_1"] if len(config.mlp_activations) == 2 else ["wi"]
    shapes: dict[str, tuple[int, ...]] = {
        "token_embedder/embedding": (config.vocab_size, config.emb_dim)
    }
    stacks = {
        "encoder": (config.num_encoder_layers, ["attention"]),
        "decoder": (config.num_decoder_layers, ["self_attention", "encoder_decoder_attention"]),
    }
    norms = {"encoder_decoder_attention": "cross_attention"}
    for stack, (layers, attentions) in stacks.items():
        shapes[f"{stack}/{stack}_norm/scale"] = (config.emb_dim,)
        shapes[f"{stack}/relpos_bias/rel_embedding"] = (config.num_heads, config.relpos_buckets)
        for i in range(layers):
            layer = f"{stack}/layers_{i}"
            for part in [*attentions, "mlp"]:
                shapes[f"{layer}/pre_{norms.get(part, part)}_layer_norm/scale"] = (config.emb_dim,)
            for part in attentions:
                for name, order in attention.items():
                    sides = config.emb_dim, inner
                    shapes[f"{layer}/{part}/{name}/kernel"] = sides[order[0]], sides[order[1]]
            for name in wi:
                shapes[f"{layer}/mlp/{name}/kernel"] = (config.emb_dim, config.mlp_dim)
            shapes[f"{layer}/mlp/wo/kernel"] = (config.mlp_dim, config.emb_dim)
    if not config.logits_via_embedding:
        shapes["decoder/logits_dense/kernel"] = (config.emb_dim, config.vocab_size)
    params = {
        name: Tensor.of(numbers(shape, i, dtype), name)
        for i, (name, shape) in enumerate(shapes.items())
    }
    return Checkpoint(format="t5x", path="random", params=params)


def arrays(checkpoint: Checkpoint) -> dict[str, tuple[Any, ...]]:
    """Type, shape and bytes of all parameters."""
    read = {name: tensor.read() for name, tensor in checkpoint.params.items()}
    for name, array in read.items():
        assert array.shape == checkpoint.params[name].shape
        assert array.dtype == checkpoint.params[name].dtype
    return {name: (each.dtype, each.shape, each.tobytes()) for name, each in read.items()}


@pytest.fixture(scope="module")
def transformers() -> Any:
    """The library, without progress bars."""
    pytest.importorskip("torch", reason="torch is a test extra, not a dependency")
    library = pytest.importorskip("transformers", reason="transformers is a test extra")
    library.utils.logging.disable_progress_bar()
    return library


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


# With transformers


def their_model(library: Any, projection: str, tied: bool) -> Any:
    """A model of theirs with its own output matrix where `tied` is false."""
    import torch

    torch.manual_seed(0)
    model = library.T5ForConditionalGeneration(
        library.T5Config(
            vocab_size=96,
            d_model=16,
            d_kv=4,
            d_ff=24,
            num_layers=2,
            num_decoder_layers=3,
            num_heads=2,
            relative_attention_num_buckets=8,
            relative_attention_max_distance=20,
            feed_forward_proj=projection,
            tie_word_embeddings=tied,
            decoder_start_token_id=0,
        )
    )
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape)
    if not tied:
        model.lm_head.weight = torch.nn.Parameter(torch.randn(96, 16))
    return model


def ours_of(state: dict[str, Any], tied: bool) -> dict[str, np.ndarray]:
    """What a state dict of theirs is for us, spelt out part by part."""
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    ours = {"token_embedder/embedding": tensors["shared.weight"]}
    if not tied:
        ours["decoder/logits_dense/kernel"] = tensors["lm_head.weight"].T
    for stack, layers in (("encoder", 2), ("decoder", 3)):
        ours[f"{stack}/{stack}_norm/scale"] = tensors[f"{stack}.final_layer_norm.weight"]
        bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        ours[f"{stack}/relpos_bias/rel_embedding"] = tensors[bias].T
        for i in range(layers):
            parts = ["SelfAttention", "EncDecAttention", "DenseReluDense"]
            our_parts = ["self_attention", "encoder_decoder_attention", "mlp"]
            our_norms = ["self_attention", "cross_attention", "mlp"]
            if stack == "encoder":
                del parts[1], our_parts[1], our_norms[1]
                our_parts[0] = our_norms[0] = "attention"
            for j, (part, our_part, norm) in enumerate(
                zip(parts, our_parts, our_norms, strict=True)
            ):
                layer = f"{stack}.block.{i}.layer.{j}"
                here = f"{stack}/layers_{i}"
                ours[f"{here}/pre_{norm}_layer_norm/scale"] = tensors[f"{layer}.layer_norm.weight"]
                matrices = {"q": "query", "k": "key", "v": "value", "o": "out"}
                for name in ("wi", "wi_0", "wi_1", "wo", "q", "k", "v", "o"):
                    if (found := tensors.get(f"{layer}.{part}.{name}.weight")) is not None:
                        our_name = f"{here}/{our_part}/{matrices.get(name, name)}/kernel"
                        ours[our_name] = found.T
    return ours


@pytest.mark.parametrize(("projection", "tied"), MODELS)
def test_what_transformers_saves_is_read_in_all_its_formats(
    tmp_path: pathlib.Path, transformers: Any, projection: str, tied: bool
) -> None:
    import torch

    model = their_model(transformers, projection, tied)
    want = ours_of(model.state_dict(), tied)
    one, many, packed, stream = (tmp_path / name for name in ("one", "many", "packed", "stream"))
    model.save_pretrained(one)
    model.save_pretrained(many, max_shard_size="6KB")
    assert len(list(many.glob("model-*.safetensors"))) > 3
    for path, zipped in ((packed, True), (stream, False)):
        path.mkdir()
        shutil.copy(one / "config.json", path)
        torch.save(
            model.state_dict(), path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped
        )
    for path in (one, many, packed, stream):
        opened = open_huggingface(path)
        assert opened.config == config_of(projection, tied)
        assert set(opened.params) == set(want)
        for name, tensor in opened.params.items():
            assert tensor.shape == want[name].shape, name
            np.testing.assert_array_equal(tensor.read(), want[name], name)
            part = tuple(slice(1, n, 2) for n in tensor.shape)
            np.testing.assert_array_equal(tensor.read(part), want[name][part], name)
            np.testing.assert_array_equal(tensor.read(part[:1]), want[name][part[:1]], name)


@pytest.mark.parametrize(("projection", "tied"), MODELS)
@pytest.mark.parametrize("max_shard_bytes", [10**9, 5000])
def test_what_we_write_is_loaded_by_transformers_whole(
    tmp_path: pathlib.Path,
    transformers: Any,
    projection: str,
    tied: bool,
    max_shard_bytes: int,
) -> None:
    config = config_of(projection, tied)
    checkpoint = model_of(config)
    write_huggingface(tmp_path, checkpoint, config, max_shard_bytes=max_shard_bytes)
    model, loading = transformers.T5ForConditionalGeneration.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(loading.values()), loading
    ours = ours_of(model.state_dict(), tied)
    assert set(ours) == set(checkpoint.params)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, checkpoint.params[name].read(), name)
    assert model.config.scale_decoder_outputs == tied
    assert (model.lm_head.weight is model.shared.weight) == tied
    generation = model.generation_config
    assert (generation.decoder_start_token_id, generation.pad_token_id) == (0, 0)
    assert generation.eos_token_id == 1


@pytest.mark.parametrize(("projection", "tied"), MODELS)
def test_our_config_has_the_fields_that_transformers_writes(
    tmp_path: pathlib.Path, transformers: Any, projection: str, tied: bool
) -> None:
    config = config_of(projection, tied)
    write_huggingface(tmp_path, model_of(config), config)
    ours = json.loads((tmp_path / "config.json").read_text())
    their_model(transformers, projection, tied).save_pretrained(tmp_path / "theirs")
    theirs = json.loads((tmp_path / "theirs" / "config.json").read_text())
    ours["dtype"] = ours.pop("torch_dtype")
    del theirs["transformers_version"]
    theirs["tie_word_embeddings"] = tied  # version 5 says true of all models
    assert ours == theirs


# Without


@pytest.mark.parametrize(("projection", "tied"), MODELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_the_round_trip_is_bit_identical(
    tmp_path: pathlib.Path, projection: str, tied: bool, dtype: Any
) -> None:
    config = config_of(projection, tied)
    checkpoint = model_of(config, dtype)
    write_huggingface(tmp_path, checkpoint, config)
    back = open_huggingface(tmp_path)
    assert back.config == config
    assert arrays(back) == arrays(checkpoint)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["torch_dtype"] == np.dtype(dtype).name


def test_shards_hold_no_more_than_they_may(tmp_path: pathlib.Path) -> None:
    checkpoint = model_of(CONFIG)
    write_huggingface(tmp_path, checkpoint, CONFIG, max_shard_bytes=5000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    total = sum(tensor.nbytes for tensor in checkpoint.params.values())
    assert index["metadata"] == {"total_size": total}
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert files == [
        f"model-{i:05d}-of-{len(files):05d}.safetensors" for i in range(1, len(files) + 1)
    ]
    held = {file: open_safetensors(tmp_path / file) for file in files}
    assert {name: file for file, tensors in held.items() for name in tensors} == index["weight_map"]
    for file, tensors in held.items():
        size = sum(tensor.nbytes for tensor in tensors.values())
        assert size <= 5000 or list(tensors) == ["shared.weight"], file
    assert arrays(open_huggingface(tmp_path)) == arrays(checkpoint)


def test_names_map_both_ways_and_nothing_else_does() -> None:
    theirs = "decoder.block.11.layer.1.EncDecAttention.o.weight"
    ours = "decoder/layers_11/encoder_decoder_attention/out/kernel"
    assert to_ours(theirs) == ours
    assert to_theirs(ours) == theirs
    for name in model_of(CONFIG).params:
        assert to_ours(str(to_theirs(name))) == name
    for wrong in (
        "encoder.block.0.layer.1.EncDecAttention.o.weight",
        "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
        "encoder.block.01.layer.0.SelfAttention.q.weight",
        "encoder.block.0.layer.0.SelfAttention.q.bias",
        "model.shared.weight",
    ):
        assert to_ours(wrong) is None
    assert to_theirs("encoder/layers/attention/query/kernel") is None


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
    other = Tensor.of(numbers((96, 16), 99, np.float32), name)
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
    config = config_of("gated-gelu", False)
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


# Wrong and hostile folders


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "umt5"}, "model_type is 'umt5'; only T5"),
        ({"model_type": "longt5"}, "model_type is 'longt5'; only T5"),
        ({"model_type": None}, "model_type is None; only T5"),
        ({"model_type": ["t5"]}, "model_type is .'t5'.; only T5"),
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


# Models that cannot be written


def test_what_transformers_cannot_express_is_not_written(tmp_path: pathlib.Path) -> None:
    odd = dataclasses.replace(CONFIG, mlp_activations=("gelu", "gelu"))
    with pytest.raises(UserError, match=r"mlp_activations \('gelu', 'gelu'\) cannot be"):
        write_huggingface(tmp_path, model_of(odd), odd)
    untied = dataclasses.replace(CONFIG, logits_via_embedding=False)
    with pytest.raises(UserError, match="logits_dense/kernel must be there if and only if"):
        write_huggingface(tmp_path, model_of(CONFIG), untied)
    checkpoint = model_of(CONFIG)
    scanned = {"encoder/layers/mlp/wi/kernel": checkpoint.params["token_embedder/embedding"]}
    with pytest.raises(UserError, match=r"1 parameters without a name.*encoder/layers/mlp/wi"):
        write_huggingface(
            tmp_path,
            dataclasses.replace(checkpoint, params={**checkpoint.params, **scanned}),
            CONFIG,
        )
    assert not list(tmp_path.iterdir())


def test_one_tensor_is_in_memory_at_a_time(tmp_path: pathlib.Path) -> None:
    def lazy(name: str, tensor: Tensor) -> Tensor:
        def load(index: Any) -> np.ndarray:
            return np.ones(tensor.shape, np.float32)[index]

        return dataclasses.replace(tensor, load=load)

    config = dataclasses.replace(CONFIG, emb_dim=256, mlp_dim=1024)
    checkpoint = model_of(config)
    params = {name: lazy(name, tensor) for name, tensor in checkpoint.params.items()}
    largest = max(tensor.nbytes for tensor in params.values())
    lean = dataclasses.replace(checkpoint, params=params)
    del checkpoint
    tracemalloc.start()
    write_huggingface(tmp_path, lean, config)
    for tensor in open_huggingface(tmp_path).params.values():
        assert tensor.read().any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert largest == 2**20
    assert peak < 2.6 * largest
