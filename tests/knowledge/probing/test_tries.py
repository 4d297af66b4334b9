"""Candidates that share beginnings, as tries of limited width."""

import itertools

import numpy as np
import pytest

from closedbook.knowledge.probing import tries


def spelled(trie: tries.Trie) -> dict[int, tuple[int, ...]]:
    """The pieces of each member, read along the trie."""
    paths: list[tuple[int, ...]] = [()]
    levels = []
    for level in trie.levels:
        here = [(*paths[p], int(t)) for p, t in zip(level.parents, level.tokens, strict=True)]
        levels.append(here)
        paths = [here[place] for place in level.inner]
    return {n: levels[d][node] for n, (d, node) in zip(trie.members, trie.places, strict=True)}


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("widest", [1, 2, 7, 1000])
def test_tries_hold_every_candidate_once_and_stay_narrow(ended, widest):
    random = np.random.default_rng(widest)
    rows = {tuple(random.integers(4, size=random.integers(1, 6)).tolist()) for _ in range(200)}
    rows = sorted(rows, key=hash)
    found = tries.groups(rows, ended=ended, widest=widest)
    read = [spelled(trie) for trie in found]
    members = [each for trie in read for each in trie]
    assert sorted(members) == list(range(len(rows)))
    assert all(rows[number] == pieces for trie in read for number, pieces in trie.items())
    assert all(len(level.inner) <= widest for trie in found for level in trie.levels)


def test_one_wide_trie_has_one_node_per_beginning():
    rows = [(1, 2), (1, 2, 3), (1, 4), (5,)]
    [ended] = tries.groups(rows, ended=True, widest=100)
    assert [len(level.tokens) for level in ended.levels] == [2, 2, 1]
    assert sum(len(level.inner) for level in ended.levels) + 1 == tries.nodes(rows, ended=True) == 6
    [open_] = tries.groups(rows, ended=False, widest=100)
    # Only what goes on is read by the decoder: 1, and 1 2.
    assert [len(level.inner) for level in open_.levels] == [1, 1, 0]
    assert tries.nodes(rows, ended=False) == 3


def test_single_pieces_without_an_end_need_no_step_and_one_trie():
    found = tries.groups([(n,) for n in range(5000)], ended=False, widest=8)
    assert [len(trie.members) for trie in found] == [5000]
    assert not any(len(level.inner) for trie in found for level in trie.levels)


def test_groups_are_full_before_a_new_one_begins():
    rows = list(itertools.product(range(10), range(2)))
    assert [len(t.members) for t in tries.groups(rows, ended=True, widest=4)] == [4] * 5
