"""Our safetensors reader and writer against the safetensors package and against damaged files."""

import json
import pathlib
import random
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from closedbook.checkpoints.files.safetensors import open_safetensors, write_safetensors
from closedbook.checkpoints.tensors import Tensor
from closedbook.errors import UserError

NUMBERS = np.random.default_rng(0)
ARRAYS = {
    "half": NUMBERS.normal(size=(3, 5)).astype(np.float16),
    "single": NUMBERS.normal(size=(7, 2)).astype(np.float32),
    "double": NUMBERS.normal(size=(4,)),
    "brain": NUMBERS.normal(size=(2, 3, 5)).astype(ml_dtypes.bfloat16),
    "empty": np.zeros((0, 4), np.float32),
    "scalar": np.array(3, np.int64),
    "flags": np.array([True, False, True]),
}


def reference() -> Any:
    return pytest.importorskip(
        "safetensors.numpy", reason="the safetensors package is a test extra"
    )


def bits(array: np.ndarray) -> tuple[Any, ...]:
    return array.dtype, array.shape, array.tobytes()


def test_reads_what_the_safetensors_package_writes_and_the_reverse(tmp_path: pathlib.Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    reference().save_file(ARRAYS, theirs, metadata={"format": "pt"})
    opened = open_safetensors(theirs)
    assert {name: bits(tensor.read()) for name, tensor in opened.items()} == {
        name: bits(array) for name, array in ARRAYS.items()
    }
    write_safetensors(ours, opened)
    back = reference().load_file(ours)
    assert {name: bits(array) for name, array in back.items()} == {
        name: bits(array) for name, array in ARRAYS.items()
    }


def test_arrays_start_at_multiples_of_their_items_and_the_metadata_names_torch(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "file"
    write_safetensors(path, {name: Tensor.of(array, name) for name, array in ARRAYS.items()})
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    assert length % 8 == 0
    assert all(
        entry["data_offsets"][0] % ARRAYS[name].itemsize == 0 for name, entry in header.items()
    )


def test_parts_are_read_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    array = NUMBERS.normal(size=(300, 200)).astype(np.float32)
    write_safetensors(path, {"pad": Tensor.of(array[:1, :1], ""), "a": Tensor.of(array, "")})
    tensor = open_safetensors(path)["a"]
    for index in [(), (slice(7, 9),), (slice(None), slice(3, 150)), (slice(5, 250, 7), slice(9))]:
        np.testing.assert_array_equal(tensor.read(index), array[index])


def test_a_file_that_shrinks_after_opening_is_an_error_and_no_crash(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    array = NUMBERS.normal(size=(3000, 200)).astype(np.float32)
    write_safetensors(path, {"a": Tensor.of(array, "")})
    tensor = open_safetensors(path)["a"]
    with path.open("r+b") as file:
        file.truncate(10_000)
    for index in [(), (slice(2990, 3000),)]:
        with pytest.raises(UserError, match=r"file: a cannot be read.*copy or download"):
            tensor.read(index)


def test_a_type_that_safetensors_lacks_is_not_written(tmp_path: pathlib.Path) -> None:
    odd = Tensor.of(np.zeros(2, np.complex128), "model: odd")
    with pytest.raises(UserError, match="model: odd is of type complex128"):
        write_safetensors(tmp_path / "file", {"odd": odd})


def write_raw(
    path: pathlib.Path, header: Any, data: bytes = b"", length: int | None = None
) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


def entry(shape: Any, begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, "b: its data_offsets overlap"),
        ({"a": entry([2], 0, 8), "b": entry([1], 12, 16)}, "b: its data_offsets leave a gap"),
        ({"a": entry([1], 4, 8)}, "a: its data_offsets leave a gap"),
        ({"a": entry([2], 0, 8)}, "holds 16 bytes of tensors where its header describes 8"),
        ({"a": entry([5], 0, 20)}, "a: its data_offsets 0, 20 are not within"),
        ({"a": entry([2**61], 0, 2**63 - 1)}, "a: its data_offsets .* are not within"),
        ({"a": entry([2**40, 2**40], 0, 16)}, "a: shape .* takes 4835703278458516698824704"),
        ({"a": entry([3], 0, 16)}, "a: shape .3. of F32 takes 12 bytes, its data_offsets span 16"),
        ({"a": entry([-4], 0, 16)}, "a: its shape"),
        ({"a": entry([4.0], 0, 16)}, "a: its shape"),
        ({"a": entry([True] * 4, 0, 16)}, "a: its shape"),
        ({"a": entry([1] * 33, 0, 16)}, "a: its shape"),
        ({"a": entry("4", 0, 16)}, "a: its shape"),
        ({"a": entry([4], 16, 0)}, "a: its data_offsets 16, 0"),
        ({"a": entry([4], 0, "16")}, "a: its data_offsets are not"),
        ({"a": entry([4], 0, 16, dtype="F8_E4M3")}, "a has the type 'F8_E4M3'.*BF16"),
        ({"a": entry([4], 0, 16, dtype=["F32"])}, "a has the type"),
        ({"a": {"dtype": "F32", "shape": [4]}}, "a: its header needs"),
        ({"a": [4]}, "a: its header needs"),
        ({"a\n\x1b[31m": entry([4], 0, 16)}, r"malformed name 'a\\n\\x1b"),
        ([1], "not an object"),
        (b'{"a": 1, "a": 2}', "'a' appears twice"),
        (b"{", "damaged safetensors header"),
        (b"\xff\xfe", "damaged safetensors header"),
        (b"[" * 100_000, "damaged safetensors header"),
        (b'{"a": ' + b"9" * 5000 + b"}", "damaged safetensors header"),
    ],
)
def test_a_header_that_contradicts_itself_or_the_file_is_refused(
    tmp_path: pathlib.Path, header: Any, message: str
) -> None:
    path = tmp_path / "model.safetensors"
    write_raw(path, header, bytes(16))
    with pytest.raises(UserError, match=message) as error:
        open_safetensors(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("length", [17, 2**62, 2**64 - 1])
def test_a_header_longer_than_the_file_is_not_allocated(
    tmp_path: pathlib.Path, length: int
) -> None:
    path = tmp_path / "model.safetensors"
    write_raw(path, {}, bytes(14), length=length)
    with pytest.raises(UserError, match=f"claims a header of {length}"):
        open_safetensors(path)


def test_every_truncation_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {name: Tensor.of(array, name) for name, array in ARRAYS.items()})
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"model\.safetensors"):
            open_safetensors(path)


def test_damaged_bytes_give_values_or_an_error_that_names_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {name: Tensor.of(array, name) for name, array in ARRAYS.items()})
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(500):  # most damage is in the numbers and goes unseen
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            for tensor in open_safetensors(path).values():
                tensor.read()
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017
