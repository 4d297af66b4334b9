"""Masked sentences as SeqIO preprocessors, and in batches as the token cache takes them."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import seqio
import tensorflow as tf

from closedbook.tasks.spans import corruption as span_corruption
from closedbook.tasks.spans import salient
from closedbook.tasks.spans.masking import Masking
from closedbook.tasks.spans.sentence_source import SentenceFiles

_SENTENCES_AT_ONCE = 256

_Batches = Callable[..., tf.data.Dataset]  # batches to batches, with SeqIO's keyword arguments


def preprocessors(masking: Masking) -> list[Callable]:
    """SeqIO preprocessors, from sentences to tokenised examples with EOS."""
    before, after = _steps(masking)
    placeholder = [seqio.CacheDatasetPlaceholder()] if before else []
    return [
        *map(_one_by_one, before),
        *placeholder,
        *map(_one_by_one_in_lengths, after),
        seqio.preprocessors.append_eos_after_trim,
    ]


def batches(
    source: seqio.DataSource,
    split: str,
    masking: Masking,
    *,
    output_features: Mapping[str, seqio.Feature],
    sequence_length: Mapping[str, int] | None = None,
) -> tf.data.Dataset:
    """The examples that `preprocessors` makes, many at a time and so many times faster.

    Args:
        source: Of sentences.
        split: Its split.
        masking: What is masked; also the seed and the number of passes.
        output_features: Vocabularies of "inputs" and "targets".
        sequence_length: Their tokens, EOS included; needed for T5's span corruption alone.

    Returns:
        A data set of `{"inputs", "targets"}`, int32 [examples, tokens], with EOS: all passes, one
        after another, each in the order of the sentences.
    """
    if isinstance(source, SentenceFiles):
        dataset = source.batches(split)
    else:
        dataset = source.get_dataset(split, shuffle=False).ragged_batch(_SENTENCES_AT_ONCE)
    before, after = _steps(masking)
    arguments = {"output_features": output_features, "sequence_length": sequence_length}
    with seqio.utils.map_seed_manager(masking.seed):
        for step in before:
            dataset = step(dataset, **arguments)
        dataset = dataset.repeat(masking.passes)
        for step in after:
            dataset = step(dataset, **arguments)
    return dataset.map(functools.partial(_with_eos, output_features)).prefetch(1)


def _steps(masking: Masking) -> tuple[list[_Batches], list[_Batches]]:
    """The steps that SeqIO may cache, and those that draw at random, anew in each epoch."""
    if masking.corruption == "salient":
        mask = _mapped(salient.mask_salient_spans, masking, seeds=1)
        drawn = masking.spans_per_example not in (1, "all")
        return ([], [mask]) if drawn else ([mask], [])
    tokenize = _mapped(span_corruption.tokenize_sentences, masking)
    if masking.corruption == "matched":
        return [tokenize], [_mapped(span_corruption.mask_matched_spans, masking, seeds=3)]
    return [tokenize], [_mapped(span_corruption.corrupt_spans, masking, seeds=2, lengths=True)]


def _mapped(
    function: Callable, masking: Masking, *, seeds: int = 0, lengths: bool = False
) -> _Batches:
    def step(
        dataset: tf.data.Dataset,
        output_features: Mapping[str, seqio.Feature],
        sequence_length: Mapping[str, int] | None = None,
    ) -> tf.data.Dataset:
        given = functools.partial(function, output_features=output_features, masking=masking)
        if lengths:
            given = functools.partial(given, sequence_length=sequence_length)
        if not seeds:
            return seqio.map_over_dataset(lambda batch: given(batch))(dataset)

        @seqio.map_over_dataset(num_seeds=1)
        def drawn(batch: dict[str, Any], seed: tf.Tensor) -> dict[str, Any]:
            return given(batch, tf.random.experimental.stateless_split(seed, seeds))

        return drawn(dataset)

    return step


def _one_by_one(step: _Batches) -> Callable:
    """Single sentences in, single examples out."""

    def preprocessor(
        dataset: tf.data.Dataset, output_features: Mapping[str, seqio.Feature]
    ) -> tf.data.Dataset:
        batched = dataset.ragged_batch(_SENTENCES_AT_ONCE)
        return step(batched, output_features=output_features).unbatch()

    return preprocessor


def _one_by_one_in_lengths(step: _Batches) -> Callable:
    """As `_one_by_one`, for what SeqIO does not cache: only there it hands over lengths."""

    def preprocessor(
        dataset: tf.data.Dataset,
        output_features: Mapping[str, seqio.Feature],
        sequence_length: Mapping[str, int] | None = None,
    ) -> tf.data.Dataset:
        in_lengths = functools.partial(step, sequence_length=sequence_length)
        return _one_by_one(in_lengths)(dataset, output_features)

    return preprocessor


def _with_eos(
    output_features: Mapping[str, seqio.Feature], batch: dict[str, Any]
) -> dict[str, tf.RaggedTensor]:
    ended = {}
    for name, feature in output_features.items():
        tokens = salient.ragged(batch[name], tf.int32)
        if feature.add_eos:
            eos = tf.fill([tokens.nrows(), 1], feature.vocabulary.eos_id)
            tokens = tf.concat([tokens, tf.cast(eos, tf.int32)], axis=1)
        ended[name] = tokens
    return ended
