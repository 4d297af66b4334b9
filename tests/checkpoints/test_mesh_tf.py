"""Mesh TensorFlow's checkpoints: files that TensorFlow writes here, in the documented layout."""

import builtins
import pathlib
import shutil

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from closedbook.checkpoints.architecture import parameter_shapes, recognise
from closedbook.checkpoints.mesh_tf import open_mesh_tf, parameter_name
from closedbook.errors import UserError
from closedbook.training.optimizers.adafactor import AdafactorState, adafactor

D_MODEL, INNER, HEADS, D_FF, VOCAB, LAYERS = 128, 128, 4, 256, 160, 2
STEP = 1_000_042


def variables(version: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes as in t5x/testdata/mtf_tiny_t5/model-info.txt; older names for 1.0."""
    norm, last = ("layer_norm", "final_layer_norm") if version == "1.0" else ("rms_norm",) * 2
    shapes: dict[str, tuple[int, ...]] = {"shared/embedding": (VOCAB, D_MODEL)}
    if version == "1.1":
        shapes["decoder/logits/kernel"] = (D_MODEL, VOCAB)
    layers = {
        "encoder": ["SelfAttention", "DenseReluDense"],
        "decoder": ["SelfAttention", "EncDecAttention", "DenseReluDense"],
    }
    for stack, kinds in layers.items():
        shapes[f"{stack}/{last}/scale"] = (D_MODEL,)
        bias = f"{stack}/block_000/layer_000/SelfAttention/relative_attention_bias"
        shapes[bias] = (HEADS, 32)
        for block in range(LAYERS):
            for i, kind in enumerate(kinds):
                layer = f"{stack}/block_{block:03d}/layer_{i:03d}"
                shapes[f"{layer}/{norm}/scale"] = (D_MODEL,)
                if kind == "DenseReluDense":
                    for wi in ["wi"] if version == "1.0" else ["wi_0", "wi_1"]:
                        shapes[f"{layer}/{kind}/{wi}/kernel"] = (D_MODEL, D_FF)
                    shapes[f"{layer}/{kind}/wo/kernel"] = (D_FF, D_MODEL)
                else:
                    for part in "qkv":
                        shapes[f"{layer}/{kind}/{part}"] = (D_MODEL, INNER)
                    shapes[f"{layer}/{kind}/o"] = (INNER, D_MODEL)
    return shapes


def slots_of(name: str, squared: np.ndarray) -> dict[str, np.ndarray]:
    """Mesh TensorFlow's accumulators after one gradient (its optimize.py, `AdafactorOptimizer`).

    The two largest dimensions in a stable descending order are d0 and d1; vr is the mean over
    d0, vc over d1.
    """
    if squared.ndim < 2 or min(squared.shape) < 128:
        return {f"{name}_slot_v": squared}
    d0, d1 = sorted(range(2), key=lambda axis: -squared.shape[axis])
    return {f"{name}_slot_vr": squared.mean(axis=d0), f"{name}_slot_vc": squared.mean(axis=d1)}


def write(prefix: pathlib.Path, arrays: dict[str, np.ndarray], shards: int) -> None:
    """Writes a checkpoint as `tf.train.Saver(sharded=True)` does: a part for each device."""
    import tensorflow as tf

    parts = []
    for i in range(shards):
        names = sorted(arrays)[i::shards]
        folder = prefix.with_name(prefix.name + "_temp")
        folder.mkdir(parents=True, exist_ok=True)
        parts.append(str(folder / f"part-{i:05d}-of-{shards:05d}"))
        tf.raw_ops.SaveV2(
            prefix=parts[-1],
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(arrays[name]) for name in names],
        )
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(prefix))


def random_arrays(version: str, dtype: type) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {n: rng.normal(size=s).astype(dtype) for n, s in variables(version).items()}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """T5 1.0 in float32, one data file, no optimiser state: (prefix, arrays)."""
    prefix = tmp_path_factory.mktemp("old") / f"model.ckpt-{STEP}"
    arrays = random_arrays("1.0", np.float32)
    write(prefix, arrays | {"global_step": np.int64(STEP)}, shards=1)
    return prefix, arrays


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """T5 1.1 in bfloat16, three data files, with accumulators: (prefix, arrays)."""
    prefix = tmp_path_factory.mktemp("new") / "model.ckpt-5"
    arrays = random_arrays("1.1", ml_dtypes.bfloat16)
    rng = np.random.default_rng(8)
    for name, array in list(arrays.items()):
        squared = np.square(rng.normal(size=array.shape)).astype(np.float32)
        arrays |= slots_of(name, squared)
    write(prefix, arrays | {"global_step": np.int64(5)}, shards=3)
    return prefix, arrays


@pytest.fixture
def copied(new, tmp_path):
    """The checkpoint of `new` to damage: the prefix."""
    shutil.copytree(new[0].parent, tmp_path / "copy")
    return tmp_path / "copy" / new[0].name


def test_t5_1_0_is_read_and_recognised(old):
    prefix, arrays = old
    checkpoint = open_mesh_tf(prefix)
    assert (checkpoint.format, checkpoint.step, checkpoint.slots) == ("mesh-tf", STEP, None)
    config = recognise(checkpoint)
    assert (config.emb_dim, config.num_heads, config.mlp_dim) == (D_MODEL, HEADS, D_FF)
    assert (config.num_encoder_layers, config.num_decoder_layers) == (LAYERS, LAYERS)
    found = {name: tensor.shape for name, tensor in checkpoint.params.items()}
    assert found == parameter_shapes(config)
    for ours, theirs in {
        "token_embedder/embedding": "shared/embedding",
        "encoder/layers_1/attention/out/kernel": "encoder/block_001/layer_000/SelfAttention/o",
        "decoder/layers_0/self_attention/value/kernel": (
            "decoder/block_000/layer_000/SelfAttention/v"
        ),
        "decoder/layers_1/mlp/wi/kernel": "decoder/block_001/layer_002/DenseReluDense/wi/kernel",
        "decoder/decoder_norm/scale": "decoder/final_layer_norm/scale",
        "decoder/relpos_bias/rel_embedding": (
            "decoder/block_000/layer_000/SelfAttention/relative_attention_bias"
        ),
    }.items():
        np.testing.assert_array_equal(checkpoint.params[ours].read(), arrays[theirs])


def test_t5_1_1_in_bfloat16_and_several_files_is_read(new):
    prefix, arrays = new
    assert len(list(prefix.parent.glob("*.data-*"))) == 3
    checkpoint = open_mesh_tf(prefix)
    config = recognise(checkpoint)
    found = {name: tensor.shape for name, tensor in checkpoint.params.items()}
    assert found == parameter_shapes(config)
    for name, theirs in [
        ("decoder/logits_dense/kernel", "decoder/logits/kernel"),
        (
            "encoder/layers_0/mlp/wi_1/kernel",
            "encoder/block_000/layer_001/DenseReluDense/wi_1/kernel",
        ),
        (
            "decoder/layers_1/encoder_decoder_attention/key/kernel",
            "decoder/block_001/layer_001/EncDecAttention/k",
        ),
        (
            "decoder/layers_1/pre_cross_attention_layer_norm/scale",
            "decoder/block_001/layer_001/rms_norm/scale",
        ),
        ("decoder/layers_1/pre_mlp_layer_norm/scale", "decoder/block_001/layer_002/rms_norm/scale"),
    ]:
        tensor = checkpoint.params[name]
        assert tensor.dtype == tensor.read().dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(tensor.read(), arrays[theirs])
    part = checkpoint.params["decoder/logits_dense/kernel"].read((slice(3, 5), slice(None)))
    np.testing.assert_array_equal(part, arrays["decoder/logits/kernel"][3:5])


def test_accumulators_are_taken_and_filled_up(new):
    prefix, arrays = new
    checkpoint = open_mesh_tf(prefix)
    slots = checkpoint.slots
    assert slots.keys() == {
        f"{name}/{slot}" for name in checkpoint.params for slot in ("v", "v_row", "v_col", "m")
    }
    norm = "encoder/encoder_norm/scale"
    np.testing.assert_array_equal(
        slots[f"{norm}/v"].read(), arrays["encoder/rms_norm/scale_slot_v"]
    )
    np.testing.assert_array_equal(slots[f"{norm}/v_row"].read(), np.zeros(1, np.float32))
    wo = "decoder/block_000/layer_002/DenseReluDense/wo/kernel_slot_"
    for ours, theirs in {"v_row": "vr", "v_col": "vc"}.items():
        tensor = slots[f"decoder/layers_0/mlp/wo/kernel/{ours}"]
        np.testing.assert_array_equal(tensor.read(), arrays[wo + theirs])
    assert slots["decoder/layers_0/mlp/wo/kernel/v"].shape == (1,)
    assert slots["decoder/layers_0/mlp/wo/kernel/v_row"].shape == (D_MODEL,)  # mean over d_ff


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("encoder/layers_0/attention/key/kernel", "encoder/block_000/layer_000/SelfAttention/k"),
        ("encoder/layers_0/mlp/wo/kernel", "encoder/block_000/layer_001/DenseReluDense/wo/kernel"),
    ],
    ids=["square", "oblong"],
)
def test_next_step_with_restored_accumulators_is_mesh_tensorflows(new, ours, theirs):
    prefix, arrays = new
    slots = open_mesh_tf(prefix).slots
    vr, vc = arrays[f"{theirs}_slot_vr"], arrays[f"{theirs}_slot_vc"]
    x = arrays[theirs].astype(np.float32)
    grad = np.random.default_rng(9).normal(size=x.shape).astype(np.float32)
    count, lr_free_scale = 5, np.sqrt(np.mean(x * x))
    # Mesh TensorFlow: the row factor varies along d1, the column factor along d0.
    d0, d1 = sorted(range(2), key=lambda axis: -x.shape[axis])
    decay = 1.0 - (count + 1.0) ** -0.8
    new_vr = vr * decay + np.mean(grad**2 + 1e-30, axis=d0) * (1 - decay)
    new_vc = vc * decay + np.mean(grad**2 + 1e-30, axis=d1) * (1 - decay)
    r_factor = np.expand_dims((new_vr / new_vr.mean()) ** -0.5, d0)
    u = grad * r_factor * np.expand_dims(new_vc**-0.5, d1)
    u = u / max(1.0, np.sqrt(np.mean(u * u))) * lr_free_scale

    state = AdafactorState(
        count=jnp.int32(count),
        **{
            slot: {"x": jnp.array(slots[f"{ours}/{slot}"].read())}
            for slot in ("v_row", "v_col", "v")
        },
    )
    updates, _ = adafactor().update({"x": jnp.array(grad)}, state, {"x": jnp.array(x)})
    np.testing.assert_allclose(-updates["x"], u, rtol=2e-5, atol=1e-6)


def test_incomplete_accumulators_are_left_out_and_named(tmp_path):
    arrays = {
        "shared/embedding": np.ones((VOCAB, D_MODEL), np.float32),
        "encoder/rms_norm/scale": np.ones(D_MODEL, np.float32),
        "encoder/rms_norm/scale_slot_v": np.ones(D_MODEL, np.float32),
    }
    write(tmp_path / "model.ckpt-1", arrays, shards=1)
    checkpoint = open_mesh_tf(tmp_path / "model.ckpt-1")
    assert checkpoint.slots is None
    assert "token_embedder/embedding" in checkpoint.other_optimizer
    assert checkpoint.step is None


def test_another_optimiser_is_named(tmp_path):
    ones = np.ones(D_MODEL, np.float32)
    names = ["", "/adam_m", "/adam_v"]
    write(tmp_path / "model.ckpt-1", {f"encoder/rms_norm/scale{n}": ones for n in names}, shards=1)
    checkpoint = open_mesh_tf(tmp_path / "model.ckpt-1")
    assert (checkpoint.slots, checkpoint.other_optimizer) == (None, "Adam")


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("encoder/block_001/layer_000/SelfAttention/relative_attention_bias", "for each layer"),
        ("encoder/embedding", "shares one"),
        ("transformer/block_000/layer_000/SelfAttention/q", "decoder-only"),
        ("encoder/block_000/layer_001/moe/wi", "no such parameters"),
        ("encoder/block_000/layer_002/rms_norm/scale", "no such parameters"),
        ("decoder/block_000/layer_002/SelfAttention/q", "no such parameters"),
    ],
)
def test_variable_of_another_model_is_refused(tmp_path, variable, reason):
    arrays = {name: np.ones((2, 2), np.float32) for name in [variable, f"{variable}_slot_v"]}
    write(tmp_path / "model.ckpt-1", arrays, shards=1)
    with pytest.raises(UserError, match=f"{reason}.*: {variable}$"):
        open_mesh_tf(tmp_path / "model.ckpt-1")


def test_two_variables_for_one_parameter_are_refused(tmp_path):
    ones = np.ones(D_MODEL, np.float32)
    both = {f"encoder/{norm}/scale": ones for norm in ["rms_norm", "final_layer_norm"]}
    write(tmp_path / "model.ckpt-1", both, shards=1)
    with pytest.raises(UserError, match="both stand for encoder/encoder_norm/scale"):
        open_mesh_tf(tmp_path / "model.ckpt-1")


def test_variable_without_numbers_is_refused(tmp_path):
    write(tmp_path / "model.ckpt-1", {"shared/embedding": np.array([3], np.int32)}, shards=1)
    with pytest.raises(UserError, match=r"shared/embedding has type int32"):
        open_mesh_tf(tmp_path / "model.ckpt-1")


@pytest.mark.parametrize("step", [np.int64([1, 2]), np.float32(3)])
def test_step_that_is_no_whole_number_is_refused(tmp_path, step):
    write(tmp_path / "model.ckpt-1", {"global_step": step}, shards=1)
    with pytest.raises(UserError, match=r"global_step is .* not a whole number"):
        open_mesh_tf(tmp_path / "model.ckpt-1")


def test_missing_index_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no .*model\.ckpt-1\.index"):
        open_mesh_tf(tmp_path / "model.ckpt-1")


def test_missing_data_file_is_named(copied):
    copied.with_name("model.ckpt-5.data-00001-of-00003").unlink()
    with pytest.raises(UserError, match=r"missing .*model\.ckpt-5\.data-00001-of-00003"):
        open_mesh_tf(copied)


def test_truncated_data_file_is_seen_before_anything_is_read(copied):
    data = copied.with_name("model.ckpt-5.data-00002-of-00003")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(UserError, match="a file is truncated"):
        open_mesh_tf(copied)


def test_data_files_of_two_checkpoints_are_refused(copied):
    copied.with_name("model.ckpt-5.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(UserError, match=r"several checkpoints, of \[1, 3\] files"):
        open_mesh_tf(copied)


def test_damaged_tensor_is_named(new, copied):
    stored = new[1]["shared/embedding"].tobytes()
    for data in copied.parent.glob("*.data-*"):
        content = data.read_bytes()
        data.write_bytes(content.replace(stored, b"x" + stored[1:]))
    params = open_mesh_tf(copied).params
    params["encoder/encoder_norm/scale"].read()
    message = rf"{copied}: shared/embedding cannot be read: .*[Cc]hecksum.* damaged"
    with pytest.raises(UserError, match=message):
        params["token_embedder/embedding"].read()


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-5], lambda b: b[:20] + b[40:]])
def test_damaged_index_is_named(copied, damage):
    index = copied.with_name("model.ckpt-5.index")
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(UserError, match=r"model\.ckpt-5\.index cannot be read"):
        open_mesh_tf(copied)


def test_missing_tensorflow_is_one_message(new, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "tensorflow":
            raise ImportError("No module named 'tensorflow'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"needs TensorFlow.*install it"):
        open_mesh_tf(new[0])


def test_names_that_only_resemble_a_t5s_are_not_mapped():
    for name in ["shared/embedding2", "encoder/block_000/layer_000/SelfAttention/q/kernel"]:
        assert parameter_name(name) is None
