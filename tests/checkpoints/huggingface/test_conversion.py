"""Hugging Face folders: names, shapes, transposes, config and files, against transformers."""

import dataclasses
import json
import pathlib
import shutil
import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from closedbook.checkpoints import tensors as lazy_tensors
from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.files.safetensors import open_safetensors
from closedbook.checkpoints.huggingface.folders import open_huggingface, write_huggingface
from closedbook.checkpoints.huggingface.names import to_ours, to_theirs
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


def model_of(config: T5Config, dtype: Any = np.float32) -> Checkpoint:
    """Random parameters of a T5, by our names."""
    random = np.random.default_rng(0)
    params = {
        name: Tensor.of(random.normal(size=shape).astype(dtype), name)
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


@pytest.fixture(scope="module")
def transformers() -> Any:
    """The library, without progress bars."""
    pytest.importorskip("torch", reason="torch is a test extra, not a dependency")
    library = pytest.importorskip("transformers", reason="transformers is a test extra")
    library.utils.logging.disable_progress_bar()
    return library


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


def test_a_tensor_and_the_next_are_in_memory(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_tensors, "_AHEAD_BYTES", 2**20)

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
    assert peak < 3.6 * largest
