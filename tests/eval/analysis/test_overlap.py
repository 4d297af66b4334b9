"""What of a test question stands in training, against the labels of Lewis et al. 2020."""

import json

import pytest

from closedbook.errors import UserError
from closedbook.eval.analysis import candidates
from closedbook.eval.analysis.overlap import Met, TrainingSet
from closedbook.eval.files import gold
from closedbook.eval.files.gold import Gold

TRAINING = TrainingSet(
    [
        Gold(question="who wrote the hobbit", answers=("J. R. R. Tolkien",)),
        Gold(question="who plays taylor on the bold and the beautiful", answers=("Hunter Tylo",)),
        Gold(question="when did the great fire of london start", answers=("1666",)),
        Gold(question="where is the louvre", answers=("Paris", "Paris, France")),
    ]
)


@pytest.mark.parametrize(
    ("question", "answer", "met"),
    [
        ("Who wrote The Hobbit?", "J.R.R. Tolkien", Met.QUESTION),
        ("who played taylor on bold and beautiful", "hunter tylo", Met.QUESTION),
        ("what year did london burn in the great fire", "1666", Met.QUESTION),
        ("when did newton see the apple fall", "1666", Met.ANSWER),
        ("what is the capital of france", "paris", Met.ANSWER),
        ("what is the capital of spain", "madrid", Met.NONE),
        ("where is the louvre", "rue de rivoli", Met.QUESTION),  # the same question all the same
        ("the", "The", Met.NONE),  # nothing is left of either
    ],
)
def test_overlap_of_single_questions(question, answer, met):
    assert TRAINING.overlap(question, [answer]).met == met


def test_the_nearest_question_is_told():
    found = TRAINING.overlap("who played taylor on bold and beautiful", ["Hunter Tylo"])
    assert found.nearest == "who plays taylor on the bold and the beautiful"
    assert found.similarity == pytest.approx(1.0)


def test_published_labels(qa):
    """Our part of the training set is 57% of the one behind the labels.

    What it shows to overlap does; what it does not show may still. So the answer labels must agree
    on 90% of all rows with no false alarm, and the question labels on 90% of the rows that
    the part can decide: those whose labelled answer overlap it shows.
    """
    part = gold.read(qa / "nq_open_derived/nq_open_train_51k.jsonl")
    held_out = {
        candidates.question_key(row.question)
        for row in gold.read(qa / "dpr_topics/topics.nq.dev.txt")
    }
    training = TrainingSet(
        row for row in part if candidates.question_key(row.question) not in held_out
    )
    answers = {
        candidates.question_key(row.question): row.answers
        for row in gold.read(qa / "nq_open/NQ-open.dev.jsonl")
    }
    lines = (qa / "qa_overlap/nq-test.qa.csv").read_text(encoding="utf-8").split("\n")
    questions = [line.split("\t")[0] for line in lines if line]
    published = [
        set(json.loads(line)["labels"])
        for line in (qa / "qa_overlap/nq-annotations.jsonl").read_text().splitlines()
    ]
    answer_right, question_right, false_alarms = [], [], 0
    for question, labels in zip(questions, published, strict=True):
        golds = answers[candidates.question_key(question)]
        met = training.overlap(question, golds).met
        seen = training.with_answer(question, golds).met != Met.NONE
        answer_right.append(("answer_overlap" in labels) == seen)
        false_alarms += seen and "answer_overlap" not in labels
        judged = labels & {"question_overlap", "no_question_overlap"}
        if judged and not ("answer_overlap" in labels and not seen):
            question_right.append(("question_overlap" in labels) == (met == Met.QUESTION))
    assert (len(answer_right), false_alarms) == (3610, 0)
    assert sum(answer_right) / len(answer_right) >= 0.92
    assert len(question_right) > 900
    assert sum(question_right) / len(question_right) >= 0.895


def test_files_of_golds(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text(
        'who is it\t[\'Ann\', "O\'Neil"]\nwhere\t"[""Rome""]"\nhow\tplain text\n', "utf-8"
    )
    assert [row.answers for row in gold.read(table)] == [
        ("Ann", "O'Neil"),
        ("Rome",),
        ("plain text",),
    ]
    lines = tmp_path / "t.jsonl"
    lines.write_text(
        '{"question": "a", "answer": ["x"]}\n{"question": "b", "answers": "y", "prediction": "z"}\n'
        '{"question": "none", "answers": []}\n'
    )
    assert gold.read(lines) == [
        Gold(question="a", answers=("x",)),
        Gold(question="b", answers=("y",)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.txt", "a\t['x']\nno tab\n", r"t.txt:2: no tab"),
        ("t.txt", "a\t[{}]\n", r"t.txt:1: .*must be a list of strings"),
        ("t.txt", "a\t[__import__('os')]\n", r"t.txt:1: .*is not a list"),
        ("t.txt", "a\t" + "[" * 9999 + "]" * 9999 + "\n", r"t.txt:1: .*is not a list"),
        ("t.jsonl", '{"question": "a"}\n', r"t.jsonl:1: no answers"),
        ("t.jsonl", '{"answers": "a"}\n', r't.jsonl:1: "question" is null'),
        ("t.jsonl", '"a"\n', r't.jsonl:1: "a" is not a JSON object'),
        ("t.jsonl", "[]\n", "t.jsonl holds no questions"),
        ("t.jsonl", '{"question": "a", "answers": []}\n', r"t.jsonl holds no answers"),
        ("t.jsonl", "", r"t.jsonl holds no questions"),
    ],
)
def test_bad_files_of_golds(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        gold.read(tmp_path / name)
