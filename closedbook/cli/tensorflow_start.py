"""TensorFlow as our commands use it: to read data, on the CPU, without its start-up notes."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from closedbook.on_import import around_import

# What TensorFlow's C++ code writes while it starts, on machines where nothing is wrong.
_NOTES = re.compile(
    rb"oneDNN custom operations|cuda drivers|cuInit|cuda_platform|cudart_stub|TensorRT"
    rb"|Unable to register cu\w+ factory|All log messages before absl::InitializeLog"
    rb"|This TensorFlow binary is optimized|To enable the following instructions"
)


def prepare_tensorflow() -> None:
    """Settles how TensorFlow starts, whenever something imports it; imports nothing itself.

    It never sees a GPU: it would take the memory that JAX needs, to read files.
    """
    around_import("tensorflow", _quiet_and_on_the_cpu)


@contextlib.contextmanager
def _quiet_and_on_the_cpu() -> Iterator[None]:
    # TF_CPP_MIN_LOG_LEVEL does not reach the notes of TensorFlow 2.21, so the lines are sorted.
    with _without_notes():
        yield
        config = sys.modules["tensorflow"].config
        with contextlib.suppress(RuntimeError):  # somebody has used a device already
            config.set_visible_devices([], "GPU")


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Holds standard error back, C++'s too, and then writes what of it is no start-up note."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(kept, 2)
                held.seek(0)
                lines = [line for line in held if not _NOTES.search(line)]
                os.write(2, b"".join(lines))
    finally:
        os.close(kept)
