"""Passages of a corpus, and those that a question finds by TF-IDF, as DrQA does (Chen et al. 2017).

Of DrQA's document retriever are the unigrams and bigrams hashed to 2^24 buckets (MurmurHash3), the
weights log(1 + count) * idf with idf = log((N - n + 0.5) / (n + 0.5)), at least 0, and the inner
product as score. What is found are passages of at most 100 words, as DPR cuts them (Karpukhin et
al. 2020), not whole articles, so that a small corpus of long files serves too; a passage is found
by the title of its document too. Words are scikit-learn's (`\\w\\w+`, lower case), its English stop
words left out.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from closedbook.corpora import documents, sentence_splitting, units
from closedbook.errors import UserError
from closedbook.knowledge.progress import Count, silent

_BUCKETS = 2**24
_WORDS = 100  # of a passage
_AT_ONCE = 256  # questions
_SHARD_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Passage:
    """A piece of a document."""

    title: str
    text: str


def read(patterns: Sequence[str], progress: Count = silent) -> list[Passage]:
    """The passages of a corpus.

    Args:
        patterns: Whatever `closedbook ssm build` reads: files by pattern, folders, "tfds:NAME".
        progress: Is told how many passages were read.

    Raises:
        UserError: Nothing matches, a file cannot be read, or there is no text in them.
    """
    found: list[Passage] = []
    for unit in units.plan(patterns, shard_bytes=_SHARD_BYTES).units:
        for part in unit.parts:
            for document in documents.read(part, documents.Tally()):
                if isinstance(document, documents.Document):
                    found.extend(_cut(document))
            progress(len(found))
    if not found:
        raise UserError(
            f"there is no text in {', '.join(patterns)} to retrieve passages from; give a corpus "
            "that has some"
        )
    return found


def _cut(document: documents.Document) -> Iterator[Passage]:
    """Paragraphs, those of more than 100 words cut."""
    for paragraph in sentence_splitting.paragraphs(document.text, wrapped=document.wrapped):
        words = paragraph.split()
        for first in range(0, len(words), _WORDS):
            yield Passage(document.title, " ".join(words[first : first + _WORDS]))


class Index:
    """Finds the passages that share the rarest words and pairs of words with a question.

    Args:
        passages: All there are.

    Raises:
        UserError: scikit-learn is not installed.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        counts = self._counts([f"{each.title} {each.text}" for each in passages])
        having = np.bincount(counts.indices, minlength=_BUCKETS)
        ratio = (len(passages) - having + 0.5) / (having + 0.5)
        self._idf = np.log(np.maximum(ratio, 1)).astype(np.float32)
        self._columns = self._weighted(counts).T.tocsr()

    def best(self, questions: Sequence[str], k: int) -> list[list[int]]:
        """For each question the k best passages; fewer where fewer share a word with it.

        Of equals the first come first.
        """
        found: list[list[int]] = []
        for first in range(0, len(questions), _AT_ONCE):
            scores = self.scores(questions[first : first + _AT_ONCE])
            for row in range(scores.shape[0]):
                part = slice(scores.indptr[row], scores.indptr[row + 1])
                places, values = scores.indices[part], scores.data[part]
                order = np.lexsort((places, -values))[:k]
                found.append([int(places[n]) for n in order if values[n] > 0])
        return found

    def scores(self, questions: Sequence[str]) -> Any:
        """Inner products, a sparse matrix [questions, passages] in rows."""
        return (self._weighted(self._counts(questions)) @ self._columns).tocsr()

    @functools.cached_property
    def _vectorizer(self) -> Any:
        try:
            from sklearn.feature_extraction.text import HashingVectorizer
        except ImportError as error:
            raise UserError(
                f"--retrieve needs {error.name}: pip install 'closedbook[retrieval]'"
            ) from error
        return HashingVectorizer(
            n_features=_BUCKETS,
            ngram_range=(1, 2),
            stop_words="english",
            alternate_sign=False,
            norm=None,
            dtype=np.float32,
        )

    def _counts(self, texts: Sequence[str]) -> Any:
        return self._vectorizer.transform(texts)

    def _weighted(self, counts: Any) -> Any:
        weights = counts.copy()
        weights.data = np.log1p(weights.data) * self._idf[weights.indices]
        return weights
