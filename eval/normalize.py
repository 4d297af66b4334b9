"""Answer normalisers of the official evaluations: what counts as the same string.

They differ where it hurts: SQuAD *deletes* punctuation ("rock-and-roll" becomes "rockandroll"),
TriviaQA puts a *space* in its place, NQ-open takes accents apart first, so that an article with
a combining accent counts as an article. A score means something only beside its protocol.
"""

import functools
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

from closedbook.errors import unknown_name

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MOST_KEPT = 1 << 16  # texts
_LONGEST_KEPT = 200  # characters; long texts are few of a kind and would fill the memory
_ARTICLE_WORDS = frozenset(("a", "an", "the"))
_DELETED = str.maketrans("", "", string.punctuation)
# The official TriviaQA script adds these quotes to ASCII's punctuation.
_SPACED = str.maketrans(dict.fromkeys(string.punctuation + "‘’´", " "))


def _without_articles(text: str) -> str:
    # Letters, digits and spaces alone, as most answers are, need no pattern: words end at spaces.
    if text.isascii() and text.replace(" ", "").isalnum():
        return " ".join([word for word in text.split() if word not in _ARTICLE_WORDS])
    return " ".join(_ARTICLES.sub(" ", text).split())


def _kept(normalizer: Callable[[str], str]) -> Callable[[str], str]:
    """Keeps what a normaliser gave for short texts: an analysis asks for each a dozen times."""
    known = functools.lru_cache(maxsize=_MOST_KEPT)(normalizer)

    @functools.wraps(normalizer)
    def normalized(text: str) -> str:
        return known(text) if len(text) <= _LONGEST_KEPT else normalizer(text)

    normalized.cache_clear = known.cache_clear  # type: ignore[attr-defined]
    return normalized


@_kept
def squad(text: str) -> str:
    """SQuAD's normaliser: lower-case, delete ASCII punctuation and articles, collapse white space.

    Equal to `normalize_squad` of t5 0.9.4, and to the exact match of DPR and KILT.
    Source: Rajpurkar et al. 2016, evaluate-v1.1.py.

    >>> squad("  The U.S. of A ")
    'us of'
    >>> squad("St. Paul's"), squad("St. Paul’s")
    ('st pauls', 'st paul’s')
    >>> squad("rock-and-roll")
    'rockandroll'
    >>> squad("The!")
    ''
    """
    return _without_articles(text.lower().translate(_DELETED))


def cased(text: str) -> str:
    """As `squad`, but letters keep their case, as scripts have it that forget to lower them.

    >>> cased("The Beatles!"), cased("the beatles")
    ('Beatles', 'beatles')
    """
    words = text.translate(_DELETED).split()
    return " ".join(word for word in words if word.lower() not in _ARTICLE_WORDS)


@_kept
def trivia_qa(text: str) -> str:
    """TriviaQA's normaliser: as `squad`, but punctuation and curly quotes become a space.

    Equal to `normalize_trivia_qa` of t5 0.9.4. Source: Joshi et al. 2017,
    evaluation/triviaqa_evaluation.py.

    >>> trivia_qa("St. Paul's"), trivia_qa("St. Paul’s")
    ('st paul s', 'st paul s')
    >>> trivia_qa("rock-and-roll")
    'rock and roll'
    >>> trivia_qa("10,000"), trivia_qa("A.I.")
    ('10 000', 'i')
    """
    return _without_articles(text.lower().translate(_SPACED))


@_kept
def nq_open(text: str) -> str:
    """NQ-open's and EfficientQA's normaliser: Unicode NFD, then `squad`.

    A letter and its accent are two characters after NFD, and `é` in two spellings is one.
    Source: google-research/language, `orqa/utils/eval_utils.py`.

    >>> nq_open("Beyonc\\u00e9") == nq_open("Beyonce\\u0301")
    True
    >>> nq_open("Beyoncé") == nq_open("Beyonce")
    False
    >>> nq_open("Thé") == nq_open("Á")  # both are an article with an accent left over
    True
    """
    return squad(unicodedata.normalize("NFD", text))


NORMALIZERS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"squad": squad, "trivia_qa": trivia_qa, "nq_open": nq_open}
)
"""Every protocol's normaliser by the protocol's name."""


def normalizer(protocol: str) -> Callable[[str], str]:
    """The normaliser of a protocol.

    Args:
        protocol: "squad", "trivia_qa" or "nq_open".

    Raises:
        UserError: The protocol is unknown; the message lists the valid names.
    """
    if protocol not in NORMALIZERS:
        raise unknown_name("protocol", protocol, NORMALIZERS)
    return NORMALIZERS[protocol]
