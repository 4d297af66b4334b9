"""Fixtures shared by all tests."""

import os
import pathlib
import tempfile

import pytest

# Before anything imports JAX, and inherited by the commands that tests run: eight devices to
# test meshes on, and no accelerator, whatever the machine has.
os.environ["JAX_PLATFORMS"] = "cpu"
for _flag in (
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
):
    if _flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_flag}".strip()
# Most of the tests' time is compiling: what one test or command has compiled, the next one loads,
# and what is compiled is compiled without costly optimisations.
_CACHE = tempfile.TemporaryDirectory(prefix="closedbook-xla-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# TensorFlow's start-up notes would fill the output of every failing command.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real data and of other implementations' numbers, beside the checkout."""
    folder = pathlib.Path(os.environ.get("CLOSEDBOOK_SHARED", _REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set CLOSEDBOOK_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def span_texts():
    """The text of each span of a sentence, cut out by bytes."""

    def texts(sentence) -> list[str]:
        text = sentence.text.encode()
        return [text[span.byte_start : span.byte_limit].decode() for span in sentence.spans]

    return texts
