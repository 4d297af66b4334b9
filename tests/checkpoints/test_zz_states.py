"""All states of the store that a kill leaves (no sampling), through the tests' own functions."""
import os, sys, logging
import pytest
sys.path.insert(0, "/work/wt/rev1")
from tests.checkpoints import test_store_in_bucket as T
from closedbook.buckets import client, path_at
from closedbook.checkpoints import steps, open_checkpoint
def test_all(buckets):
    buckets.made.add("some-bucket"); buckets.page = 1000
    buckets.states = states = []
    writes0 = len(buckets.writes)
    assert T.go_on(T.opened()) == -1
    buckets.states = None
    names = list(buckets.writes)
    print("states", len(states), len(names))
    bad = []
    # states at which the set of objects under steps differ; check cheap invariants for all
    for i, state in enumerate(states):
        T.left(state, buckets)
        try:
            found = steps(path_at(T.RUN))
            if found:
                ck = open_checkpoint(T.RUN)
                assert ck.step == found[-1], (ck.step, found)
                for s in found: open_checkpoint(f"{T.RUN}/checkpoint_{s}")
        except BaseException as e:
            bad.append((i, names[i], repr(e)[:300]))
    print("cheap bad", bad)
    for i in range(0, len(states), 4):
        T.left(states[i], buckets)
        try:
            T.go_on(T.opened())
            assert steps(path_at(T.RUN))[-1] == 3
            assert 1 in steps(path_at(T.RUN)), steps(path_at(T.RUN))
        except BaseException as e:
            bad.append((i, names[i], "go_on", repr(e)[:300]))
    print("BAD", bad)
    assert not bad
