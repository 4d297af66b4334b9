"""Metrics against t5 0.9.4 and against the published tables of the protocols' differences."""

import json
import subprocess
import sys

import pytest

from closedbook.errors import UserError
from closedbook.eval import metrics, normalize

# One row: two answers, and whether SQuAD, NQ-open and TriviaQA call them equal.
DIFFERENCES = [
    ("St. Paul's", "St. Paul’s", 0, 0, 1),
    ("rock-and-roll", "rock and roll", 0, 0, 1),
    ("Spider-Man", "Spiderman", 1, 1, 0),
    ("9/11", "911", 1, 1, 0),
    ("U.S.", "US", 1, 1, 0),
    ("10,000", "10000", 1, 1, 0),
    ("1.5 million", "15 million", 1, 1, 0),
    ("3.5", "35", 1, 1, 0),
    ("U.S.A.", "U.S.", 0, 0, 1),
    ("A.I.", "I", 0, 0, 1),
    ("Beyonc\u00e9", "Beyonce\u0301", 0, 1, 0),
    ("Th\u00e9", "\u00c1", 0, 1, 0),
    ("-40", "40", 1, 1, 1),
    ("C++", "C", 1, 1, 1),
    ("50%", "50", 1, 1, 1),
    ("Hepatitis A", "Hepatitis", 1, 1, 1),
    ("1981–82", "1981-82", 0, 0, 0),
    ("Beyonce", "Beyoncé", 0, 0, 0),
    ("½", "1/2", 0, 0, 0),
    ("Ｐａｒｉｓ", "Paris", 0, 0, 0),
]


@pytest.fixture(scope="module", params=["made-up pairs", "data sets' answers"])
def numbers(request, golden):
    """The folder of what t5 0.9.4 gives."""
    real = request.param == "data sets' answers"
    return (request.getfixturevalue("shared") / "golden" if real else golden) / "metrics"


@pytest.fixture(scope="module")
def rows(numbers):
    lines = (numbers / "qa_metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in lines.split("\n") if line]


def test_every_golden_row_equals_t5_exactly(rows):
    assert len(rows) >= 1200
    wrong = [
        (protocol, row)
        for row in rows
        for protocol in ("squad", "trivia_qa")
        if getattr(metrics, protocol)([row["targets"]], [row["prediction"]]) != row[protocol]
        or vars(metrics.score(row["prediction"], row["targets"], protocol)) != row[protocol]
        or normalize.normalizer(protocol)(row["prediction"]) != row[f"normalize_{protocol}"]
    ]
    assert wrong == []


def test_the_golden_corpus_score_equals_t5_exactly(rows, numbers):
    expected = json.loads((numbers / "qa_metrics_aggregate.json").read_text())
    targets = [row["targets"] for row in rows]
    predictions = [row["prediction"] for row in rows]
    for protocol in ("squad", "trivia_qa"):
        assert getattr(metrics, protocol)(targets, predictions) == expected[protocol]


@pytest.mark.parametrize(("left", "right", "squad", "nq_open", "trivia_qa"), DIFFERENCES)
def test_protocols_differ_as_the_published_table_says(left, right, squad, nq_open, trivia_qa):
    expected = {"squad": squad, "nq_open": nq_open, "trivia_qa": trivia_qa}
    for protocol, equal in expected.items():
        for prediction, answer in [(left, right), (right, left)]:
            assert metrics.score(prediction, [answer], protocol).em == 100 * equal, protocol


def test_f1_counts_repeated_tokens():
    # 2 of 3 predicted tokens, 2 of 2 gold tokens: precision 2/3, recall 1.
    assert metrics.score("New York York", ["York New"], "squad").f1 == pytest.approx(80)


def test_best_answer_is_taken_for_each_metric():
    score = metrics.score(
        "National Holiday of Spain $5", ["x", "National Holiday of Spain"], "squad"
    )
    assert (score.em, score.f1) == (0.0, 88.8888888888889)


@pytest.mark.parametrize("protocol", ["squad", "trivia_qa", "nq_open"])
def test_answer_empty_after_normalisation_matches_exactly_but_has_no_f1(protocol):
    assert getattr(metrics, protocol)([["The"]], ["..."]) == {"em": 100.0, "f1": 0.0}


@pytest.mark.parametrize("protocol", ["squad", "trivia_qa", "nq_open"])
def test_question_without_answers_is_an_error_that_names_the_row(protocol):
    with pytest.raises(UserError, match=r"row 2 \('Rome'\) has no acceptable answers"):
        getattr(metrics, protocol)([["Paris"], []], ["Paris", "Rome"])


def test_single_string_is_one_answer_and_not_its_letters():
    assert metrics.score("P", "Paris", "squad").em == 0
    assert metrics.squad(["Paris"], ["Paris"])["em"] == 100


def test_nothing_to_score_is_an_error_and_not_nan():
    with pytest.raises(UserError, match="no predictions"):
        metrics.squad([], [])


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 targets but 1 predictions"):
        metrics.squad([["a"], ["b"]], ["a"])


def test_unknown_protocol_lists_the_nearest():
    with pytest.raises(UserError, match="unknown protocol 'triviaqa'; nearest: trivia_qa"):
        metrics.score("a", ["a"], "triviaqa")


class TestNaturalQuestions:
    """The targets, predictions and recalls of upstream's own metrics_test.py."""

    targets = (
        (("yes",), ("no",), ("yes",), ("maybe",)),
        (("Ashley", "Mary-Kate"), ("Ashley and Mary-Kate",)),
        (("Colin", "Adam"),),
        (("yes",), ("yes",), ("yes",)),
        (("no", "not really"), ("no",), ()),
        (("no", "not really"), ("no",), ()),
    )
    predictions = (
        ("yes",),
        ("Mary-Kate", "Ashley"),
        ("Colin", "Adam"),
        ("no",),
        ("no", "Not  really"),
        (),
    )

    @pytest.mark.parametrize(
        ("options", "right", "counted"),
        [
            ({}, 3, 5),
            ({"non_null_threshold": 1}, 4, 6),
            ({"non_null_threshold": 1, "normalize_answers": False}, 3, 6),
        ],
    )
    def test_recall_equals_upstreams(self, options, right, counted):
        result = metrics.natural_questions(self.targets, self.predictions, **options)
        assert result == {"recall": right / counted * 100, "golden_answers": counted}

    def test_raw_text_is_split_at_the_prefix(self):
        texts = [" ".join(f"answer: {a}" for a in answers) for answers in self.predictions]
        assert metrics.natural_questions(self.targets, texts)["recall"] == pytest.approx(60)

    def test_text_without_prefix_predicts_no_answer(self):
        result = metrics.natural_questions([[{"yes"}]], ["yes"], non_null_threshold=1)
        assert result["recall"] == 0

    def test_no_question_above_the_threshold_is_an_error(self):
        with pytest.raises(UserError, match="none of 1 questions has 2 annotations"):
            metrics.natural_questions([[{"yes"}, set()]], [{"yes"}])


def test_metrics_start_fast_and_without_jax_and_tensorflow():
    program = (
        "import sys, time; start = time.process_time(); import closedbook.eval.metrics;"
        "seconds = time.process_time() - start;"
        "heavy = {'jax', 'jaxlib', 'flax', 'tensorflow', 'seqio'} & set(sys.modules);"
        "assert not heavy, heavy; print(seconds)"
    )
    # Processor time: other processes share the machine.
    assert float(subprocess.check_output([sys.executable, "-c", program], text=True)) < 0.5
