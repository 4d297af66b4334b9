"""The store by itself: what is found again, what is refused, what a killed save leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.checkpoints import (
    CheckpointStore,
    find_checkpoint,
    load_params,
    open_checkpoint,
    steps,
)
from closedbook.errors import UserError


@pytest.fixture
def tree():
    return {"a": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "b": {"scale": jnp.ones(4)}}


def _abstract(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def test_what_was_saved_is_restored(tree, tmp_path):
    store = CheckpointStore(tmp_path)
    store.save(3, params=tree, opt_state=(jnp.int32(3), tree), run={"seed": 5, "position": None})
    store.wait()
    params, opt_state, run = store.restore(
        3, params=_abstract(tree), opt_state=_abstract((jnp.int32(3), tree))
    )
    jax.tree.map(np.testing.assert_array_equal, params, tree)
    assert int(opt_state[0]) == 3
    assert run == {"seed": 5, "position": None}
    assert find_checkpoint(tmp_path) == (tmp_path / "checkpoint_3", 3)
    assert find_checkpoint(tmp_path / "checkpoint_3") == (tmp_path / "checkpoint_3", 3)
    store.close()


def test_all_differences_are_listed_at_once(tree, tmp_path):
    store = CheckpointStore(tmp_path, asynchronous=False)
    store.save(1, params=tree, opt_state=tree, run={})
    store.close()
    wanted = {
        "a": {"kernel": jax.ShapeDtypeStruct((3, 2), jnp.float32)},
        "c": {"scale": jax.ShapeDtypeStruct((4,), jnp.float32)},
    }
    with pytest.raises(UserError) as caught:
        load_params(open_checkpoint(tmp_path), wanted)
    message = str(caught.value)
    assert "missing: c/scale (4,)" in message
    assert "extra: b/scale (4,)" in message
    assert "other shape: a/kernel is (2, 3), the model has (3, 2)" in message


def test_half_written_checkpoints_are_not_taken_for_whole_ones(tree, tmp_path):
    store = CheckpointStore(tmp_path, asynchronous=False)
    store.save(1, params=tree, opt_state=tree, run={})
    store.close()
    # What Orbax leaves when it is killed in the middle of a save.
    (tmp_path / "checkpoint_2.orbax-checkpoint-tmp" / "params").mkdir(parents=True)
    assert steps(tmp_path) == [1]
    again = CheckpointStore(tmp_path)
    assert again.latest_step() == 1
    again.save(2, params=tree, opt_state=tree, run={})
    again.close()
    assert steps(tmp_path) == [1, 2]


def test_best_needs_a_metric(tmp_path):
    with pytest.raises(UserError, match=r"keep_best needs SaveCheckpointConfig\.metric"):
        CheckpointStore(tmp_path, keep_best=1)


def test_an_unreadable_folder_is_named(tmp_path):
    (tmp_path / "checkpoint_5" / "params").mkdir(parents=True)
    (tmp_path / "checkpoint_5" / "params" / "_METADATA").write_text("nonsense")
    with pytest.raises(UserError, match="checkpoint_5"):
        open_checkpoint(tmp_path)


def _saved(store, tree, step, scores=None, passing=False):
    store.save(step, params=tree, opt_state=tree, run={}, passing=passing)
    store.wait()
    if scores is not None:
        store.scored(step, scores)


def test_the_best_are_chosen_by_scores_that_come_after_the_save(tree, tmp_path):
    given = {"keep": 1, "keep_best": 1, "metric": "quiz/em"}
    store = CheckpointStore(tmp_path, **given)
    _saved(store, tree, 2, {"quiz/em": 30.0})
    _saved(store, tree, 4, {"quiz/em": 20.0})
    assert steps(tmp_path) == [2, 4]
    store.close()
    # Another process reads the scores where the first left them; one is in Orbax's own place.
    (tmp_path / "checkpoint_2" / "scores.json").unlink()
    (tmp_path / "checkpoint_2" / "metrics").mkdir()
    (tmp_path / "checkpoint_2" / "metrics" / "metrics").write_text('{"quiz/em": 30.0}')
    again = CheckpointStore(tmp_path, **given)
    assert again.has_scores(2)
    _saved(again, tree, 6)
    assert steps(tmp_path) == [2, 6]
    assert not again.has_scores(6)
    again.scored(6, {"quiz/em": 50.0})
    assert steps(tmp_path) == [6]
    again.close()


def test_lower_is_better_where_it_is_said(tree, tmp_path):
    store = CheckpointStore(
        tmp_path, keep_best=1, metric="eval/loss", best_mode="min", asynchronous=False
    )
    for step, loss in ((1, 2.0), (2, 1.0), (3, 3.0)):
        _saved(store, tree, step, {"eval/loss": loss})
    assert steps(tmp_path) == [2, 3]
    store.close()


def test_a_passing_checkpoint_pushes_out_no_other_and_goes_when_it_is_scored(tree, tmp_path):
    store = CheckpointStore(tmp_path, keep=1)
    _saved(store, tree, 2)
    _saved(store, tree, 3, passing=True)
    assert steps(tmp_path) == [2, 3]
    store.scored(3, {"quiz/em": 1.0})
    assert steps(tmp_path) == [2]
    _saved(store, tree, 3)
    assert steps(tmp_path) == [3]
    store.close()


def test_a_passing_checkpoint_that_is_saved_again_stays(tree, tmp_path):
    store = CheckpointStore(tmp_path)
    _saved(store, tree, 3, passing=True)
    _saved(store, tree, 3, {"quiz/em": 1.0})
    assert steps(tmp_path) == [3]
    store.close()
