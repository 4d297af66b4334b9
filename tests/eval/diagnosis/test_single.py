"""What would change one file's score: the fault is found, named, and its size is right."""

import dataclasses
import json
import random

import pytest

from closedbook.errors import UserError
from closedbook.eval import diagnosis
from closedbook.eval.diagnosis.results import Kind
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction

FIRST = "Ada Boris Clara Dmitri Elena Felix Greta Hugo Irene Jakob Klara Leon Marta Nils".split()
LAST = "Arden Brandt Costa Dorn Ekholm Fontana Grieg Holt Ibsen Jansen Keller Lund".split()
N, RIGHT = 300, 180


def rows():
    """Questions with names for answers; exactly 180 of 300 are answered right."""
    drawn = random.Random(5)
    made = []
    for number in range(N):
        name = f"{drawn.choice(FIRST)} {drawn.choice(LAST)} {drawn.choice(LAST)}"
        said = name if number < RIGHT else f"{drawn.choice(FIRST)} of {drawn.choice(LAST)}"
        made.append(
            Prediction(
                question=f"who built the bridge of town {number}",
                answers=(name, f"Sir {name}"),
                prediction=said,
            )
        )
    drawn.shuffle(made)
    return made


def changed(change):
    return [dataclasses.replace(row, prediction=change(row.prediction)) for row in rows()]


def first_cause(made, **arguments):
    return diagnosis.choices(made, **arguments).causes[0]


# What stands around each answer, the kind that it is, and words that the cause must name.
AROUND = {
    "Answer: {}": (Kind.PREFIX, '"Answer:"'),
    "The answer is {}": (Kind.PREFIX, '"The answer is"'),
    "Réponse : {}": (Kind.PREFIX, '"Réponse :"'),
    "{} </s>": (Kind.SUFFIX, '"</s>"'),
    "{} I hope that this helps": (Kind.SUFFIX, '"I hope that this helps"'),
    "{}\nWho was the next one?\nNobody": (Kind.RUN_ON, "a line break"),
    "{} Question: who was first": (Kind.RUN_ON, '"Question:"'),
    "Let us think. It must be one of them.\n{}": (Kind.LAST, "last line"),
    "<think>hm, Ada or Boris</think>{}": (Kind.LAST, '"</think>"'),
    "Hm. Maybe Ada. Final: {}": (Kind.LAST, '"Final:"'),
    '{{"answer": "{}"}}': (Kind.FORMAT, "JSON"),
}


@pytest.mark.parametrize("around", AROUND)
def test_what_stands_around_the_answers_is_found_with_what_it_costs(around):
    kind, words = AROUND[around]
    # Words that differ from row to row, so that the marker and not the whole text is alike.
    drawn = random.Random(1)
    found = first_cause(changed(lambda text: around.format(text).replace("hm", drawn.choice(LAST))))
    assert (found.points, found.score) == (pytest.approx(RIGHT / N), pytest.approx(RIGHT / N))
    if "I hope" in around or "Question" in around or kind == Kind.LAST:
        assert found.kind in (kind, Kind.SUFFIX, Kind.PREFIX)
    else:
        assert found.kind == kind
        assert words in found.text


def test_a_prefix_and_run_on_text_are_found_together():
    drawn = random.Random(2)
    made = changed(lambda text: f"Ans: {text}\nQ: who was {drawn.choice(FIRST)}")
    found = first_cause(made)
    assert found.points == pytest.approx(RIGHT / N)
    assert '"Ans:"' in found.text
    assert "line break" in found.text


def test_answers_cut_at_a_length_are_found():
    made = changed(lambda text: text[:9])
    found = first_cause(made)
    assert found.kind == Kind.TRUNCATION
    assert "9 characters" in found.text
    assert found.score == pytest.approx(RIGHT / N, abs=0.03)


def test_answers_cut_at_words_are_found():
    found = first_cause(changed(lambda text: " ".join(text.split()[:2])))
    assert found.kind == Kind.TRUNCATION
    assert "2 words" in found.text
    assert found.score == pytest.approx(RIGHT / N, abs=0.03)


def test_answers_cut_at_a_comma_are_found():
    made = [dataclasses.replace(row, answers=(f"{row.answers[0]}, Jr.",)) for row in rows()]
    found = first_cause(made)
    assert found.kind == Kind.STOP
    assert "comma" in found.text
    assert found.rows == RIGHT


def test_good_predictions_have_no_fault():
    faults = (Kind.PREFIX, Kind.SUFFIX, Kind.RUN_ON, Kind.LAST, Kind.FORMAT, Kind.TRUNCATION)
    assert not [cause for cause in diagnosis.choices(rows()).causes if cause.kind in faults]


def test_the_first_gold_answer_alone_costs_what_the_others_gave():
    made = [dataclasses.replace(row, answers=tuple(reversed(row.answers))) for row in rows()]
    [found] = [one for one in diagnosis.choices(made).causes if one.text.startswith("the first")]
    assert found.kind == Kind.GOLD
    assert found.points == pytest.approx(-RIGHT / N)


def test_letter_case_is_a_choice_with_its_size():
    made = changed(str.lower)
    [found] = [one for one in diagnosis.choices(made).causes if "letter case" in one.text]
    assert found.points == pytest.approx(-RIGHT / N)


def test_another_version_of_the_gold_answers_is_scored():
    made = rows()
    gold = [Gold(question=row.question, answers=("nobody",)) for row in made[:100]]
    lost = sum(row.prediction in row.answers for row in made[:100])
    [found] = [
        one
        for one in diagnosis.choices(made, other_gold=gold).causes
        if one.text == "the other gold's answers"
    ]
    assert found.rows == lost
    assert found.points == pytest.approx(-lost / N)


def test_another_data_sets_gold_is_refused():
    with pytest.raises(UserError, match="no question in common"):
        diagnosis.choices(rows(), other_gold=[Gold(question="why", answers=("so",))])


def test_verdicts_of_the_file_name_the_rule_that_made_them():
    made = [
        dataclasses.replace(row, extra={"em": float(row.prediction == row.answers[0])})
        for row in changed(str.lower)[:150] + rows()[150:]
    ]
    notes = diagnosis.choices(made).notes
    assert any('"em"' in note and "letter" in note for note in notes), notes


def test_repeated_questions_and_splits_are_told():
    made = [dataclasses.replace(row, split="train") for row in rows()[:200]]
    made += [dataclasses.replace(row, split="test") for row in rows()[200:]]
    texts = [cause.text for cause in diagnosis.choices(made).causes]
    assert any("rows of train" in text for text in texts)
    assert any("first row" in one.text for one in diagnosis.choices(rows() + rows()[:90]).causes)


def test_what_is_found_can_be_written(tmp_path):
    found = diagnosis.choices(changed(lambda text: f"Answer: {text}"), name="a|b.jsonl")
    plain = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(plain)["causes"][0]["kind"] == "prefix"


def test_no_rows_are_refused():
    with pytest.raises(UserError, match="no predictions"):
        diagnosis.choices([])
