"""Slices of a predictions file: who belongs where, and the scores there."""

import time

import pytest

from closedbook.eval import intervals
from closedbook.eval.analysis import kinds, slices
from closedbook.eval.analysis.answer_type import answer_type
from closedbook.eval.analysis.overlap import TrainingSet
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction


def row(question="who", answers=("x",), **fields):
    return Prediction(question=question, answers=answers, prediction="y", **fields)


def parts(name, rows, **arguments):
    return [found.get(name) for found in slices.assign(rows, **arguments)]


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("who sang it", "Ann Lee", "person"),
        ("which actor plays thor", "Chris Hemsworth", "person"),
        ("who won the 1999 stanley cup", "Dallas Stars", "other"),
        ("who declared war in 1939", "Germany", "place"),
        ("where was it filmed", "Kanab, Utah", "place"),
        ("what is the largest city in texas", "Houston", "place"),
        ("where does the last name baker come from", "English", "other"),
        ("when was it built", "1632–53", "date"),
        ("what happened then", "13 June 2012", "date"),
        ("how many were there", "more than 2,500", "number"),
        ("how long does it last", "a week", "number"),
        ("what is 2018 in roman numerals", "MMXVIII", "other"),
        ("which car did he drive", "1995 Toyota Supra", "other"),
        ("", "", "other"),
    ],
)
def test_answer_types(question, answer, expected):
    assert answer_type(question, [answer]) == expected


def test_several_golds_vote():
    assert (
        answer_type("who plays her", ["actress Dakota Lee", "the lead", "Dakota Lee"]) == "person"
    )


def test_length_is_that_of_the_shortest_gold_without_articles():
    answers = [("the sun", "our star"), ("a b c d",), ("The",), ("b c d e f g h",)]
    rows = [row(answers=given) for given in answers]
    expected = ["1 word", "3 words", "1 word", "6 words or more"]
    assert parts("answer length", rows) == expected


def test_popularity_in_decades_from_meta_or_beside_it():
    given = [
        {"s_pop": 99},
        {"s_pop": 100},
        {"s_pop": 123456.0},
        {"s_pop": "12"},
        {},
        {"s_pop": True},
    ]
    rows = [row(meta=meta) for meta in given]
    rows += [row(extra={"s_pop": 5000}), row(meta={"s_pop": float("inf")})]
    rows += [row(meta={"s_pop": 10**400}), row(meta={"s_pop": float("nan")})]
    assert parts("subject popularity", rows) == [
        "under 100",
        "100 to 999",
        "100,000 or more",
        None,
        None,
        None,
        "1,000 to 9,999",
        None,
        "100,000 or more",
        None,
    ]


def test_confidence_in_fifths_and_equal_ones_together():
    rows = [row(score=float(-number)) for number in range(10)]
    found = parts("confidence", rows)
    assert found[:2] == ["5 (most)"] * 2
    assert found[-2:] == ["1 (least)"] * 2
    assert parts("confidence", [row(score=-1.0)] * 5) == [None] * 5
    mixed = parts("confidence", [row(score=-1.0), row(), row(score=-2.0)])
    assert mixed[1] is None


def test_training_overlap_needs_a_training_set():
    rows = [row("who made it", ("Ann",))]
    assert parts("met in training", rows) == [None]
    training = TrainingSet([Gold(question="who is she", answers=("ann",))])
    assert parts("met in training", rows, training=training) == ["answer"]


def test_table_of_hand_counted_rows():
    rows = [row("who a"), row("who b"), row("when c"), row("who d")]
    # Two of three "who" right, the third a paraphrase; "who b" leaves the adjusted score.
    sorted_rows = kinds.sort(
        [True, True, False, False],
        equivalent=[False, False, False, True],
        flagged=[False, True, False, False],
    )
    table = {
        (line.slice, line.value): line for line in slices.table(slices.assign(rows), sorted_rows)
    }
    who = table["question word", "who"]
    assert (who.n, who.em.mean) == (3, pytest.approx(2 / 3))
    assert who.adjusted.mean == 1
    assert who.adjusted.low == pytest.approx(intervals.wilson(2, 2).low)
    assert table["question word", "when"].adjusted.mean == 0
    assert sum(line.n for (name, _), line in table.items() if name == "answer type") == 4


def test_long_and_hostile_questions_are_fast():
    long = "name the " + "a b " * 250_000
    rows = [row(long, (long, "1" * 1_000_000, "of the " * 150_000))] * 3
    started = time.monotonic()
    slices.assign(rows, training=TrainingSet([Gold(question=long, answers=(long,))]))
    assert time.monotonic() - started < 2


def test_columns_with_few_values_are_slices_and_others_are_not():
    rows = [
        row(
            id=str(n),
            task="nq" if n % 2 else "wq",
            split="test",  # one value parts nothing
            extra={
                "source": ["film", "sport"][n % 2],
                "note": f"text {n}",  # as many values as rows
                "long": "x" * 100 + str(n % 2),
                "ratio": n % 2 / 2,
                "seen": n % 3 == 0,
                "question word": "a" if n < 20 else "b",  # the name of a slice of ours
            },
            meta={"source": "web", "hops": n % 2 + 9} if n else {},
        )
        for n in range(40)
    ]
    found = slices.columns(rows)
    assert found == {
        "task": ("", "task"),
        "source": ("extra", "source"),
        "seen": ("extra", "seen"),
        "extra.question word": ("extra", "question word"),
        "hops": ("meta", "hops"),
    }
    parts = slices.assign(rows)
    assert parts[3]["seen"] == "true"
    assert "hops" not in parts[0]
    names = [name for name, _, _ in slices.grouped(parts)]
    assert names[0] == "task"
    [values] = [values for name, values, _ in slices.grouped(parts) if name == "hops"]
    assert values == ["9", "10"]


def test_values_that_differ_in_spaces_alone_are_one():
    rows = [row(extra={"source": ["a b", " a  b", "c\n"][n % 3]}) for n in range(12)]
    assert [part["source"] for part in slices.assign(rows)[:3]] == ["a b", "a b", "c"]


def test_at_most_twenty_values_and_columns():
    many = [row(extra={"n": n % 21, **{f"c{k}": n % 2 for k in range(30)}}) for n in range(84)]
    assert list(slices.columns(many)) == [f"c{k}" for k in range(20)]
