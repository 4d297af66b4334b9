"""The command `closedbook calibrate`."""

import json
import math
import random

import pytest


def rows(n=400, **other):
    """Of the answers surer than one half 2% are wrong, of the others 60%."""
    draw = random.Random(0)
    found = []
    for number in range(n):
        sure = draw.uniform(0.01, 0.99)
        right = draw.random() > (0.02 if sure > 0.5 else 0.6)
        found.append(
            {
                "id": number,
                "question": f"what is number {number}",
                "answers": ["Rome"],
                "prediction": "Rome" if right else "Oslo",
                "score": math.log(sure),
                **{key: make(sure) for key, make in other.items()},
            }
        )
    return found


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def file(tmp_path):
    def write(lines):
        path = tmp_path / "p.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return str(path)

    return write


def test_it_says_when_to_answer_and_what_is_promised(command, file, tmp_path):
    code, out, err = command("calibrate", file(rows()), "--splits", "50", "--out", "report")
    assert (code, err) == (0, "")
    assert out.startswith("threshold    answer where score >= -0.")
    assert "at most 10% end with a threshold that breaks this" in out
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    examples = read(tmp_path / "report" / "examples.jsonl")
    given = [row for row in examples if row["answered"]]
    # The rule as it is written gives the answers that it says it does.
    assert given == [row for row in examples if row["score"] >= summary["threshold"]]
    share = sum(not row["right"] for row in given) / len(given)
    assert summary["wrong_given"]["mean"] == pytest.approx(share)
    assert summary["coverage"]["mean"] == pytest.approx(len(given) / 400)
    assert share < 0.1 < summary["wrong_all"]["mean"]
    assert (tmp_path / "report" / "figures" / "risk_coverage.svg").read_text().startswith("<svg")
    assert command("calibrate", "p.jsonl", "--splits", "2", "--out", "report")[0] == 2  # no --force


def test_smaller_may_be_surer(command, file):
    path = file(rows(doubt=lambda sure: 1 - sure))
    by_score = command("calibrate", path, "--splits", "20")[1].splitlines()
    by_doubt = command("calibrate", path, "--splits", "20", "--score=-doubt")[1].splitlines()
    assert by_doubt[0].startswith("threshold    answer where doubt <= 0.")
    assert by_doubt[1:5] == by_score[1:5]


def test_semantic_entropy_is_worked_out_of_beams(command, file):
    def beams(sure):
        texts, masses = ["Rome", "Oslo", "Rome, Italy"], [sure, 0.6 * (1 - sure), 0.1 * (1 - sure)]
        return {"texts": texts, "log_probs": [math.log(p) for p in masses], "log_possible": 50.0}

    path = file(rows(n=200, beams=beams))
    code, out, err = command("calibrate", path, "--splits", "5", "--score", "semantic_entropy")
    assert (code, err) == (0, "")
    assert out.startswith("threshold    answer where semantic_entropy <= ")
    assert "AUROC        semantic_entropy 0." in out
    assert ", less score " in out
    assert "beams        of 200 rows" in out


def test_the_judge_may_say_what_is_right(command, file):
    lines = [row | {"prediction": row["prediction"] + " city"} for row in rows(n=200)]
    code, _, err = command("calibrate", file(lines), "--splits", "2")
    assert code == 2
    assert "no threshold" in err
    code, out, _ = command("calibrate", file(lines), "--splits", "2", "--judge", "learned")
    assert code == 0
    assert "right if     exact match (squad), or the judge learned says so" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--risk", "0"), "--risk is 0.0; give a share above 0 and below 1"),
        (("--risk", "nan"), "--risk is nan"),
        (("--delta", "1.5"), "--delta is 1.5"),
        (("--splits", "0"), "--splits is 0"),
        (("--seed", "-1"), "--seed is -1; give 0 or more"),
        (("--risk", "0.001"), 'no threshold on "score" passes the test for at most 0.1% of wrong'),
        (("--score", "nothing"), 'no row has a number under "nothing"'),
        (("--score", "semantic_entropy"), "nor beams to work it out"),
        (("--score", "words"), "\"words\" of row 0 is 'high'; a score must be a finite number"),
        (("--protocol", "bleu"), "unknown protocol 'bleu'"),
    ],
)
def test_mistakes_get_one_message_and_write_nothing(command, file, tmp_path, words, message):
    code, out, err = command(
        "calibrate", file(rows(n=60, words=lambda sure: "high")), "--out", "report", *words
    )
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_rows_without_a_score_are_counted_and_never_answered(command, file, tmp_path):
    lines = rows()
    for row in lines[:30]:
        del row["score"]
    code, out, _ = command("calibrate", file(lines), "--splits", "2", "--out", "report")
    assert code == 0
    assert "left out     30 rows that state no score" in out
    examples = read(tmp_path / "report" / "examples.jsonl")
    assert not any(row["answered"] for row in examples[:30])
