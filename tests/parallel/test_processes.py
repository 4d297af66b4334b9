"""What processes tell each other: one alone, and two."""

import json
import os
import socket
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.parallel import processes

# Run by each of two processes: its index and the port of the first.
PROGRAM = """
import json, sys
import jax, numpy as np
from closedbook.parallel import Partitioner, processes
index, port = int(sys.argv[1]), sys.argv[2]
processes.initialize_processes(coordinator_address=f"localhost:{port}", process_count=2,
                               process_index=index, initialization_timeout=60)
rows = Partitioner().put_rows(np.arange(6).reshape(2, 3))
assert not rows.is_fully_addressable
print(json.dumps({
    "own": list(Partitioner().own_rows(6)),
    "first": processes.is_first(), "alone": processes.is_alone(),
    "gathered": {"rows": processes.gather({"rows": rows})["rows"].tolist()},
    "of_first": processes.of_first(2**31 - 1 - index),
    "stop": processes.any_is_to_stop(1),
}))
"""


def test_a_process_alone_is_the_first_and_keeps_what_it_has():
    assert processes.is_first()
    assert processes.is_alone()
    assert processes.of_first(2**31 - 1) == 2**31 - 1
    assert not processes.any_is_to_stop(3)
    gathered = processes.gather({"a": jnp.arange(3), "b": (jnp.zeros((2, 2)),)})
    assert isinstance(gathered["a"], np.ndarray)
    np.testing.assert_array_equal(gathered["a"], [0, 1, 2])
    assert isinstance(gathered["b"][0], np.ndarray)


def test_two_processes_agree():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(index), str(port)],
            env=os.environ | {"XLA_FLAGS": " ".join(flags)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    for process, (_, err) in zip(both, outputs, strict=True):
        assert process.returncode == 0, err
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in outputs)
    assert (first.pop("first"), second.pop("first")) == (True, False)
    assert (first.pop("own"), second.pop("own")) == ([0, 1, 2], [3, 4, 5])
    assert (
        first
        == second
        == {
            "alone": False,
            "gathered": {"rows": [[0, 1, 2], [3, 4, 5]]},
            "of_first": 2**31 - 1,
            "stop": False,
        }
    )


def test_half_an_address_is_refused():
    with pytest.raises(UserError, match="give all of --coordinator_address, --process_count"):
        processes.initialize_processes(coordinator_address="localhost:1", process_count=2)
