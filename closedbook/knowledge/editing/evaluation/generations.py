"""Fluency and consistency of what an edited model writes by itself (Meng et al. 2022, appendix F).

| name | what |
|---|---|
| GE | n-gram entropy, (2/3 H2 + 4/3 H3) / 2 x 100, in bits; the mean over texts |
| RS | cosine of TF-IDF vectors of all texts together and all reference texts together |

H of a text is the entropy of the distribution of its n-grams: a text that repeats itself has
little. Texts are prompts and what the model writes after them, sampled from its `TOP` likeliest
tokens, the words of kmeng01/rome. Its tokens are NLTK's; here words and marks by a regular
expression, and the weights of TF-IDF come from the reference texts of the edits at hand.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.parameters import Params

TOP = 5
TOKENS = 100  # that are written after each prompt
_WAY = DecodeSettings(method="sample", top_k=TOP, max_decode_length=TOKENS, seed=0)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\b\w\w+\b")  # scikit-learn's
_WEIGHTS = {2: 2 / 3, 3: 4 / 3}


def written(model: LoadedModel, params: Params, prompts: Sequence[str]) -> list[str]:
    """Each prompt with what the model writes after it, line breaks and all.

    Args:
        model: One that goes on with its prompt.
        params: Its parameters, or edited ones.
        prompts: Without the model's prefix.
    """
    found = model.predictor(_WAY).predict(params, model.texts(prompts))
    return [prompt + each.text for prompt, each in zip(prompts, found, strict=True)]


def entropy(text: str, n: int) -> float:
    """The entropy of a text's n-grams in bits; 0 where it has none.

    >>> entropy("a b a b a", 2)  # "a b" and "b a", twice each
    1.0
    """
    tokens = _TOKEN.findall(text)
    counts = collections.Counter(zip(*(tokens[i:] for i in range(n)), strict=False))
    total = counts.total()
    return -sum(c / total * math.log2(c / total) for c in counts.values()) + 0.0


def fluency(texts: Sequence[str]) -> float:
    """GE of some texts, one at least."""
    each = [
        sum(weight * entropy(text, n) for n, weight in _WEIGHTS.items()) / len(_WEIGHTS)
        for text in texts
    ]
    return 100 * sum(each) / len(each)


@dataclasses.dataclass(frozen=True)
class Weights:
    """Inverse document frequencies: ln((1 + n) / (1 + documents with the word)) + 1.

    Attributes:
        documents: n.
        counts: Word -> documents with it. Words that stand in none do not count, as in
            scikit-learn, whose rules and smoothing these are.
    """

    documents: int
    counts: Mapping[str, int]

    @classmethod
    def of(cls, documents: Iterable[str]) -> "Weights":
        """Those of some texts."""
        counts, number = collections.Counter[str](), 0
        for text in documents:
            counts.update(set(_words(text)))
            number += 1
        return cls(number, counts)

    def vector(self, text: str) -> dict[str, float]:
        """Word -> its count in a text times its weight."""
        found = collections.Counter(word for word in _words(text) if word in self.counts)
        return {
            word: count * (math.log((1 + self.documents) / (1 + self.counts[word])) + 1)
            for word, count in found.items()
        }


def consistency(texts: Sequence[str], references: Sequence[str], weights: Weights) -> float:
    """RS: 0 where nothing is shared, 1 where the words are the same in the same proportions."""
    one, other = (weights.vector(" ".join(each)) for each in (texts, references))
    lengths = [math.sqrt(sum(value**2 for value in each.values())) for each in (one, other)]
    if not all(lengths):
        return 0.0
    return sum(value * other.get(word, 0.0) for word, value in one.items()) / math.prod(lengths)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
