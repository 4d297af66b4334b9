"""Which rows a page holds, and what it says first."""

import dataclasses
import itertools

from closedbook.eval.analysis.results import Outcome
from closedbook.eval.intervals import UNKNOWN
from closedbook.eval.report import examples, story


def test_all_rows_are_in_a_page_that_has_room():
    chosen = examples.choose(["a", "b"], [10, 10], most=2, characters=20)
    assert list(chosen.places) == [0, 1]
    assert chosen.left_out == {}


def test_places_are_shared_among_groups_and_spread_over_them():
    groups = ["right"] * 100 + ["wrong"] * 3
    chosen = examples.choose(groups, [1] * 103, [50, 99], most=20, characters=10**6)
    assert {50, 99, 100, 101, 102} <= set(chosen.places)
    assert chosen.left_out == {"right": (17, 100)}
    right = [place for place in chosen.places if place < 100]
    assert max(b - a for a, b in itertools.pairwise(right)) <= 16


def test_long_rows_take_the_room_of_others():
    chosen = examples.choose(["a"] * 10, [100] * 10, most=10, characters=350)
    assert len(chosen.places) == 3
    assert chosen.left_out == {"a": (3, 10)}


def test_the_first_sentences_have_the_counts_and_the_interval(analysis):
    assert "25 of 40 answers are not an exact match" in story.opening(analysis)
    kinds = {share.name: share for share in story.shares(analysis)}
    assert kinds["really wrong"].count == 25
    assert kinds["missing from the gold"].count is None
    assert kinds["missing from the gold"].share == "8 to review"
    said = story.conclusion(analysis)
    assert "57.6% are right (between 55.6 and 59.7, 95%)" in said
    assert "exact match alone says 36.6%" in said


def test_nothing_is_concluded_where_nothing_is_known(analysis):
    unknown = dataclasses.replace(analysis.taxonomy, adjusted=UNKNOWN)
    said = story.conclusion(dataclasses.replace(analysis, taxonomy=unknown))
    assert "no adjusted score follows" in said
    right = dataclasses.replace(analysis.taxonomy, wrong=0)
    assert story.shares(dataclasses.replace(analysis, taxonomy=right)) == []


def test_examples_to_look_at_first_are_those_that_may_change(make_analysis, make_example):
    rows = [
        make_example(4, id="sure", probability=0.3),
        make_example(9, id="nearly", probability=0.45),
        make_example(14, id="labelled", probability=0.49, label="phrasing"),
        make_example(1, id="surely the same", probability=0.97),
        make_example(6, id="just the same", probability=0.51),
    ]
    found = dict(story.looks(make_analysis(rows)))
    ids = [[row.id for row in group] for group in found.values()]
    assert ids == [["just the same", "surely the same"], ["nearly", "sure"]]
    assert rows[0].verdict == Outcome.WRONG
