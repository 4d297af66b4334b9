"""Tasks of other packages are scored as SeqIO's own evaluator scores them.

Each test gives the same made-up outputs of a model to both. The cases are those of SeqIO's tests of
its evaluator that text-to-text tasks can meet, and tasks as users write them.
"""

import functools
import json
import logging

import flax
import numpy as np
import pytest
import seqio
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2
from tensorboard.util import tensor_util

from closedbook.data.cache_lookup import token_cache
from closedbook.data.evaluation import Outputs
from closedbook.data.evaluation_tasks import evaluation_task
from closedbook.errors import UserError
from closedbook.training.evaluation import Answers, result_rows

LENGTH = 12  # tokens of a made-up prediction
ROWS = [
    {"question": "what is one", "answers": ["one", "1"], "choices": ["one", "two"], "id": 7},
    {"question": "what is two", "answers": ["two"], "choices": ["two", "three"], "id": 8},
    {"question": "who is a<b {c}", "answers": ["a<b {c}"], "choices": ["x", "y"], "id": 9},
]
TEXTS = ["one and more", "two", "y"]
SCORES = [-1.5, -0.25, -7.0]


def _source(rows):
    lists = {name: tf.TensorSpec([None], tf.string) for name in ("answers", "choices")}
    scalars = {"question": tf.TensorSpec([], tf.string), "id": tf.TensorSpec([], tf.int64)}

    def dataset(split, shuffle_files=False, seed=None):
        return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=lists | scalars)

    return seqio.FunctionDataSource(dataset, splits=["validation"])


def _features(dataset):
    def convert(row):
        return {
            "inputs": row["question"],
            "targets": tf.strings.reduce_join(row["answers"][:1]),
            "weights": tf.constant([[0.1, 0.2]]),
            "spans": tf.RaggedTensor.from_row_lengths(row["choices"], [0, tf.size(row["choices"])]),
            **{name: row[name] for name in ("answers", "choices", "id")},
        }

    return dataset.map(convert)


def _answers(output, example=None, is_target=False):
    return [answer.decode() for answer in example["answers"]] if is_target else output


def _nearest(output, example=None, is_target=False):
    """The choice with which an output begins: needs a feature that nothing else needs."""
    if is_target:
        return _answers(output, example, is_target)
    return next((c.decode() for c in example["choices"] if output.startswith(c.decode())), output)


def _tables(output, example=None, is_target=False):
    """Targets with numbers of NumPy's types, as those of SuperGLUE are."""
    if is_target:
        return {
            "value": np.int64(len(example["answers"])),
            "group": example["id"],
            "weights": example["weights"],
            "text": example["answers"][0],
        }
    return len(output.split())


def _spans(output, example=None, is_target=False):
    """A feature with rows of unequal length."""
    return [len(each) for each in example["spans"].to_list()] if is_target else output


def _em(targets, predictions):
    return {"em": 100.0 * np.mean([p in t for t, p in zip(targets, predictions, strict=True)])}


def _same(targets, predictions):
    return {"same": float(np.mean([t == p for t, p in zip(targets, predictions, strict=True)]))}


def _counts(targets, predictions):
    pairs = zip(targets, predictions, strict=True)
    return {"right": np.float32(sum(int(t["value"]) == p for t, p in pairs))}


def _spanned(targets, predictions):
    return {"spans": sum(sum(each) for each in targets) + len(predictions)}


def _mean_score(targets, scores):
    return {"mean_score": float(np.mean(scores)), "answers": sum(len(t) for t in targets)}


def _with_aux(targets, predictions, aux_values):
    return {"mean_aux": float(np.mean(aux_values["scores"])), "count": len(predictions)}


def _of_all_kinds(targets, predictions):
    metrics = seqio.metrics
    return {
        "scalar": metrics.Scalar(50),
        "sample": metrics.Text(f"first: {predictions[0]}"),
        "lengths": metrics.Histogram(np.array([1.0, 2.0, 2.0]), bins=2),
        "matrix": metrics.Image(np.full((1, 2, 3, 3), 0.5, np.float32)),
        "sound": metrics.Audio(np.zeros((1, 8, 1), np.float32), sample_rate=8),
        "table": metrics.Generic(
            np.array([[1, 2]]), tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_TENSOR")
        ),
    }


@flax.struct.dataclass
class _Longest(seqio.metrics.CollectingMetric):
    """A metric object of its own, which reads raw tokens and examples."""

    model_output_type: seqio.metrics.ModelOutputType = seqio.metrics.ModelOutputType.PREDICTION

    def actual_compute(self, examples, features, target_field_name="targets", cached_targets=None):
        tokens = np.asarray(self.values["model_output"])
        ids = [int(example["id"]) for example in examples]
        targets = [example["targets_pretokenized"].decode() for example in examples]
        found = {"targets": targets, "tokens": tokens.tolist()}
        return {"longest": int((tokens != 0).sum(1).max()), "ids": sum(ids)}, found


@pytest.fixture
def task(vocabulary_file, request):
    """Registers a task: `task(rows=..., tokenize=..., postprocess_fn=..., metric_fns=...)`."""

    def add(rows=ROWS, *, tokenize=seqio.preprocessors.tokenize, **arguments):
        case = request.node.name.translate(str.maketrans("[]-", "___"))
        name = f"theirs_{case}_{len(added)}"
        feature = seqio.Feature(seqio.SentencePieceVocabulary(str(vocabulary_file), 100))
        seqio.TaskRegistry.add(
            name,
            source=_source(rows),
            preprocessors=[_features, tokenize, seqio.preprocessors.append_eos_after_trim],
            output_features={"inputs": feature, "targets": feature},
            **arguments,
        )
        added.append(name)
        return name

    added: list[str] = []
    yield add
    for name in added:
        seqio.TaskRegistry.remove(name)


@pytest.fixture
def opened(vocabulary, tmp_path):
    """Our form of a registered task, from a cache that has been written and read."""

    def open_(name, num_examples=None):
        cache = token_cache(name, "validation", vocabulary=vocabulary, cache_dir=tmp_path / "cache")
        return evaluation_task(cache, vocabulary, num_examples)

    return open_


def _tokens(vocabulary, texts):
    rows = np.zeros((len(texts), LENGTH), np.int32)
    for row, text in zip(rows, texts, strict=True):
        ids = [*vocabulary.encode(text), 1][:LENGTH]
        row[: len(ids)] = ids
    return rows


def _ours(task, vocabulary, texts=TEXTS, scores=SCORES):
    return task.score(
        Outputs(
            texts=texts,
            tokens=_tokens(vocabulary, texts),
            prediction_scores=scores,
            target_scores=scores,
        )
    )


def _theirs(name, vocabulary, folder, texts=TEXTS, scores=SCORES):
    """SeqIO's result, and the rows that its logger writes."""
    evaluator = seqio.Evaluator(
        mixture_or_task_name=name,
        feature_converter=seqio.EncDecFeatureConverter(pack=False),
        eval_split="validation",
        logger_cls=[seqio.JSONLogger, seqio.TensorBoardLogger],
        log_dir=str(folder),
    )
    tokens = list(enumerate(_tokens(vocabulary, texts).tolist()))
    found, _ = evaluator.evaluate(
        compute_metrics=True,
        step=5,
        predict_fn=lambda dataset: tokens[::-1],
        score_fn=lambda dataset: list(enumerate(scores)),
        predict_with_aux_fn=lambda dataset: (tokens, {"scores": list(scores)}),
    )
    result = found.result()[name]
    evaluator.close()
    path = folder / f"{name}-000005.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return result, rows


def _assert_alike(name, task, vocabulary, folder):
    """Values and rows are SeqIO's; returns what ours makes of them."""
    scored = _ours(task, vocabulary)
    expected, rows = _theirs(name, vocabulary, folder)
    assert scored.scores == pytest.approx({k: float(v) for k, v in expected.items()})
    written = list(result_rows(Answers(task=task, predicted=(), scored=scored)))
    assert len(written) == len(rows)
    for ours, theirs in zip(written, rows, strict=True):
        assert _plain(ours) == _plain(theirs)
    return scored


def _plain(row):
    """A row with rounded numbers: SeqIO's scores went through float32."""
    return json.loads(json.dumps(row), parse_float=lambda text: round(float(text), 4))


CASES = {
    "predictions": {"postprocess_fn": _answers, "metric_fns": [_em]},
    "other_features": {"postprocess_fn": _nearest, "metric_fns": [_em]},
    "no_postprocessor": {"postprocess_fn": None, "metric_fns": [_same]},
    "numbers": {"postprocess_fn": _tables, "metric_fns": [_counts]},
    "ragged": {"postprocess_fn": _spans, "metric_fns": [_spanned]},
    "scores": {"postprocess_fn": _answers, "metric_fns": [_mean_score]},
    "predictions_and_scores": {"postprocess_fn": _answers, "metric_fns": [_em, _mean_score]},
    "aux": {"postprocess_fn": _answers, "metric_fns": [_with_aux]},
    "all_three": {"postprocess_fn": _answers, "metric_fns": [_em, _mean_score, _with_aux]},
    "metric_object": {"postprocess_fn": _answers, "metric_objs": [_Longest.empty()]},
    "object_and_function": {
        "postprocess_fn": _answers,
        "metric_fns": [_em],
        "metric_objs": [_Longest.empty()],
    },
    "object_of_a_function": {
        "metric_objs": [seqio.metrics.PassthroughLegacyMetric.from_metric_fn(_em, _answers)]
    },
    "tokens_alone": {
        "tokenize": functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
        "postprocess_fn": None,
        "metric_fns": [_same],
    },
}


@pytest.mark.parametrize("case", CASES)
def test_scores_and_rows_are_those_of_seqio(case, task, opened, vocabulary, tmp_path):
    name = task(**CASES[case])
    _assert_alike(name, opened(name), vocabulary, tmp_path)


def test_rows_without_answers_and_repeated_ids_are_scored_and_told(
    task, opened, vocabulary, tmp_path
):
    rows = [ROWS[0] | {"answers": []}, ROWS[1] | {"id": 7}, ROWS[2]]
    name = task(rows, postprocess_fn=_answers, metric_fns=[_em])
    ours = opened(name)
    scored = _assert_alike(name, ours, vocabulary, tmp_path)
    assert scored.scores["em"] == pytest.approx(100 / 3)
    assert [(q.id, q.given_id) for q in ours.questions] == [
        ("validation-0", "7"),
        ("validation-1", "7"),
        ("9", None),
    ]
    without, repeated = ours.notes()
    assert "1 of 3 rows" in without
    assert "have no answer" in without
    assert "1 ids" in repeated
    assert "'7'" in repeated


def test_answers_for_people_are_texts_of_the_target_or_of_the_example(task, opened):
    expected = {
        "predictions": [("one", "1"), ("two",), ("a<b {c}",)],
        "no_postprocessor": [("one",), ("two",), ("a<b {c}",)],
        "numbers": [("one", "1"), ("two",), ("a<b {c}",)],
    }
    for case, answers in expected.items():
        name = task(**CASES[case])
        assert [question.answers for question in opened(name).questions] == answers


def test_a_task_without_pretokenized_text_has_the_text_of_its_tokens(task, opened, vocabulary):
    name = task(**CASES["tokens_alone"])
    questions = opened(name).questions
    decoded = [vocabulary.decode(vocabulary.encode(row["question"])) for row in ROWS]
    assert [question.text for question in questions] == decoded
    assert questions[0].answers == ("one",)


def test_texts_histograms_pictures_and_sounds_reach_tensorboard(task, opened, vocabulary, tmp_path):
    name = task(postprocess_fn=_answers, metric_fns=[_of_all_kinds])
    scored = _ours(opened(name), vocabulary)
    assert scored.scores == {"scalar": 50.0}
    assert scored.values == {"scalar": 50.0, "sample": f"first: {TEXTS[0]}", "table": [[1, 2]]}
    ours = {v.tag: v for v in map(summary_pb2.Summary.Value.FromString, scored.summaries)}
    _theirs(name, vocabulary, tmp_path)
    theirs = {}
    for path in (tmp_path / name).iterdir():
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            theirs |= {value.tag: value for value in event.summary.value}
    assert set(ours) == set(theirs) - {"eval/scalar"}
    assert set(ours) == {f"eval/{n}" for n in ("sample", "lengths", "matrix", "sound", "table")}
    for tag, value in ours.items():
        expected = theirs[tag]
        assert value.metadata.plugin_data.plugin_name == expected.metadata.plugin_data.plugin_name
        np.testing.assert_array_equal(
            tensor_util.make_ndarray(value.tensor), tf.make_ndarray(expected.tensor)
        )


def test_the_first_questions_alone_may_be_asked(task, opened, vocabulary):
    name = task(postprocess_fn=_answers, metric_fns=[_em, _mean_score])
    first = opened(name, num_examples=2)
    scored = _ours(first, vocabulary, TEXTS[:2], SCORES[:2])
    assert len(first.inputs()) == len(first.targets()) == len(first.questions) == 2
    assert scored.scores == {"em": 50.0, "mean_score": pytest.approx(-0.875), "answers": 3.0}


def test_what_metrics_need_is_known_before_a_model_is_asked(task, opened):
    assert opened(task(**CASES["predictions"])).needs == {"prediction"}
    assert opened(task(**CASES["scores"])).needs == {"score"}
    all_three = {"prediction", "score", "prediction_with_aux"}
    assert opened(task(**CASES["all_three"])).needs == all_three


def test_a_metric_that_needs_intermediates_is_refused_by_name(task, opened):
    kind = seqio.metrics.ModelOutputType.SCORE_WITH_INTERMEDIATES
    name = task(metric_objs=[_Longest(values={}, model_output_type=kind)])
    with pytest.raises(UserError, match=r"_Longest needs score_with_intermediates"):
        opened(name)


def test_a_task_whose_preprocessors_require_lengths_is_refused_without_them(task, opened):
    def tokenize_all(dataset, output_features, sequence_length):
        return seqio.preprocessors.tokenize(dataset, output_features=output_features)

    name = task(tokenize=tokenize_all, postprocess_fn=_answers, metric_fns=[_em])
    with pytest.raises(UserError, match=r"tokenize_all of task .* TASK_FEATURE_LENGTHS"):
        opened(name)


def test_two_values_of_one_name_are_refused(task, opened, vocabulary):
    name = task(postprocess_fn=_answers, metric_fns=[_em, functools.partial(_em)])
    with pytest.raises(UserError, match="give a value named 'em'"):
        _ours(opened(name), vocabulary)


def test_a_value_that_is_no_number_is_refused_with_its_name(task, opened, vocabulary):
    def listing(targets, predictions):
        return {"everything": list(predictions)}

    name = task(postprocess_fn=_answers, metric_fns=[listing])
    with pytest.raises(UserError, match=r"'everything' of task .*seqio\.metrics"):
        _ours(opened(name), vocabulary)


def test_an_error_of_a_metric_or_a_postprocessor_names_the_task(task, opened, vocabulary):
    def broken(targets, predictions):
        raise ValueError("no such key")

    name = task(postprocess_fn=_answers, metric_fns=[broken])
    with pytest.raises(ValueError, match="no such key") as caught:
        _ours(opened(name), vocabulary)
    assert name in caught.value.__notes__[0]
    name = task(postprocess_fn=lambda text, **_: text["x"], metric_fns=[_em])
    with pytest.raises(TypeError) as told:
        opened(name)
    assert name in told.value.__notes__[0]


def test_a_value_that_json_lacks_is_left_out_of_the_rows_and_told(task, opened, vocabulary, caplog):
    name = task(
        postprocess_fn=lambda text, example=None, is_target=False: object() if is_target else text,
        metric_fns=[_same],
    )
    ours = opened(name)
    with caplog.at_level(logging.WARNING, logger="closedbook"):
        rows = list(result_rows(Answers(task=ours, predicted=(), scored=_ours(ours, vocabulary))))
    assert [set(row) for row in rows] == [{"input", "output", "prediction"}] * 3
    assert caplog.text.count("no 'target' in the results") == 1
