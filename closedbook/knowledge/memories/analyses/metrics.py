"""The measures of Geva et al. 2021, as formulas over arrays; nothing here knows a model."""

import numpy as np

CASES = ("residual", "agreement", "composition", "feed-forward")


def relative_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How much of a coefficient is gained: (after - before) / before (section 3.1, figure 3).

    A coefficient below 0 that comes nearer to 0 loses too, so its change is negative as well.

    Args:
        before: [...], never 0.
        after: [...].

    >>> relative_change(np.array([2.0, -2.0]), np.array([1.0, -1.0])).tolist()
    [-0.5, -0.5]
    """
    return (np.asarray(after, np.float64) - before) / np.asarray(before, np.float64)


def cases(residual: np.ndarray, update: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Where a layer's prediction comes from, as a number into `CASES` (section 5.2, figure 11).

    Its output predicts what the residual alone predicts ("residual"), what the residual and the
    feed-forward unit both predict ("agreement"), neither ("composition"), or what the unit alone
    predicts ("feed-forward").

    Args:
        residual: Tokens that the residual stream before the unit predicts, [...].
        update: Tokens that the unit's own output predicts, [...].
        output: Tokens that their sum predicts, [...].

    >>> cases(*np.array([[1, 1, 1, 1], [2, 1, 2, 2], [1, 1, 3, 2]])).tolist()
    [0, 1, 2, 3]
    """
    of_residual, of_update = output == residual, output == update
    return np.select([of_residual & of_update, of_residual, of_update], [1, 0, 3], default=2)


def dealt_anew(tops: np.ndarray, nexts: np.ndarray) -> float:
    """The share of pairs that agree, on average over all ways to deal the next tokens out anew.

    What a layer's agreement must be compared with: some tokens are common everywhere.

    Args:
        tops: The value's top token of each memory, [n], n at least 1.
        nexts: The next token of each memory's top trigger, [n].

    >>> dealt_anew(np.array([5, 5, 7]), np.array([5, 8, 8]))  # 2 tops x 1 next, of 9 pairs
    0.2222222222222222
    """
    tokens, counts = np.unique(nexts, return_counts=True)
    place = np.minimum(np.searchsorted(tokens, tops), len(tokens) - 1)
    return float((counts[place] * (tokens[place] == tops)).sum() / (len(tops) * len(nexts)))


def agreeing(codes: np.ndarray) -> np.ndarray:
    """How many of each row's entries are the commonest of that row: [rows].

    Args:
        codes: int [rows, n]; an entry below 0 is none.

    >>> agreeing(np.array([[3, 4, 3, -1], [-1, -1, -1, -1]])).tolist()
    [2, 0]
    """
    ordered = np.sort(codes, axis=1)
    run = np.zeros(len(codes), np.int64)
    best = run.copy()
    for column in range(codes.shape[1]):
        same = ordered[:, column] == ordered[:, column - 1] if column else False
        run = np.where(ordered[:, column] < 0, 0, np.where(same, run + 1, 1))
        best = np.maximum(best, run)
    return best


def bins_of(values: np.ndarray, number: int) -> np.ndarray:
    """The bin of each value where all bins hold as many, the smallest values in bin 0: int [n].

    >>> bins_of(np.array([0.3, 0.1, 0.2, 0.9]), 2).tolist()
    [1, 0, 0, 1]
    """
    order = np.argsort(values, kind="stable")
    found = np.empty(len(values), np.int64)
    found[order] = np.arange(len(values)) * number // max(len(values), 1)
    return found
