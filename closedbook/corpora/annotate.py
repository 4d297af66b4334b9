"""Documents to records: split into sentences, tagged, encoded, and counted."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from closedbook.corpora import sentence_splitting, spans
from closedbook.corpora.documents import Document, Skipped
from closedbook.corpora.manifest import Counts
from closedbook.corpora.taggers import CharSpan, Tagger
from closedbook.tasks.spans import sentence_records

# Sentences that a tagger sees together, documents kept whole: models want many at once. Part of a
# shard's definition, since what a model says of a sentence may depend on those beside it.
_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Which sentences to keep, by characters."""

    min_characters: int = 1
    max_characters: int = 2000


def records(
    documents: Iterable[Document | Skipped],
    tagger: Tagger,
    limits: Limits,
    counts: Counts,
    skipped: list[Skipped],
) -> Iterator[bytes]:
    """The encoded sentences that have a span, in order.

    Args:
        documents: As `documents.read` gives them.
        tagger: Marks the spans.
        limits: Which sentences to keep.
        counts: Is added to.
        skipped: Is filled with the documents that could not be used.
    """
    waiting: list[tuple[Document, list[str]]] = []
    sentences = 0
    for document in documents:
        if isinstance(document, Skipped):
            counts.documents_skipped += 1
            skipped.append(document)
            continue
        kept = _sentences(document, limits, counts)
        waiting.append((document, kept))
        sentences += len(kept)
        if sentences >= _AT_ONCE:
            yield from _tagged(waiting, tagger, counts, skipped)
            waiting, sentences = [], 0
    yield from _tagged(waiting, tagger, counts, skipped)


def _sentences(document: Document, limits: Limits, counts: Counts) -> list[str]:
    kept = []
    for paragraph in sentence_splitting.paragraphs(document.text, wrapped=document.wrapped):
        for sentence in sentence_splitting.split(paragraph):
            if len(sentence) > limits.max_characters:
                counts.sentences_too_long += 1
            elif len(sentence) < limits.min_characters:
                counts.sentences_too_short += 1
            else:
                kept.append(sentence)
    return kept


def _tagged(
    waiting: Sequence[tuple[Document, list[str]]],
    tagger: Tagger,
    counts: Counts,
    skipped: list[Skipped],
) -> Iterator[bytes]:
    every = [sentence for _, sentences in waiting for sentence in sentences]
    if not waiting:
        return
    try:
        found = _tag(tagger, every)
        together = True
    except Exception:  # a tagger may be a user's own, and raise anything
        together = False
    start = 0
    for document, sentences in waiting:
        try:
            # All over again for each, to find the one at which the tagger fails.
            spans_of = (
                found[start : start + len(sentences)] if together else _tag(tagger, sentences)
            )
            start += len(sentences)
            encoded = list(_encoded(document, sentences, spans_of, counts))
        except Exception as error:
            counts.documents_skipped += 1
            reason = f"the tagger fails at it: {type(error).__name__}: {error}"[:300]
            printable = reason.encode(errors="backslashreplace").decode()
            skipped.append(Skipped(document.place, document.line, document.id, printable))
            continue
        counts.documents += 1
        counts.text_bytes += document.nbytes
        yield from encoded


def _tag(tagger: Tagger, sentences: Sequence[str]) -> list[list[CharSpan]]:
    found = tagger.tag(sentences) if sentences else []
    if len(found) != len(sentences):
        raise ValueError(f"it gave spans for {len(found)} of {len(sentences)} sentences")
    return found


def _encoded(
    document: Document, sentences: Sequence[str], spans_of: Sequence, counts: Counts
) -> list[bytes]:
    """Records of a document; counts its sentences only if all of them are well."""
    title = document.title.encode()
    own = Counts()
    encoded, labels = [], list[str]()
    for sentence, given in zip(sentences, spans_of, strict=True):
        found = spans.to_bytes(sentence, given, own.spans_dropped) if given else given
        if not found:
            own.sentences_without_spans += 1
            continue
        own.sentences += 1
        labels += [span[2] for span in found]
        encoded.append(sentence_records.encode(sentence.encode(), title, found))
    own.spans.update(labels)
    counts.add(own)
    return encoded
