"""The benchmark for GPUs runs where there are no data pipelines, and counts what it says."""

import json
import subprocess
import sys

PROGRAM = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "seqio", "tensorflow_datasets"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import json
from benchmarks import gpu
gpu.LENGTHS.update(inputs=16, targets=8)
for name in ("train@tiny", "decode@tiny"):
    print(json.dumps(gpu.cell(name, 4, 2)))
"""


def test_it_trains_and_decodes_without_tensorflow_and_seqio():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    train, decode = map(json.loads, done.stdout.splitlines()[-2:])
    assert len(train["seconds"]) == len(decode["seconds"]["ours"]) == 2
    assert train["platform"] == "cpu"
    assert train["mfu"] is None  # nothing is said of a device that is not known
    # Layers: 2 x 16 tokens of the encoder and 2 x 8 of the decoder; output 8 x 2 x 32 x vocabulary.
    output = 3 * 4 * 8 * 2 * 32 * 32128
    assert output < train["flops"] < 1.2 * output
