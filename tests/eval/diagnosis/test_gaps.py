"""What a gap between two files is made of; the parts add up to it."""

import dataclasses
import random

import pytest

from closedbook.errors import UserError
from closedbook.eval import diagnosis
from closedbook.eval.diagnosis.results import Kind
from closedbook.eval.predictions import Prediction

N = 400


def rows(share=0.6, seed=0):
    """Questions with two gold answers; a share of the predictions, drawn at random, is right."""
    drawn = random.Random(seed)
    made = []
    for number in range(N):
        said = f"person {number}" if drawn.random() < share else f"nobody {drawn.random():.5f}"
        made.append(
            Prediction(
                question=f"Who built the bridge of town {number}?",
                answers=(f"person {number}", f"architect {number}"),
                prediction=said,
            )
        )
    return made


def with_(made, **changes):
    return [
        dataclasses.replace(row, **{name: change(row) for name, change in changes.items()})
        for row in made
    ]


def gap(mine, theirs):
    found = diagnosis.gap(mine, theirs, names=("mine.jsonl", "theirs.jsonl"))
    assert sum(cause.points for cause in found.causes) == pytest.approx(found.gap)
    assert found.causes[-1].kind == Kind.SYSTEMS
    return found


def test_a_prefix_is_the_whole_of_the_gap():
    found = gap(with_(rows(), prediction=lambda row: f"Answer: {row.prediction}"), rows())
    cause = found.causes[0]
    assert cause.kind == Kind.PREFIX
    assert cause.points == pytest.approx(found.gap)
    assert '"Answer:"' in cause.text
    assert "mine.jsonl" in cause.text
    assert found.causes[-1].points == pytest.approx(0)


def test_first_answers_alone_are_named():
    # Half of the right answers are the second gold answer.
    other = with_(
        rows(),
        prediction=lambda row: (
            row.prediction.replace("person", "architect")
            if int(row.question.split()[-1][:-1]) % 2
            else row.prediction
        ),
    )
    found = gap(with_(other, answers=lambda row: row.answers[:1]), other)
    cause = found.causes[0]
    assert cause.kind == Kind.GOLD
    assert cause.points == pytest.approx(found.gap)
    assert "the first answer alone" in cause.text
    assert f"{N} of {N} questions" in cause.text


def test_gold_answers_that_favour_the_other_file_are_named_with_their_sign():
    other = with_(rows(), answers=lambda row: (row.prediction,))
    found = gap(rows(), other)
    assert found.gap == pytest.approx(1 - found.sides[0].score)
    assert {cause.kind for cause in found.causes} == {Kind.GOLD, Kind.SYSTEMS}
    assert found.causes[-1].points == pytest.approx(0)


def test_easier_questions_are_named():
    made = rows()
    easy = [row for row in made if row.prediction in row.answers] + made[:40]
    kept = list({row.question: row for row in easy}.values())
    found = gap(made, kept)
    cause = found.causes[0]
    assert cause.kind == Kind.QUESTIONS
    assert cause.points == pytest.approx(found.gap)
    assert f"{N - len(kept)} of {N} rows are in mine.jsonl alone" in cause.text


def test_spelling_of_a_question_does_not_make_it_another():
    other = with_(rows(), question=lambda row: row.question.lower().replace("?", " ?"))
    assert [cause.kind for cause in gap(rows(), other).causes] == [Kind.SYSTEMS]


def test_a_better_system_is_called_one():
    found = gap(rows(0.4, seed=1), rows(0.7, seed=2))
    [cause] = found.causes
    assert cause.points == pytest.approx(found.gap)
    assert "only theirs.jsonl" in cause.text


def test_two_causes_and_the_rest_add_up():
    mine = with_(
        rows(0.5, seed=3),
        prediction=lambda row: f"Answer: {row.prediction}",
        answers=lambda row: row.answers[:1],
    )
    found = gap(mine, rows(0.7, seed=4))
    assert found.causes[0].kind == Kind.PREFIX


def test_swapped_files_have_the_opposite_gap():
    mine = with_(rows(), prediction=lambda row: f"{row.prediction}\nQ: {row.question}")
    one, other = gap(mine, rows()), gap(rows(), mine)
    assert one.gap == pytest.approx(-other.gap)
    assert one.causes[0].points == pytest.approx(-other.causes[0].points)
    assert one.causes[0].kind == other.causes[0].kind == Kind.RUN_ON


def test_other_data_is_said_to_be_other_data():
    other = with_(rows(), question=lambda row: f"other {row.question}")
    found = gap(rows(), other)
    assert "no question is in both" in found.notes[0]


def test_splits_that_differ_are_told():
    found = gap(with_(rows(), split=lambda row: "test"), with_(rows(), split=lambda row: "dev"))
    assert any("mine.jsonl test; theirs.jsonl dev" in note for note in found.notes)


def test_an_empty_file_is_refused():
    with pytest.raises(UserError, match=r"theirs\.jsonl has no predictions"):
        diagnosis.gap(rows(), [], names=("mine.jsonl", "theirs.jsonl"))
