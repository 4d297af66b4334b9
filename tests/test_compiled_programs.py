"""Where compiled programs are kept: seen from a process that imports JAX."""

import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
from closedbook.compiled_programs import keep_compiled_programs
keep_compiled_programs()
import os
before = os.environ.get("JAX_COMPILATION_CACHE_DIR")
import jax
print(before, jax.config.jax_compilation_cache_dir)
if {compiles}:
    jax.jit(lambda x: x @ x + 1).lower(jax.ShapeDtypeStruct((64, 64), "float32")).compile()
"""


def _seen(*, compiles: bool = False, **environment: str) -> tuple[str, str]:
    left = {name: value for name, value in os.environ.items() if "CACHE" not in name} | environment
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(compiles=compiles)],
        env=left,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    before, after = done.stdout.split()
    return before, after


def test_programs_are_kept_in_the_users_cache_for_this_processor_alone(tmp_path):
    before, folder = _seen(
        compiles=True,
        CLOSEDBOOK_CACHE=str(tmp_path),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert before == "None"  # nothing is made before somebody imports JAX
    path = pathlib.Path(folder)
    assert path.parent == tmp_path / "compiled"
    assert path.name.startswith("jaxlib-")
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.glob("jit__lambda*-cache")]
    assert _seen(CLOSEDBOOK_CACHE=str(tmp_path)) == (before, folder)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"JAX_COMPILATION_CACHE_DIR": "/own/folder"}, "/own/folder"),
        ({"JAX_ENABLE_COMPILATION_CACHE": "false"}, "None"),
        ({"CLOSEDBOOK_CACHE": "/proc/nowhere"}, "None"),
    ],
)
def test_what_the_user_says_counts_and_what_cannot_be_written_stops_nothing(environment, folder):
    assert _seen(**environment)[1] == folder
