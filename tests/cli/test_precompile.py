"""`t5x precompile` as a command: what it refuses before it compiles anything."""

import pathlib

import pytest

from closedbook.cli.runs import precompile
from closedbook.errors import UserError

ATLAS = pathlib.Path(__file__).parents[2] / "tasks" / "atlas" / "data" / "atlas.model"
FILES = ["nq_tiny.gin"]
SETTINGS = {"topology": "cpu:8", "fit": False, "mfu": 0.4, "device_memory": None, "as_json": True}


@pytest.mark.parametrize(
    ("bindings", "settings", "message"),
    [
        ([], {"mfu": 1.5}, "--mfu is 1.5; give a share of the peak"),
        ([], {"device_memory": -1.0}, "--device_memory is -1.0; give the GiB"),
        ([], {"topology": "v9:2"}, "unknown topology 'v9:2'"),
        (["EVAL_PERIOD = -5"], {}, "eval_period is -5"),
        (["BATCH_SIZE = 6"], {}, "does not split over 8 data-parallel devices"),
    ],
)
def test_a_slip_is_one_message(bindings, settings, message):
    vocabulary = f"VOCABULARY_FILE = {str(ATLAS)!r}"
    with pytest.raises(UserError, match=message):
        precompile.run(FILES, [vocabulary, *bindings], [], **SETTINGS | settings)


def test_a_file_of_somebody_else_runs_no_code(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    (tmp_path / "theirs.gin").write_text("import evil\ninclude 'nq_tiny.gin'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"theirs.gin.*evil|evil.*theirs.gin"):
        precompile.run([str(tmp_path / "theirs.gin")], [], [], **SETTINGS, imports_allowed=False)
