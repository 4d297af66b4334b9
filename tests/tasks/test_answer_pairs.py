"""The task `answer_equivalence`: pairs of judged predictions, split by question."""

import json

import pytest

from closedbook.errors import UserError
from closedbook.eval.equivalence import judged
from closedbook.tasks.specs import SPECS

SPEC = SPECS["answer_equivalence"]


@pytest.fixture
def folder(tmp_path):
    """Two hundred questions, each with an exact, an equivalent and a wrong prediction."""
    rows = [
        {
            "question": f"who is number {number}",
            "answers": [f"John Smith {number}"],
            "prediction": prediction.format(number),
            "equivalent": prediction != "Jane {}",
        }
        for number in range(200)
        for prediction in ("john smith {}", "J. Smith {}", "Jane {}")
    ]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_no_question_is_in_two_splits(folder):
    splits = {name: SPEC.source.at(folder).rows(name) for name in SPEC.splits}
    asked = {
        name: {row.question.partition(" reference:")[0] for row in rows}
        for name, rows in splits.items()
    }
    assert sum(map(len, asked.values())) == 200
    assert len(set().union(*asked.values())) == 200
    # Exact matches teach; a judge is not asked about them.
    assert len(splits["train"]) == 3 * len(asked["train"])
    assert len(splits["test"]) == 2 * len(asked["test"])


def test_a_pair_is_the_text_that_a_judge_reads_with_true_or_false(folder):
    row = SPEC.source.at(folder).rows("train")[1]
    number = row.question.split("number ")[1].split()[0]
    assert SPEC.prefix + row.question == (
        f"answer equivalence question: who is number {number} reference: John Smith {number} "
        f"candidate: J. Smith {number}"
    )
    assert (row.target, row.answers) == ("true", ("true",))


def test_files_without_judgements_or_questions_are_refused(tmp_path):
    with pytest.raises(UserError, match="no train file of answer_equivalence"):
        SPEC.source.at(tmp_path).rows("train")
    line = {"question": "q", "answers": ["a"], "prediction": "c", "equivalent": True}
    (tmp_path / "judged.jsonl").write_text(json.dumps(line))
    mine = judged.part("q")
    for split in SPEC.splits:
        if split == mine:
            assert len(SPEC.source.at(tmp_path).rows(split)) == 1
        else:
            with pytest.raises(UserError, match=f"no question falls into the split {split}"):
                SPEC.source.at(tmp_path).rows(split)
