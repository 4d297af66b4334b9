"""Converting needs memory for one tensor, not for the model."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from closedbook.checkpoints import Checkpoint, Tensor
from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.huggingface.folders import write_huggingface
from closedbook.models import T5Config

# 2.1 GB in tensors of at most 134 MB.
CONFIG = T5Config(
    vocab_size=32768,
    emb_dim=1024,
    num_heads=16,
    num_encoder_layers=4,
    num_decoder_layers=4,
    head_dim=64,
    mlp_dim=16384,
    mlp_activations=("gelu", "linear"),
    logits_via_embedding=False,
)
LIMIT = 3 * 32768 * 1024 * 4 + 2**30  # bytes: three times the largest tensor, and 1 GiB
PROGRAM = """
import json, pathlib, sys
from closedbook.checkpoints.convert import Options, convert, keep_freed_memory
keep_freed_memory()
source, target, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
print(convert(source, target, Options(**options)))
# Not getrusage's figure, which begins with what the parent had when it forked.
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> pathlib.Path:
    """A Hugging Face folder of 2.1 GB, of numbers that gzip is quick with."""

    def tensor(name: str, shape: tuple[int, ...]) -> Tensor:
        first = np.arange(shape[0], dtype=np.float32) % 97

        def load(index: tuple[slice, ...]) -> np.ndarray:
            whole = np.broadcast_to(first.reshape(-1, *(1,) * (len(shape) - 1)), shape)
            return np.ascontiguousarray(whole[index])

        return Tensor(shape=shape, dtype=np.dtype(np.float32), place=name, load=load)

    params = {name: tensor(name, shape) for name, shape in parameter_shapes(CONFIG).items()}
    folder = tmp_path_factory.mktemp("large")
    write_huggingface(
        folder, Checkpoint(format="", path="", params=params), CONFIG, max_shard_bytes=10**9
    )
    return folder


@pytest.mark.slow
def test_peak_memory_is_that_of_one_tensor(large, tmp_path):
    """Three conversions in a row, so that each of three formats is read and written."""
    source = large
    for to, dtype in (("t5x-orbax", None), ("t5x", "bfloat16"), ("huggingface", "float32")):
        options = json.dumps({"to": to, "dtype": dtype})
        words = [sys.executable, "-c", PROGRAM, str(source), str(tmp_path / to), options]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        written, peak = done.stdout.split()
        size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
        print(f"from {size / 1e9:.2f} GB to {to}: peak {int(peak) / 1e9:.2f} of {LIMIT / 1e9:.2f}")
        assert int(peak) < LIMIT
        assert to == "huggingface" or size > LIMIT
        source = pathlib.Path(written)
    assert sum(path.stat().st_size for path in source.glob("*.safetensors")) > 2e9
