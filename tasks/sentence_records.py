"""One sentence with its spans as a record: a `tf.train.Example` without TensorFlow.

The features are those of TFDS `salient_span_wikipedia/sentences`: title, text, spans/start,
spans/limit and spans/type. The messages of `tensorflow/core/example/example.proto` are described
here and handled by the protobuf library, since importing TensorFlow takes seconds.
"""

import functools
from collections.abc import Iterable
from typing import Any

from closedbook.errors import UserError
from closedbook.tasks.sentences import Sentence, Span

FEATURES = ("spans/limit", "spans/start", "spans/type", "text", "title")


def encode(sentence: Sentence) -> bytes:
    """A sentence as the bytes of a `tf.train.Example`; the same sentence gives the same bytes.

    Raises:
        UnicodeEncodeError: Text, title or a label holds a lone surrogate.
    """
    return encode_parts(sentence.text.encode(), sentence.title.encode(), sentence.spans)


def encode_parts(text: bytes, title: bytes, spans: Iterable[Span]) -> bytes:
    """As `encode`, of texts that are UTF-8 already."""
    example = _example_class()()
    feature = example.features.feature
    feature["text"].bytes_list.value.append(text)
    feature["title"].bytes_list.value.append(title)
    starts, limits, labels = zip(*spans, strict=True) if spans else ((), (), ())
    feature["spans/start"].int64_list.value.extend(starts)
    feature["spans/limit"].int64_list.value.extend(limits)
    feature["spans/type"].bytes_list.value.extend([label.encode() for label in labels])
    return example.SerializeToString(deterministic=True)


def decode(record: bytes) -> Sentence:
    """The sentence of a record.

    Raises:
        UserError: The record is no such Example; the message says what is missing.
    """
    from google.protobuf.message import DecodeError

    try:
        feature = _example_class().FromString(record).features.feature
    except DecodeError as error:
        raise UserError(f"a record is not a tf.train.Example ({error})") from error
    for name in FEATURES:
        if name not in feature:
            raise UserError(f"a record has no feature {name!r}; it has {sorted(feature)}")
    text, title = feature["text"].bytes_list.value, feature["title"].bytes_list.value
    starts = feature["spans/start"].int64_list.value
    limits = feature["spans/limit"].int64_list.value
    labels = feature["spans/type"].bytes_list.value
    if len(text) != 1 or len(title) != 1 or not len(starts) == len(limits) == len(labels):
        raise UserError("a record has not one text, one title and spans with start, limit and type")
    return Sentence(
        text[0].decode(),
        tuple(map(Span, starts, limits, [label.decode() for label in labels])),
        title[0].decode(),
    )


@functools.cache
def _example_class() -> Any:
    """The message class of `tf.train.Example`, under a package name of our own.

    In a pool of its own: TensorFlow registers the same messages in the default one.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="closedbook/example.proto", package="closedbook", syntax="proto3"
    )

    def message(name: str, fields: list[tuple[str, int, int, str]]) -> Any:
        added = file.message_type.add(name=name)
        for number, (field, label, kind, type_name) in enumerate(fields, start=1):
            added.field.add(
                name=field, number=number, label=label, type=kind, type_name=type_name or None
            )
        return added

    one, many, nested = kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED, kinds.TYPE_MESSAGE
    message("BytesList", [("value", many, kinds.TYPE_BYTES, "")])
    message("FloatList", [("value", many, kinds.TYPE_FLOAT, "")])
    message("Int64List", [("value", many, kinds.TYPE_INT64, "")])
    lists = ("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List")
    feature = message(
        "Feature", [(field, one, nested, f".closedbook.{name}") for field, name in lists]
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message("Features", [("feature", many, nested, ".closedbook.Features.FeatureEntry")])
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=kinds.TYPE_STRING)
    entry.field.add(name="value", number=2, label=one, type=nested, type_name=".closedbook.Feature")
    message("Example", [("features", one, nested, ".closedbook.Features")])

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("closedbook.Example"))
