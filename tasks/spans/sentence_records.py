"""One sentence with its spans as a record: a `tf.train.Example` without TensorFlow.

The features are those of TFDS `salient_span_wikipedia/sentences`: title, text, spans/start,
spans/limit and spans/type. The messages of `tensorflow/core/example/example.proto` are described
here and handled by the protobuf library, since importing TensorFlow takes seconds.
"""

import functools
from collections.abc import Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.tasks.spans.sentences import Sentence, Span

FEATURES = ("spans/limit", "spans/start", "spans/type", "text", "title")


def encode(text: bytes, title: bytes, spans: Sequence[tuple[int, int, str]]) -> bytes:
    """A sentence as the bytes of a `tf.train.Example`; the same sentence gives the same bytes.

    The wire format is written out here, with the features in the protobuf library's order. That
    takes a third of the library's time, which was the largest part of a build's own. A test holds
    the bytes to the library's; long texts and sentences without spans go to the library itself.

    Args:
        text: The sentence, in UTF-8.
        title: Of its document, in UTF-8.
        spans: Start, limit (exclusive; both in bytes of the text) and label of each.

    Raises:
        UnicodeEncodeError: A label holds a lone surrogate.
    """
    try:
        if not spans:
            return _by_library(text, title, spans)
        each = [(_VARINTS[start], _VARINTS[limit], _value(label)) for start, limit, label in spans]
        starts, limits, labels = map(b"".join, zip(*each, strict=True))
        places = len(limits), len(starts)
        size = len(labels)
        if max(size, *places) <= _SHORT:  # so that every length is one byte
            body = (
                b"\n%c\n\x0bspans/limit\x12%c\x1a%c\n%c%b"
                b"\n%c\n\x0bspans/start\x12%c\x1a%c\n%c%b\n%c\n\nspans/type\x12%c\n%c%b"
            ) % (
                *(places[0] + 19, places[0] + 4, places[0] + 2, places[0], limits),
                *(places[1] + 19, places[1] + 4, places[1] + 2, places[1], starts),
                *(size + 16, size + 2, size, labels),
            )
        else:
            body = b"".join(
                (
                    _entry(b"spans/limit", b"\x1a", b"\n%b%b" % (_VARINTS[places[0]], limits)),
                    _entry(b"spans/start", b"\x1a", b"\n%b%b" % (_VARINTS[places[1]], starts)),
                    _entry(b"spans/type", b"\n", labels),
                )
            )
        body += _TEXT_PREFIXES[len(text)] + text + _title_entry(title)
        return b"\n%b%b" % (_VARINTS[len(body)], body)
    except IndexError:
        return _by_library(text, title, spans)


def _varint(number: int) -> bytes:
    """A number from 0 on in protobuf's base 128."""
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes((*digits, number))


_VARINTS = [_varint(number) for number in range(1 << 14)]


_SHORT = 100  # bytes of a list


def _entry(key: bytes, kind: bytes, values: bytes) -> bytes:
    """One feature of the map; `kind` is the tag of its list."""
    packed = b"%b%b%b" % (kind, _VARINTS[len(values)], values)
    entry = b"\n%b%b\x12%b%b" % (_VARINTS[len(key)], key, _VARINTS[len(packed)], packed)
    return b"\n%b%b" % (_VARINTS[len(entry)], entry)


def _text_prefix(length: int) -> bytes:
    """What stands before a text of so many bytes."""
    entry = _entry(b"text", b"\n", b"\n%b%b" % (_VARINTS[length], bytes(length)))
    return entry[: len(entry) - length]


_TEXT_PREFIXES = [_text_prefix(length) for length in range(1 << 12)]


@functools.lru_cache(maxsize=1024)
def _value(label: str) -> bytes:
    encoded = label.encode()
    return b"\n%b%b" % (_VARINTS[len(encoded)], encoded)


@functools.lru_cache(maxsize=16)
def _title_entry(title: bytes) -> bytes:
    return _entry(b"title", b"\n", b"\n%b%b" % (_VARINTS[len(title)], title))


def _by_library(text: bytes, title: bytes, spans: Sequence[tuple[int, int, str]]) -> bytes:
    example = _example_class()()
    feature = example.features.feature
    feature["text"].bytes_list.value.append(text)
    feature["title"].bytes_list.value.append(title)
    feature["spans/start"].int64_list.value.extend([span[0] for span in spans])
    feature["spans/limit"].int64_list.value.extend([span[1] for span in spans])
    feature["spans/type"].bytes_list.value.extend([span[2].encode() for span in spans])
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
