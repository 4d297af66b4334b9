"""Reads the pickle of a torch state dict without unpickling: nothing in a file can be called.

A pickle is a program. This interpreter knows only the instructions that build dicts, lists,
tuples, numbers and strings, and three functions of torch's that describe tensors; anything else
ends the reading with an error. Every object made is as large as bytes read, so a file cannot make
us allocate what it merely claims. (Python's own unpickler grows its memo to any index that a
five-byte instruction names.)
"""

import dataclasses
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

MAX_BYTES = 100_000_000  # of one pickle; that of an 11B model has 300 kB
_STORAGES: dict[str, np.dtype] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
STORAGE = "torch storage type"
_FUNCTIONS = {
    ("collections", "OrderedDict"): "dict",
    ("torch._utils", "_rebuild_tensor"): "tensor",
    ("torch._utils", "_rebuild_tensor_v2"): "tensor",
    ("torch._utils", "_rebuild_parameter"): "parameter",
}


class ForbiddenPickleError(ValueError):
    """The pickle names something that a state dict does not need; the message says what."""


@dataclasses.dataclass(frozen=True)
class StorageRef:
    """A block of numbers that tensors share.

    Attributes:
        key: Its name in the file.
        dtype: Type of its elements.
        numel: Its length in elements, as the pickle claims.
    """

    key: str
    dtype: np.dtype
    numel: int


@dataclasses.dataclass(frozen=True)
class TensorRef:
    """A view of a storage, in elements; checked to lie within what the storage claims."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class _Global:
    """A name of a module, inert: a function of `_FUNCTIONS` or the type of a storage."""

    kind: str
    dtype: np.dtype | None = None


class BoundedReader:
    """What `pickletools` reads from: never more than `MAX_BYTES` in all."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._left = MAX_BYTES

    def _take(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        if not 0 <= size <= self._left:
            raise ValueError(f"a value of {size} bytes is longer than a state dict's pickle")
        return self._take(self._file.read(size))

    def readline(self) -> bytes:
        """A line, of at most a thousand bytes."""
        return self._take(self._file.readline(min(self._left, 1000)))


def read_pickle(file: BinaryIO) -> object:
    """The object of the pickle at the file's position, which moves to its end.

    Returns:
        Dicts (OrderedDicts too), lists, tuples, str, bytes, numbers, None and `TensorRef`s.

    Raises:
        ForbiddenPickleError: It names a function, class or instruction that a state dict lacks.
        ValueError: It is damaged.
    """
    machine = _Machine()
    reader: Any = BoundedReader(file)
    try:
        for opcode, argument, _ in pickletools.genops(reader):
            if opcode.name == "STOP":
                return machine.pop()
            if (step := _STEPS.get(opcode.name)) is None:
                raise ForbiddenPickleError(f"the instruction {opcode.name}")
            step(machine, argument)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"its pickle is damaged: {type(error).__name__}") from error
    raise ValueError("its pickle has no end")


class _Machine:
    """Stack, marks and memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):
                raise TypeError
            target[key] = value

    def append_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError
        self.stack[-1].extend(items)

    def import_name(self, module: str, name: str) -> None:
        kind = _FUNCTIONS.get((module, name))
        if kind:
            self.stack.append(_Global(kind))
        elif module == "torch" and name in _STORAGES:
            self.stack.append(_Global(STORAGE, _STORAGES[name]))
        else:
            raise ForbiddenPickleError(f"the name {f'{module}.{name}'[:160]!a}")

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError
        self.import_name(module, name)

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not _Global or type(arguments) is not tuple:
            raise ForbiddenPickleError("a call of something that is no function")
        if function.kind == "tensor" and not any(arguments[6:]):  # conjugated or negated views
            self.stack.append(_tensor(*arguments[:4]))
        elif function.kind == "parameter" and arguments and type(arguments[0]) is TensorRef:
            self.stack.append(arguments[0])
        elif function.kind == "dict" and not arguments:
            self.stack.append({})
        else:
            raise ForbiddenPickleError(f"a call of {function.kind} with such arguments")

    def storage(self) -> None:
        identity = self.pop()
        if type(identity) is not tuple or identity[0] != "storage":
            raise ForbiddenPickleError("a persistent object that is no storage")
        kind, key, _, numel, *view = identity[1:]
        if type(kind) is not _Global or kind.dtype is None or type(key) is not str:
            raise ForbiddenPickleError("a storage of no known type")
        if any(each is not None for each in view):
            raise ForbiddenPickleError("a storage that is a view of another")
        if not _natural(numel):
            raise ValueError(f"storage {key[:80]!r} claims {str(numel)[:40]} elements")
        self.stack.append(StorageRef(key, kind.dtype, numel))

    def build(self) -> None:
        self.pop()  # the `_metadata` of an OrderedDict
        if type(self.stack[-1]) is not dict:
            raise ForbiddenPickleError("a state for something that is no dict")


def _natural(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**60


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> TensorRef:
    """A tensor, within its storage and not larger than it."""
    if type(storage) is not StorageRef or type(shape) is not tuple or type(strides) is not tuple:
        raise TypeError
    if (
        len(shape) != len(strides)
        or len(shape) > 32
        or not all(map(_natural, (offset, *shape, *strides)))
    ):
        raise ValueError(f"a tensor of storage {storage.key[:80]!r} has a malformed shape")
    elements = 1
    for n in shape:
        elements *= n
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if elements > storage.numel or (elements and last >= storage.numel):
        raise ValueError(
            f"a tensor of shape {shape} with strides {strides} at {offset} reaches outside its "
            f"storage {storage.key[:80]!r} of {storage.numel} elements"
        )
    return TensorRef(storage, offset, shape, strides)


def _push(machine: _Machine, argument: object) -> None:
    machine.stack.append(argument)


def _import(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.import_name(module, name)


def _remember(machine: _Machine, index: int | None) -> None:
    machine.memo[len(machine.memo) if index is None else index] = machine.stack[-1]


_PUSHES = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
)
_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, argument: None),
    **dict.fromkeys(_PUSHES, _push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, index: m.stack.append(m.memo[index])),
    "NONE": lambda m, _: m.stack.append(None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.pop(),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "LIST": lambda m, _: m.stack.append(m.since_mark()),
    "APPEND": lambda m, _: m.append_items([m.pop()]),
    "APPENDS": lambda m, _: m.append_items(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "GLOBAL": _import,
    "STACK_GLOBAL": lambda m, _: m.stack_global(),
    "REDUCE": lambda m, _: m.call(),
    "BINPERSID": lambda m, _: m.storage(),
    "BUILD": lambda m, _: m.build(),
}
