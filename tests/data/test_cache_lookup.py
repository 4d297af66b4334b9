"""Token caches of questions: what goes in comes out, and nothing stale or broken is used."""

import json
import subprocess
import sys

import pytest

from closedbook.data import cache, cache_lookup, task_facts
from closedbook.data.batches import Batches
from closedbook.data.cache import BrokenCacheError, TokenCache
from closedbook.data.evaluation import Outputs, lines
from closedbook.data.evaluation_tasks import evaluation_task
from closedbook.errors import UserError
from closedbook.tasks import own_files, specs

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def nq(nq_folder, vocabulary, cache_dir):
    """Caches of natural_questions_open, by split."""

    def opened(split, task="natural_questions_open", **changed):
        arguments = {"vocabulary": vocabulary, "data_dir": nq_folder, "cache_dir": cache_dir}
        return cache_lookup.token_cache(task, split, **arguments | changed)

    return opened


def text(tokens, vocabulary, index):
    return vocabulary.decode(tokens.inputs(index)), vocabulary.decode(tokens.targets(index))


def test_questions_answers_and_counts_survive(nq, nq_rows, vocabulary):
    train, held_out = nq("train"), nq("validation")
    assert (len(train), len(held_out)) == (2700, 300)  # 90% of 3,000
    for tokens, rows in ((train, nq_rows[:2700]), (held_out, nq_rows[2700:3000])):
        for index, (row, example) in enumerate(zip(rows, tokens.examples(), strict=True)):
            assert example["question"] == row["question"]
            assert example["answers"] == list(dict.fromkeys(row["answer"]))
            assert example["id"] == row["id"]
            assert tokens.inputs(index).tolist() == [
                *vocabulary.encode("nq question: " + row["question"]),
                1,
            ]
            assert tokens.targets(index).tolist() == [*vocabulary.encode(row["answer"][0]), 1]


def test_dev_is_whole_and_in_order(nq, nq_folder, vocabulary):
    test = nq("test")
    rows = [json.loads(line) for line in (nq_folder / "NQ-open.dev.jsonl").read_text().splitlines()]
    assert len(test) == len(rows) == 600
    assert [e["target"] for e in test.examples()] == [row["answer"] for row in rows]
    first = ("nq question: " + rows[0]["question"], rows[0]["answer"][0])
    assert text(test, vocabulary, 0) == first


def test_the_manifest_says_how_to_evaluate(nq):
    manifest = nq("test").manifest
    assert (manifest["postprocessor"], manifest["prefix"]) == ("plain", "nq question: ")
    assert set(manifest["features"]) == {"inputs", "targets"}
    assert manifest["vocab_size"] == 2100


def test_random_answers_hold_every_answer(nq, nq_rows, vocabulary):
    tokens = nq("train", "natural_questions_open_randanswer")
    assert tokens.has_alternatives
    several = next(i for i, row in enumerate(nq_rows) if len(row["answer"]) > 2)
    for number, answer in enumerate(nq_rows[several]["answer"]):
        assert tokens.targets(several, number).tolist() == [*vocabulary.encode(answer), 1]


def test_an_existing_cache_needs_no_tensorflow(nq, nq_folder, vocabulary, cache_dir):
    nq("train"), nq("test")
    program = f"""
import sys
sys.modules["tensorflow"] = sys.modules["seqio"] = sys.modules["tensorflow_datasets"] = None
from closedbook.data import cache, cache_lookup
from closedbook.data.batches import Batches
from closedbook.data.leakage import leakage, training_keys
from closedbook.vocabulary.sentencepiece import Vocabulary
arguments = dict(vocabulary=Vocabulary({vocabulary.path!r}), data_dir={str(nq_folder)!r},
                 cache_dir={str(cache_dir)!r})
sources = cache_lookup.training_sources("natural_questions_open", **arguments)
batch = next(Batches(sources, 8, {{"inputs": 64, "targets": 16}}, True, 0))
print(batch["encoder_input_tokens"].shape)
[test] = cache_lookup.evaluation_caches("natural_questions_open", "test", **arguments)
print(len(test), leakage(training_keys([sources[0][0]]), test).questions)
try:
    cache_lookup.token_cache("web_questions_open", "train", **arguments | dict(data_dir=None))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["(8, 64)", "600 600"], done.stderr
    assert lines[2].startswith("UserError web_questions_open has no token cache yet")


def test_a_changed_file_gives_another_cache(vocabulary, tmp_path, monkeypatch):
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": "who?", "answer": "me"}\n')
    own_files.qa_from_files({"own_changing": {"train": path}})
    arguments = {"vocabulary": vocabulary, "cache_dir": tmp_path / "caches"}
    first = cache_lookup.token_cache("own_changing", "train", **arguments)
    again = cache_lookup.token_cache("own_changing", "train", **arguments)
    assert first.folder == again.folder
    path.write_text('{"question": "who?", "answer": "you"}\n')
    changed = cache_lookup.token_cache("own_changing", "train", **arguments)
    assert vocabulary.decode(changed.targets(0)) == "you"
    assert vocabulary.decode(first.targets(0)) == "me"


@pytest.mark.parametrize(
    "name", ["inputs.tokens", "targets.offsets", "examples.jsonl", "manifest.json"]
)
def test_a_truncated_cache_is_rebuilt(vocabulary, tmp_path, name):
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": "who was it?", "answer": "me"}\n')
    own_files.qa_from_files({"own_truncated": {"train": path}})
    arguments = {"vocabulary": vocabulary, "cache_dir": tmp_path / "caches"}
    folder = cache_lookup.token_cache("own_truncated", "train", **arguments).folder
    broken = folder / name
    broken.write_bytes(broken.read_bytes()[:-2])
    with pytest.raises(BrokenCacheError):
        TokenCache(folder)
    rebuilt = cache_lookup.token_cache("own_truncated", "train", **arguments)
    assert rebuilt.folder == folder
    assert vocabulary.decode(rebuilt.inputs(0)) == "question: who was it?"
    assert [p.name for p in (tmp_path / "caches").iterdir()] == [folder.name]


def test_a_cache_that_another_process_finishes_meanwhile_is_used(tmp_path):
    def rows(mark, meanwhile=lambda: None):
        yield {"inputs": [[mark, 1]], "targets": [[mark, 1]]}, None
        meanwhile()

    folder, arguments = tmp_path / "it", {"manifest": {"task": "t", "split": "s"}, "vocab_size": 9}
    tokens = cache.write(
        folder, rows(7, lambda: cache.write(folder, rows(8), **arguments)), **arguments
    )
    assert tokens.inputs(0).tolist() == [8, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_mixture_weighs_by_examples(nq_folder, vocabulary, cache_dir, tmp_path):
    for name in ("NQ-open.train.jsonl", "NQ-open.dev.jsonl"):
        (tmp_path / name).symlink_to(nq_folder / name)
    row = {"question": "who?", "answers": ["me"]}
    (tmp_path / "webquestions-train.jsonl").write_text(
        "".join(json.dumps(row | {"question": f"who {i}?"}) + "\n" for i in range(20))
    )
    trivia = {
        "Question": "Who?",
        "QuestionId": "tc_1",
        "Answer": {"Value": "Me", "Aliases": ["Me", "I"]},
    }
    data = [trivia | {"QuestionId": f"tc_{i}"} for i in range(10)]
    (tmp_path / "unfiltered-web-train.json").write_text(json.dumps({"Data": data}))
    sources = cache_lookup.training_sources(
        "closed_book_qa", vocabulary=vocabulary, data_dir=tmp_path, cache_dir=cache_dir
    )
    assert {tokens.name: rate for tokens, rate in sources} == {
        "natural_questions_open": 2700.0,
        "web_questions_open": 18.0,
        "trivia_qa_open": 9.0,
    }
    assert next(Batches(sources, 2, {"inputs": 64, "targets": 16}, True, 0)).keys()


def test_a_task_of_another_package_is_cached_too(vocabulary, tmp_path):
    import seqio
    import tensorflow as tf

    def dataset_fn(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensor_slices({"inputs": ["a b", "c"], "targets": ["d", "e"]})

    if "theirs" not in seqio.TaskRegistry.names():
        seqio.TaskRegistry.add(
            "theirs",
            source=seqio.FunctionDataSource(dataset_fn, splits=["validation"]),
            preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
            output_features={
                name: seqio.Feature(seqio.SentencePieceVocabulary("/nowhere/else.model"))
                for name in ("inputs", "targets")
            },
            metric_fns=[lambda targets, predictions: {"same": 0.0}],
        )
    [tokens] = cache_lookup.evaluation_caches(
        "theirs", "validation", vocabulary=vocabulary, cache_dir=tmp_path
    )
    assert [vocabulary.decode(tokens.inputs(i)) for i in range(2)] == ["a b", "c"]
    assert [e["question"] for e in tokens.examples()] == ["a b", "c"]
    texts = [e["features"]["targets_pretokenized"] for e in tokens.examples()]
    assert texts == ["d", "e"]
    assert tokens.manifest["postprocessor"] == "task"
    # A cache of an earlier version lacks the features: it is made again in its place.
    manifest, lines = tokens.folder / "manifest.json", tokens.folder / "examples.jsonl"
    before = json.loads(manifest.read_text())
    lines.write_text('{"id": "0", "question": "a b", "answers": ["d"], "target": "d"}\n')
    sizes = before["files"] | {"examples.jsonl": lines.stat().st_size}
    earlier = {name: value for name, value in before.items() if not name.startswith("digest")}
    manifest.write_text(json.dumps(earlier | {"format": 1, "files": sizes}))
    [again] = cache_lookup.evaluation_caches(
        "theirs", "validation", vocabulary=vocabulary, cache_dir=tmp_path
    )
    assert again.folder == tokens.folder
    assert json.loads(manifest.read_text()) == before
    assert task_facts.registered_task("theirs").name == "theirs"


def test_questions_of_an_earlier_version_are_still_asked(tmp_path, vocabulary):
    line = {"id": "7", "question": "who?", "answers": ["Ada"], "target": ["Ada"]}
    rows = [({"inputs": [[5, 1]], "targets": [[6, 1]]}, line)]
    about = {"task": "natural_questions_open", "split": "dev", "prefix": "nq question: "}
    made = cache.write(
        tmp_path / "old",
        rows,
        manifest=about | {"postprocessor": "plain"},
        vocab_size=500,
    )
    manifest = made.folder / "manifest.json"
    content = json.loads(manifest.read_text())
    earlier = {name: value for name, value in content.items() if not name.startswith("digest")}
    manifest.write_text(json.dumps(earlier | {"format": 1}))
    task = evaluation_task(TokenCache(made.folder), vocabulary)
    [question] = task.questions
    assert (question.id, question.text, question.answers) == ("7", "who?", ("Ada",))
    assert question.features["inputs_pretokenized"] == "nq question: who?"
    assert question.features["inputs"].tolist() == [5, 1]
    scored = task.score(Outputs(texts=["ada"]))
    assert scored.scores["em"] == 100.0
    assert task.notes() == []


def test_a_task_without_a_metric_may_be_answered_but_not_scored(vocabulary, tmp_path):
    import seqio
    import tensorflow as tf

    def dataset_fn(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensor_slices({"inputs": ["a b"], "targets": ["d"]})

    feature = seqio.Feature(seqio.SentencePieceVocabulary("/nowhere/else.model"))
    seqio.TaskRegistry.add(
        "unscored",
        source=seqio.FunctionDataSource(dataset_fn, splits=["validation"]),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
        output_features={"inputs": feature, "targets": feature},
    )
    given = {"vocabulary": vocabulary, "cache_dir": tmp_path}
    with pytest.raises(UserError, match="no split 'validation' with a metric"):
        cache_lookup.evaluation_caches("unscored", "validation", **given)
    [found] = cache_lookup.evaluation_caches("unscored", "validation", scored=False, **given)
    [line] = lines(found)
    assert line["features"]["inputs_pretokenized"] == b"a b"
    assert line["features"]["targets"].tolist() == found.targets(0).tolist()
    with pytest.raises(UserError, match=r"no split 'test'; its splits: validation"):
        cache_lookup.evaluation_caches("unscored", "test", scored=False, **given)
    seqio.TaskRegistry.remove("unscored")


def test_tokens_are_all_there_is_of_a_task_that_is_only_trained_on(tmp_path):
    made = cache.write(
        tmp_path / "made",
        [({"targets": [[6, 1]]}, None)],
        manifest={"task": "text", "split": "train", "prefix": ""},
        vocab_size=500,
    )
    [line] = lines(made)
    assert line["id"] == "train-0"
    assert {name: ids.tolist() for name, ids in line["features"].items()} == {"targets": [6, 1]}


def test_unknown_names_are_the_users_errors(vocabulary, tmp_path):
    with pytest.raises(UserError, match=r"natural_questions_opn.*nearest: natural_questions_open"):
        cache_lookup.training_sources(
            "natural_questions_opn", vocabulary=vocabulary, cache_dir=tmp_path
        )
    with pytest.raises(UserError, match="no split 'dev'; it has train, validation, test"):
        cache_lookup.token_cache(
            "web_questions_open", "dev", vocabulary=vocabulary, cache_dir=tmp_path
        )
    with pytest.raises(UserError, match=r"nothing to evaluate.*'test'"):
        cache_lookup.evaluation_caches("natural_questions_open_test", "test", vocabulary=vocabulary)


def test_a_mixtures_tasks_without_the_split_may_be_left_out(vocabulary, tmp_path, monkeypatch):
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": "who?", "answer": "me"}\n')
    own_files.qa_from_files(
        {"own_both": {"train": path, "validation": path}, "own_train": {"train": path}}
    )
    monkeypatch.setitem(specs.MIXTURES, "own_mixture", ("own_both", "own_train"))
    arguments = {"vocabulary": vocabulary, "cache_dir": tmp_path / "caches", "split": "validation"}
    ((tokens, rate),) = cache_lookup.training_sources(
        "own_mixture", where_present=True, **arguments
    )
    assert (tokens.name, rate) == ("own_both", 1.0)
    with pytest.raises(UserError, match="own_train has no split 'validation'"):
        cache_lookup.training_sources("own_mixture", **arguments)
