"""Candidates for incomplete annotations: ranked, with reasons, never asserted."""

from closedbook.eval.analysis import candidates
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction


def row(question, prediction, *answers):
    return Prediction(question=question, answers=answers or ("gold",), prediction=prediction)


def found(rows, wrong=None, **arguments):
    return candidates.incomplete(rows, wrong or [True] * len(rows), **arguments)


def test_another_data_sets_gold_comes_first():
    rows = [row("who wrote it", "Ann"), row("when was it", "1066"), row("where", "Rome")]
    also = {"other": [row("Who wrote it?", "ANN"), row("when was it", "the 1066")]}
    other_gold = [Gold(question="When was it ?", answers=("1066", "11th century"))]
    ranked = found(rows, also=also, other_gold=other_gold)
    assert [candidate.index for candidate in ranked] == [1, 0]
    assert ranked[0].score == 0.95  # 1 - (1 - 0.9) * (1 - 0.5)
    assert ranked[0].reasons == (
        "another data set has it as gold for this question",
        "1 of 1 other systems agree: other",
    )
    assert ranked[1].score == 0.5


def test_more_agreeing_systems_rank_higher():
    rows = [row("a", "x"), row("b", "y")]
    also = {
        "one": [row("a", "x"), row("b", "y")],
        "two": [row("a", "z"), row("b", "the y")],
    }
    ranked = found(rows, also=also)
    assert [(c.index, c.score) for c in ranked] == [(1, 0.5), (0, 0.25)]


def test_right_and_empty_predictions_are_no_candidates():
    rows = [row("a", "x"), row("b", "the"), row("c", "")]
    also = {"one": [row("a", "x"), row("b", "a"), row("c", "")]}
    assert found(rows, [False, True, True], also=also) == []


def test_an_alias_stands_beside_a_gold_answer_in_training():
    rows = [row("who fought clay", "Muhammad Ali", "Cassius Clay")]
    training = [Gold(question="best boxer", answers=("Cassius Clay", "Muhammad Ali"))]
    (candidate,) = found(rows, training=training)
    assert candidate.reasons == ("stands beside a gold answer in training: best boxer",)
    # A list of different things holds no aliases.
    lists = [Gold(question="name a boxer", answers=("Cassius Clay", "Muhammad Ali"))]
    assert found(rows, training=lists) == []


def test_the_answer_in_training_to_a_question_much_the_same():
    rows = [row("when did they stop putting lead in paint", "1978", "1992")]
    training = [
        Gold(question="when did they stop making paint with lead", answers=("1978",)),
        Gold(question="when was the first test tube baby born", answers=("1978",)),
        Gold(question="who sings the theme song", answers=("Ann",)),
    ]
    (candidate,) = found(rows, training=training)
    assert candidate.reasons == (
        "the answer in training to: when did they stop making paint with lead",
    )


def test_list_questions_count_alone_only_where_nothing_else_was_given():
    rows = [row("name one of the five boroughs", "Bronx", "Queens"), row("who is it", "Ann")]
    (candidate,) = found(rows)
    assert (candidate.index, candidate.reasons) == (0, ("the question has several answers",))
    assert found(rows, also={"one": [row("name one of the five boroughs", "Soho")]}) == []


def test_three_golds_that_share_no_word_make_a_list():
    assert candidates.is_list_question("gas of the air", ["neon", "argon", "oxygen"])
    assert not candidates.is_list_question("who", ["John Smith", "J. Smith", "Smith, John"])


def test_hostile_predictions_are_cut():
    rows = [row("a" * 1_000_000, "b" * 1_000_000, "c" * 1_000_000)] * 20
    (first, *_) = found(rows, also={"one": rows})
    assert len(" ".join(first.reasons)) < 200
