"""What is flagged, what is not, and that the flags are as good as the documentation says."""

import dataclasses
import json
import time

import pytest

from closedbook.errors import UserError
from closedbook.eval.answerability import (
    assessment as answerability,
)
from closedbook.eval.answerability import (
    learn as learn_answerability,
)
from closedbook.eval.answerability import (
    linear,
    question_features,
)
from closedbook.eval.predictions import Prediction


def flag(question, *answers):
    return answerability.assess(question, answers).flag


@pytest.mark.parametrize(
    "question",
    [
        "who is the president of the united states",
        "Who is the current CEO of the company?",
        "when was the last time the cubs won the world series",
        "what is the latest version of android",
        "how old is the queen of denmark",
        "what is the population of tokyo",
    ],
)
def test_answers_that_change_are_time_dependent(question):
    assert flag(question) == "time_dependent"


@pytest.mark.parametrize(
    "question",
    [
        "who wrote pride and prejudice",
        "when did the second world war end",
        "who won the world cup in 1998",
        "what is the capital of france",
        "where was mozart born",
        "who was the first man on the moon",
    ],
)
def test_fixed_facts_are_not_flagged(question):
    assert flag(question) is None


def test_a_year_in_the_question_fixes_what_changes():
    without = answerability.assess("who won the nba championship")
    within = answerability.assess("who won the nba championship in 1998")
    assert without.flag == "time_dependent"
    assert within.flag is None
    assert within.probability < without.probability


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("according to the passage why did he leave", "according to the passage"),
        ("Which of the following is a prime number?", "which of the following"),
        ("who sings this song", "sings this song"),
        ("what does the picture above show", "picture above"),
    ],
)
def test_a_missing_page_is_named(question, words):
    found = answerability.assess(question)
    assert (found.flag, found.evidence) == ("needs_document", words)


@pytest.mark.parametrize(
    "question",
    ["who sang the song one of these nights", "when did the song passage of time come out"],
)
def test_titles_with_a_page_in_them_need_no_page(question):
    assert flag(question) is None


@pytest.mark.parametrize("question", ["", "   ", "?", "???", "!!! --- $$$ a", "\x00\x01", "🎉🎉🎉"])
def test_what_has_no_words_is_ill_formed(question):
    assert flag(question) == "ill_formed"


def test_questions_in_other_scripts_are_questions():
    assert flag("什么是人工智能") is None
    assert flag("кто написал войну и мир") is None


@pytest.mark.parametrize("answers", [["---"], ["The", "a"], ["", " "], [")"]])
def test_gold_that_normalises_to_nothing_is_no_gold(answers):
    assert flag("who wrote hamlet", *answers) == "no_gold"


def test_no_answers_given_is_not_an_empty_gold():
    assert flag("who wrote hamlet") is None
    assert flag("who wrote hamlet", "", "Shakespeare") is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("when did norway win the world cup", "never"),
        ("who has walked on mars", "No one"),
        ("when did the uk adopt the euro", "The United Kingdom has never adopted the euro."),
        ("where is the mermaid museum of mars", "There is no such museum."),
        ("who is opening for the band at fenway", "N/A"),
    ],
)
def test_an_answer_that_denies_the_question_shows_a_false_presupposition(question, answer):
    found = answerability.assess(question, [answer])
    assert found.flag == "false_presupposition"
    assert found.evidence == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("how many moons does venus have", "none"),
        ("do you need a permit to fish", "No"),
        ("who sings boys don't cry", "The Cure"),
        ("what is the song of journey in the finale", "Don't Stop Believin"),
        ("what is on the pow mia flag", "You Are Not Forgotten"),
        ("what is the thickness of a cricket bat", "no more than 67 mm"),
    ],
)
def test_a_count_of_none_a_no_and_titles_deny_nothing(question, answer):
    assert flag(question, answer) != "false_presupposition"


def test_what_depends_on_the_place_is_told_apart_from_what_names_one():
    assert flag("how old do you have to be to buy alcohol") == "place_dependent"
    assert flag("what is the capital of australia") is None


def test_the_evidence_is_words_of_the_question():
    found = answerability.assess("who has the most goals for real madrid of all time")
    assert "most" in found.evidence.split()
    assert set(found.evidence.split()) <= set("who has the most goals of all time".split())


def test_rows_are_judged_as_one_by_one():
    rows = [
        Prediction(question="who is the king of spain", answers=("Felipe VI",), prediction="x"),
        Prediction(question="who wrote hamlet", answers=("-",), prediction="x"),
    ]
    found = answerability.assess_all(rows * 2)
    assert [one.flag for one in found] == ["time_dependent", "no_gold"] * 2
    assert found[0] == answerability.assess(rows[0].question, rows[0].answers)


def test_results_are_plain_data():
    found = dataclasses.asdict(answerability.assess("who is the king of spain"))
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "question",
    [
        "a" * 1_000_000,
        "who " * 250_000,
        " " * 1_000_000,
        "\u202e" * 1_000_000,
        "the following " * 80_000,
        "ﷺ" * 1_000_000,
        "is 's" * 200_000,
    ],
)
def test_a_megabyte_is_judged_at_once(question):
    start = time.process_time()
    answerability.assess(question, [question])
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("value", [None, 7, 1.5, ["who"], {}])
def test_what_is_not_text_does_not_fail(value):
    assert answerability.assess(value).probability >= 0
    assert answerability.assess("who wrote hamlet", [value]).probability >= 0


def test_equal_questions_in_capitals_and_with_marks_are_judged_alike():
    plain = answerability.assess("who's the president of france")
    assert plain == answerability.assess("Who’s the President of France?")


def test_weights_are_written_as_they_are_read(tmp_path):
    model = linear.shipped("time_dependent")
    model.write(tmp_path / "again.tsv")
    assert linear.read(tmp_path / "again.tsv") == model
    assert [path.name for path in tmp_path.iterdir()] == ["again.tsv"]


@pytest.mark.parametrize(
    ("text", "place"),
    [("# label: x\nnow 3\n", "weights.tsv:2"), ("now\t3\n", "label"), ("a\tb\n", "weights.tsv:1")],
)
def test_broken_weights_name_the_place(tmp_path, text, place):
    path = tmp_path / "weights.tsv"
    path.write_text(text)
    with pytest.raises(UserError, match=place):
        linear.read(path)


def test_missing_weights_name_the_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.tsv"):
        linear.read(tmp_path / "none.tsv")


def test_all_kinds_of_words_are_told_once():
    words = [word for kind in question_features._KINDS.values() for word in kind.split()]
    assert sorted(words) == sorted(set(words))


def measured(path, wanted):
    """Precision and recall of a flag on a SituatedQA file."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pairs = [(flag(row["question"]) == wanted, row["is_dependent"] == "yes") for row in rows]
    right = sum(given and true for given, true in pairs)
    return right / sum(given for given, _ in pairs), right / sum(true for _, true in pairs)


def test_time_dependent_on_situatedqa_dev_is_as_documented(shared):
    precision, recall = measured(shared / "data/situatedqa/temporal.dev.jsonl", "time_dependent")
    assert precision >= 0.90
    assert recall >= 0.85


def test_learning_again_gives_the_shipped_weights(shared, tmp_path, capsys):
    pytest.importorskip("sklearn")
    learn_answerability.main([str(shared / "data/situatedqa"), "--out", str(tmp_path)])
    assert "precision" in capsys.readouterr().out
    for label in ("time_dependent", "place_dependent"):
        again, shipped = linear.read(tmp_path / f"{label}.tsv"), linear.shipped(label)
        assert again.threshold == pytest.approx(shipped.threshold, abs=0.01)
        common = again.weights.keys() & shipped.weights.keys()
        assert len(common) > 0.95 * len(shipped.weights)
        assert all(abs(again.weights[name] - shipped.weights[name]) < 0.05 for name in common)


def test_a_row_without_a_label_is_refused_by_file_and_line(tmp_path):
    for name in ("temporal", "geographic"):
        (tmp_path / f"{name}.train.jsonl").write_text('{"question": "who won"}\n')
    with pytest.raises(UserError, match=r"temporal\.train\.jsonl:1"):
        learn_answerability.main([str(tmp_path), "--out", str(tmp_path)])
