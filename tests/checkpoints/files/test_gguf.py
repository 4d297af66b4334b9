"""Our GGUF reader against the package gguf and against damaged files."""

import pathlib
import random
import struct
import sys
from collections.abc import Callable

import numpy as np
import pytest

from closedbook.checkpoints.files.gguf import open_gguf_file
from closedbook.errors import UserError

gguf = pytest.importorskip("gguf", reason="gguf is an extra")

NUMBERS = np.random.default_rng(0)
ARRAYS = {
    "row": NUMBERS.normal(size=(64,)).astype(np.float32),
    "matrix": NUMBERS.normal(size=(40, 64)).astype(np.float32),
    "block": NUMBERS.normal(size=(2, 3, 5, 32)).astype(np.float32),
}
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
VALUES = {
    "general.name": "Ärger \U0001f600",
    "made.flag": True,
    "made.small": 3,
    "made.decimal": 0.25,
    "made.texts": ["a", "", "ö" * 100],
    "made.numbers": [1, -2, 3],
    "made.decimals": [0.5, 1.5],
}


def write(path: pathlib.Path, kind: str = "Q8_0", alignment: int | None = None) -> pathlib.Path:
    """A file of the arrays above, written by the package gguf."""
    writer = gguf.GGUFWriter(path, "made")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    writer.add_string("general.name", VALUES["general.name"])
    writer.add_bool("made.flag", VALUES["made.flag"])
    writer.add_uint8("made.small", VALUES["made.small"])
    writer.add_float64("made.decimal", VALUES["made.decimal"])
    for name in ("texts", "numbers", "decimals"):
        writer.add_array(f"made.{name}", VALUES[f"made.{name}"])
    quantisation = gguf.GGMLQuantizationType[kind]
    for name, array in ARRAYS.items():
        stored = gguf.quants.quantize(array, quantisation)
        writer.add_tensor(name, stored, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", TYPES)
def test_tensors_are_those_of_the_package_as_float32(kind: str, tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "made.gguf", kind)
    opened = open_gguf_file(path)
    assert list(opened.tensors) == list(ARRAYS)
    assert opened.types == dict.fromkeys(ARRAYS, kind)
    for theirs in gguf.GGUFReader(path).tensors:
        ours = opened.tensors[theirs.name]
        expected = gguf.quants.dequantize(theirs.data, theirs.tensor_type)
        assert (ours.shape, ours.dtype) == (ARRAYS[theirs.name].shape, np.float32)
        np.testing.assert_array_equal(ours.read(), expected)
        # And that is nearly what was written.
        assert np.abs(ours.read() - ARRAYS[theirs.name]).max() < 0.3


def test_metadata_are_plain_values(tmp_path: pathlib.Path) -> None:
    opened = open_gguf_file(write(tmp_path / "made.gguf", alignment=128))
    expected = VALUES | {"general.architecture": "made", "general.alignment": 128}
    assert opened.metadata == expected
    assert {type(value) for value in opened.metadata.values()} == {str, bool, int, float, list}


@pytest.mark.parametrize("alignment", [8, 256])
def test_arrays_are_found_at_any_alignment(alignment: int, tmp_path: pathlib.Path) -> None:
    opened = open_gguf_file(write(tmp_path / "made.gguf", "F32", alignment))
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(opened.tensors[name].read(), array)


@pytest.mark.parametrize("kind", ["F32", "F16", "Q4_1"])
def test_parts_are_read_alone(kind: str, tmp_path: pathlib.Path) -> None:
    opened = open_gguf_file(write(tmp_path / "made.gguf", kind))
    for name, index in [
        ("matrix", (slice(7, 9),)),
        ("matrix", (slice(None), slice(3, 50))),
        ("matrix", (slice(5, 30, 7), slice(9))),
        ("matrix", (slice(4, 4),)),
        ("row", (slice(3, 40, 2),)),
        ("block", (slice(1, 2), slice(0, 2), slice(None), slice(8, 9))),
    ]:
        whole = opened.tensors[name].read()
        np.testing.assert_array_equal(opened.tensors[name].read(index), whole[index])


def test_only_the_rows_that_are_wanted_are_unpacked(tmp_path, monkeypatch) -> None:
    tensor = open_gguf_file(write(tmp_path / "made.gguf", "Q4_1")).tensors["matrix"]
    unpacked = []
    dequantize = gguf.quants.dequantize

    def counting(blocks, kind):
        unpacked.append(blocks.shape)
        return dequantize(blocks, kind)

    monkeypatch.setattr(gguf.quants, "dequantize", counting)
    tensor.read((slice(2, 5),))
    assert unpacked == [(3, 2 * 20)]  # two blocks of 32 numbers in 20 bytes


def test_a_file_that_shrinks_after_opening_is_an_error_and_no_crash(tmp_path) -> None:
    path = write(tmp_path / "made.gguf")
    tensors = open_gguf_file(path).tensors
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4000)
    with pytest.raises(UserError, match=r"made.gguf: block cannot be read"):
        tensors["block"].read()


def test_every_truncated_file_is_refused(tmp_path: pathlib.Path) -> None:
    whole = write(tmp_path / "made.gguf").read_bytes()
    # The last array may be followed by padding, which nobody needs.
    needed = max(
        tensor.load.array.start + tensor.load.array.extent
        for tensor in open_gguf_file(tmp_path / "made.gguf").tensors.values()
    )
    path = tmp_path / "short.gguf"
    for length in [*range(0, 900, 3), *range(900, needed, 97), needed - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"short.gguf.*(incomplete|shorter)"):
            open_gguf_file(path)


def test_damaged_bytes_give_the_users_error_or_another_value(tmp_path: pathlib.Path) -> None:
    whole = write(tmp_path / "made.gguf").read_bytes()
    draw, path, refused = random.Random(0), tmp_path / "damaged.gguf", []
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 1, 4])):
            damaged[draw.randrange(600)] = draw.choice([0, 1, 255, draw.randrange(256)])
        path.write_bytes(damaged)
        try:
            for tensor in open_gguf_file(path).tensors.values():
                tensor.read()
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > 500
    assert [message for message in refused if "damaged.gguf" not in message] == []


def header(
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    tensors: int = 0,
    values: int = 0,
    body: bytes = b"",
    order: str = "<",
) -> bytes:
    return magic + struct.pack(f"{order}IQQ", version, tensors, values) + body + bytes(4096)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def table_line(
    *, name: bytes = b"a", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0
) -> bytes:
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + axes + struct.pack("<IQ", kind, offset)


HUGE = 2**63
MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "does not begin with GGUF"),
    "magic": (header(magic=b"GGML"), "does not begin with GGUF"),
    "version": (header(version=1), "of version 1; those of versions 2 and 3"),
    "big-endian": (header(order=">"), "that is big-endian"),
    "tensor count": (header(tensors=HUGE), f"claims {HUGE} tensors with 4096 bytes left"),
    "value count": (header(values=HUGE), f"claims {HUGE} keys"),
    "text length": (header(values=1, body=struct.pack("<Q", HUGE)), f"takes {HUGE} bytes"),
    "value type": (header(values=1, body=text(b"k") + struct.pack("<I", 99)), "unknown type 99"),
    "count of numbers": (
        header(values=1, body=text(b"k") + struct.pack("<IIQ", 9, 0, HUGE)),
        f"claims {HUGE} numbers in k",
    ),
    "count of texts": (
        header(values=1, body=text(b"k") + struct.pack("<IIQ", 9, 8, 2**40)),
        f"claims {2**40} texts in k",
    ),
    "array of arrays": (
        header(values=1, body=text(b"k") + struct.pack("<IIQ", 9, 9, 1)),
        "k is an array of the type 9",
    ),
    "no UTF-8": (
        header(values=1, body=text(b"k") + struct.pack("<I", 8) + text(b"\xff")),
        "k holds a text that is not UTF-8",
    ),
    "key twice": (
        header(values=2, body=(text(b"k") + struct.pack("<IB", 7, 1)) * 2),
        "the key k twice",
    ),
    "name of a key": (header(values=1, body=text(b"\x1b[2J")), "malformed name"),
    "alignment": (
        header(values=1, body=text(b"general.alignment") + struct.pack("<II", 4, 48)),
        "general.alignment is 48; it must be a power of two",
    ),
    "tensor twice": (header(tensors=2, body=table_line() * 2), "the tensor a twice"),
    "axes": (header(tensors=1, body=table_line(shape=(1,) * 5)), "a has 5 axes"),
    "no axes": (header(tensors=1, body=table_line(shape=())), "a has 0 axes"),
    "empty axis": (header(tensors=1, body=table_line(shape=(32, 0))), r"a has the shape \[0, 32\]"),
    "unknown quantisation": (
        header(tensors=1, body=table_line(kind=4321)),
        "a is quantised as type 4321, which the installed gguf does not unpack",
    ),
    "quantisation without unpacking": (
        header(tensors=1, body=table_line(kind=15, shape=(256,))),
        "a is quantised as Q8_K, which the installed gguf does not unpack",
    ),
    "part of a block": (
        header(tensors=1, body=table_line(kind=8, shape=(33,))),
        "Q8_0 in blocks of 32 cannot have",
    ),
    "size": (
        header(tensors=1, body=table_line(shape=(2**40, 2**40, 2**40))),
        "has the shape",
    ),
    "outside": (header(tensors=1, body=table_line(offset=2**20)), "of a file of"),
    "far outside": (header(tensors=1, body=table_line(offset=2**64 - 32)), "of a file of"),
    "offset": (header(tensors=1, body=table_line(offset=8)), "a begins at 8, no multiple of 32"),
    "overlap": (
        header(tensors=2, body=table_line(shape=(64,)) + table_line(name=b"b", offset=32)),
        "a and b overlap",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_refused_with_its_name_and_the_fault(case, tmp_path) -> None:
    content, message = MALFORMED[case]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_gguf_file(path)
    assert "hostile.gguf" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_huge_claim_takes_no_memory(tmp_path) -> None:
    import tracemalloc

    path = tmp_path / "hostile.gguf"
    contents: list[Callable[[], bytes]] = [
        lambda: header(tensors=2**32),
        lambda: header(values=1, body=text(b"k") + struct.pack("<IIQ", 9, 8, 2**34)),
        lambda: header(tensors=1, body=table_line(shape=(2**34,))),
    ]
    for content in contents:
        path.write_bytes(content())
        tracemalloc.start()
        with pytest.raises(UserError):
            open_gguf_file(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_without_the_package_the_message_says_what_to_install(tmp_path, monkeypatch) -> None:
    path = write(tmp_path / "made.gguf")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UserError, match=r"pip install 'closedbook\[gguf\]'"):
        open_gguf_file(path)


def test_a_file_that_is_not_there_is_the_users_error(tmp_path) -> None:
    with pytest.raises(UserError, match=r"absent.gguf cannot be read: No such file"):
        open_gguf_file(tmp_path / "absent.gguf")
