"""The store in a bucket: what a kill leaves, at any moment, is gone on from and cleaned up.

What a killed process leaves in a bucket is what stood there after one of its writes: the server
keeps all of these states.
"""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.buckets import client, path_at
from closedbook.checkpoints import CheckpointStore, find_checkpoint, open_checkpoint, steps
from closedbook.errors import UserError

RUN = "gs://some-bucket/runs/nq"
INSIDE = "some-bucket/runs/nq/"


@pytest.fixture(autouse=True)
def some_bucket(buckets):
    buckets.made.add("some-bucket")
    buckets.page = 1000


def opened() -> CheckpointStore:
    return CheckpointStore(
        path_at(RUN), keep=1, keep_best=1, metric="eval/loss", best_mode="min", asynchronous=False
    )


def tree(step: int) -> dict[str, jax.Array]:
    return {"kernel": jnp.full((2, 3), step, jnp.float32), "scale": jnp.arange(4.0) + step}


def abstract(values: dict[str, jax.Array]) -> dict[str, jax.ShapeDtypeStruct]:
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), values
    )


def go_on(store: CheckpointStore, last: int = 3) -> int:
    """Restores the newest checkpoint, and saves up to the last; returns where it went on from."""
    first = store.latest_step()
    if first is not None:
        wanted = abstract(tree(first))
        params, opt_state, run = store.restore(first, params=wanted, opt_state=wanted)
        jax.tree.map(np.testing.assert_array_equal, (params, opt_state), (tree(first), tree(first)))
        assert run == {"position": first}
    for step in range(0 if first is None else first + 1, last + 1):
        store.save(step, params=tree(step), opt_state=tree(step), run={"position": step})
        store.scored(step, {"eval/loss": [4.0, 1.0, 3.0, 2.0][step]})
    store.close()
    return -1 if first is None else first


def left(state: dict[str, bytes], buckets) -> None:
    """Lets the bucket hold what a kill has left in it."""
    buckets.objects.clear()
    for name, content in state.items():
        buckets.objects[name] = content
    client.forget()


def test_a_run_goes_on_whenever_it_was_killed(buckets):
    buckets.states = states = []
    assert go_on(opened()) == -1
    buckets.states = None
    assert steps(path_at(RUN)) == [1, 3]  # the best and the newest
    assert {name.partition("/")[0] for name in buckets.under(INSIDE)} == {
        "checkpoint_1",
        "checkpoint_3",
    }
    began = set()
    for state in random.Random(0).sample(states, 6):
        left(state, buckets)
        buckets.objects[f"{INSIDE}train/metrics.jsonl"] = b"{}"
        found = steps(path_at(RUN))
        if found:
            assert open_checkpoint(RUN).step == found[-1]
        began.add(go_on(opened()))
        there = buckets.under(INSIDE)
        assert {name.partition("/")[0] for name in there} - {"checkpoint_1", "checkpoint_3"} <= {
            "train",
            "checkpoint_0",  # scored before the kill, or not: then it counts for nothing
            "checkpoint_2",
        }
        assert steps(path_at(RUN))[-1] == 3
        assert there["train/metrics.jsonl"] == b"{}"
    assert len(began) > 1


def test_only_what_closedbook_has_not_finished_is_removed(buckets, tmp_path):
    """A run that was copied from a disk, with what else lies there."""
    disk = CheckpointStore(tmp_path, asynchronous=False)
    disk.save(2, params=tree(2), opt_state=tree(2), run={"position": 2})
    disk.close()
    for each in (tmp_path / "checkpoint_2").rglob("*"):
        if each.is_file():
            name = each.relative_to(tmp_path).as_posix()
            buckets.objects[INSIDE + name] = each.read_bytes()
            if each.name != "commit_success.txt":  # earlier versions of Orbax wrote none
                older = name.replace("checkpoint_2", "checkpoint_1")
                if each.name != "digests.json":
                    buckets.objects[INSIDE + older] = each.read_bytes()
    others = ["notes/plan.txt", "checkpoint_best/x", "checkpoint_9.txt", "checkpoint_8/model.gguf"]
    unfinished = ["checkpoint_4/_CHECKPOINT_METADATA", "checkpoint_4/params/d/1"]
    removed = ["checkpoint_5/params/d/1"]  # the rest of it is removed already
    for name in (*others, *unfinished, *removed):
        buckets.objects[INSIDE + name] = b"{}"
    assert steps(path_at(RUN)) == [1, 2, 8]
    assert find_checkpoint(f"{RUN}/checkpoint_2") == (path_at(f"{RUN}/checkpoint_2"), 2)
    for step in (4, 5):
        with pytest.raises(UserError, match=f"checkpoint_{step} is damaged: it was never finished"):
            open_checkpoint(f"{RUN}/checkpoint_{step}")
    before = buckets.under(INSIDE)
    store = CheckpointStore(path_at(RUN), asynchronous=False)
    wanted = abstract(tree(2))
    store.restore(1, params=wanted, opt_state=wanted)
    store.save(9, params=tree(9), opt_state=tree(9), run={})
    store.close()
    after = {n: c for n, c in buckets.under(INSIDE).items() if not n.startswith("checkpoint_9/")}
    assert after == {n: c for n, c in before.items() if n not in (*unfinished, *removed)}


def test_an_object_that_is_short_or_gone_is_damage(buckets):
    go_on(opened())
    params = buckets.under(f"{INSIDE}checkpoint_3/params/d/")
    name = f"params/d/{next(iter(params))}"
    key = f"{INSIDE}checkpoint_3/{name}"
    whole = buckets.objects[key]
    for content in (whole[:-1], None):
        if content is None:
            del buckets.objects[key]
        else:
            buckets.objects[key] = content
        client.forget()
        wanted = abstract(tree(3))
        with pytest.raises(UserError) as caught:
            opened().restore(3, params=wanted, opt_state=wanted)
        assert f"{RUN}/checkpoint_3 is damaged: {name} " in str(caught.value)
        assert f"the newest good one is {RUN}/checkpoint_1" in str(caught.value)
        aside = f"{RUN}/checkpoint_3 {RUN}/broken_checkpoint_3"
        assert f"\n  gcloud storage mv {aside}\n" in str(caught.value)
        assert open_checkpoint(RUN).step == 1


# Orbax leaves the coroutines of a save that failed to an event loop that is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_bucket_that_closes_is_told_with_the_last_good_checkpoint(buckets):
    store = opened()
    buckets.closing = "checkpoint_1/params"
    with pytest.raises(UserError) as caught:
        go_on(store)
    message = str(caught.value)
    assert message.startswith(f"no checkpoint can be saved in {RUN}: ")
    assert "the bucket is closed to you: log in with `gcloud auth" in message
    assert "the last good checkpoint is checkpoint_0" in message
    assert "http_response" not in message
    assert "\n" not in message
