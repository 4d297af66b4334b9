"""T5X's native checkpoints that are damaged, or made to harm."""

import gzip
import json
import pathlib
import shutil

import numpy as np
import pytest
from flax import serialization

from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.t5x.native import open_t5x, write_t5x
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.errors import UserError

EMBEDDING = "target.token_embedder.embedding"


def one() -> Checkpoint:
    array = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    params = {"token_embedder/embedding": Tensor.of(array, "made")}
    return Checkpoint(format="t5x", path="made", params=params)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A checkpoint of one parameter."""
    (tmp_path / "c").mkdir()
    write_t5x(tmp_path / "c", one())
    return tmp_path / "c"


def edit(folder: pathlib.Path, **changes: object) -> None:
    """Changes the reference to the parameter in the msgpack file."""
    tree = serialization.msgpack_restore((folder / "checkpoint").read_bytes())
    tree["optimizer"]["target"]["token_embedder"]["embedding"].update(changes)
    (folder / "checkpoint").write_bytes(serialization.msgpack_serialize(tree))


def gone(path: pathlib.Path) -> None:
    path.unlink()


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def longer(path: pathlib.Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"more"))


def shorter(path: pathlib.Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[4:]))


def twice(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def flipped(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def no_gzip(path: pathlib.Path) -> None:
    path.write_bytes(b"<html>404</html>")


def bomb(path: pathlib.Path) -> None:
    path.write_bytes(gzip.compress(bytes(50_000_000)))


@pytest.mark.parametrize("damage", [gone, cut, longer, shorter, twice, flipped, no_gzip, bomb])
def test_damaged_chunk_is_reported_with_its_file_and_its_tensor(folder, damage):
    damage(folder / EMBEDDING / "0.0")
    tensor = open_t5x(Storage.at(folder)).params["token_embedder/embedding"]
    with pytest.raises(UserError, match=rf"{EMBEDDING}/0\.0.*target/token_embedder/embedding"):
        tensor.read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"shape": [8, 7]}, r"has shape \[8, 6\], and .* shape \[8, 7\]"),
        ({"shape": [8]}, "shape"),
        ({"shape": [-8, 6]}, "shape"),
        ({"chunks": [0, 6]}, "chunks"),
        ({"chunks": "86"}, "chunks"),
        ({"dtype": "<f8"}, "'float32', and .* float64"),
        ({"dtype": "|O"}, "never writes"),
        ({"dtype": ["<f4"]}, "never writes"),
        ({"compressor": {"id": "blosc"}}, "never writes"),
        ({"filters": [{"id": "pickle"}]}, "never writes"),
        ({"zarr_format": 3}, "never writes"),
    ],
    ids=str,
)
def test_metadata_that_does_not_fit_is_reported_when_the_checkpoint_is_opened(
    folder, content, message
):
    path = folder / EMBEDDING / ".zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | content))
    with pytest.raises(UserError, match=message) as caught:
        open_t5x(Storage.at(folder))
    assert EMBEDDING in str(caught.value)
    assert "target/token_embedder/embedding" in str(caught.value)


@pytest.mark.parametrize("chunks", [[1, 1], [2**40, 2**40]])
def test_claimed_sizes_are_not_allocated(folder, chunks):
    path = folder / EMBEDDING / ".zarray"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"shape": [2**40] * 2, "chunks": chunks})
    )
    edit(folder, metadata={"shape": [2**40] * 2})
    tensor = open_t5x(Storage.at(folder)).params["token_embedder/embedding"]
    with pytest.raises(UserError, match=f"{EMBEDDING}.*claims"):
        tensor.read()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_broken_metadata_is_reported(folder, content):
    (folder / EMBEDDING / ".zarray").write_bytes(content)
    with pytest.raises(UserError, match=rf"{EMBEDDING}/\.zarray .*embedding.* is damaged"):
        open_t5x(Storage.at(folder))


def test_missing_array_is_reported_when_the_checkpoint_is_opened(folder):
    shutil.rmtree(folder / EMBEDDING)
    with pytest.raises(
        UserError, match=f"{EMBEDDING}/.*target/token_embedder/embedding is missing"
    ):
        open_t5x(Storage.at(folder))


@pytest.mark.parametrize(
    "reference",
    [
        *(
            {"kvstore": {"driver": "file", "path": path}}
            for path in ("/etc/", "../x/", "a/../../x")
        ),
        *({"kvstore": {"driver": "file", "path": path}} for path in ("", ".", "a//b", "..\\x", 3)),
        {"kvstore": {"driver": "gcs", "bucket": "b", "path": "run/.."}},
        {"kvstore": {"driver": "http", "base_url": "http://localhost"}},
        {"kvstore": {"driver": "memory"}},
        {"kvstore": "file:///etc/"},
        {"kvstore": None},
        {"driver": "json"},
        {"driver": "cast", "base": {"driver": "zarr"}},
        {"driver": "array", "array": [1]},
    ],
    ids=str,
)
def test_reference_to_anything_but_a_folder_inside_is_refused(folder, reference):
    edit(folder, **reference)
    with pytest.raises(UserError, match=f"{folder}/checkpoint: .*target/token_embedder/embedding"):
        open_t5x(Storage.at(folder))


def test_folder_that_is_a_link_out_of_the_checkpoint_is_refused(folder, tmp_path):
    (folder / EMBEDDING).rename(tmp_path / "outside")
    (folder / EMBEDDING).symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=f"{EMBEDDING} .* is a link out of the checkpoint"):
        open_t5x(Storage.at(folder))


def test_folder_without_the_file_is_not_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match="no file 'checkpoint'"):
        open_t5x(Storage.at(tmp_path))


def test_folder_that_cannot_be_written_is_reported(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_t5x(tmp_path / "absent", one())
