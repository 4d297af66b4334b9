"""T5X's native checkpoints, against files that T5X wrote and against TensorStore."""

import dataclasses
import gzip
import pathlib
import tarfile

import ml_dtypes
import numpy as np
import pytest
import tensorstore as ts
from flax import serialization

from closedbook.checkpoints.files import zarr_writing
from closedbook.checkpoints.files.zarr_writing import chunk_shape
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.t5x.native import open_t5x, write_t5x
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.errors import UserError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@pytest.fixture(scope="session")
def factored_run(shared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What T5X wrote of a wider model, too large for a clone: checkpoint_0 and checkpoint_20."""
    folder = tmp_path_factory.mktemp("factored")
    with tarfile.open(shared / "golden" / "t5x" / "factored.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


def through_tensorstore(folder: pathlib.Path) -> np.ndarray:
    kvstore = {"driver": "file", "path": f"{folder}/"}
    return ts.open({"driver": "zarr", "kvstore": kvstore}).result().read().result()


def small(*, slots: bool = True, seed: int = 0) -> Checkpoint:
    """A checkpoint of two parameters, one factored and one not."""
    rng = np.random.default_rng(seed)
    shapes = {
        "encoder/encoder_norm/scale": {"": (6,), "v": (6,)},
        "token_embedder/embedding": {"": (8, 6), "v_row": (6,), "v_col": (8,)},
    }
    params, states = {}, {}
    for name, each in shapes.items():
        params[name] = Tensor.of(rng.normal(size=each[""]).astype(np.float32), name)
        for slot in ("m", "v", "v_row", "v_col"):
            array = rng.random(each.get(slot, (1,))).astype(np.float32)
            states[f"{name}/{slot}"] = Tensor.of(array, name)
    return Checkpoint(
        format="t5x", path="made", params=params, slots=states if slots else None, step=7
    )


def written(folder: pathlib.Path, checkpoint: Checkpoint) -> pathlib.Path:
    folder.mkdir(parents=True)
    write_t5x(folder, checkpoint)
    return folder


def edit(folder: pathlib.Path, change) -> None:
    """Changes the tree of a checkpoint's msgpack file."""
    tree = serialization.msgpack_restore((folder / "checkpoint").read_bytes())
    change(tree)
    (folder / "checkpoint").write_bytes(serialization.msgpack_serialize(tree))


def embedding_spec(tree: dict) -> dict:
    return tree["optimizer"]["target"]["token_embedder"]["embedding"]


EMBEDDING = "target.token_embedder.embedding"


@pytest.mark.parametrize("step", [0, 20])
@pytest.mark.parametrize("name", ["upstream_run", "factored_run"])
def test_what_t5x_wrote_is_written_again_byte_for_byte(request, tmp_path, name, step):
    source = request.getfixturevalue(name) / f"checkpoint_{step}"
    copy = written(tmp_path / "copy", open_t5x(Storage.at(source)))
    files = sorted(path.relative_to(source) for path in source.rglob("*"))
    assert files == sorted(path.relative_to(copy) for path in copy.rglob("*"))
    assert (copy / "checkpoint").read_bytes() == (source / "checkpoint").read_bytes()
    for path in files:
        if path.name == ".zarray":
            assert (copy / path).read_bytes() == (source / path).read_bytes()
            ours, theirs = through_tensorstore(copy / path.parent), source / path.parent
            assert ours.tobytes() == through_tensorstore(theirs).tobytes()


@pytest.mark.parametrize(
    ("name", "width", "slots"),
    [
        ("upstream_run", 64, {"v": (1152, 64), "v_row": (1,), "v_col": (1,), "m": (1,)}),
        ("factored_run", 128, {"v": (1,), "v_row": (128,), "v_col": (1152,), "m": (1,)}),
    ],
)
def test_what_t5x_wrote_is_read_as_tensorstore_reads_it(request, name, width, slots):
    folder = request.getfixturevalue(name) / "checkpoint_20"
    checkpoint = open_t5x(Storage.at(folder))
    assert checkpoint.step == 20
    assert checkpoint.other_optimizer == ""
    assert len(checkpoint.params) == 52
    assert len(checkpoint.slots) == 52 * 4
    for name, tensor in checkpoint.params.items():
        stored = through_tensorstore(folder / f"target.{name.replace('/', '.')}")
        assert tensor.shape == stored.shape
        np.testing.assert_array_equal(tensor.read(), stored)
    embedding = "token_embedder/embedding"
    assert checkpoint.params[embedding].shape == (1152, width)
    assert {slot: checkpoint.slots[f"{embedding}/{slot}"].shape for slot in slots} == slots
    # The mean over rows of the mean over columns is that of the mean over columns.
    means = [checkpoint.slots[f"{embedding}/{slot}"].read().mean() for slot in ("v_row", "v_col")]
    np.testing.assert_allclose(means[0], means[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunk"),
    [
        ((512, 2048), 4, (512, 2048)),
        ((4096, 4096), 4, (4096, 4096)),  # exactly 64 MiB
        ((1024, 65536), 4, (1024, 16384)),  # 11B's largest kernel: the long axis, in four
        ((1024, 65536), 2, (1024, 32768)),
        ((32128, 4096), 4, (4016, 4096)),  # 32128 = 251 x 128: halved three times
        ((8192, 8192), 4, (4096, 4096)),  # equal axes: the first one, then the other
        ((65537, 1024), 4, (1, 1024)),  # a prime has no other divisor
    ],
)
def test_chunks_follow_the_rule_of_t5x(shape, itemsize, chunk):
    assert chunk_shape(shape, itemsize) == chunk


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_arrays_of_many_chunks_are_read_by_us_and_by_tensorstore(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(zarr_writing, "_CHUNK_BYTES", 64)
    array = np.random.default_rng(0).normal(size=(12, 30)).astype(np.dtype(dtype))
    one = {"decoder/decoder_norm/scale": Tensor.of(array, "made")}
    folder = written(tmp_path / "c", Checkpoint(format="t5x", path="made", params=one))
    chunks = list((folder / "target.decoder.decoder_norm.scale").glob("[0-9]*"))
    assert len(chunks) > 5
    assert all(len(gzip.decompress(path.read_bytes())) <= 64 for path in chunks)
    stored = through_tensorstore(folder / "target.decoder.decoder_norm.scale")
    assert stored.dtype == array.dtype
    assert stored.tobytes() == array.tobytes()
    tensor = open_t5x(Storage.at(folder)).params["decoder/decoder_norm/scale"]
    assert tensor.dtype == array.dtype
    for index in [
        (),
        (slice(3, 11),),
        (slice(None), slice(7, 8)),
        (slice(5, 5),),
        (slice(None, None, -2), slice(-4, None)),
    ]:
        np.testing.assert_array_equal(tensor.read(index), array[index])


def test_chunks_that_tensorstore_writes_in_other_ways_are_read(tmp_path):
    folder = written(tmp_path / "c", small())
    array = np.arange(48, dtype=np.float32).reshape(8, 6)
    for metadata in (
        {"chunks": [3, 4], "compressor": None, "order": "F"},
        {"chunks": [3, 4], "compressor": {"id": "zlib", "level": 9}, "dimension_separator": "/"},
    ):
        spec = {
            "driver": "zarr",
            "kvstore": {"driver": "file", "path": f"{folder / EMBEDDING}/"},
            "metadata": metadata | {"shape": [8, 6], "dtype": "<f4"},
        }
        ts.open(spec, create=True, delete_existing=True).result().write(array).result()
        tensor = open_t5x(Storage.at(folder)).params["token_embedder/embedding"]
        np.testing.assert_array_equal(tensor.read(), array)
        np.testing.assert_array_equal(tensor.read((slice(2, 7), slice(5))), array[2:7, :5])


def test_chunks_are_compressed_where_that_saves_space(tmp_path):
    noise = np.random.default_rng(0).normal(size=(1024, 512)).astype(np.float32)
    arrays = {"noise": noise, "zeros": np.zeros_like(noise)}
    params = {name: Tensor.of(array, name) for name, array in arrays.items()}
    folder = written(tmp_path / "c", Checkpoint(format="t5x", path="made", params=params))
    for name, array in arrays.items():
        content = (folder / f"target.{name}" / "0.0").read_bytes()
        assert gzip.decompress(content) == array.tobytes()
        assert len(content) < (0.01 if name == "zeros" else 1.001) * array.nbytes


def test_without_slots_the_state_is_the_step_alone_as_in_t5x_for_inference(tmp_path):
    folder = written(tmp_path / "c", small(slots=False))
    tree = serialization.msgpack_restore((folder / "checkpoint").read_bytes())
    assert tree["version"] == 3
    assert sorted(tree["optimizer"]) == ["state", "target"]
    assert tree["optimizer"]["state"] == {"step": np.asarray(7, np.int32)}
    checkpoint = open_t5x(Storage.at(folder))
    assert (checkpoint.slots, checkpoint.other_optimizer, checkpoint.step) == (None, "", 7)


def test_slots_that_do_not_match_the_parameters_are_not_written(tmp_path):
    checkpoint = small()
    slots = dict(checkpoint.slots)
    del slots["token_embedder/embedding/m"]
    with pytest.raises(UserError, match="token_embedder/embedding/m"):
        write_t5x(tmp_path, dataclasses.replace(checkpoint, slots=slots))


def test_bits_of_bfloat16_in_integers_are_read_as_bfloat16(tmp_path):
    values = np.arange(48).reshape(8, 6).astype(BFLOAT16)
    params = dict(small().params)
    params["token_embedder/embedding"] = Tensor.of(values.view(np.uint16), "made")
    folder = written(tmp_path / "c", dataclasses.replace(small(), params=params))
    edit(folder, lambda tree: tree.update(version=2))
    tensor = open_t5x(Storage.at(folder)).params["token_embedder/embedding"]
    assert tensor.dtype == BFLOAT16
    np.testing.assert_array_equal(tensor.read((slice(2, 4),)), values[2:4])


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(kvstore={"driver": "gfile", "path": f"{EMBEDDING}/"}),
        lambda spec: spec.update(
            kvstore={"driver": "gcs", "bucket": "t5x-dummy-bucket", "path": f"{EMBEDDING}/"}
        ),
        lambda spec: spec.update(
            kvstore={"driver": "gcs", "bucket": "theirs", "path": f"/run/step_1/{EMBEDDING}/"}
        ),
        lambda spec: spec.update(kvstore={"driver": "file"}, path=EMBEDDING),
        lambda spec: spec.update(transform={"input_inclusive_min": [0, 0]}),
    ],
    ids=["gfile", "bucket", "absolute in a bucket", "old tensorstore", "with bounds"],
)
def test_references_as_t5x_wrote_them_elsewhere_are_followed(tmp_path, change):
    checkpoint = small()
    folder = written(tmp_path / "c", checkpoint)
    edit(folder, lambda tree: change(embedding_spec(tree)))
    tensor = open_t5x(Storage.at(folder)).params["token_embedder/embedding"]
    np.testing.assert_array_equal(
        tensor.read(), checkpoint.params["token_embedder/embedding"].read()
    )


def test_a_checkpoint_inside_state_with_orbaxs_placeholders_is_read(tmp_path):
    folder = written(tmp_path / "c" / "state", small())

    def change(tree):
        tree["optimizer"]["target"]["token_embedder"]["embedding"] = f"PLACEHOLDER://{EMBEDDING}"

    edit(folder, change)
    checkpoint = open_t5x(Storage.at(tmp_path / "c"))
    assert checkpoint.params["token_embedder/embedding"].shape == (8, 6)
    assert checkpoint.step == 7


def test_a_checkpoint_in_a_bucket_is_read_in_place(tmp_path, buckets):
    checkpoint = small()
    folder = written(tmp_path / "c", checkpoint)
    for path in folder.rglob("*"):
        if path.is_file():
            buckets.objects[f"bucket/run/{path.relative_to(folder)}"] = path.read_bytes()
    opened = open_t5x(Storage.at("gs://bucket/run"))
    assert not any(request.endswith("0.0") for request in buckets.requests)
    for name, tensor in checkpoint.params.items():
        np.testing.assert_array_equal(opened.params[name].read(), tensor.read())
    for name, tensor in checkpoint.slots.items():
        np.testing.assert_array_equal(opened.slots[name].read(), tensor.read())
    del buckets.objects[f"bucket/run/{EMBEDDING}/0.0"]
    with pytest.raises(
        UserError, match=rf"gs://bucket/run/{EMBEDDING}/0\.0 does not exist.*embedding"
    ):
        opened.params["token_embedder/embedding"].read()


@pytest.mark.parametrize(
    ("states", "named"),
    [
        ({"grad_ema": np.zeros(6), "grad_sq_ema": np.zeros(6)}, "Adam (grad_ema, grad_sq_ema)"),
        ({"0": {"count": np.int32(3), "mu": {}, "nu": {}}, "1": {}}, "an unknown one, which keeps"),
        ({"v": np.zeros(6, np.float32), "m": None}, "Adafactor for a part of the parameters"),
        (None, ""),
        ({}, ""),
    ],
    ids=["adam", "optax", "multi-optimizer", "none", "sgd"],
)
def test_states_of_other_optimizers_are_named_and_not_read(tmp_path, states, named):
    folder = written(tmp_path / "c", small())

    def change(tree):
        tree["optimizer"]["state"]["param_states"] = states and {"scale": states}

    edit(folder, change)
    checkpoint = open_t5x(Storage.at(folder))
    assert checkpoint.slots is None
    assert checkpoint.other_optimizer.startswith(named)
    assert bool(checkpoint.other_optimizer) == bool(named)
