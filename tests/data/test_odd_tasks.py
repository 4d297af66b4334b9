"""Tasks as other packages may register them: what is legal is read, the rest is refused by name."""

import functools

import numpy as np
import pytest
import seqio
import tensorflow as tf

from closedbook.data.cache_lookup import token_cache, training_sources
from closedbook.data.converters import ENC_DEC
from closedbook.data.evaluation_tasks import evaluation_task
from closedbook.data.task_facts import task_features, task_rates
from closedbook.errors import UserError

ROWS = [{"inputs": "who is one", "targets": "a b"}, {"inputs": "who is two", "targets": "c"}]
_END = [seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim]


def _dataset(split, shuffle_files=False, seed=None):
    signature = {name: tf.TensorSpec([], tf.string) for name in ROWS[0]}
    return tf.data.Dataset.from_generator(lambda: iter(ROWS), output_signature=signature)


def _source(count=None):
    counts = {"num_input_examples": {"train": count, "validation": count}} if count else {}
    return seqio.FunctionDataSource(_dataset, splits=["train", "validation"], **counts)


def _same(targets, predictions):
    return {"same": float(np.mean([t == p for t, p in zip(targets, predictions, strict=True)]))}


def _made(**features):
    """A preprocessor that makes these features, whatever it is given."""
    return lambda dataset: dataset.map(lambda row: {n: tf.constant(x) for n, x in features.items()})


@pytest.fixture
def add(vocabulary_file, request):
    """Registers a task: `add("name", **arguments of seqio.Task)`; gives its name."""
    feature = seqio.Feature(seqio.SentencePieceVocabulary(str(vocabulary_file), 100))
    added = []

    def one(name="odd", **given):
        arguments = {
            "source": _source(),
            "preprocessors": _END,
            "output_features": {"inputs": feature, "targets": feature},
            "metric_fns": [_same],
        }
        seqio.TaskRegistry.add(name, **arguments | given)
        added.append(name)
        return name

    one.feature = feature
    yield one
    for name in added:
        seqio.TaskRegistry.remove(name)


@pytest.fixture
def opened(vocabulary, tmp_path):
    return lambda name, split="validation", **given: token_cache(
        name, split, vocabulary=vocabulary, cache_dir=tmp_path / "cache", **given
    )


@pytest.fixture
def mixed(add):
    """Registers a mixture: `mixed([(task, rate), ...])`; gives its name."""

    def one(rates, name="odd_mixture"):
        seqio.MixtureRegistry.add(name, rates)
        added.append(name)
        return name

    added = []
    yield one
    for name in added[::-1]:
        seqio.MixtureRegistry.remove(name)


def test_ids_of_eight_bytes_and_features_of_other_ranks_are_read(add, opened, vocabulary):
    def widened(dataset):
        return dataset.map(
            lambda row: (
                row
                | {name: tf.cast(row[name], tf.int64) for name in ("inputs", "targets")}
                | {"weights": tf.constant([[0.5, 1.0]])}
            )
        )

    wide = seqio.Feature(add.feature.vocabulary, dtype=tf.int64, add_eos=False)
    weights = seqio.ContinuousFeature(rank=2, dtype=tf.float32)
    cache = opened(
        add(
            preprocessors=[seqio.preprocessors.tokenize, widened],
            output_features={"inputs": wide, "targets": wide, "weights": weights},
        )
    )
    assert cache.inputs(1).tolist() == vocabulary.encode("who is two")
    question = evaluation_task(cache, vocabulary).questions[1]
    assert question.features["weights"].tolist() == [[0.5, 1.0]]
    assert question.answers == ("c",)


def test_lines_of_a_file_are_read(add, opened, tmp_path):
    (tmp_path / "rows.tsv").write_text("who is one\ta b\nwho is two\tc\n")

    def fields(dataset):
        def row(line):
            inputs, targets = tf.unstack(tf.strings.split(line, "\t"), num=2)
            return {"inputs": inputs, "targets": targets}

        return dataset.map(row)

    source = seqio.TextLineDataSource({"validation": str(tmp_path / "rows.tsv")})
    assert len(opened(add(source=source, preprocessors=[fields, *_END]))) == 2
    for name, file, told in (
        ("gone", "none.tsv", "/none.tsv; No such file or directory$"),
        ("none", "none*.tsv", "No file is found for the file pattern: .*none"),
    ):
        source = seqio.TextLineDataSource({"validation": str(tmp_path / file)})
        add(name, source=source, preprocessors=[fields, *_END])
        with pytest.raises(UserError, match=rf"task {name}, split validation: .*{told}"):
            opened(name)


@pytest.mark.parametrize(
    ("features", "dtype", "message"),
    [
        ({"inputs": [[3, 4], [5, 6]], "targets": [3, 1]}, tf.int32, "inputs of .* has 2 axes"),
        ({"inputs": [3, 4], "targets": [0.3]}, tf.float32, "targets of .* is of float32"),
        ({"inputs": [3, 99999], "targets": [3, 1]}, tf.int32, "row 0 has the id 99999, and the mo"),
        ({"inputs": [3, -1], "targets": [3, 1]}, tf.int32, "row 0 has the id -1"),
    ],
)
def test_what_is_no_row_of_the_vocabularys_ids_is_refused(add, opened, features, dtype, message):
    targets = seqio.Feature(add.feature.vocabulary, dtype=dtype)
    rank = np.ndim(features["inputs"])
    inputs = seqio.Feature(add.feature.vocabulary, rank=rank)
    name = add(
        preprocessors=[_made(**features)], output_features={"inputs": inputs, "targets": targets}
    )
    for split in ("train", "validation"):
        with pytest.raises(UserError, match=message):
            opened(name, split)


def test_what_seqio_refuses_of_a_task_is_one_message(add, opened):
    name = add(preprocessors=[_made(question="who?"), *_END])
    with pytest.raises(UserError, match=rf"task {name}, split validation: .*missing.*inputs"):
        opened(name)
    required = seqio.CacheDatasetPlaceholder(required=True)
    name = add("kept", preprocessors=[_END[0], required, _END[1]])
    with pytest.raises(UserError, match=r"task kept .*USE_CACHED_TASKS = True.*cache_dirs"):
        opened(name)
    name = add("empty", source=seqio.FunctionDataSource(_dataset, splits=[]))
    with pytest.raises(UserError, match="task empty, split validation: Task empty has no splits"):
        opened(name)


def test_an_error_of_a_preprocessor_names_the_task(add, opened):
    def numbers(dataset):
        def row(row):
            return {name: tf.strings.to_number(row[name], tf.int32)[None] for name in row}

        return dataset.map(row)

    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        opened(add(preprocessors=[numbers]))
    assert "examples of task odd, split validation" in caught.value.__notes__[-1]

    def broken(dataset):
        return dataset.map(lambda row: row | {"inputs": tf.concat([row["inputs"], [[1]]], 0)})

    with pytest.raises(TypeError, match="in user code") as caught:
        opened(add("broken", preprocessors=[broken, *_END]))
    assert "examples of task broken, split validation" in caught.value.__notes__[-1]


def test_an_encoder_decoder_needs_targets(add):
    name = add(output_features={"inputs": add.feature}, metric_fns=[])
    with pytest.raises(UserError, match="task odd has no targets, only inputs"):
        ENC_DEC.check(name, task_features(name))


def test_rates_are_those_of_seqio(add, mixed, vocabulary, tmp_path):
    few, many = add("few", source=_source(50)), add("many", source=_source(5000))
    rate = functools.partial(seqio.mixing_rate_num_examples, temperature=2.0, maximum=1000)
    inner = mixed([(few, rate), (many, rate)], "inner")
    assert task_rates(inner) == pytest.approx({"few": 50**0.5, "many": 1000**0.5})
    outer = mixed([(inner, 2.0), (few, 1.0)], "outer")
    parts = 50**0.5 + 1000**0.5
    assert task_rates(outer) == pytest.approx(
        {"few": 1 + 2 * 50**0.5 / parts, "many": 2 * 1000**0.5 / parts}
    )
    # Of rate 0: evaluated, and not trained on.
    idle = mixed([(few, 1.0), (many, 0.0)], "idle")
    assert set(task_rates(idle)) == {"few", "many"}
    [(cache, _)] = training_sources(idle, vocabulary=vocabulary, cache_dir=tmp_path)
    assert cache.name == "few"
    unknown = mixed([(add("unknown"), rate)])
    with pytest.raises(UserError, match=r"mixture odd_mixture has a rate .*num_input_examples"):
        task_rates(unknown)


def test_a_part_of_a_split_of_tfds_is_trained_on(add, opened):
    class Part(seqio.TfdsDataSource):
        """Of a data set that is not downloaded."""

        splits = ("train", "validation")

        def get_dataset(self, split, shuffle=False, seed=None, shard_info=None):
            return _dataset(split).take(1 if split.endswith("[:1]") else 2)

        def num_input_examples(self, split):
            return None

    name = add(source=Part(tfds_name="odd_rows:1.0.0"))
    assert len(opened(name, "train[:1]")) == 1
    assert len(opened(name, "train+validation[:50%]")) == 2
    with pytest.raises(UserError, match="has no split 'test"):
        opened(name, "test[:1]")
    with pytest.raises(UserError, match=r"has no split 'train\[:1\]'"):
        opened(add("other"), "train[:1]")
