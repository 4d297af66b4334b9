"""Every public form of questions and answers is read, and wrong rows are named by file and line."""

import gzip
import json
import tarfile

import pytest

from closedbook.errors import UserError
from closedbook.tasks import rows


def read(tmp_path, name, text, **options):
    path = tmp_path / name
    path.write_text(text)
    return rows.read(path, **options)


def plain(found):
    return [(row.question, row.answers, row.target) for row in found]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nq.jsonl", '{"question": "who?", "answer": ["me", "I"]}\n'),
        ("own.jsonl", '{"question": "who?", "answers": ["me", "I"], "id": 3}\n\n'),
        ("eq.json", '[\n  {"question": "who?", "answers": ["me", "I"]}\n]\n'),
        ("dpr.csv", "who?\t['me', 'I']\n"),
        ("dpr.tsv", 'who?\t"[""me"", \'I\']"\r\n'),
        (
            "wq.json",
            json.dumps(
                [
                    {
                        "url": "http://x",
                        "targetValue": '(list (description me) (description "I"))',
                        "utterance": "who?",
                    }
                ]
            ),
        ),
        (
            "tqa.json",
            json.dumps(
                {
                    "Data": [
                        {
                            "Answer": {"Aliases": ["me", "I"], "Value": "me"},
                            "Question": "who?",
                            "QuestionId": "tc_0",
                        }
                    ],
                    "Domain": "unfiltered-web",
                    "VerifiedEval": False,
                },
                indent=4,
            ),
        ),
    ],
)
def test_forms(tmp_path, name, text):
    assert plain(read(tmp_path, name, text)) == [("who?", ("me", "I"), "me")]


@pytest.mark.parametrize(
    ("name", "text", "target"),
    [
        ("fid.json", [{"question": "who?", "target": "I", "answers": ["me", "I"]}], "I"),
        ("both.jsonl", {"question": "who?", "answer": "I", "answers": ["me", "I"]}, "I"),
        ("t5.jsonl", {"input": "who?", "target": "me"}, "me"),
        ("squad.jsonl", {"question": "who?", "answers": {"text": ["me", "I"]}}, "me"),
        (
            "hub.jsonl",
            {
                "question": "who?",
                "question_id": "tc_0",
                "answer": {
                    "aliases": ["me", "I"],
                    "normalized_aliases": ["me", "i"],
                    "value": "I",
                    "normalized_value": "i",
                    "type": "FreeForm",
                },
            },
            "I",
        ),
        ("popqa.tsv", 'id\tsubj\tquestion\tpossible_answers\n1\tx\twho?\t["me", "I"]\n', "me"),
        ("sheet.csv", "answers;question\nme || I;who?\n", "me"),
        ("lines.txt", "who?\tme || I\n", "me"),
    ],
)
def test_forms_found_in_the_wild(tmp_path, name, text, target):
    text = text if isinstance(text, str) else json.dumps(text)
    [(question, answers, trained)] = plain(read(tmp_path, name, text))
    assert question == "who?"
    assert answers in {("me", "I"), ("me",)}
    assert trained == target


def test_the_answers_of_webquestions_are_read_as_lisp_writes_them(tmp_path):
    listed = r"""(list (description "\"Nora\" (singer)") (description Oslo) (description "a\\b"))"""
    text = json.dumps([{"utterance": "who?", "targetValue": listed}])
    [row] = read(tmp_path, "wq.json", text)
    assert row.answers == ('"Nora" (singer)', "Oslo", "a\\b")


def test_all_wrong_rows_are_told_at_once_ten_of_them_by_name(tmp_path):
    wrong = ["{}\n", "{not json}\n", '{"question": "q", "answer": ""}\n'] * 4
    with pytest.raises(UserError) as told:
        read(tmp_path, "a.jsonl", GOOD + "".join(wrong) + GOOD)
    lines = str(told.value).splitlines()
    assert lines[0].endswith("a.jsonl: 12 rows cannot be read:")
    assert [line.split(":")[1] for line in lines[1:-1]] == [str(n) for n in range(2, 12)]
    assert lines[-1].strip() == "and 2 more"


def test_triviaqa_trains_on_its_value_and_accepts_its_aliases(tmp_path):
    answer = {"Value": "Sunset Blvd", "Aliases": ["Sunset Boulevard", "Sunset Bvd"]}
    data = {
        "Domain": "Web",
        "Version": 1.0,
        "Data": [{"Question": "Which?", "QuestionId": "q", "Answer": answer}],
    }
    [row] = read(tmp_path, "t.json", json.dumps(data))
    assert (row.target, row.answers, row.id) == (
        "Sunset Blvd",
        ("Sunset Boulevard", "Sunset Bvd"),
        "q",
    )


def test_hidden_answers_are_allowed_only_where_expected(tmp_path):
    text = json.dumps({"Data": [{"Question": "Which?", "QuestionId": "q"}]})
    [row] = read(tmp_path, "hidden.json", text, answers_hidden=True)
    assert row.answers == ()
    with pytest.raises(UserError, match=r"hidden\.json:1: no answer to 'Which\?'"):
        read(tmp_path, "hidden.json", text)


def test_other_line_ends_inside_a_question_do_not_end_the_row(tmp_path):
    [row] = read(tmp_path, "d.csv", "a\u2028b\x0bc?\t['x']\n")
    assert row.question == "a\u2028b\x0bc?"
    [row] = read(tmp_path, "d.jsonl", '{"question": "a\u2028b?", "answer": "x"}\n')
    assert (row.question, row.answers) == ("a\u2028b?", ("x",))


def test_gzip_and_byte_order_mark(tmp_path):
    path = tmp_path / "NQ-open.train.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"question": "who?", "answer": "me"}\n'))
    assert plain(rows.read(path)) == [("who?", ("me",), "me")]


GOOD = '{"question": "who?", "answer": ["me"]}\n'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", GOOD + "{not json}\n", r"a\.jsonl:2: not JSON"),
        ("a.jsonl", GOOD + "[1]\n", r"a\.jsonl:2: expected .*found \[1\]"),
        ("a.jsonl", GOOD + '{"answer": "x"}\n', r"a\.jsonl:2: no question"),
        ("a.jsonl", GOOD + '{"question": " ", "answer": "x"}\n', r"a\.jsonl:2: no question"),
        ("a.jsonl", GOOD + '{"question": "q", "answer": []}\n', r"a\.jsonl:2: no answer to 'q'"),
        ("a.jsonl", GOOD + '{"question": "q"}\n', r"a\.jsonl:2: no answer to 'q'"),
        (
            "a.jsonl",
            GOOD + '{"question": "q", "answer": [true]}\n',
            r'a\.jsonl:2: "answer" is true; it must be a string',
        ),
        ("a.jsonl", GOOD + '{"question": "q", "answer": [""]}\n', r"a\.jsonl:2: answers must be"),
        ("a.jsonl", GOOD + '{"question": "\\ud800", "answer": "x"}\n', r"a\.jsonl:2: half a surr"),
        ("a.jsonl", "", r"a\.jsonl holds no questions"),
        ("a.json", "", r"a\.json holds no questions"),
        ("a.json", "[]", r"a\.json holds no questions"),
        ("a.json", '{"questions": []}', r"a\.json:1: neither a list"),
        ("a.json", f"[\n{GOOD},\n{GOOD[:-5]}", r"a\.json:4: not JSON.*cut short"),
        ("a.json", f'[\n{GOOD},\n{{"question": "q", "answers": []}}]', r"a\.json:4: no answer"),
        ("a.csv", "who?\t['me']\nwho, me?\n", r"a\.csv:2: expected a question, a tab"),
        ("a.csv", "who?\t[__import__('os')]\n", r"a\.csv:1: expected a question, a tab"),
        ("a.jsonl", '{"q": "who?", "gold": "me"}\n', r"no question in .*; it has the keys q, gold"),
        ("a.jsonl", '{"question": "who?", "said": 1}\n', r"it has the keys question, said"),
        ("a.csv", "question,answers\nwho?,\n", r"a\.csv:2: no answer to 'who\?'"),
        ("a.csv", "question,answers\nwho?,a,b\n", r"a\.csv:2: 3 cells, but 2 columns"),
    ],
)
def test_wrong_rows_are_named(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, name, text)


def test_text_that_is_not_utf8_is_named_by_its_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD.encode() + b'{"question": "\xff"}\n')
    with pytest.raises(UserError, match=r"a\.jsonl:2: byte 15 is not UTF-8"):
        rows.read(path)


def test_duplicate_ids_name_both_places(tmp_path):
    row = '{"id": "x", "question": "who?", "answer": "me"}\n'
    with pytest.raises(UserError, match=r"b\.jsonl:3: id 'x' stands already at .*b\.jsonl:1"):
        read(tmp_path, "b.jsonl", row + GOOD + row)


def test_public_files_are_read_whole(shared, tmp_path):
    """Counts are those of `wc -l`, or of json.load, and where published the published ones."""
    expected = {
        "qa/nq_open/NQ-open.dev.jsonl": 3610,
        "qa/nq_open/NQ-open.efficientqa.dev.1.1.jsonl": 1800,
        "qa/nq_open_derived/nq_open_train_51k.jsonl": 50435,
        "qa/qa_overlap/nq-test.qa.csv": 3610,
        "qa/dpr_topics/topics.nq.dev.txt": 8757,
        "qa/dpr_topics/topics.dpr.trivia.dev.txt": 8837,
        "qa/dpr_topics/topics.dpr.trivia.test.txt": 11313,
        "qa/webquestions/genread-webq-train.jsonl": 3478,
        "qa/webquestions/genread-webq-dev.jsonl": 300,
        "qa/webquestions/genread-webq-test.jsonl": 2032,
        "qa/entityquestions/dev/P170.dev.json": 869,
        "qa/popqa/popqa_1000_full_metadata.jsonl": 1000,
    }
    with tarfile.open(shared / "data/qa.tar.xz") as archive:
        for member in archive:
            if member.name in expected:
                archive.extract(member, tmp_path, filter="data")
    assert {name: len(rows.read(tmp_path / name)) for name in expected} == expected
    dpr = rows.read(tmp_path / "qa/qa_overlap/nq-test.qa.csv")
    assert dpr[36].answers == ("Solange Knowles", "Destiny 's Child")
