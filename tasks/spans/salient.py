"""Salient span masking of batches of sentences, in TensorFlow operations.

Sentences come as TFDS's `salient_span_wikipedia` has them: `{"text", "title", "spans": {"start",
"limit", "type"}}`, offsets in bytes. Everything here works on whole batches, which is many times
faster than one sentence at a time; `examples` makes SeqIO preprocessors of it.
Source: Roberts et al. 2020, `t5_cbqa/preprocessors.py`; Guu et al. 2020, section 3.4.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import seqio
import tensorflow as tf

from closedbook.errors import UserError
from closedbook.tasks.spans.masking import Masking
from closedbook.vocabulary import sentinel, sentinel_number

NEM_PREFIX, NEM_MASK = "nem:", "_X_"


def mask_salient_spans(
    batch: dict[str, Any],
    seeds: tf.Tensor,
    *,
    output_features: Mapping[str, seqio.Feature],
    masking: Masking,
) -> dict[str, Any]:
    """Sentences to tokenised examples in which salient spans are masked; see `Masking`.

    Args:
        batch: Sentences.
        seeds: int32 [1, 2]: of which spans are masked together.
        output_features: Vocabularies of "inputs" and "targets".
        masking: Style and number of spans.

    Returns:
        inputs, targets: int32 [examples, tokens], without EOS; and inputs_pretokenized,
        targets_pretokenized: their texts, as `seqio.preprocessors.tokenize` keeps them.
    """
    text, spans = kept_spans(batch, masking)
    size = group_size(masking, output_features)
    groups = grouped(spans["start"], spans["start"].flat_values, size, seeds[0])
    pairs = _masked(text, spans, groups, masking.style)
    tokens = {
        side: output_features[side].vocabulary.encode_tf(of_side) for side, of_side in pairs.items()
    }
    return tokens | {f"{side}_pretokenized": of_side for side, of_side in pairs.items()}


class Groups(NamedTuple):
    """Which spans are masked together."""

    order: tf.Tensor  # int64 [spans]: numbers of spans, those of one example side by side
    example: tf.Tensor  # int64 [spans]: the example of each, ascending
    place: tf.Tensor  # int64 [spans]: 0, 1, ... within the example
    sentence: tf.Tensor  # int64 [examples]: the sentence of each example


def grouped(spans: tf.RaggedTensor, key: tf.Tensor, size: int, seed: tf.Tensor) -> Groups:
    """Deals each sentence's spans into groups, each span once.

    Args:
        spans: Any number for each span, [sentences, spans]: only how many there are counts.
        key: By which the spans of a group are ordered: integers from 0 to 2^31 [all spans].
        size: Spans of a group at most, 1 or more.
        seed: Of which spans come together, int32 [2].
    """
    row, count = spans.value_rowids(), spans.row_lengths()
    number = tf.range(tf.size(row, tf.int64))
    if size == 1:
        return Groups(number, number, tf.zeros_like(number), row)
    shuffled = tf.cast(row, tf.float64) + tf.random.stateless_uniform(
        tf.shape(row), seed, dtype=tf.float64
    )
    # The sort keeps rows together, so that the place in it less the row's start is a rank.
    rank = tf.argsort(tf.argsort(shuffled), stable=True)
    rank = tf.cast(rank, tf.int64) - tf.gather(spans.row_starts(), row)
    groups = (count + size - 1) // size
    group = tf.gather(tf.cumsum(groups, exclusive=True), row) + rank // size
    sentence = tf.repeat(tf.range(spans.nrows()), groups)
    order = tf.argsort(group * 2**32 + tf.cast(key, tf.int64), stable=True)
    order = tf.cast(order, tf.int64)
    example = tf.gather(group, order)
    return Groups(order, example, places(example), sentence)


def kept_spans(
    batch: dict[str, Any], masking: Masking
) -> tuple[tf.Tensor, dict[str, tf.RaggedTensor]]:
    """The texts of sentences, and those of their spans that are masked.

    Spans of other labels than `masking.labels`, empty ones and those that reach beyond the text
    are left out.

    Returns:
        Texts: string [sentences]; and start, limit of the spans: int64 [sentences, spans].
    """
    text = batch["text"]
    spans = {name: ragged(batch["spans"][name], tf.int64) for name in ("start", "limit")}
    length = tf.cast(tf.strings.length(text), tf.int64)
    inside = tf.gather(length, spans["start"].value_rowids()) >= spans["limit"].flat_values
    start, limit = spans["start"].flat_values, spans["limit"].flat_values
    keep = inside & (start >= 0) & (start < limit)
    if masking.labels:
        label = ragged(batch["spans"]["type"], tf.string).flat_values
        keep &= tf.reduce_any(label[:, tf.newaxis] == tf.constant(masking.labels), axis=-1)
    keep = spans["start"].with_flat_values(keep)
    return text, {name: tf.ragged.boolean_mask(each, keep) for name, each in spans.items()}


def group_size(masking: Masking, output_features: Mapping[str, seqio.Feature]) -> int:
    """How many spans of a sentence are masked together at most.

    No more than there are sentinels for, less the one that closes a numbered target.

    Raises:
        UserError: The vocabulary has too few sentinels.
    """
    needed = {"nem": 0, "sentinel": 2, "sentinel_bare": 1}[masking.style]
    if masking.corruption == "t5":
        needed = 1
    available = min(len(sentinels(feature.vocabulary)) for feature in output_features.values())
    if available < needed:
        raise UserError(
            f"style {masking.style!r} needs sentinels <extra_id_0>, <extra_id_1>, ..., and the "
            f"vocabulary has {available}; set seqio.SentencePieceVocabulary.extra_ids = 100 (T5's "
            "number), or use style 'nem'"
        )
    if masking.spans_per_example == "all":
        # One sentinel closes the target.
        return available - 1
    return min(masking.spans_per_example, max(available - 1, 1))


def sentinels(vocabulary: seqio.Vocabulary) -> list[int]:
    """Ids of `<extra_id_0>`, `<extra_id_1>`, ..., appended or in the SentencePiece file itself."""
    found: list[int] = []
    while isinstance(vocabulary, seqio.SentencePieceVocabulary):
        last = vocabulary.encode(sentinel(len(found)))[-1]
        if sentinel_number(vocabulary.tokenizer.IdToPiece(last)) != len(found):
            break
        found.append(last)
    return found


def _masked(
    text: tf.Tensor, spans: Mapping[str, tf.RaggedTensor], groups: Groups, style: str
) -> dict[str, tf.Tensor]:
    """Texts of inputs and targets, [examples]."""
    _, example, place, sentence = groups
    count = tf.size(sentence, tf.int64)
    of_span = tf.gather(text, tf.gather(sentence, example))
    start, limit = (tf.gather(spans[name].flat_values, groups.order) for name in ("start", "limit"))
    after = tf.concat([[0], limit[:-1]], axis=0)
    before = _part(of_span, tf.where(place == 0, tf.zeros_like(after), after), start)
    last = tf.concat([place[1:] == 0, tf.fill([tf.minimum(tf.size(place), 1)], True)], axis=0)
    rest = tf.where(last, _part(of_span, limit, tf.cast(tf.strings.length(of_span), tf.int64)), "")
    span = _part(of_span, start, limit)
    if style == "nem":
        inputs = tf.strings.join([before, NEM_MASK, rest])
        inputs = tf.strings.join([NEM_PREFIX + " ", inputs])
        return {"inputs": inputs, "targets": span}
    # SentencePiece knows a sentinel only where a word begins: "(<extra_id_0>)" would fall apart.
    before = tf.strings.regex_replace(before, "([^ ])$", "\\1 ")
    before = tf.where((before == "") & (place > 0), " ", before)
    mask = _sentinel(place)
    inputs = tf.strings.unsorted_segment_join(tf.strings.join([before, mask, rest]), example, count)
    if style == "sentinel_bare":
        return {"inputs": inputs, "targets": span}
    closed = tf.where(last, tf.strings.join([" ", _sentinel(place + 1)]), "")
    targets = tf.strings.unsorted_segment_join(
        tf.strings.join([mask, " ", span, closed]), example, count, separator=" "
    )
    return {"inputs": inputs, "targets": targets}


def _sentinel(number: tf.Tensor) -> tf.Tensor:
    return tf.strings.join(["<extra_id_", tf.strings.as_string(number), ">"])


def _part(text: tf.Tensor, start: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """Bytes of each text from start to limit; none where spans overlap."""
    return tf.strings.substr(text, start, tf.maximum(limit - start, 0))


def places(example: tf.Tensor) -> tf.Tensor:
    """0, 1, ... within each run of equal numbers."""
    number = tf.range(tf.size(example, tf.int64))
    first = tf.concat([tf.fill([1], True), example[1:] != example[:-1]], axis=0)[: tf.size(example)]
    starts = tf.boolean_mask(number, first)
    return number - tf.gather(starts, tf.cumsum(tf.cast(first, tf.int64)) - 1)


def ragged(values: tf.Tensor | tf.RaggedTensor, dtype: tf.DType) -> tf.RaggedTensor:
    """A batch as a ragged tensor of this type.

    TensorFlow may hand over a plain one where all sentences have the same number of spans.
    """
    if not isinstance(values, tf.RaggedTensor):
        values = tf.RaggedTensor.from_tensor(values)
    values = values.with_row_splits_dtype(tf.int64)
    return values if values.dtype == dtype else tf.cast(values, dtype)
