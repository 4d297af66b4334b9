"""Single msgpack files, against one that T5X wrote and against Flax."""

import pathlib

import jax.numpy as jnp
import ml_dtypes
import msgpack
import numpy as np
import pytest
from flax import serialization

from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.t5x.legacy import is_t5x_file, open_t5x_legacy
from closedbook.errors import UserError

KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)


def states() -> dict:
    slots = {name: np.zeros(1, np.float32) for name in ("m", "v_row", "v_col")}
    return {"kernel": {**slots, "v": np.ones((3, 4), np.float32)}}


def train_state(**changes) -> dict:
    state = {"step": np.asarray(5, np.int32), "param_states": states()}
    return {"target": {"kernel": KERNEL}, "state": state} | changes


def saved(folder: pathlib.Path, tree, name: str = "checkpoint_5") -> Storage:
    content = tree if isinstance(tree, bytes) else serialization.msgpack_serialize(tree)
    (folder / name).write_bytes(content)
    return Storage.at(folder)


def test_a_file_that_t5x_wrote_is_read(shared):
    name = "legacy_msgpack_test_t5_tiny.checkpoint_0"
    folder = shared / "golden" / "t5x"
    checkpoint = open_t5x_legacy(Storage.at(folder), name)
    shapes = {name: tensor.shape for name, tensor in checkpoint.params.items()}
    assert (checkpoint.format, checkpoint.step) == ("t5x-legacy", 0)
    assert len(shapes) == 52
    assert shapes["token_embedder/embedding"] == (32128, 8)
    assert shapes["decoder/logits_dense/kernel"] == (8, 32128)
    assert shapes["encoder/layers_1/attention/query/kernel"] == (8, 12)
    assert shapes["decoder/layers_0/mlp/wo/kernel"] == (16, 8)
    assert shapes["encoder/relpos_bias/rel_embedding"] == (4, 32)
    assert len(checkpoint.slots) == 4 * 52
    flax = serialization.msgpack_restore((folder / name).read_bytes())["optimizer"]["target"]
    for path, tensor in checkpoint.params.items():
        node = flax
        for part in path.split("/"):
            node = node[part]
        np.testing.assert_array_equal(tensor.read(), node)
        np.testing.assert_array_equal(tensor.read((slice(1, 3),)), node[1:3])
    assert is_t5x_file((folder / name).read_bytes()[:16])


@pytest.mark.parametrize(
    "tree",
    [
        {"version": 3, "optimizer": train_state()},
        {"version": 1, "optimizer": train_state()},
        train_state(),
        train_state(version=0, flax_mutables={}, params_axes={}),
    ],
    ids=["3", "1", "0", "0, named"],
)
def test_every_version_is_read(tmp_path, tree):
    checkpoint = open_t5x_legacy(saved(tmp_path, tree), "checkpoint_5")
    np.testing.assert_array_equal(checkpoint.params["kernel"].read(), KERNEL)
    np.testing.assert_array_equal(checkpoint.slots["kernel/v"].read(), np.ones((3, 4)))
    assert checkpoint.step == 5
    assert is_t5x_file((tmp_path / "checkpoint_5").read_bytes()[:16])


def test_files_in_a_bucket_are_read(buckets, tmp_path):
    saved(tmp_path, train_state())
    buckets.objects["bucket/old/checkpoint_5"] = (tmp_path / "checkpoint_5").read_bytes()
    checkpoint = open_t5x_legacy(Storage.at("gs://bucket/old"), "checkpoint_5")
    np.testing.assert_array_equal(checkpoint.params["kernel"].read((slice(1, 2),)), KERNEL[1:2])


@pytest.mark.parametrize("step", [5, np.int64(5), 5.0, np.asarray([5])])
def test_step_is_read_in_every_form(tmp_path, step):
    tree = train_state(state={"step": step})
    checkpoint = open_t5x_legacy(saved(tmp_path, tree), "checkpoint_5")
    assert (checkpoint.step, checkpoint.slots) == (5, None)


def test_arrays_that_flax_cuts_are_joined(tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 16)
    checkpoint = open_t5x_legacy(saved(tmp_path, train_state()), "checkpoint_5")
    np.testing.assert_array_equal(checkpoint.params["kernel"].read(), KERNEL)
    np.testing.assert_array_equal(checkpoint.params["kernel"].read((slice(2, 3),)), KERNEL[2:])


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float64, np.int8, np.bool_])
def test_types_are_those_of_flax(tmp_path, dtype):
    array = jnp.asarray(KERNEL).astype(dtype) if dtype == ml_dtypes.bfloat16 else KERNEL > 3
    array = np.asarray(array).astype(dtype)
    tree = train_state(target={"kernel": array}, state={})
    tensor = open_t5x_legacy(saved(tmp_path, tree), "checkpoint_5").params["kernel"]
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.read(), array)


WHOLE = serialization.msgpack_serialize(train_state())


@pytest.mark.parametrize("length", range(1, len(WHOLE), 7))
def test_file_cut_anywhere_is_reported(tmp_path, length):
    with pytest.raises(UserError, match=r"checkpoint_5.*(damaged|copy or download)"):
        open_t5x_legacy(saved(tmp_path, WHOLE[:length]), "checkpoint_5")


def packed(code: int, *parts: object) -> bytes:
    return msgpack.packb({"target": {"kernel": msgpack.ExtType(code, msgpack.packb(parts))}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x05", "should hold a map"),
        (msgpack.packb([1, 2]), "should hold a map"),
        (b"PK\x03\x04 a zip file", "should hold a map"),
        (WHOLE + b"\x00", "1 bytes follow"),
        (b"\x81\xa6target\xdf\xff\xff\xff\xff", "bytes should follow"),
        (b"\x81\xa6target\xdd\xff\xff\xff\xff", "list of 4294967295"),
        (b"\x81\xa6target\xc6\xff\xff\xff\xff", "bytes should follow"),
        (b"\x81\xa6target\xc1", "no value starts with 0xc1"),
        (b"\x81\xa3a/b\x01", "key of a map"),
        (b"\x81\xc0\x01", "key of a map"),
        (b"\x81\xa2\xff\xff\x01", "not UTF-8"),
        (b"\x82\xa1a\x01\xa1a\x02", "a: it is there twice"),
        (b"\x81\xa1a" * 100 + b"\x01", "maps within maps"),
        (packed(1, [2**40, 2**40], "float32", b"\0" * 8), "kernel: .* takes 4835703.* 8 are there"),
        (packed(1, [-2], "float32", b"\0" * 8), "kernel: .* not stored as"),
        (packed(1, [2], "object", b"\0" * 16), "kernel: .* type 'object'"),
        (packed(1, [2], "float32"), "kernel: .* not stored as"),
        (packed(1, "two", "float32", b"\0" * 8), "kernel: .* not stored as"),
        (packed(5, 1), "kernel: .* extension type 5"),
        (packed(2, 1.0, "i"), "kernel: .* complex"),
        (packed(2, 1.0, 2.0), "kernel is .*; an array is expected"),
        (msgpack.packb({"target": {"kernel": "x"}}), "kernel is 'x'; an array is expected"),
        (msgpack.packb({"target": {}}), "no parameters"),
        (msgpack.packb({"target": 3}), "no parameters"),
        (msgpack.packb({"optimizer": None, "version": 3}), "no parameters"),
        (msgpack.packb({"version": 4, "optimizer": {}}), "version 4"),
        (msgpack.packb({"version": "x", "optimizer": {}}), "version 'x'"),
    ],
)
def test_file_that_is_something_else_is_reported(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as caught:
        open_t5x_legacy(saved(tmp_path, content), "checkpoint_5")
    assert "checkpoint_5" in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (train_state(extra=1), "holds extra"),
        ({"version": 3, "optimizer": train_state(), "ema": {}, "rng": 1}, "holds rng"),
        (train_state(state={"step": 1, "lr": 2}), "state holds lr"),
        (train_state(flax_mutables={"stats": KERNEL}), "flax_mutables.*: stats"),
        (train_state(state={"step": float("nan")}), "step is nan"),
        (train_state(state={"step": np.float32("inf")}), "step is inf"),
        (train_state(state={"step": -1}), "step is -1"),
        (train_state(state={"step": 1.5}), r"step is 1\.5"),
        (train_state(state={"step": np.asarray([1, 2])}), r"step is \(2,\)"),
        (train_state(state={"step": "now"}), "step is 'now'"),
    ],
)
def test_state_that_is_not_a_t5s_is_reported(tmp_path, tree, message):
    with pytest.raises(UserError, match=message) as caught:
        open_t5x_legacy(saved(tmp_path, tree), "checkpoint_5")
    assert "checkpoint_5" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": {"0": 5}},
        {"shape": {"0": -12}},
        {"shape": {"1": 12}},
        {"shape": 12},
        {"chunks": {}},
        {"chunks": {"0": np.zeros(4, np.float32), "1": np.zeros(8)}},
        {"chunks": {"0": 1}},
        {"chunks": {"0": 1, "1": KERNEL.ravel()}},
    ],
    ids=str,
)
def test_pieces_that_do_not_make_an_array_are_reported(tmp_path, change):
    kernel = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 12},
        "chunks": {"0": KERNEL.ravel()},
    }
    tree = train_state(target={"kernel": kernel | change})
    with pytest.raises(UserError, match="checkpoint_5: target/kernel: "):
        open_t5x_legacy(saved(tmp_path, tree), "checkpoint_5")


@pytest.mark.parametrize(
    "head", [b"", b"\x81", b"\x80\x04\x95", b"PK\x03\x04", b"\x82\xa5other\x00"]
)
def test_other_files_are_not_taken_for_t5xs(head):
    assert not is_t5x_file(head)
