"""Which files are found in a user's folder, and how they become the protocol's splits."""

import json

import pytest

from closedbook.errors import UserError
from closedbook.tasks import own_files
from closedbook.tasks.specs import SPECS


@pytest.fixture
def put(tmp_path):
    """Writes numbered questions: `put(name, count, first)`."""

    def write(name, count, first=0):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = range(first, first + count)
        if ".json" in name and ".jsonl" not in name:
            path.write_text(
                json.dumps([{"question": f"q{i}", "answers": [f"a{i}"]} for i in numbers])
            )
        elif name.endswith(".csv"):
            path.write_text("".join(f"q{i}\t['a{i}']\n" for i in numbers))
        else:
            path.write_text("".join(f'{{"question": "q{i}", "answer": "a{i}"}}\n' for i in numbers))

    return write


def numbers(task, split, folder):
    return [int(row.question[1:]) for row in SPECS[task].source.at(folder).rows(split)]


def test_open_tasks_hold_out_a_tenth_and_test_tasks_use_all(put, tmp_path):
    put("NQ-open.train.jsonl", 20)
    put("NQ-open.dev.jsonl", 5, 100)
    assert numbers("natural_questions_open", "train", tmp_path) == list(range(18))
    assert numbers("natural_questions_open", "validation", tmp_path) == [18, 19]
    assert numbers("natural_questions_open", "test", tmp_path) == list(range(100, 105))
    assert numbers("natural_questions_open_test", "train", tmp_path) == list(range(20))
    assert numbers("natural_questions_open_test", "validation", tmp_path) == list(range(100, 105))


@pytest.mark.parametrize(
    ("task", "name", "count", "kept"),
    [
        ("natural_questions_open", "NQ-open.train.jsonl", 87925, 79168),
        ("web_questions_open", "webquestions.examples.train.json", 3778, 3417),
        ("trivia_qa_open", "unfiltered-web-train.json", 87622, 78785),
    ],
)
def test_the_official_file_is_cut_where_the_paper_cut_it(put, tmp_path, task, name, count, kept):
    put(name, count)
    assert len(numbers(task, "train", tmp_path)) == kept
    assert len(numbers(task, "validation", tmp_path)) == count - kept


def test_dprs_own_split_is_kept(put, tmp_path):
    put("nq/nq-train.qa.csv", 10)
    put("nq/nq-dev.qa.csv", 3, 50)
    put("nq/nq-test.qa.csv", 4, 100)
    assert numbers("natural_questions_open", "train", tmp_path) == list(range(10))
    assert numbers("natural_questions_open", "validation", tmp_path) == [50, 51, 52]
    assert numbers("natural_questions_open_test", "train", tmp_path) == [*range(10), 50, 51, 52]
    assert numbers("natural_questions_open_test", "validation", tmp_path) == [100, 101, 102, 103]


def test_triviaqa_test_trains_on_train_and_dev(put, tmp_path):
    put("triviaqa-unfiltered/unfiltered-web-train.json", 10)
    put("triviaqa-unfiltered/unfiltered-web-dev.json", 3, 50)
    assert numbers("trivia_qa_open_test", "train", tmp_path) == [*range(10), 50, 51, 52]
    assert numbers("trivia_qa_open", "test", tmp_path) == [50, 51, 52]
    with pytest.raises(UserError, match="unfiltered-web-test-without-answers"):
        numbers("trivia_qa_open_test", "test", tmp_path)


def test_entity_questions_reads_all_relations(put, tmp_path):
    put("train/P17.train.json", 3)
    put("train/P36.train.json", 2, 10)
    put("dev/P17.dev.json", 2, 20)
    assert numbers("entity_questions", "train", tmp_path) == [0, 1, 2, 10, 11]
    assert numbers("entity_questions", "validation", tmp_path) == [20, 21]
    with pytest.raises(UserError, match=r"no test file of entity_questions.*P\*\.test\.json"):
        numbers("entity_questions", "test", tmp_path)


def test_a_missing_file_lists_the_names_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"no train file.*NQ-open\.train\.jsonl.*nq_open"):
        numbers("natural_questions_open", "train", tmp_path)
    with pytest.raises(UserError, match="no folder"):
        numbers("natural_questions_open", "train", tmp_path / "absent")


def test_two_files_for_one_part_are_not_guessed_between(put, tmp_path):
    put("nq_open_train_a.jsonl", 2)
    put("nq_open_train_b.jsonl", 2)
    with pytest.raises(
        UserError, match=r"nq_open_train_a\.jsonl, nq_open_train_b\.jsonl.*leave one"
    ):
        numbers("natural_questions_open", "train", tmp_path)


def test_what_is_only_in_tfds_says_so(tmp_path):
    with pytest.raises(UserError, match="only from TFDS"):
        numbers("natural_questions_nocontext", "train", tmp_path)


def test_own_files_become_a_task(put, tmp_path):
    put("a.jsonl", 3)
    assert own_files.qa_from_files({"own_quiz": {"validation": tmp_path / "a.jsonl"}}) == (
        "own_quiz",
    )
    spec = SPECS["own_quiz"]
    assert (spec.splits, spec.prefix, spec.metric) == (("validation",), "question: ", "squad")
    assert len(spec.source.rows("validation")) == 3
    with pytest.raises(UserError, match="no split 'train'; there are validation"):
        spec.source.rows("train")


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"web_questions_open": {"train": __file__}}, {}, "packaged task"),
        ({"mine": {"train": "absent.jsonl"}}, {}, r"task 'mine', split 'train': .*absent\.jsonl"),
        ({"mine": {}}, {}, "has no files"),
        ({}, {"metric": "sqad"}, "unknown metric 'sqad'; nearest: squad"),
    ],
)
def test_wrong_own_files_are_refused(files, options, message):
    with pytest.raises(UserError, match=message):
        own_files.qa_from_files(files, **options)
