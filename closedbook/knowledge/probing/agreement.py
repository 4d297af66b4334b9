"""Does a model say the same when it is asked in other words, and the opposite when it is denied?"""

import itertools
from collections.abc import Sequence

import numpy as np

from closedbook.knowledge.probing import correlation, metrics


def consistency(predictions: np.ndarray) -> np.ndarray:
    """ParaRel's consistency: the share of pairs of paraphrases whose answers agree, [facts].

    The answer is the best of the relation's candidates. Its mean within a relation, and over
    relations, is `tables.table`'s affair. Source: Elazar et al. 2021, section 2.

    Args:
        predictions: [facts, paraphrases], the number of the candidate answered.

    Returns:
        NaN everywhere where there is one paraphrase alone.

    >>> consistency(np.array([[3, 3, 3], [3, 3, 5], [1, 2, 3]]))
    array([1.        , 0.33333333, 0.        ])
    """
    pairs = list(itertools.combinations(range(predictions.shape[1]), 2))
    if not pairs:
        return np.full(len(predictions), np.nan)
    left, right = np.array(pairs).T
    return (predictions[:, left] == predictions[:, right]).mean(axis=1)


def bear_score(right: np.ndarray) -> tuple[float, float]:
    """BEAR's score: the mean over templates of accuracy over all facts of all relations.

    Each fact counts once, so large relations weigh more than in LAMA's mean. Source: Wiland,
    Ploner, Akbik 2024.

    Args:
        right: [facts, templates], whether the fact's answer scored best in the template.

    Returns:
        The score from 0 to 1, and the standard deviation of the templates' accuracies, as of
        a whole population.

    >>> bear_score(np.array([[1, 1, 0], [1, 0, 0]]))
    (0.5, 0.408248290463863)
    """
    of_templates = np.asarray(right, np.float64).mean(axis=0)
    return float(of_templates.mean()), float(of_templates.std())


def overlap(scores: metrics.Scores, negated: metrics.Scores, k: int = 1) -> np.ndarray:
    """The share of the k best candidates that a prompt and its negation have in common, [facts].

    A model that minds "not" has little overlap. Source: Kassner and Schütze 2020, with k = 1.

    Args:
        scores: For each fact the candidates' scores under the prompt.
        negated: The same under the negated prompt.
        k: Number of candidates; NaN where there are not more than k.

    >>> overlap(np.array([[0.9, 0.1, 0.2]]), np.array([[0.5, 0.1, 0.6]]), k=2)
    array([1.])
    >>> overlap(np.array([[0.9, 0.1, 0.2]]), np.array([[0.5, 0.1, 0.6]]))
    array([0.])
    """
    found = []
    for plain, denied in zip(scores, negated, strict=True):
        common = np.intersect1d(metrics.best([plain], k), metrics.best([denied], k))
        found.append(len(common) / k if len(plain) > k else np.nan)
    return np.array(found)


def rank_correlation(scores: metrics.Scores, negated: metrics.Scores) -> np.ndarray:
    """Spearman's correlation of the two rankings of the candidates, [facts].

    Source: Kassner and Schütze 2020. NaN where one of them gives all the same score.

    >>> rank_correlation(np.array([[0.9, 0.1, 0.2]]), np.array([[5.0, 1.0, 2.0]]))
    array([1.])
    """
    pairs: Sequence[tuple[np.ndarray, np.ndarray]] = list(zip(scores, negated, strict=True))
    return np.array([correlation.spearman(plain, denied) for plain, denied in pairs])
