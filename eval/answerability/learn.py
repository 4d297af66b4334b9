"""Learns the weights of `closedbook.eval.answerability` from SituatedQA.

    python -m closedbook.eval.answerability.learn FOLDER [--out FOLDER]

reads `temporal.train.jsonl` and `geographic.train.jsonl` (Zhang and Choi 2021: questions with
`is_dependent`, yes or no), writes `time_dependent.tsv` and `place_dependent.tsv`, and prints how
good they are on the `dev` files, which neither weights nor thresholds have seen. Needs
scikit-learn; judging does not.
"""

import argparse
import pathlib
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import intervals
from closedbook.eval.answerability import linear, question_features
from closedbook.eval.files import json_lines

_INVERSE_REGULARISATION = 0.3  # chosen by cross-validation on train
_FOLDS = 5
_KEPT = 15_000  # weights, so that the file stays small; fewer cost recall
_TIME_PRECISION = 0.9  # least, in cross-validation
_PLACE_PRECISION = 0.8
_SEED = 0


class Learner:
    """Turns questions into a matrix and fits a `linear.Linear` to it."""

    def __init__(self, questions: Sequence[str], *, without: str = ""):
        self.features = [question_features.features(question) for question in questions]
        if without:
            self.features = [
                [name for name in found if without not in re.split("[ _]", name)]
                for found in self.features
            ]
        counts = Counter(feature for found in self.features for feature in found)
        # What was seen once is an accident.
        names = sorted(name for name, count in counts.items() if count > 1)
        self.columns = {name: column for column, name in enumerate(names)}
        # Rare features say more about a question: the square root of the inverse frequency.
        shares = np.array([counts[name] for name in names]) / len(questions)
        self.rarity = np.sqrt(-np.log(shares))
        self.matrix = self._matrix(questions)

    def _matrix(self, questions: Sequence[str]):
        from scipy import sparse

        rows, columns, values = [], [], []
        for row, (question, found) in enumerate(zip(questions, self.features, strict=True)):
            scale = 1 / np.sqrt(len(question_features.words(question)) + 2)
            for name in found:
                column = self.columns.get(name)
                if column is not None:
                    rows.append(row)
                    columns.append(column)
                    values.append(self.rarity[column] * scale)
        matrix = sparse.csr_matrix(
            (values, (rows, columns)), shape=(len(questions), len(self.columns))
        )
        matrix.indices = matrix.indices.astype(np.int32)
        matrix.indptr = matrix.indptr.astype(np.int32)
        return matrix

    def fit(self, labels: np.ndarray, *, label: str, source: str, precision: float):
        """The weights, calibrated and with their threshold by cross-validation.

        Args:
            labels: 0 or 1 per question.
            label: The model's name.
            source: What the questions are.
            precision: The least precision in cross-validation; the threshold is the lowest
                probability that reaches it.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold

        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
        unseen = np.zeros(len(labels))
        for fitted, held_out in folds.split(unseen, labels):
            weights, bias = self._weights(fitted, labels[fitted])
            unseen[held_out] = self.matrix[held_out] @ weights + bias
        # Platt 1999: a logistic regression on the scores of questions not fitted to.
        platt = LogisticRegression(C=1e6).fit(unseen[:, None], labels)
        slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
        weights, bias = self._weights(np.arange(len(labels)), labels)
        readable = slope * weights * self.rarity
        return linear.Linear(
            label=label,
            version="1",
            source=source,
            bias=round(slope * bias + shift, 4),
            threshold=lowest_threshold(
                1 / (1 + np.exp(-(slope * unseen + shift))), labels, precision
            ),
            weights={
                name: round(float(readable[at]), 3)
                for at, name in enumerate(self.columns)
                if abs(readable[at]) >= 0.0005
            },
        )

    def _weights(self, rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
        """Weights, all but the largest set to zero, and the bias."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=_INVERSE_REGULARISATION, solver="liblinear")
        model.fit(self.matrix[rows], labels)
        weights = model.coef_[0].copy()
        weights[np.argsort(-np.abs(weights * self.rarity), kind="stable")[_KEPT:]] = 0
        return weights, float(model.intercept_[0])


def lowest_threshold(probabilities: np.ndarray, labels: np.ndarray, precision: float) -> float:
    """The lowest probability from which on the precision is reached.

    >>> lowest_threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 0, 0]), 0.6)
    0.7
    """
    order = np.argsort(-probabilities, kind="stable")
    right = np.cumsum(labels[order])
    reached = np.flatnonzero(right / np.arange(1, len(order) + 1) >= precision)
    if not len(reached):
        return 1.0
    return float(probabilities[order][reached[-1]])


def _read(path: pathlib.Path) -> tuple[list[str], np.ndarray]:
    questions, labels = [], []
    for number, row in json_lines.read(path, what="questions", remedy="give SituatedQA's folder"):
        if not isinstance(row, dict) or row.get("is_dependent") not in ("yes", "no"):
            raise UserError(
                f"{path}:{number}: needs 'question' and 'is_dependent' yes or no; give SituatedQA's"
                " files as published"
            )
        questions.append(str(row["question"]))
        labels.append(row["is_dependent"] == "yes")
    return questions, np.array(labels, np.int64)


def _measured(model: linear.Linear, questions: Sequence[str], labels: np.ndarray) -> str:
    """Precision and recall at the model's threshold, each with its 95% interval."""
    flagged = np.array(
        [
            model.probability(
                question_features.features(question), len(question_features.words(question))
            )
            >= model.threshold
            for question in questions
        ]
    )
    right = int((flagged & (labels == 1)).sum())
    parts = []
    for name, total in (("precision", int(flagged.sum())), ("recall", int(labels.sum()))):
        low, high = intervals.wilson(right, max(total, 1))
        parts.append(f"{name} {right / max(total, 1):.3f} [{low:.3f}, {high:.3f}] of {total:,}")
    return f"{model.label}: {', '.join(parts)}; n {len(labels):,}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Learns, writes and measures; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=pathlib.Path, help="SituatedQA's temporal.* and geographic.*"
    )
    parser.add_argument("--out", type=pathlib.Path, default=linear.FOLDER, help="of the weights")
    options = parser.parse_args(arguments)
    temporal, in_time = _read(options.folder / "temporal.train.jsonl")
    geographic, in_place = _read(options.folder / "geographic.train.jsonl")
    # SituatedQA took the places out of its geographic questions, or wrote "we" for them. What a
    # place in a question looks like is learned from the temporal ones, which mostly name theirs.
    place = Learner(geographic + temporal, without="we").fit(
        np.concatenate([in_place, np.zeros(len(temporal), np.int64)]),
        label="place_dependent",
        source="SituatedQA geographic.train, temporal.train as negatives",
        precision=_PLACE_PRECISION,
    )
    time = Learner(temporal).fit(
        in_time,
        label="time_dependent",
        source="SituatedQA temporal.train",
        precision=_TIME_PRECISION,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    for model, name in ((time, "temporal"), (place, "geographic")):
        model.write(options.out / f"{model.label}.tsv")
        print(_measured(model, *_read(options.folder / f"{name}.dev.jsonl")))


if __name__ == "__main__":
    main()
