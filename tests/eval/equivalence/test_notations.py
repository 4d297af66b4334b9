"""One thing in two notations, and things of one series: notes, shares, titles, denials."""

import pytest

from closedbook.eval.equivalence import verdicts

SAME = [
    ("what key is it in", "B flat", "Bb"),
    ("what key is it in", "B-flat major", "Bb major"),
    ("what key is it in", "D flat major", "It is in Db major."),
    ("what key is it in", "C# minor", "C-sharp minor"),
    ("what key is it in", "E♭", "Eb"),
    ("what note is it", "Gb", "G flat"),
    ("how much of it", "a third", "33%"),
    ("how much of it", "33.3 percent", "one third"),
    ("how much of it", "two thirds", "66%"),
    ("how much of it", "2/3", "67%"),
    ("how much of it", "a quarter", "25%"),
    ("how much of it", "50%", "half"),
    ("how much of it", "one sixth", "16.7%"),
    ("how many people", "100,000", "100.000"),
    ("how many people", "12.500", "12,500"),
    ("how many people live there", "100,000 people", "100.000 people"),
    ("how much did it cost", "$2,500", "$2.500"),
    ("which film", "Toy Story II", "Toy Story 2"),
    ("which film", "The Godfather Part II", "The Godfather Part 2"),
    ("which film", "Toy Story", "Toy Story (1995)"),
    ("what is the first film", "Rocky", "Rocky, 2 Oscars"),
    ("which film of pixar is toy story 2", "Toy Story 2", "Toy Story"),
    ("who was king", "Henry VIII", "Henry VIII of England"),
    ("which queen", "Queen Elizabeth II", "Queen Elizabeth"),
    ("which book of the bible", "Exodus", "Exodus 20"),
    ("when was it made", "it was never made", "never made"),
    ("when was it made", "It was never made", "It wasn't made"),
    ("who built it", "nobody built it", "It was never built"),
    ("who won", "nobody", "no one"),
]
DIFFERENT = [
    ("what key is it in", "B flat", "B"),
    ("what key is it in", "Bb", "B sharp"),
    ("what key is it in", "Eb", "Bb"),
    ("what key is it in", "Bb minor", "B flat major"),
    ("what key is it in", "D flat major", "It is in D major."),
    ("what is it", "Ab", "a flat"),
    ("how much of it", "a third", "34%"),
    ("how much of it", "a third", "30%"),
    ("how much of it", "a third", "3"),
    ("how much of it", "2/3", "33%"),
    ("which place", "third", "33%"),
    ("in which quarter", "the third quarter", "25%"),
    ("how many people", "100,000", "100"),
    ("how many people", "100,000", "10.000"),
    ("how heavy is it", "2,500 kg", "2.5 kg"),
    ("how heavy is it", "2,500 kg", "2.500 kg"),
    ("how much did it cost", "$2,500", "$2.50"),
    ("which film", "Toy Story", "Toy Story 2"),
    ("which film", "Toy Story", "the film Toy Story 2"),
    ("which film", "Toy Story 2", "Toy Story"),
    ("which film", "Toy Story 3", "Toy Story 2"),
    ("which film", "Rocky", "Rocky IV"),
    ("which film", "Rocky IV", "Rocky"),
    ("which film", "The Godfather", "The Godfather Part II"),
    ("which game", "Fallout", "Fallout 4"),
    ("when did it end", "It never ended", "It ended in 1990"),
    ("when was it made", "1990", "It was never made"),
]


@pytest.mark.parametrize("mode", verdicts.MODES)
@pytest.mark.parametrize(("question", "gold", "prediction"), SAME)
def test_one_thing_in_two_notations(question, gold, prediction, mode):
    told = verdicts.judge(question, [gold], prediction, mode=mode)
    assert told.equivalent, told


@pytest.mark.parametrize("mode", verdicts.MODES)
@pytest.mark.parametrize(("question", "gold", "prediction"), DIFFERENT)
def test_things_that_a_sign_a_number_or_a_denial_tells_apart(question, gold, prediction, mode):
    told = verdicts.judge(question, [gold], prediction, mode=mode)
    assert not told.equivalent, told


def test_a_title_that_is_expected_with_and_without_its_number_may_be_either():
    for film in ("Toy Story", "Toy Story 2"):
        assert verdicts.judge("which film", ["Toy Story", "Toy Story 2"], film).equivalent
