"""Predictions that know nothing: their adjusted score is that of luck."""

import json
import random

import pytest

from closedbook.eval import analysis
from closedbook.eval.equivalence import Verdict
from closedbook.eval.predictions import Prediction

FIRST = (
    "Ada Boris Clara Dmitri Elena Felix Greta Hugo Irene Jakob Klara Leon Marta Nils Olga".split()
)
LAST = "Arden Brandt Costa Dorn Ekholm Fontana Grieg Holt Ibsen Jansen Keller Lund Moreau".split()
TOWNS = "Altona Brevik Corvo Dalby Elmira Farsund Gandia Horten Imola Jelsa Kotor Lipari".split()
CRAFTS = "lute harp organ cello oboe viol".split()


def _day(drawn):
    return f"{drawn.randint(1, 28)} May {drawn.randint(1700, 1999)}"


QUESTIONS = (
    ("who wrote the ballad of {town} harbour", lambda a: f"{a.choice(FIRST)} {a.choice(LAST)}"),
    ("when was the old bridge of {town} opened", _day),
    ("how many arches has the viaduct of {town}", lambda a: str(a.randint(3, 400))),
    ("where was the painter {name} buried", lambda a: a.choice(TOWNS)),
    ("which instrument did {name} build", lambda a: a.choice(CRAFTS)),
)
CONSTANT = ("banana", "yes", "2016", "the united states", "none", "The answer is the green river.")
REFUSING = (
    "",
    "unknown",
    "unanswerable",
    "I don't know.",
    "I'm sorry, but I cannot answer that question without more context.",
)


def made_up(count=600):
    """Questions of five kinds with one gold answer each."""
    drawn = random.Random(3)
    rows = []
    for number in range(count):
        asked, answer = QUESTIONS[number % len(QUESTIONS)]
        name = f"{drawn.choice(FIRST)} {drawn.choice(LAST)}"
        question = asked.format(town=f"{drawn.choice(TOWNS)} {number}", name=f"{name} {number}")
        rows.append((question, (answer(drawn),)))
    return rows


def of_open_questions(qa):
    lines = (qa / "nq_open/NQ-open.dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["question"], tuple(row["answer"])) for row in map(json.loads, lines)]


def adjusted(asked, predictions, **arguments):
    rows = [
        Prediction(question=question, answers=answers, prediction=prediction)
        for (question, answers), prediction in zip(asked, predictions, strict=True)
    ]
    return analysis.analyze(rows, **arguments).taxonomy.adjusted


@pytest.mark.parametrize("text", CONSTANT + REFUSING)
@pytest.mark.parametrize("judge", ["learned", "rules"])
def test_one_answer_to_every_question_earns_nothing(text, judge):
    found = adjusted(made_up(), [text] * 600, judge=judge)
    assert found.mean <= 0.01
    assert found.low == 0


def test_a_judge_that_is_a_little_in_doubt_of_everything_gives_nothing_either():
    found = adjusted(made_up(), ["banana"] * 600, judge=Doubting())
    assert (found.mean, found.low) == (0, 0)


def test_right_and_wrong_answers_to_flagged_questions_leave_the_score_alike():
    flagged = [("who is the current prime minister of japan", ("Yoshihide Suga",))] * 4
    plain = [("who wrote dracula", ("Bram Stoker",))] * 4
    right = ["Yoshihide Suga"] * 4 + ["Bram Stoker", "Bram Stoker", "x", "x"]
    wrong = ["Shinzo Abe"] * 4 + ["Bram Stoker", "Bram Stoker", "x", "x"]
    assert adjusted(flagged + plain, right).mean == adjusted(flagged + plain, wrong).mean == 0.5


def other_answers(asked):
    answers = [golds[0] for _, golds in asked]
    return random.Random(0).sample(answers, len(answers))


def lists(asked):
    drawn, answers = random.Random(1), [golds[0] for _, golds in asked]
    return [", ".join(drawn.sample(answers, 40)) for _ in asked]


JUNK = {
    "banana": lambda asked: ["banana"] * len(asked),
    "I don't know.": lambda asked: ["I don't know."] * len(asked),
    "2016": lambda asked: ["2016"] * len(asked),
    "the united states": lambda asked: ["the united states"] * len(asked),
    "other questions' answers": other_answers,
    "the question itself": lambda asked: [question for question, _ in asked],
    "a list of answers": lists,
}


@pytest.mark.parametrize("kind", JUNK)
def test_junk_earns_nothing_on_natural_questions(qa, kind):
    asked = of_open_questions(qa)[:1500]
    found = adjusted(asked, JUNK[kind](asked))
    assert found.mean <= 0.01
    assert found.low == 0


class Doubting:
    """A judge that gives every row a probability of 0.3, and calls none equivalent."""

    name, version, threshold = "doubting", None, 0.5

    def judge_all(self, rows):
        return [
            Verdict(equivalent=False, probability=0.3, reason="judge", evidence="") for _ in rows
        ]
