"""Passes lines on to standard error, but for TensorFlow's start-up notes; runs as a program.

It is a process of its own, so that nothing is lost when the one that writes crashes, and so that
what that one starts has a standard error for as long as it lives. Until the end mark comes, what
it reads is sorted line by line; then it says so, and passes on everything as it comes.

Arguments: the descriptor of the pipe to report to, and the end mark.
"""

import contextlib
import os
import re
import select
import sys

READY, SORTED = b"r", b"s"  # what it reports: that it reads, and that all before the mark is out

# What TensorFlow's C++ code writes while it starts, on machines where nothing is wrong.
_NOTES = re.compile(
    rb"oneDNN custom operations|cuda drivers|cuInit|cuda_platform|cudart_stub|TensorRT"
    rb"|Unable to register cu\w+ factory|All log messages before absl::InitializeLog"
    rb"|This TensorFlow binary is optimized|To enable the following instructions"
)


def _main(report: int, mark: bytes) -> None:
    if os.fork():
        return  # nobody has to wait for the one that goes on
    os.chdir("/")  # it may live on, and is to keep no folder busy
    os.write(report, READY)
    held = b""
    while chunk := os.read(0, 1 << 16):
        held += chunk
        before, found, after = held.partition(mark)
        lines = before.splitlines(keepends=True)
        held = lines.pop() if lines and not found and lines[-1][-1:] not in b"\r\n" else b""
        _write(b"".join(line for line in lines if not _NOTES.search(line)))
        if found:
            with contextlib.suppress(OSError):  # the one that wrote has ended
                os.write(report, SORTED)
            os.close(report)
            _write(after)
            break
    if not _NOTES.search(held):
        _write(held)
    while chunk := os.read(0, 1 << 16):
        _write(chunk)


def _write(text: bytes) -> None:
    while text:
        try:
            text = text[os.write(2, text) :]
        except BlockingIOError:
            select.select([], [2], [])
        except OSError:  # its disk is full or its reader gone, as for anybody who writes there
            return


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2].encode())
