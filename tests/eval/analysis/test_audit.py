"""Where protocols disagree and why, and what stop strings cost."""

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval import paired, protocols
from closedbook.eval.analysis import audit, differences
from closedbook.eval.predictions import Prediction


def row(prediction, *answers, **keys):
    return Prediction(question=f"of {answers}", answers=answers, prediction=prediction, **keys)


@pytest.mark.parametrize(
    ("prediction", "answer", "right", "wrong", "reason"),
    [
        ("St. Paul's", "St. Paul’s", "trivia_qa", "squad", "curly quotes"),
        ("rock-and-roll", "rock and roll", "trivia_qa", "nq_open", "hyphen joined or split"),
        ("Spider-Man", "Spiderman", "squad", "trivia_qa", "hyphen joined or split"),
        ("9/11", "911", "squad", "trivia_qa", "slash joined or split"),
        ("US", "U.S.", "nq_open", "dpr", "full stop in an abbreviation"),
        ("10,000", "10000", "squad", "trivia_qa", "comma or full stop in a number"),
        ("U.S.A.", "U.S.", "trivia_qa", "squad", "full stop in an abbreviation"),
        ("Beyonc\u00e9", "Beyonce\u0301", "nq_open", "squad", "Unicode form"),
        ("Beatles", "The Beatles", "squad", "dpr", "article"),
        ("the Beatles", "Beatles", "lm_eval", "curated_trec", "article"),
        ("in Paris, France", "Paris", "dpr", "squad", "token subsequence"),
        ("Paris, France", "Paris", "lm_eval", "squad", "cut at ','"),
        ("Paris\nQ: Who?", "Paris", "lm_eval", "squad", r"cut at '\n'"),
        ("1.5", "1.5", "squad", "lm_eval", "cut at '.'"),
        ("Parisian", "Paris", "curated_trec", "squad", "start of the prediction"),
        ("14 feet", "1[45] f(ee|oo)t", "curated_trec", "squad", "regular expression"),
        ("Yahoo! (us)", "Yahoo! (US)", "squad", "curated_trec", "operator of regular expressions"),
        ("answer: Paris", "Paris", "natural_questions", "squad", "set of answers"),
        ("St. Paul, MN", "St. Paul, MN", "squad", "lm_eval", "cut at several signs"),
        ("in St. Paul", "St. Paul", "dpr", "lm_eval", "token subsequence and cut at '.'"),
        ("x", "y", "squad", "dpr", "other"),
    ],
)  # fmt: skip
def test_reason_of_a_disagreement(prediction, answer, right, wrong, reason):
    found = differences.explain(prediction, [answer], right=right, wrong=wrong)
    assert found == reason


def test_pairs_that_agree_are_left_out_and_ids_are_the_rows():
    given = [row("Paris, France", "Paris", id="p"), row("10,000", "10000"), row("b", "c")]
    table = audit.disagreements(given)
    lines = {line.protocols: line for line in table}
    assert ("squad", "nq_open") not in lines
    line = lines["squad", "dpr"]
    assert (line.only_first, line.only_second) == (1, 1)
    assert line.why == [
        audit.Why(reason="token subsequence", right="dpr", count=1, ids=["p"]),
        audit.Why(reason="comma or full stop in a number", right="squad", count=1, ids=["2"]),
    ]


def test_protocols_that_judge_alike_are_one_so_that_each_difference_stands_once():
    given = [row("in Paris, France", "Paris"), row("b", "c")]
    [line, *others] = audit.disagreements(given)
    assert line.protocols == ("squad", "dpr")
    assert line.alike[0] == ["nq_open", "trivia_qa", "natural_questions", "curated_trec", "lm_eval"]
    assert others == []


def test_stops_lose_and_gain_and_make_answers_unreachable():
    given = [
        row("St. Paul", "St. Paul"),  # lost; its only answer cannot be given
        row("Paris, France", "Paris"),  # gained
        row("10,000", "10,000", "10000"),  # lost; the other answer can be given
        row("x", "y"),
    ]
    costs = {line.rule: line for line in audit.stops(given)}
    full = costs["stop at newline, '.' and ','"]
    assert (full.em.mean, full.lost, full.gained) == (0.25, 2, 1)
    assert (full.change.mean, full.change) == (
        -0.25,
        paired.difference(np.array([0.0, 1, 0, 0]), np.array([1.0, 0, 1, 0])),
    )
    assert (full.answers, full.answers_cut) == (5, 2)
    assert (full.gold_unreachable, full.ceiling, full.ids) == (1, 0.75, ["1", "3"])
    assert costs["stop at '.'"].lost == 1
    assert costs["stop at 'Q:'"].lost == costs["stop at 'Q:'"].gained == 0
    assert costs["lm-evaluation-harness nq_open"].em.mean == 0.25


def test_rules_of_the_harness_differ_in_articles():
    costs = {line.rule: line for line in audit.stops([row("Beatles", "The Beatles")])}
    assert costs["lm-evaluation-harness nq_open"].em.mean == 1
    assert costs["lm-evaluation-harness triviaqa"].em.mean == 0


def test_long_and_hostile_text_is_not_slow():
    given = [row("a-b, c.d " * 100_000, "a b", "(a+)+$", "x" * 10**6)] * 2
    table = audit.disagreements(given)
    assert {line.protocols[0] for line in table} <= set(protocols.PROTOCOLS)
    assert len(audit.stops(given)) == 7


def test_nothing_to_audit_is_an_error():
    with pytest.raises(UserError, match="no predictions to audit"):
        audit.stops([])
