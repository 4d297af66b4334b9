"""When a file is unlike all that the judge was validated on, the report says so."""

import json
import pathlib

import pytest

from closedbook.eval import adjusted, analysis
from closedbook.eval.adjusted.doubts import doubts, english
from closedbook.eval.predictions import Prediction
from closedbook.eval.report import markdown, measures

ENGLISH = (
    "who wrote dracula|when did the war end|what is the capital of france|which sea is deepest"
)
OTHERS = {
    "German": "wer schrieb dracula|wann war der krieg zu ende|was ist die hauptstadt von france|"
    "welches ist das tiefste meer|wie viele beine hat eine spinne",
    "Dutch": "wie schreef dracula|wanneer was de oorlog voorbij|wat is de hoofdstad van france|"
    "welke zee is of was het diepst|hoeveel poten heeft een spin",
    "French": "qui a écrit dracula|quand la guerre est finie|quelle est la capitale de la france|"
    "quelle mer est la plus profonde|combien de pattes a une araignée",
    "Spanish": "quién escribió drácula|cuándo terminó la guerra|cuál es la capital de francia|"
    "qué mar es el más profundo|cuántas patas tiene una araña",
    "Czech": "kdo napsal knihu dracula|kdy skončila druhá válka|jaké je hlavní město francie|"
    "které moře je nejhlubší|kolik nohou má pavouk",
    "Danish": "hvem skrev bogen dracula|hvornår var krigen forbi|hvad er hovedstaden i frankrig|"
    "hvilket hav er det dybeste|hvor mange ben har en edderkop",
    "Russian": "кто написал книгу дракула|когда закончилась вторая война|какая столица франции там|"
    "какое море самое глубокое|сколько ног у паука",
    "Swahili": "nani aliandika kitabu hiki|vita viliisha mwaka gani|mji mkuu wa ufaransa ni|"
    "bahari gani ni kubwa|buibui ana miguu mingapi",
}


@pytest.mark.parametrize("language", OTHERS)
def test_questions_in_another_language_are_not_taken_for_english(language):
    assert english(OTHERS[language].split("|") * 3) is False


def test_english_questions_are_english_with_a_few_others_among_them():
    assert english(ENGLISH.split("|") * 3 + OTHERS["German"].split("|")) is True


def test_real_english_questions_are_english(qa):
    for name in ("nq_open/NQ-open.dev.jsonl", "webquestions/genread-webq-test.jsonl"):
        lines = (qa / name).read_text(encoding="utf-8").splitlines()
        assert english([json.loads(line)["question"] for line in lines]) is True, name
    templates = json.loads((qa / "entityquestions/relation_query_templates.json").read_text())
    asked = [text.replace("[X]", "Ada Arden") for text in templates.values()]
    assert english(asked) is True


def rows(questions, prediction="Bram Stoker", answers=("Bram Stoker", "Stoker")):
    return [Prediction(question=q, answers=answers, prediction=prediction) for q in questions]


def analyzed(questions, **arguments):
    return analysis.analyze(rows(questions, **arguments))


def test_a_report_on_questions_in_another_language_says_so_and_gives_bounds():
    found = analyzed(OTHERS["Czech"].split("|") * 3, prediction="kniha Brama Stokera")
    [why] = found.taxonomy.doubts
    assert "not English" in why
    assert "bounds" in found.taxonomy.how
    assert found.taxonomy.adjusted.low == found.taxonomy.em.low
    assert "cannot be trusted" in measures.doubts(found)
    assert "cannot be trusted" in markdown.render_markdown(found)
    assert found.to_json()["taxonomy"]["doubts"] == [why]


def test_a_report_on_english_questions_has_no_doubts():
    found = analyzed(ENGLISH.split("|") * 3)
    assert found.taxonomy.doubts == ()
    assert measures.doubts(found) == ""


def test_answers_longer_than_any_that_were_judged_are_doubted():
    known = adjusted.load("learned")
    long = "word " * (known.longest + 1)
    asked = ENGLISH.split("|") * 3
    [why] = doubts(asked, [long] * 4 + ["word"] * 8, known)
    assert f"4 of 12 predictions have more than {known.longest} words" in why
    assert doubts(asked, [long] * 2 + ["word"] * 10, known) == []


def test_rows_without_questions_are_doubted():
    [why] = doubts(["", " "] * 5, ["a"] * 10, adjusted.load("learned"))
    assert "no questions" in why


def test_of_another_judge_nothing_is_said():
    assert doubts(OTHERS["Czech"].split("|") * 3, ["a"] * 15, adjusted.load("t5:folder")) == []


def test_labels_of_people_are_not_doubted():
    asked = OTHERS["Czech"].split("|") * 3
    found = analysis.analyze(
        rows(asked, prediction="jiná kniha"),
        labels={str(number): analysis_kind() for number in range(1, 16)},
    )
    assert found.taxonomy.doubts == ()


def analysis_kind():
    from closedbook.eval.analysis.kinds import Kind

    return Kind.TRUE_NEGATIVE


def test_the_shared_case_of_foreign_dates_is_called_not_english(shared):
    path = pathlib.Path(shared) / "cases" / "evaluator" / "foreign_dates" / "input.jsonl"
    if not path.is_file():
        pytest.skip("no shared case of foreign dates")
    asked = [json.loads(line)["question"] for line in path.read_text("utf-8").splitlines()]
    assert english(asked) is False
