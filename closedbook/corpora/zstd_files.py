"""Files compressed with Zstandard, read so that a file that ends early is noticed."""

import io
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import zstandard
    from _typeshed import WriteableBuffer

_READ_AT_ONCE = 1 << 17  # bytes of the compressed file


def open_read(file: IO[bytes]) -> IO[bytes]:
    """What a compressed file holds; its frames may be several.

    Reading raises `zstandard.ZstdError` where the file is damaged and EOFError where it ends too
    early; the package's own reader takes an early end for the end.
    """
    return io.BufferedReader(_Unpacked(file), 1 << 17)


class _Unpacked(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""  # read and not unpacked yet
        self._ready = b""  # unpacked and not given out yet

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while not self._ready and self._unpack():
            pass
        room = memoryview(buffer)
        given = self._ready[: len(room)]
        self._ready = self._ready[len(given) :]
        room[: len(given)] = given
        return len(given)

    def _unpack(self) -> bool:
        """Unpacks some more; False at the end."""
        import zstandard

        packed = self._packed or self._file.read(_READ_AT_ONCE)
        if not packed:
            if self._frame is not None:
                raise EOFError("it ends before its last frame does")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready = self._frame.decompress(packed)
        self._packed = b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None
        return True
