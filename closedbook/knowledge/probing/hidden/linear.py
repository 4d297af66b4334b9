"""A linear probe: logistic regression on hidden states, cross-validated by subject."""

import hashlib
from collections.abc import Sequence

import numpy as np

_PENALTY = 1.0  # of half the squared weights of standardised features, beside the summed loss
_STEPS = 50  # of Newton; ten are enough for most
_SMALL = 1e-6  # gain of the loss per row at which fitting ends


def fit(states: np.ndarray, right: np.ndarray, penalty: float = _PENALTY) -> np.ndarray:
    """Weights of the logistic regression with the least penalised loss, by Newton's method.

        sum_i log(1 + exp(-y_i (w . x_i + b))) + penalty / 2 |w|²,  y_i = ±1

    Args:
        states: float64 [rows, features], of like scales.
        right: bool [rows].
        penalty: Of the weights; the bias is free of it but for what keeps the step defined.

    Returns:
        float64 [features + 1], the bias last.
    """
    x = np.concatenate([states, np.ones((len(states), 1))], axis=1)
    sign = np.where(right, 1.0, -1.0)
    ridge = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-3

    def loss(weights: np.ndarray) -> float:
        fitted = np.logaddexp(0.0, -sign * (x @ weights)).sum()
        return float(fitted + 0.5 * (ridge * weights**2).sum())

    weights = np.zeros(x.shape[1])
    now = loss(weights)
    for _ in range(_STEPS):
        share = 0.5 * (1 + np.tanh(0.5 * (x @ weights)))
        slope = x.T @ (share - right) + ridge * weights
        curve = (x * (share * (1 - share))[:, None]).T @ x + np.diag(ridge)
        step, size = np.linalg.solve(curve, slope), 1.0
        while (then := loss(weights - size * step)) > now and size > _SMALL:
            size /= 2
        if then > now:
            break
        weights, gain, now = weights - size * step, now - then, then
        if gain < _SMALL * len(x):
            break
    return weights


def folds(subjects: Sequence[str], number: int) -> np.ndarray:
    """The fold of each row, int64 [rows]: all rows of a subject are in one, folds are even.

    Subjects are dealt out in the order of their hashes, so that the order of the data, which may
    be that of relations or of names, says nothing about the fold.

    >>> folds(["a", "b", "a", "c"], 2).tolist()
    [0, 1, 0, 0]
    """
    dealt = sorted(set(subjects), key=lambda name: hashlib.sha256(name.encode()).digest())
    fold = {name: place % number for place, name in enumerate(dealt)}
    return np.array([fold[name] for name in subjects], np.int64)


def cross_validated(states: np.ndarray, right: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Each row's score by a probe that saw no row of its fold.

    Scores of different folds come from different probes; compare those of one fold alone.

    Args:
        states: [rows, features]; they are standardised by the rows that the probe sees.
        right: bool [rows].
        fold: int [rows], two folds at least.

    Returns:
        float64 [rows], the log-odds of being right.

    Raises:
        ValueError: There is one fold alone, so that nothing is left to learn from.
    """
    if len(np.unique(fold)) < 2:
        raise ValueError("a cross-validated probe needs two folds at least")
    scores = np.empty(len(states))
    for number in np.unique(fold):
        seen = fold != number
        mean, spread = states[seen].mean(0, np.float64), states[seen].std(0, np.float64)
        scale = np.where(spread > 0, spread, 1.0)
        weights = fit((states[seen] - mean) / scale, right[seen])
        scores[~seen] = ((states[~seen] - mean) / scale) @ weights[:-1] + weights[-1]
    return scores


def centred(states: np.ndarray, group: np.ndarray) -> np.ndarray:
    """States less the mean of their group, float64 [rows, features]; labels are not looked at.

    Where groups are candidates, nothing that is linear in the states says any more which
    candidate a row has, only what the question made of it.

    Args:
        states: [rows, features].
        group: int [rows], from 0, no number left out.

    >>> centred(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1])).ravel().tolist()
    [-1.0, 1.0, 0.0]
    """
    sums = np.zeros((group.max() + 1, states.shape[1]))
    np.add.at(sums, group, states)
    return states - (sums / np.bincount(group)[:, None])[group]
