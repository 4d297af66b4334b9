"""Our reader of torch's state dicts against torch, and against files that would run code."""

import io
import os
import pathlib
import pickle
import random
import struct
import tracemalloc
import warnings
import zipfile
from typing import Any

import numpy as np
import pytest

from closedbook.checkpoints.files.file_arrays import FileArray
from closedbook.checkpoints.files.torch import open_torch
from closedbook.errors import UserError

FORMATS = {"zip": True, "stream": False}
HEADER = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001})


def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is a test extra, not a dependency")


def save(state: Any, path: pathlib.Path, kind: str, **options: Any) -> None:
    torch().save(state, path, _use_new_zipfile_serialization=FORMATS[kind], **options)


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    """A file format of torch's."""
    return str(request.param)


def test_reads_tensors_of_all_types_shapes_and_strides(tmp_path: pathlib.Path, kind: str) -> None:
    t = torch()
    matrix = t.randn(30, 40)
    state = {
        "single": matrix,
        "half": matrix.half(),
        "brain": matrix.bfloat16(),
        "double": matrix.double(),
        "long": t.arange(5),
        "transposed": matrix.T,
        "part": matrix[3:7, 2:30:3],
        "column": matrix[:, 5],
        "cube": t.randn(2, 3, 4).permute(2, 0, 1),
        "scalar": t.tensor(2.5),
        "empty": t.zeros(0, 3),
        "parameter": t.nn.Parameter(matrix[1:3]),
    }
    save(state, tmp_path / "file", kind)
    opened = open_torch(tmp_path / "file")
    assert list(opened) == list(state)
    for name, tensor in opened.items():
        want = state[name].detach()
        got = tensor.read()
        assert got.shape == tensor.shape == tuple(want.shape)
        assert got.dtype == tensor.dtype
        assert got.dtype.name == str(want.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(got.astype(np.float64), want.double().numpy(), name)
        assert got.flags.c_contiguous
    index = (slice(4, 9), slice(2, 30, 3))
    np.testing.assert_array_equal(opened["transposed"].read(index), matrix.T.numpy()[index])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_state_dicts_of_modules_in_every_binary_protocol(
    tmp_path: pathlib.Path, kind: str, protocol: int
) -> None:
    t = torch()
    state = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.Embedding(5, 3)).state_dict()
    save(state, tmp_path / "file", kind, pickle_protocol=protocol)
    opened = open_torch(tmp_path / "file")
    for name, want in state.items():
        np.testing.assert_array_equal(opened[name].read(), want.numpy())


def test_tensors_of_one_storage_are_known_to_be_the_same(tmp_path: pathlib.Path, kind: str) -> None:
    t = torch()
    shared = t.randn(4, 4)
    save({"a": shared, "b": shared, "c": shared.clone()}, tmp_path / "file", kind)
    opened = open_torch(tmp_path / "file")
    assert opened["a"].load == opened["b"].load
    assert opened["a"].load != opened["c"].load


def test_reading_a_small_tensor_of_a_large_file_reads_that_tensor_alone(
    tmp_path: pathlib.Path, kind: str
) -> None:
    t = torch()
    save({"large": t.zeros(20_000_000), "small": t.ones(3)}, tmp_path / "file", kind)
    tracemalloc.start()
    np.testing.assert_array_equal(open_torch(tmp_path / "file")["small"].read(), np.ones(3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


class Call:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: Any, *arguments: Any):
        self.pickled = function, arguments

    def __reduce__(self) -> Any:
        return self.pickled


def attacks(marker: pathlib.Path) -> dict[str, bytes]:
    """Pickles that leave a marker if they run; some as torch would, some by hand."""
    touch = f"open({str(marker)!r}, 'w').close()"
    system = f"touch {marker}"
    encoded = b"X" + struct.pack("<I", len(system)) + system.encode()
    short = bytes([0x8C, 2]) + b"os" + bytes([0x8C, 6]) + b"system"
    return {
        "os.system": pickle.dumps({"a": Call(os.system, system)}, 2),
        "eval": pickle.dumps({"a": Call(eval, touch)}, 2),
        "exec in protocol 4": pickle.dumps({"a": Call(exec, touch)}, 4),
        "stack global": b"\x80\x04" + short + b"\x93" + encoded + b"\x85R.",
        "text protocol": f"cos\nsystem\n(S'{system}'\ntR.".encode(),
        "instance": f"(S'{system}'\nios\nsystem\n.".encode(),
        "object": f"(cos\nsystem\nS'{system}'\no.".encode(),
        "new object": b"\x80\x02cos\nsystem\n" + encoded + b"\x85\x81.",
        "extension": b"\x80\x02\x82\x01" + encoded + b"\x85R.",
        "getattr of an allowed name": b"\x80\x02cbuiltins\ngetattr\nccollections\nOrderedDict\n"
        b"X\x08\x00\x00\x00__init__\x86R.",
        "dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
        "torch's loader of bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\n"
        + pickle.dumps(Call(eval, touch), 3)[2:-1]
        + b"\x85R.",
        "state of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00"
        b"__code__K\x01sb.",
        "arguments of a dict": b"\x80\x02ccollections\nOrderedDict\n" + encoded + b"\x85R.",
        "call of a string": b"\x80\x02" + encoded + b")R.",
        "call of a storage type": b"\x80\x02ctorch\nFloatStorage\n" + encoded + b"\x85R.",
        "persistent object": b"\x80\x02" + encoded + b"Q.",
        "persistent module": b"\x80\x02X\x06\x00\x00\x00modulecos\nsystem\n" + encoded + b"\x87Q.",
        "persistent id in a persistent id": b"\x80\x02(X\x07\x00\x00\x00storage"
        b"X\x01\x00\x00\x00aQX\x01\x00\x00\x00aX\x03\x00\x00\x00cpuK\x01tQ.",
    }


def write_pickle(path: pathlib.Path, data: bytes, kind: str) -> None:
    """A torch file with any pickle in it."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    else:
        path.write_bytes(
            b"".join(pickle.dumps(each, 2) for each in HEADER) + data + pickle.dumps([], 2)
        )


@pytest.mark.parametrize("attack", sorted(attacks(pathlib.Path("marker"))))
def test_a_pickle_with_code_runs_nothing_and_is_refused(
    tmp_path: pathlib.Path, kind: str, attack: str
) -> None:
    marker, path = tmp_path / "marker", tmp_path / "pytorch_model.bin"
    write_pickle(path, attacks(marker)[attack], kind)
    with pytest.raises(UserError, match=r"pytorch_model\.bin holds .* it was not run") as error:
        open_torch(path)
    assert not marker.exists()
    if attack == "os.system":
        assert f"the name '{os.system.__module__}.system'" in str(error.value)


def test_the_attacks_are_real(tmp_path: pathlib.Path) -> None:
    for attack in ("os.system", "stack global", "text protocol", "instance", "object"):
        marker = tmp_path / attack.replace(" ", "-")
        pickle.loads(attacks(marker)[attack])
        assert marker.exists(), attack


def tensor_pickle(
    *, numel: Any = 6, offset: Any = 0, shape: Any = (2, 3), strides: Any = (3, 1)
) -> bytes:
    """A state dict of one tensor "a" of storage "0", as torch pickles it."""

    def value(each: Any) -> bytes:
        return pickle.dumps(each, 2)[2:-1]  # without PROTO and STOP

    key = b"X\x07\x00\x00\x00storage", b"ctorch\nFloatStorage\n", b"X\x01\x00\x00\x000"
    location = b"X\x03\x00\x00\x00cpu"
    storage = b"(" + b"".join(key) + location + value(numel) + b"tQ"
    arguments = b"".join(value(each) for each in (offset, shape, strides))
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + arguments + b"\x89}tR"
    return b"\x80\x02}X\x01\x00\x00\x00a" + call + b"s."


def write_tensor(
    path: pathlib.Path, kind: str, *, data: bytes = bytes(24), count: int = 6, **claims: Any
) -> None:
    """A file with `tensor_pickle` and `data` for its storage."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", tensor_pickle(**claims))
            archive.writestr("archive/data/0", data)
    else:
        head = b"".join(pickle.dumps(each, 2) for each in HEADER) + tensor_pickle(**claims)
        path.write_bytes(head + pickle.dumps(["0"], 2) + struct.pack("<q", count) + data)


def test_a_file_made_by_hand_is_read(tmp_path: pathlib.Path, kind: str) -> None:
    data = np.arange(6, dtype="<f4")
    write_tensor(tmp_path / "file", kind, data=data.tobytes(), shape=(3, 2), strides=(1, 3))
    got = open_torch(tmp_path / "file")["a"].read()
    np.testing.assert_array_equal(got, [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize(
    "claims",
    [
        {"offset": 1},
        {"offset": -1},
        {"offset": 2**62},
        {"shape": (2, 4)},
        {"shape": (2, -3)},
        {"shape": (2.0, 3)},
        {"shape": (True, 3)},
        {"shape": (2, 3, 1)},
        {"shape": [2, 3]},
        {"shape": (1,) * 33, "strides": (1,) * 33},
        {"strides": (4, 1)},
        {"strides": (-3, 1)},
        {"strides": (2**59, 1)},
        {"shape": (2**40, 2**40), "strides": (0, 0)},
        {"numel": 7},
        {"numel": 2**50, "shape": (2**50,), "strides": (1,)},
        {"numel": -6},
        {"numel": 6.0},
        {"numel": 10**30},
    ],
    ids=str,
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    tmp_path: pathlib.Path, kind: str, claims: dict[str, Any]
) -> None:
    path = tmp_path / "pytorch_model.bin"
    count = claims.get("numel", 6)
    write_tensor(path, kind, count=count if type(count) is int and count < 2**62 else 6, **claims)
    with pytest.raises(UserError, match=r"pytorch_model\.bin is no readable torch file"):
        open_torch(path)


def test_an_instruction_that_names_a_huge_size_allocates_nothing(
    tmp_path: pathlib.Path, kind: str
) -> None:
    huge = struct.pack("<I", 0x7FFFFFFF)
    bombs = {
        "memo": b"\x80\x02}r" + huge,
        "string": b"\x80\x02X" + huge,
        "bytes": b"\x80\x04\x8e" + huge + huge,
        "byte array": b"\x80\x05\x96" + huge + bytes(4) + b".",
        "long": b"\x80\x02\x8b" + huge,
        "frame": b"\x80\x04\x95" + huge + bytes(4),
    }
    for name, data in bombs.items():
        write_pickle(tmp_path / "file", data, kind)
        tracemalloc.start()
        with pytest.raises(UserError, match="file"):
            open_torch(tmp_path / "file")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000, name


def test_compressed_entries_are_refused_unread(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    claims = {"numel": 25_000_000, "shape": (25_000_000,), "strides": (1,)}
    for pickled, stored in [(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), (zipfile.ZIP_DEFLATED, 0)]:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", tensor_pickle(**claims), pickled)
            archive.writestr("archive/data/0", bytes(100_000_000), stored)
        with pytest.raises(UserError, match="is compressed or encrypted"):
            open_torch(path)


def test_zips_that_are_ambiguous_or_incomplete_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    data = tensor_pickle()
    cases: dict[str, list[tuple[str, bytes]]] = {
        "storage '0' is absent": [("a/data.pkl", data)],
        "has 20 bytes, not 6": [("a/data.pkl", data), ("a/data/0", bytes(20))],
        "no single data.pkl": [("a/data.pkl", data), ("b/data.pkl", data)],
        "two entries of one name": [("a/data.pkl", data), ("a/data.pkl", data)],
        "big-endian": [("a/data.pkl", data), ("a/byteorder", b"big"), ("a/data/0", bytes(24))],
    }
    for message, entries in cases.items():
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
            warnings.simplefilter("ignore")  # of the duplicate name
            for name, content in entries:
                archive.writestr(name, content)
        with pytest.raises(UserError, match=message):
            open_torch(path)


def test_streams_that_contradict_themselves_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    write_tensor(path, "stream")
    whole = path.read_bytes()
    big = whole.replace(pickle.dumps(HEADER[2], 2), pickle.dumps({"little_endian": False}, 2))
    cases = {
        "cut off": whole[:-1],
        "big-endian": big,
        "list of storages": whole.replace(pickle.dumps(["0"], 2), pickle.dumps(["1"], 2)),
        "not one of torch's": pickle.dumps(1, 2) + whole,
        "neither a zip nor a pickle": b"weights",
        "of 5 float32 is cut off": whole.replace(struct.pack("<q", 6), struct.pack("<q", 5)),
    }
    for message, data in cases.items():
        path.write_bytes(data)
        with pytest.raises(UserError, match=message):
            open_torch(path)


def test_what_is_more_or_less_than_weights_is_refused(tmp_path: pathlib.Path, kind: str) -> None:
    t = torch()
    path = tmp_path / "file"
    cases = {
        r"training checkpoint \(keys epoch, state_dict\)": {"epoch": 3, "state_dict": {}},
        "epoch is no tensor but int": {"a": t.zeros(2), "epoch": 3},
        "no dict of named tensors": [t.zeros(2)],
        "holds the name 'torch.nn.modules.linear.Linear'": t.nn.Linear(2, 2),
        "holds the name 'numpy": {"a": np.zeros(3)},
        r"malformed name 'a\\n'": {"a\n": t.zeros(2)},
    }
    for message, state in cases.items():
        save(state, path, kind)
        with pytest.raises(UserError, match=message):
            open_torch(path)


def test_every_truncation_and_damaged_byte_gives_values_or_a_user_error(
    tmp_path: pathlib.Path, kind: str
) -> None:
    t = torch()
    path = tmp_path / "file"
    save({"a": t.randn(3, 4), "b": t.randn(5).half()}, path, kind)
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(300):  # some damage is in the numbers and goes unseen
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            for tensor in open_torch(path).values():
                tensor.read()
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017
    for size in range(0, len(whole), 13):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError):
            open_torch(path)


def test_large_transposed_matrices_are_copied_right(tmp_path: pathlib.Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 2**16, (1030, 330))
    for dtype in (np.uint8, np.uint16, np.uint32, np.float64, np.complex128):
        array = numbers.astype(dtype)
        path = tmp_path / "raw"
        path.write_bytes(b"odd" + array.tobytes())
        there = FileArray.contiguous(path, 3, array.dtype, array.shape).transposed
        np.testing.assert_array_equal(there(), array.T)
        np.testing.assert_array_equal(there((slice(3, 320), slice(5, 999))), array.T[3:320, 5:999])


def test_pickles_longer_than_any_description_are_refused(
    tmp_path: pathlib.Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("closedbook.checkpoints.files.state_pickles.MAX_BYTES", 300)
    buffer = io.BytesIO()
    pickle.dump({str(i): i for i in range(100)}, buffer, 2)
    write_pickle(tmp_path / "file", buffer.getvalue(), kind)
    with pytest.raises(UserError, match="is longer than a state dict's pickle"):
        open_torch(tmp_path / "file")


def test_a_byte_of_a_storage_is_found_by_the_zips_checksum(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch().save({"a": torch().arange(1000.0), "b": torch().ones(3)}, path)
    content = path.read_bytes()
    at = content.index(torch().arange(1000.0).numpy().tobytes())
    path.write_bytes(content[: at + 40] + b"\xff" + content[at + 41 :])
    found = open_torch(path)
    assert found["b"].read().tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(UserError, match=r"a cannot be read: .*CRC-32"):
        found["a"].read()
