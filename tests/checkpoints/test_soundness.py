"""Damaged checkpoints are told where they are read, and passed over where nobody named them."""

import logging
import pathlib
import shutil
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook import digests
from closedbook.checkpoints import (
    CheckpointStore,
    load_params,
    newest_good,
    open_checkpoint,
    soundness,
)
from closedbook.checkpoints.convert import Options, convert, plan
from closedbook.checkpoints.opening import find, whole_checkpoints
from closedbook.errors import UserError

TREE = {"a": {"kernel": np.arange(4096, dtype=np.float32).reshape(64, 64)}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> pathlib.Path:
    """A run of two checkpoints."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    tree = jax.tree.map(jnp.asarray, TREE)
    store = CheckpointStore(folder)
    for step in (1, 2):
        store.save(step, params=tree, opt_state=(jnp.int32(step), tree), run={"seed": step})
    store.close()
    return folder


@pytest.fixture
def run(saved, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(saved, tmp_path / "run"))


def flip(path: pathlib.Path) -> None:
    """Inverts a byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def largest(folder: pathlib.Path) -> pathlib.Path:
    """The file with the arrays' numbers."""
    return max(folder.glob("**/d/*"), key=lambda path: path.stat().st_size)


def _empty(checkpoint: pathlib.Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


# What happens to a checkpoint, and what its message says.
DAMAGE: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "a byte of the parameters": (
        lambda c: flip(largest(c / "params")),
        r"params/\S+ is not as it was written",
    ),
    "parameters cut to nothing": (
        lambda c: largest(c / "params").write_bytes(b""),
        r"params/\S+ has 0 bytes, not \d+",
    ),
    "no manifest": (
        lambda c: (c / "params" / "manifest.ocdbt").unlink(),
        r"params/manifest\.ocdbt is missing",
    ),
    "no parameters": (lambda c: shutil.rmtree(c / "params"), r"params/\S+ is missing"),
    "no run": (lambda c: shutil.rmtree(c / "run"), r"run/\S+ is missing"),
    "run cut": (
        lambda c: (c / "run" / "metadata").write_bytes(b'{"s'),
        r"run/metadata has 3 bytes, not \d+",
    ),
    "a byte of the digests": (lambda c: flip(c / digests.FILE), r"digests\.json is not as it was"),
    "an empty folder": (_empty, "it is empty"),
    "metadata cut": (
        lambda c: (c / "_CHECKPOINT_METADATA").write_bytes(b'{"item_handlers": {'),
        "_CHECKPOINT_METADATA cannot be read",
    ),
}
# The same where the checkpoint is of a time without digests: what can be seen without them.
WITHOUT = {
    "parameters cut to nothing": r"params/\S+ has 0 bytes",
    "no manifest": r"params",
    "no parameters": "params is missing",
    "an empty folder": "it is empty",
    "metadata cut": "_CHECKPOINT_METADATA cannot be read",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_newest_checkpoint_is_refused_by_name_and_passed_over_else(what, run, caplog):
    make, message = DAMAGE[what]
    make(run / "checkpoint_2")
    with pytest.raises(UserError) as caught:
        open_checkpoint(run / "checkpoint_2")
    assert caught.match(rf"^{run}/checkpoint_2 is damaged: {message}")
    assert caught.match(rf"the newest good one is {run}/checkpoint_1: name that one, or to go on")
    assert caught.match(f"mv {run}/checkpoint_2 {run}/broken_checkpoint_2\n")
    with caplog.at_level(logging.WARNING, "closedbook"):
        opened = open_checkpoint(run)
    [line] = [each for each in caplog.messages if each.startswith("skipping")]
    assert line.startswith(f"skipping {run}/checkpoint_2, which is damaged: ")
    assert opened.step == 1
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), TREE)
    jax.tree.map(np.testing.assert_array_equal, load_params(opened, wanted), TREE)
    assert whole_checkpoints(run) == [f"{run}/checkpoint_1"]
    assert newest_good(run) == 1
    # The command of the message puts things right.
    (run / "checkpoint_2").rename(run / "broken_checkpoint_2")
    store = CheckpointStore(run)
    assert store.latest_step() == 1
    store.close()


@pytest.mark.parametrize("what", WITHOUT)
def test_checkpoints_without_digests_are_checked_for_what_can_be_seen(what, run, caplog):
    for step in (1, 2):
        (run / f"checkpoint_{step}" / digests.FILE).unlink()
    assert find(run).step == 2
    DAMAGE[what][0](run / "checkpoint_2")
    with pytest.raises(UserError, match=rf"checkpoint_2 is damaged: {WITHOUT[what]}"):
        open_checkpoint(run / "checkpoint_2")
    assert open_checkpoint(run).step == 1


@pytest.mark.parametrize("what", DAMAGE)
def test_training_refuses_to_go_on_from_a_damaged_checkpoint(what, run):
    DAMAGE[what][0](run / "checkpoint_2")
    with pytest.raises(UserError, match=r"checkpoint_2 is damaged: .*(?s:.*)the same command"):
        _restore(run, 2)
    params, opt_state, record = _restore(run, 1)
    assert (int(opt_state[0]), record) == (1, {"seed": 1})
    jax.tree.map(np.testing.assert_array_equal, params, TREE)


def _restore(run: pathlib.Path, step: int):
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), TREE)
    store = CheckpointStore(run)
    try:
        count = jax.ShapeDtypeStruct((), jnp.int32)
        return store.restore(step, params=wanted, opt_state=(count, wanted))
    finally:
        store.close()


def test_a_large_optimisers_damage_is_told_to_who_reads_it_and_stops_nobody_else(run, monkeypatch):
    monkeypatch.setattr(soundness, "_SMALL", 10)
    flip(largest(run / "checkpoint_2" / "optimizer"))
    assert open_checkpoint(run).step == 2
    with pytest.raises(UserError, match=r"checkpoint_2 is damaged: optimizer/"):
        _restore(run, 2)
    assert newest_good(run) == 1


def test_a_run_of_which_nothing_is_whole_is_told(run):
    for step in (1, 2):
        flip(largest(run / f"checkpoint_{step}" / "params"))
    message = rf"{run}/checkpoint_2 is damaged: params/.*no other checkpoint in {run} is whole"
    for call in (open_checkpoint, whole_checkpoints):
        with pytest.raises(UserError, match=message):
            call(run)
    assert newest_good(run) is None


def test_an_earlier_checkpoint_that_is_damaged_disturbs_nobody(run):
    flip(largest(run / "checkpoint_1" / "params"))
    assert open_checkpoint(run).step == 2
    assert _restore(run, 2)[2] == {"seed": 2}
    with pytest.raises(UserError) as caught:
        open_checkpoint(run / "checkpoint_1")
    assert "name that one" in str(caught.value)
    assert "mv" not in str(caught.value)


def test_what_a_user_puts_beside_is_no_damage(run):
    (run / "checkpoint_2" / "notes.txt").write_text("the best so far")
    (run / "checkpoint_2" / "params" / "more").write_bytes(b"")
    store = CheckpointStore(run)
    store.scored(2, {"quiz/em": 3.0})  # its scores come later, too
    store.close()
    assert open_checkpoint(run).step == 2


def test_all_files_of_a_save_have_digests_and_get_their_name_with_it(saved):
    """Those that Orbax changes at the rename are checked for their form."""
    for step in (1, 2):
        checkpoint = saved / f"checkpoint_{step}"
        files = {p.relative_to(checkpoint).as_posix() for p in checkpoint.rglob("*") if p.is_file()}
        without = {digests.FILE, "_CHECKPOINT_METADATA", "commit_success.txt"}
        assert set(digests.read(checkpoint)) == files - without
        assert not list(saved.glob("*tmp*"))


@pytest.mark.parametrize(
    ("to", "files"),
    [
        ("closedbook", "params/*/0*"),
        ("closedbook", "optimizer/*/0*"),
        ("t5x", "checkpoint"),
        ("t5x", "target.*/0*"),
        ("t5x-orbax", "state/*/0*"),
        ("huggingface", "*.safetensors"),
    ],
)
def test_a_byte_of_anything_that_convert_writes_is_found(to, files, factored_checkpoint, tmp_path):
    options = Options(to=to, vocabulary=pathlib.Path("bytes"))
    made = convert(factored_checkpoint, tmp_path / "made", options)
    assert open_checkpoint(made).params
    path = max(made.glob(files), key=lambda path: path.stat().st_size)
    flip(path)
    file = path.relative_to(made).as_posix()
    with pytest.raises(UserError, match=rf"{made} is damaged: {file} is not as it was written"):
        plan(made, Options(to="t5x"))
