"""Learns the judge's weights from human judgements, and measures them by cross-validation.

    python -m closedbook.eval.equivalence.learn --data judged/evouna/NQ.json

The data is EVOUNA's file for Natural Questions (Wang et al. 2023): questions, answers between
slashes, five systems' answers and a human's judgement of each. Rows that SQuAD's exact match
accepts teach nothing and are left out, as are questions marked improper. Needs scikit-learn,
which judging does not.
"""

import argparse
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.eval import normalize
from closedbook.eval.equivalence import agreement, bounds, collected, trees
from closedbook.eval.equivalence.evidence import features
from closedbook.eval.equivalence.judged import SYSTEMS, split_answers

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

WEIGHTS = pathlib.Path(__file__).parent / "weights" / "equivalence.json"
FOLDS = 5
DECISION = 0.5  # the probability is calibrated: more likely than not
# Few leaves, many rows in each and a part of the values per split: what helps one data set alone
# is not learned.
PARAMETERS = {
    "max_iter": 120,
    "learning_rate": 0.07,
    "max_leaf_nodes": 10,
    "max_depth": 5,
    "min_samples_leaf": 20,
    "l2_regularization": 5.0,
    "max_features": 0.15,
    "random_state": 1,  # what others give: docs/evaluator.md
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """Rows with a human's judgement."""

    values: np.ndarray  # [rows, features]; zeros where nothing agrees
    shared: np.ndarray  # [rows] bool: False where nothing agrees, which trees never see
    low: np.ndarray  # [rows] the bounds that no weight outvotes
    high: np.ndarray
    right: np.ndarray  # [rows] bool
    question: np.ndarray  # [rows] number of the question
    system: np.ndarray  # [rows] place in `SYSTEMS`


class Line(NamedTuple):
    """What turns log odds into a probability (Platt 1999), and the share where nothing agrees."""

    slope: float
    shift: float
    nothing: float


def read(path: pathlib.Path) -> Judged:
    """Reads EVOUNA's file and takes the evidence of every row that exact match calls wrong.

    Raises:
        UserError: The file cannot be read, or is not in EVOUNA's form.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in document if not row["improper"] and row["golden_answer"]]
        found = [
            (place, system, row["question"], row["golden_answer"], text, row[f"judge_{name}"])
            for place, row in enumerate(rows)
            for system, name in enumerate(SYSTEMS)
            if (text := row[f"answer_{name}"]) is not None and row[f"judge_{name}"] is not None
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read judgements from {path}: {error!r}; give EVOUNA's NQ.json"
        ) from error
    kept = [row for row in found if not _exact(row[4], row[3])]
    taken = [_evidence(question, golden, text) for _, _, question, golden, text, _ in kept]
    empty = [0.0] * len(features.NAMES)
    return Judged(
        values=np.array([row.values or empty for row, _ in taken], np.float32),
        shared=np.array([row.values is not None for row, _ in taken]),
        low=np.array([held.low for _, held in taken]),
        high=np.array([held.high for _, held in taken]),
        right=np.array([row[5] for row in kept], bool),
        question=np.array([row[0] for row in kept]),
        system=np.array([row[1] for row in kept]),
    )


def _evidence(question: str, golden: str, text: str) -> tuple[features.Row, bounds.Bounds]:
    found = collected.collect(question, split_answers(golden), text)
    return found.row, found.bounds


def _exact(prediction: str, golden: str) -> bool:
    return normalize.squad(prediction) in map(normalize.squad, golden.split("/"))


def folds(question: np.ndarray, count: int = FOLDS, seed: int = 0) -> np.ndarray:
    """Each row's fold; all rows of a question are in the same."""
    numbers, inverse = np.unique(question, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(numbers))
    return (order % count)[inverse]


def fit(values: np.ndarray, right: np.ndarray) -> "HistGradientBoostingClassifier":
    """Fits the trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**PARAMETERS).fit(values, right)


def document(
    model: "HistGradientBoostingClassifier", names: Sequence[str], line: Line
) -> dict[str, Any]:
    """The weights as plain data; `trees.build` says how they are read."""
    return {
        "about": "python -m closedbook.eval.equivalence.learn; a split is [value, threshold, "
        "place of the child for value <= threshold, the other stands behind it], a leaf its "
        "log odds",
        "version": 1,
        "values": list(names),
        "base": round(float(model._baseline_prediction.ravel()[0]), 5),
        "calibration": {"slope": line.slope, "shift": line.shift},
        "nothing": line.nothing,
        "decision": DECISION,
        "trees": [_tree(stage[0].nodes, names) for stage in model._predictors],
    }


def _tree(nodes: np.ndarray, names: Sequence[str]) -> list[object]:
    """One tree with the two children of a node side by side."""
    result: list[object] = [None]
    waiting = [(0, 0)]
    for source, place in waiting:
        node = nodes[source]
        if node["is_leaf"]:
            result[place] = round(float(node["value"]), 5)
            continue
        child = len(result)
        result += [None, None]
        waiting += [(int(node["left"]), child), (int(node["right"]), child + 1)]
        # Thresholds lie halfway between two values, so a rounded one parts the rows the same way.
        threshold = float(f"{float(node['num_threshold']):.6g}")
        result[place] = [names[node["feature_idx"]], threshold, child]
    return result


def held_out(judged: Judged, count: int = FOLDS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log odds of each row by trees that never saw its question, and its fold."""
    fold = folds(judged.question, count, seed)
    odds = np.empty(len(fold))
    for number in range(count):
        inside = fold == number
        known = ~inside & judged.shared
        model = fit(judged.values[known], judged.right[known])
        odds[inside] = model.decision_function(judged.values[inside])
    return odds, fold


def learn(
    judged: Judged, count: int = FOLDS
) -> tuple[dict[str, Any], dict[str, agreement.Agreement]]:
    """The weights, and their cross-validated report by system.

    The calibration of a fold is fitted to the other folds alone.
    """
    odds, fold = held_out(judged, count)
    probability = np.empty(len(odds))
    for number in range(count):
        inside = fold == number
        line = _line(judged, odds, ~inside)
        probability[inside] = _probability(judged, odds, line)[inside]
    report = {
        name: agreement.measure(
            probability[mine],
            probability[mine] >= DECISION,
            judged.right[mine],
            judged.question[mine],
        )
        for system, name in enumerate(SYSTEMS)
        if (mine := judged.system == system).any()
    }
    line = _line(judged, odds, np.ones(len(odds), bool))
    model = fit(judged.values[judged.shared], judged.right[judged.shared])
    return document(model, features.NAMES, line), report


def _line(judged: Judged, odds: np.ndarray, rows: np.ndarray) -> Line:
    """Calibration on the given rows."""
    from sklearn.linear_model import LogisticRegression

    known = rows & judged.shared
    line = LogisticRegression(C=1e6).fit(odds[known][:, None], judged.right[known])
    alone = judged.right[rows & ~judged.shared]
    return Line(
        slope=round(float(line.coef_[0, 0]), 4),
        shift=round(float(line.intercept_[0]), 4),
        nothing=round((float(alone.sum()) + 1) / (len(alone) + 2), 4),
    )


def _probability(judged: Judged, odds: np.ndarray, line: Line) -> np.ndarray:
    weighed = 1 / (1 + np.exp(-(line.slope * odds + line.shift)))
    return np.clip(np.where(judged.shared, weighed, line.nothing), judged.low, judged.high)


def write(path: pathlib.Path, weights: dict[str, Any]) -> None:
    """Writes the weights, one tree per line, at once or not at all."""
    lines = [json.dumps(tree) for tree in weights["trees"]]
    head = json.dumps({key: value for key, value in weights.items() if key != "trees"}, indent=1)
    text = head[:-2] + ',\n "trees": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
    whole_files.write_text(path, text)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="EVOUNA's NQ.json")
    parser.add_argument("--out", type=pathlib.Path, default=WEIGHTS, help="the weights file")
    parser.add_argument("--report", type=pathlib.Path, help="also write the measures as JSON")
    given = parser.parse_args(arguments)
    weights, report = learn(read(given.data))
    trees.build(weights)  # what cannot be read back is not written
    write(given.out, weights)
    if given.report:
        measures = {name: dataclasses.asdict(row) for name, row in report.items()}
        given.report.write_text(json.dumps(measures, indent=1) + "\n", encoding="utf-8")
    print(agreement.table(report))


if __name__ == "__main__":
    main()
