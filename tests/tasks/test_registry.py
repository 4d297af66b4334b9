"""The tasks as SeqIO has them: published names, prefixes, splits and metrics, with no trainer."""

import ast
import functools
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import

seqio = pytest.importorskip("seqio")
tfds = pytest.importorskip("tensorflow_datasets")

import tensorflow as tf  # noqa: E402

import closedbook.tasks  # noqa: E402, F401
from closedbook.errors import UserError  # noqa: E402
from closedbook.eval import metrics  # noqa: E402
from closedbook.tasks import mixtures, own_files, registry  # noqa: E402
from closedbook.tasks.sources import Tfds  # noqa: E402
from closedbook.tasks.specs import MIXTURES, SPECS  # noqa: E402


@pytest.fixture(scope="module")
def features(vocabulary_file):
    return registry.output_features(str(vocabulary_file))


def ragged(rows, dtype):
    return tf.ragged.constant(rows, dtype=dtype, ragged_rank=1)


NQ = [("who wrote it", ["Bobby Scott", "Bob Russell"]), ("how many", ["one", "one season"])]
OLSEN = [
    # question, per annotator: short answers, yes or no (-1 none, 0 no, 1 yes)
    ("olsen twins", [["Mary-Kate", "Ashley"]], [-1]),
    ("is it so", [[], []], [1, -1]),
    ("nobody knows", [[]], [-1]),
    ("yes and names", [["A"], []], [-1, 0]),
]


def annotated():
    def generate():
        for question, short, yes_no in OLSEN:
            yield {
                "id": question,
                "question": {"text": question},
                "annotations": {
                    "yes_no_answer": np.array(yes_no, np.int64),
                    "short_answers": {"text": ragged(short, tf.string)},
                },
            }

    text = tf.TensorSpec([], tf.string)
    return tf.data.Dataset.from_generator(
        generate,
        output_signature={
            "id": text,
            "question": {"text": text},
            "annotations": {
                "yes_no_answer": tf.TensorSpec([None], tf.int64),
                "short_answers": {"text": tf.RaggedTensorSpec([None, None], tf.string)},
            },
        },
    )


def raw(task, rows):
    """What TFDS gives for a task's data set, with these questions and answers."""
    answers = ragged([answers for _, answers in rows], tf.string)
    columns = {"question": [question for question, _ in rows]}
    if task.startswith("natural"):
        columns["answer"] = answers
    elif task.startswith("web"):
        columns |= {"answers": answers, "url": ["u"] * len(rows)}
    else:
        columns |= {
            "question_id": [f"tc_{i}" for i in range(len(rows))],
            "answer": {"value": [a[0].upper() for _, a in rows], "aliases": answers},
        }
    return tf.data.Dataset.from_tensor_slices(columns)


def examples(task, dataset, features, split="validation", **options):
    source = seqio.FunctionDataSource(
        lambda split, shuffle_files, seed=None: dataset, splits=registry.task(task).splits
    )
    copied = registry.task(task, features=features).replace(source=source)
    loaded = copied.get_dataset({"inputs": 512, "targets": 114}, split, shuffle=False, **options)
    return list(loaded.as_numpy_iterator())


@pytest.mark.parametrize(
    ("task", "prefix"),
    [
        ("natural_questions_open", "nq question: "),
        ("natural_questions_open_test", "nq question: "),
        ("web_questions_open", "wq question: "),
        ("web_questions_open_test", "wq question: "),
        ("trivia_qa_open", "trivia_qa question: "),
    ],
)
def test_inputs_targets_and_answers(task, prefix, features):
    vocabulary = features["inputs"].vocabulary
    for (question, answers), example in zip(
        NQ, examples(task, raw(task, NQ), features), strict=True
    ):
        target = answers[0].upper() if task.startswith("trivia") else answers[0]
        assert example["inputs_pretokenized"].decode() == prefix + question
        assert example["targets_pretokenized"].decode() == target
        assert example["inputs"].tolist() == [*vocabulary.encode(prefix + question), 1]
        assert example["targets"].tolist() == [*vocabulary.encode(target), 1]
        assert registry.task(task).postprocess_fn("", example=example, is_target=True) == answers


def test_trimming_keeps_the_end_of_sequence(features):
    task = registry.task("natural_questions_open", features=features)
    source = seqio.FunctionDataSource(
        lambda split, shuffle_files: raw("natural", [("who " * 50, ["a " * 50])]), ["train"]
    )
    [example] = task.replace(source=source).get_dataset(
        {"inputs": 10, "targets": 5}, "train", shuffle=False
    )
    assert (len(example["inputs"]), len(example["targets"])) == (10, 5)
    assert example["inputs"][-1] == example["targets"][-1] == 1


def test_random_answers_are_drawn_anew_each_time_and_reproducibly(features):
    dataset = raw("natural", [("q", ["a", "b", "c"])])
    drawn = [
        [
            e["targets_pretokenized"]
            for e in examples(
                "natural_questions_open_randanswer",
                dataset,
                features,
                "train",
                seed=1,
                num_epochs=30,
            )
        ]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert {value.decode() for value in drawn[0]} == {"a", "b", "c"}
    assert not registry.task("natural_questions_open_randanswer").supports_caching


def test_multi_answer_targets_and_annotators(features):
    found = examples("natural_questions_nocontext", annotated(), features)
    assert [e["targets_pretokenized"].decode() for e in found] == [
        "answer: Mary-Kate answer: Ashley",
        "answer: yes",
        "answer: no answer: A",
    ]
    task = registry.task("natural_questions_nocontext")
    targets = [task.postprocess_fn("", example=e, is_target=True) for e in found]
    assert targets == [[("Mary-Kate", "Ashley")], [("yes",), ()], [("A",), ("no",)]]
    predictions = [
        task.postprocess_fn(text)
        for text in ("answer: ashley answer: Mary-Kate", "answer: no", "A")
    ]
    [recall] = task.metric_fns
    assert recall(targets, predictions) == {"recall": pytest.approx(100 / 3), "golden_answers": 3}
    [strict] = registry.task("natural_questions_nocontext_test").metric_fns
    assert strict(targets, predictions) == {"recall": 0.0, "golden_answers": 1}


@pytest.mark.parametrize(
    ("task", "metric"),
    [(name, spec.metric) for name, spec in SPECS.items() if spec.metric and not spec.non_null],
)
def test_metrics_are_the_published_ones(task, metric):
    assert list(registry.task(task).metric_fns) == [getattr(metrics, metric)]
    assert metric == ("trivia_qa" if task.startswith("trivia") else "squad")


SIZES = {
    "natural_questions_open:1.0.0": {"train": 87925, "validation": 3610},
    "web_questions:1.0.0": {"train": 3778, "test": 2032},
    "trivia_qa/unfiltered.nocontext:1.1.0": {"train": 87622, "validation": 11313, "test": 10832},
    "natural_questions:0.0.2": {"train": 307373, "validation": 7830},
}


@pytest.mark.parametrize(
    ("task", "sizes"),
    [
        ("natural_questions_open", (79168, 8757, 3610)),
        ("natural_questions_open_randanswer", (79168, 8757, 3610)),
        ("natural_questions_open_test", (87925, 3610, None)),
        ("natural_questions_nocontext", (71338, 7830, 7830)),
        ("natural_questions_nocontext_test", (307373, 7830, None)),
        ("web_questions_open", (3417, 361, 2032)),
        ("web_questions_open_test", (3778, 2032, None)),
        ("trivia_qa_open", (78785, 8837, 11313)),
        ("trivia_qa_open_test", (98935, None, 10832)),
    ],
)
def test_splits_cut_the_data_as_published(task, sizes, tmp_path):
    spec = SPECS[task]
    infos = tfds.core.splits.SplitDict(
        [
            tfds.core.SplitInfo(
                name=n,
                shard_lengths=[size],
                num_bytes=1,
                filename_template=tfds.core.ShardedFileTemplate(
                    dataset_name="d", split=n, filetype_suffix="tfrecord", data_dir=tmp_path
                ),
            )
            for n, size in SIZES[spec.source.name].items()
        ]
    )
    names, cuts = ("train", "validation", "test"), spec.source.splits
    counted = tuple(infos[cuts[name]].num_examples if name in cuts else None for name in names)
    assert counted == sizes


_SENTENCE = {
    "text": "Paris is the capital of France.",
    "title": "Paris",
    "spans": {
        "start": np.array([0, 24], np.int32),
        "limit": np.array([5, 30], np.int32),
        "type": np.array(["LOC", "LOC"]),
    },
}


@pytest.mark.parametrize(
    "task", [name for name, spec in SPECS.items() if isinstance(spec.source, Tfds)]
)
def test_tfds_still_has_every_data_set_and_version(task, features, tmp_path):
    """Offline: TFDS makes up examples of the data set's real structure."""
    spec = SPECS[task]
    # TFDS makes up rectangular annotations where the real ones are ragged.
    made_up = (lambda *args, **kwargs: annotated()) if spec.non_null else None
    if spec.masking:  # ... and as many starts as limits
        made_up = lambda *args, **kwargs: tf.data.Dataset.from_tensors(_SENTENCE)  # noqa: E731
    policy = tfds.testing.MockPolicy.USE_CODE
    with tfds.testing.mock_data(num_examples=4, policy=policy, as_dataset_fn=made_up):
        builder = tfds.builder(spec.source.name, data_dir=str(tmp_path))
        assert str(builder.version) == spec.source.name.split(":")[1]
        if spec.non_null:
            annotation = builder.info.features["annotations"].feature
            assert annotation["yes_no_answer"].names == ["NO", "YES"]
            assert "text" in annotation["short_answers"].feature
        if spec.masking:
            spans = builder.info.features["spans"].feature
            assert {"text", "title"} < set(builder.info.features)
            assert all(spans[name].np_dtype == np.int32 for name in ("start", "limit"))
        lengths = {"inputs": 512, "targets": 114} if spec.masking else None
        loaded = registry.task(task, features=features).get_dataset(
            lengths, "train", shuffle=False, try_in_mem_cache=False
        )
        found = list(loaded.take(2).as_numpy_iterator())
    assert found
    if spec.masking:
        assert set(found[0]) >= {"inputs", "targets"}
        return
    assert all(e["inputs_pretokenized"].startswith(spec.prefix.encode()) for e in found)


def test_mixtures_are_weighed_by_examples(tmp_path, monkeypatch, features):
    for name, count in (
        ("NQ-open.train.jsonl", 20),
        ("webq-train.jsonl", 10),
        ("trivia-train.csv", 40),
    ):
        line = (
            "q{0}\t['a']\n" if name.endswith("csv") else '{{"question": "q{0}", "answer": "a"}}\n'
        )
        (tmp_path / name).write_text("".join(line.format(i) for i in range(count)))
    monkeypatch.setenv("CLOSEDBOOK_DATA_DIR", str(tmp_path))
    mixture = seqio.get_mixture_or_task("closed_book_qa")
    assert {task.name: mixture.get_rate(task) for task in mixture.tasks} == {
        "natural_questions_open": 18,
        "web_questions_open": 9,
        "trivia_qa_open": 36,
    }
    assert set(MIXTURES) <= set(seqio.MixtureRegistry.names())


def test_the_folder_of_the_environment_serves_registered_tasks(tmp_path, monkeypatch, features):
    (tmp_path / "unfiltered-web-train.json").write_text(
        '{"Data": [{"Question": "Who?", "QuestionId": "tc_1",'
        ' "Answer": {"Value": "Me", "Aliases": ["Me", "I"]}}, '
        '{"Question": "Why?", "QuestionId": "tc_2", "Answer": {"Value": "So", "Aliases": []}}]}'
    )
    monkeypatch.setenv("CLOSEDBOOK_DATA_DIR", str(tmp_path))
    task = seqio.TaskRegistry.get("trivia_qa_open").replace(output_features=features)
    assert (task.num_input_examples("train"), task.num_input_examples("validation")) == (1, 1)
    [example] = task.get_dataset(None, "train", shuffle=True, seed=0).as_numpy_iterator()
    assert (example["targets_pretokenized"], example["id"]) == (b"Me", b"tc_1")


def test_own_questions_are_a_seqio_task_too(tmp_path, features):
    (tmp_path / "mine.jsonl").write_text('{"question": "who?", "answer": "me"}\n')
    own_files.qa_from_files({"own_registered": {"train": tmp_path / "mine.jsonl"}}, prefix="quiz: ")
    task = seqio.get_mixture_or_task("own_registered").replace(output_features=features)
    [example] = task.get_dataset(None, "train", shuffle=False).as_numpy_iterator()
    assert example["inputs_pretokenized"] == b"quiz: who?"


def test_own_tasks_and_mixtures_that_are_made_again_replace_the_registered_ones(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "who?", "answer": "me"}\n')
    own_files.qa_from_files({"own_again": {"train": path}})
    mixtures.mixture({"own_mix_again": {"own_again": 1, "atlas_qa": 1}})
    own_files.qa_from_files({"own_again": {"train": path, "test": path}})
    mixtures.mixture({"own_mix_again": {"own_again": 3}})
    assert tuple(seqio.TaskRegistry.get("own_again").splits) == ("train", "test")
    mixture = seqio.MixtureRegistry.get("own_mix_again")
    assert [(task.name, mixture.get_rate(task)) for task in mixture.tasks] == [("own_again", 3.0)]


def test_a_name_taken_by_another_package_is_reported():
    spec = SPECS["web_questions_open"]
    ours = seqio.TaskRegistry.get(spec.name)
    seqio.TaskRegistry.remove(spec.name)
    try:
        seqio.TaskRegistry.add(spec.name, source=ours.source, output_features={})
        with pytest.raises(UserError, match="another package has already registered"):
            registry.register(spec)
    finally:
        seqio.TaskRegistry.remove(spec.name)
        seqio.TaskRegistry.add_provider(spec.name, ours)


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import closedbook.tasks\nimport seqio",
        "import closedbook.tasks.registry\nimport seqio",
    ],
)
def test_upstreams_way_works_without_a_trainer_or_network(imports):
    program = f"""
import socket
def refuse(*args, **kwargs): raise OSError("no network")
socket.socket.connect = refuse
{imports}
task = seqio.get_mixture_or_task("natural_questions_open")
print(task.name, *task.splits, seqio.get_mixture_or_task("closed_book_qa").name)
import sys
print([name for name in sys.modules if name.startswith(("closedbook.tr", "closedbook.cli"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "natural_questions_open train validation test closed_book_qa",
        "[]",
    ], done.stderr


def test_importing_the_tasks_alone_loads_no_tensorflow():
    program = (
        "import closedbook.tasks, closedbook.tasks.specs, sys\n"
        "print([name for name in ('tensorflow', 'seqio', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_vocabulary_of_the_environment_is_taken(vocabulary_file, monkeypatch):
    path = str(vocabulary_file)
    monkeypatch.setenv("CLOSEDBOOK_VOCABULARY", path)
    task = registry.build(SPECS["natural_questions_open"])
    assert task.output_features["inputs"].vocabulary.sentencepiece_model_file == path
    monkeypatch.delenv("CLOSEDBOOK_VOCABULARY")
    task = registry.build(SPECS["natural_questions_open"])
    assert task.output_features["inputs"].vocabulary.sentencepiece_model_file.startswith(
        "gs://t5-data/"
    )
    assert isinstance(task.preprocessors[0], functools.partial)


def test_the_two_lines_of_the_page_make_t5xs_vocabulary_that_of_our_tasks():
    """T5X compares them so, and stops where they differ."""
    docs = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "t5x.md").read_text()
    path, extra_ids = (
        re.search(rf"^seqio.SentencePieceVocabulary.{name} = (.*)$", docs, re.MULTILINE)[1]
        for name in ("sentencepiece_model_file", "extra_ids")
    )
    task = seqio.get_mixture_or_task("natural_questions_open")
    wanted = task.output_features["inputs"].vocabulary
    made = seqio.SentencePieceVocabulary(ast.literal_eval(path), extra_ids=int(extra_ids))
    assert made == wanted == task.output_features["targets"].vocabulary
    assert seqio.SentencePieceVocabulary(ast.literal_eval(path)) != wanted
