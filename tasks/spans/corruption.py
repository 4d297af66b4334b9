"""Random span corruption: the control of salient span masking, and T5's own objective.

In two halves, as upstream has them: the first tokenises and can be cached, the second draws masks
anew in every epoch. Like `salient` it works on batches of sentences.
"""

from collections.abc import Mapping
from typing import Any

import seqio
import tensorflow as tf

from closedbook.errors import UserError
from closedbook.tasks.spans import salient
from closedbook.tasks.spans.masking import Masking

NOISE_DENSITY, MEAN_SPAN = 0.15, 3.0  # Raffel et al. 2020, section 3.1.4
_JOINED = 128  # sentences that upstream joins before it cuts rows out of them


def tokenize_sentences(
    batch: dict[str, Any], *, output_features: Mapping[str, seqio.Feature], masking: Masking
) -> dict[str, tf.RaggedTensor]:
    """Tokenises sentences, and for "matched" counts the tokens of their spans.

    Sentences without a span are left out for "matched", which masks as many tokens as spans have.

    Args:
        batch: Sentences in the form that `salient` describes.
        output_features: Vocabularies of "inputs" and "targets".
        masking: Of corruption "matched" or "t5".

    Returns:
        tokens: int32 [sentences, tokens], without EOS; for "matched" also span_lengths: int32
        [sentences, spans], at least 1 each.
    """
    vocabulary = output_features["inputs"].vocabulary
    salient.group_size(masking, output_features)  # refuses a vocabulary without sentinels
    text, spans = salient.kept_spans(batch, masking)
    tokens = salient.ragged(vocabulary.encode_tf(text), tf.int32)
    kept = tokens.row_lengths() > 0
    if masking.corruption == "t5":
        return {"tokens": tf.ragged.boolean_mask(tokens, kept)}
    start, limit = spans["start"], spans["limit"]
    of_span = tf.gather(text, start.value_rowids())
    span = tf.strings.substr(of_span, start.flat_values, (limit - start).flat_values)
    lengths = tf.cast(vocabulary.encode_tf(span).row_lengths(), tf.int32)
    lengths = start.with_flat_values(tf.maximum(lengths, 1))
    kept &= lengths.row_lengths() > 0
    return {
        "tokens": tf.ragged.boolean_mask(tokens, kept),
        "span_lengths": tf.ragged.boolean_mask(lengths, kept),
    }


def mask_matched_spans(
    batch: dict[str, Any],
    seeds: tf.Tensor,
    *,
    output_features: Mapping[str, seqio.Feature],
    masking: Masking,
) -> dict[str, tf.RaggedTensor]:
    """Masks as many tokens in a row as each salient span has, at a random place.

    All places are equally likely, and spans of one example do not overlap. Format, number of
    examples and number of target tokens are those of `mask_salient_spans`.

    Args:
        batch: What `tokenize_sentences` gives.
        seeds: int32 [3, 2]: of the order of spans, of which are masked together, of the places.
        output_features: Vocabularies of "inputs" and "targets".
        masking: Style and number of spans.

    Returns:
        inputs, targets: int32 [examples, tokens], without EOS.
    """
    size = salient.group_size(masking, output_features)
    form = _Form(output_features["inputs"].vocabulary, masking)
    lengths = salient.ragged(batch["span_lengths"], tf.int32)
    shuffled = tf.random.stateless_uniform(
        tf.shape(lengths.flat_values), seeds[0], maxval=2**31 - 1, dtype=tf.int32
    )
    groups = salient.grouped(lengths, shuffled, size, seeds[1])
    tokens = tf.gather(salient.ragged(batch["tokens"], tf.int32), groups.sentence)
    room = tokens.row_lengths()
    length = tf.cast(tf.gather(lengths.flat_values, groups.order), tf.int64)
    # Tokenised alone a span may be longer than within its sentence: no more than there is.
    end = tf.minimum(_running(length, groups), tf.gather(room, groups.example))
    length = tf.where(groups.place == 0, end, end - tf.roll(end, 1, axis=0))
    fits = length > 0
    example, place = (tf.boolean_mask(each, fits) for each in (groups.example, groups.place))
    length, end = tf.boolean_mask(length, fits), tf.boolean_mask(end, fits)
    count = tf.size(room, tf.int64)
    free = room - tf.math.unsorted_segment_sum(length, example, count)
    spans = tf.math.unsorted_segment_sum(tf.ones_like(example), example, count)
    # Of the free tokens and the spans in a row, which are spans: each choice equally likely.
    slot = _choose(free + spans, spans, seeds[2])
    start = slot - place + end - length
    return form.examples(tokens, example, place, start, length, close=True)


def corrupt_spans(
    batch: dict[str, Any],
    seeds: tf.Tensor,
    *,
    sequence_length: Mapping[str, int],
    output_features: Mapping[str, seqio.Feature],
    masking: Masking,
) -> dict[str, tf.RaggedTensor]:
    """T5's span corruption: 15% of the tokens, in spans of 3 on average.

    As upstream does, it joins the tokens of 128 sentences and cuts them into rows that fill the
    input length. Each row begins with text and ends with a span.

    Args:
        batch: What `tokenize_sentences` gives.
        seeds: int32 [2, 2]: of the lengths of spans, and of the text between them.
        sequence_length: Tokens of inputs and targets, EOS included.
        output_features: Vocabularies of "inputs" and "targets".
        masking: Of corruption "t5".

    Returns:
        inputs, targets: int32 [rows, tokens], without EOS.

    Raises:
        UserError: The targets' length is too small for the inputs'.
    """
    row_tokens, target_tokens = row_length(sequence_length["inputs"])
    if sequence_length["targets"] < target_tokens:
        raise UserError(
            f"span corruption of inputs of {sequence_length['inputs']} tokens has targets of "
            f"{target_tokens}; TASK_FEATURE_LENGTHS allows {sequence_length['targets']}"
        )
    form = _Form(output_features["inputs"].vocabulary, masking)
    rows = _cut(salient.ragged(batch["tokens"], tf.int32), row_tokens)
    total = tf.cast(rows.row_lengths(), tf.float32)
    noise = tf.clip_by_value(tf.round(total * NOISE_DENSITY), 1, total - 1)
    spans = tf.maximum(tf.round(noise / MEAN_SPAN), 1)
    noise, spans = tf.cast(noise, tf.int64), tf.cast(spans, tf.int64)
    length, example = _parts(noise, spans, seeds[0])
    gap, _ = _parts(rows.row_lengths() - noise, spans, seeds[1])
    groups = salient.Groups(example, example, salient.places(example), example)
    start = _running(gap, groups) + _running(length, groups) - length
    return form.examples(rows, example, groups.place, start, length, close=False)


def _cut(tokens: tf.RaggedTensor, row_tokens: int) -> tf.RaggedTensor:
    """Joins 128 sentences at a time and cuts them into rows; a single left token is dropped.

    (It cannot be both noise and text.)
    """
    ends = tf.concat([tokens.row_limits()[_JOINED - 1 :: _JOINED], tokens.row_limits()[-1:]], 0)
    begins = tf.concat([[0], ends[:-1]], axis=0)
    starts = tf.ragged.range(begins, ends, row_tokens).flat_values
    rows = tf.RaggedTensor.from_row_starts(tokens.flat_values, starts)
    return tf.ragged.boolean_mask(rows, rows.row_lengths() > 1)


def row_length(inputs: int) -> tuple[int, int]:
    """How long a row may be so that its inputs, once corrupted, fit into `inputs` tokens.

    Args:
        inputs: The length of the inputs, EOS included.

    Returns:
        The tokens of the row without EOS, and those of its targets with EOS: 568 and 114 for 512
        inputs, as in T5.
    """

    def lengths(tokens: int) -> tuple[int, int]:
        noise = round(tokens * NOISE_DENSITY)
        spans = round(noise / MEAN_SPAN)
        return tokens - noise + spans + 1, noise + spans + 1

    tokens = inputs
    while lengths(tokens + 1)[0] <= inputs:
        tokens += 1
    return tokens, lengths(tokens)[1]


class _Form:
    """Inputs and targets of masked tokens, in one of the styles."""

    def __init__(self, vocabulary: seqio.Vocabulary, masking: Masking) -> None:
        nem = masking.style == "nem" and masking.corruption != "t5"
        self._sentinels = tf.constant(salient.sentinels(vocabulary) or [0], tf.int32)
        self._numbered = masking.style == "sentinel" or masking.corruption == "t5"
        self._mask = tf.constant(vocabulary.encode(salient.NEM_MASK), tf.int32) if nem else None
        self._prefix = tf.constant(vocabulary.encode(salient.NEM_PREFIX), tf.int32)

    def examples(
        self,
        tokens: tf.RaggedTensor,
        example: tf.Tensor,
        place: tf.Tensor,
        start: tf.Tensor,
        length: tf.Tensor,
        *,
        close: bool,
    ) -> dict[str, tf.RaggedTensor]:
        """Replaces spans of tokens, which do not overlap and have at least one token.

        Args:
            tokens: int32 [examples, tokens].
            example: The example of each span, ascending, int64 [spans].
            place: 0, 1, ... within the example, int64 [spans].
            start: Within the example, int64 [spans].
            length: In tokens, int64 [spans].
            close: Whether numbered targets end with one more sentinel.
        """
        flat = tokens.flat_values
        total = tf.size(flat, tf.int64)
        begin = tf.gather(tokens.row_starts(), example) + start
        one = tf.ones_like(begin, tf.int32)
        opens = tf.scatter_nd(begin[:, tf.newaxis], one, [total + 1])
        shuts = tf.scatter_nd((begin + length)[:, tf.newaxis], one, [total + 1])
        masked = (tf.cumsum(opens - shuts) > 0)[:-1]
        first = opens[:-1] > 0
        span = tf.maximum(tf.cumsum(opens)[:-1] - 1, 0)
        sentinel = tf.gather(self._sentinels, tf.gather(place, span))

        width = 1 if self._mask is None else tf.size(self._mask)
        count = tf.where(first, width, tf.where(masked, 0, 1))
        source, within = _repeated(count)
        mask = (
            tf.gather(sentinel, source)
            if self._mask is None
            else tf.gather(self._mask, tf.minimum(within, width - 1))
        )
        values = tf.where(tf.gather(first, source), mask, tf.gather(flat, source))
        inputs = _like(tokens, values, count)

        numbered = tf.cast(first, tf.int32) if self._numbered else tf.zeros_like(count)
        count = tf.where(masked, 1 + numbered, 0)
        source, within = _repeated(count)
        marks = tf.gather(numbered > 0, source) & (within == 0)
        values = tf.where(marks, tf.gather(sentinel, source), tf.gather(flat, source))
        targets = _like(tokens, values, count)

        rows = tokens.nrows()
        if self._numbered and close:
            spans = tf.math.unsorted_segment_sum(tf.ones_like(example), example, rows)
            targets = tf.concat([targets, tf.gather(self._sentinels, spans)[:, tf.newaxis]], axis=1)
        if self._mask is not None:
            prefix = tf.tile(self._prefix[tf.newaxis], [rows, 1])
            inputs = tf.concat([prefix, inputs], axis=1)
        return {"inputs": inputs, "targets": targets}


def _repeated(count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Each index as often as counted, and 0, 1, ... within its repetitions."""
    source = tf.repeat(tf.range(tf.size(count)), count)
    within = tf.range(tf.size(source)) - tf.gather(tf.cumsum(count, exclusive=True), source)
    return source, within


def _like(tokens: tf.RaggedTensor, values: tf.Tensor, count: tf.Tensor) -> tf.RaggedTensor:
    lengths = tf.math.unsorted_segment_sum(count, tokens.value_rowids(), tokens.nrows())
    return tf.RaggedTensor.from_row_lengths(values, tf.cast(lengths, tf.int64))


def _running(length: tf.Tensor, groups: salient.Groups) -> tf.Tensor:
    """Sums of the lengths from the start of each example, each included, int64 [spans]."""
    total = tf.cumsum(length)
    opening = tf.boolean_mask(total - length, groups.place == 0)
    return total - tf.repeat(opening, tf.unique_with_counts(groups.example, tf.int64).count)


def _choose(count: tf.Tensor, size: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws `size` different numbers below `count` in each row; every choice is equally likely.

    Args:
        count: int64 [rows].
        size: int64 [rows], at most `count`.
        seed: int32 [2].

    Returns:
        The numbers, ascending in each row, row after row: int64 [sum of sizes].
    """
    numbers = tf.RaggedTensor.from_row_lengths(tf.range(tf.reduce_sum(count)), count)
    row, opening = numbers.value_rowids(), numbers.row_starts()
    key = tf.random.stateless_uniform(tf.shape(row), seed, dtype=tf.float64)
    # Sorting by row and then by chance leaves every row where it was, its numbers shuffled.
    order = tf.cast(tf.argsort(tf.cast(row, tf.float64) + key), tf.int64)
    rank = numbers.flat_values - tf.gather(opening, row)
    chosen = tf.sort(tf.boolean_mask(order, rank < tf.gather(size, row)))
    return chosen - tf.gather(opening, tf.gather(row, chosen))


def _parts(total: tf.Tensor, parts: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts each total into so many positive parts, each way equally likely.

    Returns:
        The parts, and the row of each, int64 [sum of parts].
    """
    cuts = tf.RaggedTensor.from_row_lengths(_choose(total - 1, parts - 1, seed) + 1, parts - 1)
    ends = tf.concat([cuts, total[:, tf.newaxis]], axis=1)
    begins = tf.concat([tf.zeros_like(total)[:, tf.newaxis], cuts], axis=1)
    return (ends - begins).flat_values, ends.value_rowids()
