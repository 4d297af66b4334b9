"""What a prediction asserts and what conflicts plainly: small pairs, each with its kind."""

import pytest

from closedbook.eval.equivalence import verdicts
from closedbook.eval.equivalence.reading import read
from closedbook.eval.equivalence.reasons import Grade


@pytest.mark.parametrize(
    ("prediction", "grade"),
    [
        ("Jane Austen", Grade.CORRECT),
        ("It was Jane Austen, I believe.", Grade.CORRECT),
        ("Emily Bronte", Grade.INCORRECT),
        ("I am not sure, but it might be Emily Bronte.", Grade.INCORRECT),
        ("Jane Austen, Emily Bronte, George Eliot, Mary Shelley", Grade.INCORRECT),
        ("Not Jane Austen", Grade.INCORRECT),
        ("I don't know.", Grade.NOT_ATTEMPTED),
        ("I don't know who wrote Emma.", Grade.NOT_ATTEMPTED),
        ("Sorry, I have no idea.", Grade.NOT_ATTEMPTED),
        ("I cannot answer that without more information.", Grade.NOT_ATTEMPTED),
        ("There is not enough information to tell.", Grade.NOT_ATTEMPTED),
        ("As an AI, I am unable to help with that.", Grade.NOT_ATTEMPTED),
        ("unanswerable", Grade.NOT_ATTEMPTED),
        ("", Grade.NOT_ATTEMPTED),
        ("?", Grade.NOT_ATTEMPTED),
        ("<think>It may have been Jane Austen, or", Grade.NOT_ATTEMPTED),
        ("Who wrote the novel Emma?", Grade.NOT_ATTEMPTED),
    ],
)
def test_three_outcomes_are_told_apart(prediction, grade):
    told = verdicts.judge("who wrote the novel emma", ["Jane Austen"], prediction)
    assert told.grade is grade, told


def test_reading_looks_at_no_answer_and_keeps_what_most_texts_are():
    found = read.read("Lyon, not Paris", "capital of france")
    assert (found.affirmed.split(), found.cut) == (["Lyon,"], False)
    plain = read.read("The larynx, or voice box, is in the neck.", "where is the larynx")
    assert plain.affirmed is plain.text
    assert not plain.alternatives.items


def test_a_denied_title_in_quotes_is_denied_too():
    told = verdicts.judge("last episode of quantum leap", ["Mirror Image"], 'Not "Mirror Image"')
    assert not told.equivalent
    told = verdicts.judge(
        "last episode of quantum leap", ['"Mirror Image"'], 'anything but "Mirror Image"'
    )
    assert not told.equivalent
