"""The judge: each reason, each kind of evidence against, and input made to break it."""

import time
from collections import Counter

import pytest

from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.eval.equivalence import verdicts
from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.predictions import Prediction

MODES = verdicts.MODES

# question, acceptable answers, prediction, reason
SAME = [
    ("capital of france", ["Paris"], "the paris.", Reason.EXACT),
    ("who sings halo", ["Beyonce"], "Beyoncé", Reason.SPELLING),
    ("who is spider man", ["Spider Man"], "Spiderman", Reason.SPELLING),
    ("which poet wrote it", ["Kalidasa"], "Kaalidasa", Reason.SPELLING),
    ("which language family", ["Zoroastrian"], "Zoroastrianism", Reason.FORM),
    ("what do plants have", ["chloroplast"], "chloroplasts", Reason.FORM),
    ("when does it end", ["April 15"], "April 15th", Reason.DATE),
    ("when did it end", ["2 September 1945"], "September 2, 1945", Reason.DATE),
    ("when did it happen", ["the 2001–2002 season"], "2001-02", Reason.DATE),
    ("when did it come out", ["1997"], "26 June 1997", Reason.DATE_FINER),
    ("when did it begin", ["the 1980s"], "1984", Reason.DATE_FINER),
    ("when was zero first used", ["7th century"], "AD 628", Reason.DATE_FINER),
    ("when did it come out", ["13 June 2012"], "2012", Reason.DATE_COARSER),
    ("how many seasons are there", ["seven"], "7", Reason.NUMBER),
    ("how many are there", ["960"], "nine hundred and sixty", Reason.NUMBER),
    ("how high is it", ["5 km"], "5000 metres", Reason.NUMBER),
    ("how long is a marathon", ["26.2 miles"], "42.2 km", Reason.NUMBER),
    ("how much did it cost", ["$2.5 million"], "2,500,000 dollars", Reason.NUMBER),
    ("where is the executive branch", ["Article Two"], "Article II", Reason.NUMBER),
    ("who plays ducky", ["David McCallum"], "David Keith McCallum, Jr.", Reason.NAME),
    ("who plays kate", ["Kathleen Erin Walsh"], "Kate Walsh", Reason.NAME),
    ("who drew it up", ["B. R. Ambedkar"], "Bhimrao Ramji Ambedkar", Reason.NAME),
    ("who wrote shooting an elephant", ["George Orwell"], "Orwell", Reason.NAME_PART),
    ("who plays in it", ["National Basketball Association"], "NBA", Reason.ACRONYM),
    ("when does it open", ["8 p.m."], "20:00", Reason.TIME),
    ("is it so", ["no"], "Nope", Reason.SAME_SIDE),
    ("where are castles from", ["Sweden"], "Swedish", Reason.ALIAS),
    ("where does it take place", ["Sudbury"], "Sudbury, Canada", Reason.LOCATION),
    ("who wrote it", ["Pasek and Paul"], "Paul and Pasek", Reason.ORDER),
    ("who played in it", ["Karl Urban and Zoe Saldana"], "Zoe Saldana", Reason.LIST),
    ("what is its color", ["orange"], "a bright orange", Reason.QUALIFIER_EXTRA),
    (
        "what is an invertebrate",
        ["an animal without a vertebral column"],
        "animal without a column",
        Reason.QUALIFIER_MISSING,
    ),
    (
        "who got the first nobel prize in physics",
        ["Wilhelm Conrad Röntgen"],
        "The first Nobel Prize in Physics was awarded in 1901 to Wilhelm Röntgen, a German.",
        Reason.NAME,
    ),
    (
        "who sings it",
        ["Coldplay"],
        "It is sung by the rock band Coldplay, formed in London in 1996 by two students there.",
        Reason.CONTAINED,
    ),
]

# question, acceptable answers, prediction, reason
OTHER = [
    ("when did it air", ["2004", "june 11 2004"], "January 23 2004", Reason.DATE_CONFLICT),
    ("when did it end", ["22 November 1914"], "30 November 1914", Reason.DATE_CONFLICT),
    ("when did it end", ["1980s"], "1995", Reason.DATE_CONFLICT),
    ("how many episodes are there", ["13"], "3", Reason.NUMBER_CONFLICT),
    ("how many are there", ["2100"], "2101", Reason.NUMBER_CONFLICT),
    ("how tall is he", ["5 ft 6 in"], "5 ft 5 in", Reason.NUMBER_CONFLICT),
    ("how much did it earn", ["1.5 million"], "15 million", Reason.NUMBER_CONFLICT),
    ("who was president", ["Bill Clinton"], "Hillary Clinton", Reason.NAME_CONFLICT),
    ("who is under the mask", ["Anakin Skywalker"], "Luke Skywalker", Reason.NAME_CONFLICT),
    ("what is their language", ["spanish"], "spanish and mexican", Reason.SECOND_ANSWER),
    ("how did they rule", ["Indirect rule"], "direct rule", Reason.NEGATION),
    ("on which river is the dam", ["ravi river"], "narmada river", Reason.TOO_VAGUE),
    ("who wrote it", ["Jane Austen"], "Charles Dickens", Reason.DIFFERENT),
    ("who wrote it", ["Jane Austen"], "I'm sorry, I don't know.", Reason.REFUSAL),
    ("who wrote it", ["Jane Austen"], "", Reason.EMPTY),
    ("who wrote it", ["Jane Austen"], "?!", Reason.EMPTY),
    ("who wrote emma", ["Jane Austen"], "Not Jane Austen", Reason.NEGATION),
    ("who wrote emma", ["Jane Austen"], "Anyone but Jane Austen", Reason.NEGATION),
    ("who wrote emma", ["Jane Austen"], "Jane Austen or Emily Bronte", Reason.SEVERAL),
    ("who wrote emma", ["Jane Austen"], "<think>Jane Austen?</think>Bo", Reason.NOT_ASSERTED),
    ("who is older", ["Emma"], "Jane is older than Emma", Reason.NOT_ASSERTED),
    ("how hot is it", ["20 °C"], "20 °F", Reason.UNIT_CONFLICT),
    ("how much was it", ["$5"], "£5", Reason.UNIT_CONFLICT),
    ("when does it open", ["8 a.m."], "8 p.m.", Reason.TIME_CONFLICT),
    ("which note is it", ["F#"], "F", Reason.SIGN_CONFLICT),
    ("what grade was it", ["A+"], "A-", Reason.SIGN_CONFLICT),
    ("what was the score", ["4-2"], "2-4", Reason.SIGN_CONFLICT),
    ("when was it", ["before 1700"], "after 1700", Reason.OPPOSITE),
    ("who was king", ["Henry IV"], "Henry V", Reason.NAME_CONFLICT),
    ("when was it", ["5 Xyzember 1990"], "7 Abcember 1990", Reason.UNREAD),
    ("is it so", ["no"], "Yes, it is", Reason.OTHER_SIDE),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("question", "answers", "prediction", "reason"), SAME)
def test_answers_that_say_the_same(question, answers, prediction, reason, mode):
    verdict = verdicts.judge(question, answers, prediction, mode=mode)
    assert verdict.equivalent, verdict
    assert verdict.probability >= verdicts.threshold(mode)
    assert verdict.reason == reason, verdict


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("question", "answers", "prediction", "reason"), OTHER)
def test_answers_that_say_something_else(question, answers, prediction, reason, mode):
    verdict = verdicts.judge(question, answers, prediction, mode=mode)
    assert not verdict.equivalent, verdict
    assert verdict.probability < verdicts.threshold(mode)
    assert verdict.reason == reason, verdict


def test_every_reason_has_a_description_and_nearly_every_one_a_case_here():
    assert all(reason.description for reason in Reason)
    shown = {Reason(row[3]) for row in SAME + OTHER}
    # The first two come from the weights of many shared words; no single plain case decides them.
    # The last is other judges' (test_judges.py).
    assert set(Reason) - shown <= {Reason.OVERLAP, Reason.HEAD_CONFLICT, Reason.JUDGE}


@pytest.mark.parametrize(
    ("a", "b"),
    [("seven", "7"), ("April 15", "April 15th"), ("Beyonce", "Beyoncé"), ("USA", "U.S.A.")],
)
@pytest.mark.parametrize("mode", MODES)
def test_writing_of_one_thing_is_symmetric(a, b, mode):
    assert verdicts.judge("", [a], b, mode=mode).equivalent
    assert verdicts.judge("", [b], a, mode=mode).equivalent


def test_evidence_names_the_words():
    verdict = verdicts.judge("when does it end", ["April 15"], "April 15th")
    assert verdict.evidence == "date: 'april 15' and 'april 15th' name the same time"


def test_the_best_of_several_answers_counts():
    verdict = verdicts.judge("how many", ["a dozen eggs", "twelve", "many"], "12")
    assert verdict.equivalent
    assert "twelve" in verdict.evidence


def test_many_rows_give_what_one_row_gives():
    cases = [(q, a, p) for q, a, p, _ in SAME + OTHER]
    rows = [Prediction(question=q, answers=tuple(a), prediction=p) for q, a, p in cases]
    for mode in MODES:
        alone = [verdicts.judge(q, a, p, mode=mode) for q, a, p in cases]
        assert verdicts.judge_all(rows, mode=mode) == alone
    assert verdicts.judge_all([]) == []


HOSTILE = [
    "x" * 1_000_000,
    "a b " * 250_000,
    "1 " * 500_000,
    "January 1 " * 100_000,
    "1,1," * 250_000,
    "A." * 500_000,
    "don't know " * 90_000,
    "\x00\x01\x02\ud7ff\u202e<script>alert(1)</script>",
    "((((((((((" * 1000,
    "ﷺ" * 100_000,  # one character that becomes eighteen
    "½" * 1000,
    "9" * 5000,
    "١٩٨٠ ² ⅷ 一二三",
    " \t\n",
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_judged_in_short_time(text, mode):
    start = time.perf_counter()
    verdicts.judge(text, ["Paris", text], "Lyon", mode=mode)
    verdict = verdicts.judge("capital of france", ["Paris"], text, mode=mode)
    # Seconds are slack for a busy machine; a pattern that backtracks would take minutes.
    assert time.perf_counter() - start < 5
    assert not verdict.equivalent
    assert len(verdict.evidence) < 300


def test_a_cut_text_says_so():
    verdict = verdicts.judge("who", ["Jane Austen"], "Jane Austen " + "x " * 9000)
    assert "only the first 4,000 characters" in verdict.evidence


def test_no_answers_and_unknown_mode_are_refused():
    with pytest.raises(UserError, match="no acceptable answers"):
        verdicts.judge("who", [], "Jane")
    with pytest.raises(UserError, match="rules"):
        verdicts.judge("who", ["Jane"], "Jane", mode="guess")


def test_an_empty_acceptable_answer_accepts_no_words():
    assert not verdicts.judge("who", [""], "Jane").equivalent
    assert not verdicts.judge("who", ["!"], "?").equivalent
    assert verdicts.judge("which sign", ["×"], " × ").equivalent


def test_verdicts_on_real_predictions_stay_as_they_are(judged):
    """Counted when the weights were learned: a change of the code alone must not move them."""
    rows = predictions.read(judged / "judged/openqa_eval/model_outputs/NQ_FiD.jsonl")
    told = verdicts.judge_all(rows)
    assert sum(verdict.equivalent for verdict in told) == 2072
    counts = Counter(verdict.reason for verdict in told)
    assert counts == {
        "exact": 1677,
        "different": 1080,
        "name_conflict": 26,
        "number_conflict": 130,
        "qualifier_missing": 50,
        "too_vague": 27,
        "qualifier_extra": 43,
        "date_coarser": 30,
        "name": 65,
        "head_conflict": 26,
        "date_conflict": 236,
        "list": 11,
        "overlap": 37,
        "date_finer": 33,
        "word_form": 30,
        "contained": 9,
        "spelling": 10,
        "name_part": 34,
        "empty": 5,
        "number": 16,
        "yes_no": 1,
        "refusal": 1,
        "location": 6,
        "date": 14,
        "time": 1,
        "opposite": 2,
        "alias": 4,
        "several_answers": 2,
        "second_answer": 1,
        "acronym": 1,
        "time_conflict": 2,
    }
