"""Measures how far the judge errs about a system that it has not seen, and writes `errors.json`.

    python -m closedbook.eval.adjusted.learn NQ.json TQ.json

The data are EVOUNA's files (Wang et al. 2023): the judge learns from the first, and each system's
answers, in all files, are judged by weights that were learned without that system and without the
question. Needs scikit-learn, which analysing does not. Run it again when the judge has changed.
"""

import argparse
import dataclasses
import json
import math
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from closedbook import whole_files
from closedbook.eval import intervals, metrics
from closedbook.eval.adjusted import errors
from closedbook.eval.adjusted.errors import JudgeErrors, OfLength
from closedbook.eval.answerability import assessment
from closedbook.eval.equivalence import learn, trees, verdicts
from closedbook.eval.equivalence.judged import SYSTEMS, split_answers
from closedbook.eval.equivalence.judges import Evidence
from closedbook.eval.predictions import Prediction

FOLDS = 2  # of questions, inside which weights are learned
_FEW = 30  # wrong answers from which a share of false alarms is measured
_RANGE = 50  # answers from which the least accepted share is taken


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """Judged answers of several systems to one data set; arrays are of rows, [rows]."""

    rows: Sequence[Prediction]
    system: np.ndarray  # place in `SYSTEMS`
    question: np.ndarray  # its number
    right: np.ndarray  # bool; people's word
    proper: np.ndarray  # bool; people say that the question can be answered and judge the answer
    flagged: np.ndarray  # bool; the check says that it cannot
    exact: np.ndarray  # bool
    words: np.ndarray  # of the answer
    judged: learn.Judged  # the evidence of rows that are proper and not exact
    place: np.ndarray  # of a row in `judged`, -1 of the others


def read(path: pathlib.Path) -> Answers:
    """All answers of a file of EVOUNA's, improper questions and all.

    Raises:
        UserError: The file cannot be read, or is not in EVOUNA's form.
    """
    judged = learn.read(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    asked = [row for row in document if row["golden_answer"]]
    flags = assessment.assess_all([_row(row, "") for row in asked])
    numbers: dict[int, int] = {}
    for number, row in enumerate(asked):
        if not row["improper"]:
            numbers[number] = len(numbers)
    places = {
        key: place for place, key in enumerate(zip(judged.question, judged.system, strict=True))
    }
    rows, table = [], []
    for number, row in enumerate(asked):
        for system, name in enumerate(SYSTEMS):
            text, word = row[f"answer_{name}"], row[f"judge_{name}"]
            if text is None:
                continue
            proper = number in numbers and word is not None
            place = places.get((numbers[number], system), -1) if proper else -1
            flagged = flags[number].flag is not None
            rows.append(_row(row, text))
            exact = metrics.is_right(text, rows[-1].answers, "squad")
            table.append(
                (system, number, bool(word), proper, flagged, exact, len(text.split()), place)
            )
    columns = dict(zip(_COLUMNS, map(np.array, zip(*table, strict=True)), strict=True))
    return Answers(rows=rows, judged=judged, **columns)


_COLUMNS = ("system", "question", "right", "proper", "flagged", "exact", "words", "place")


def _row(row: dict[str, str], text: str) -> Prediction:
    return Prediction(
        question=row["question"],
        answers=tuple(split_answers(row["golden_answer"])),
        prediction=text,
    )


def accepted(
    data: Sequence[Answers], without: Collection[int], mode: str = "learned"
) -> list[np.ndarray]:
    """Per data set which rows the judge accepts, bool [rows]; exact and improper ones are False.

    Args:
        data: From the first the weights are learned.
        without: Places in `SYSTEMS` of those whose answers take no part in learning.
        mode: "rules" learns nothing.
    """
    if mode == "rules":
        return [shipped(each, mode) & each.proper for each in data]
    first = data[0].judged
    fold = learn.folds(first.question, FOLDS)
    known = ~np.isin(first.system, list(without))
    mean = [np.zeros(len(each.judged.right)) for each in data]
    for number in range(FOLDS):
        inside = fold == number
        weights, _ = learn.learn(_part(first, known & ~inside), FOLDS)
        learned = trees.build(weights)
        mean[0][inside] = _probability(learned, first)[inside]
        for place, each in enumerate(data[1:], start=1):
            mean[place] += _probability(learned, each.judged) / FOLDS
    found = []
    for each, probability in zip(data, mean, strict=True):
        open_ = (each.place >= 0) & ~each.exact
        column = np.zeros(len(each.rows), bool)
        column[open_] = probability[each.place[open_]] >= learn.DECISION
        found.append(column)
    return found


def _part(judged: learn.Judged, rows: np.ndarray) -> learn.Judged:
    return learn.Judged(**{name: column[rows] for name, column in vars(judged).items()})


def _probability(learned: trees.Trees, judged: learn.Judged) -> np.ndarray:
    weighed = np.where(judged.shared, learned.probability(judged.values), learned.nothing)
    return np.clip(weighed, judged.low, judged.high)


def shipped(data: Answers, mode: str = "learned") -> np.ndarray:
    """Which rows the judge as it ships accepts, exact ones aside."""
    told = verdicts.judge_all(data.rows, mode=mode)
    return np.array([verdict.equivalent for verdict in told]) & ~data.exact


def judged(data: Answers, system: int) -> bool:
    """Whether people judged any answer of a system that exact match calls wrong."""
    return bool(((data.system == system) & data.proper & ~data.exact).any())


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneSystem:
    """What was found of one system on one data set, with a judge that had not seen it."""

    judge: float  # people's share of right answers less the judge's, per sqrt(p (1 - p))
    check: float  # score without flagged questions less that without improper ones, likewise
    n: np.ndarray  # answers of each length that exact match calls wrong, flagged questions aside
    accepted: np.ndarray  # of these, by the judge as it ships
    wrong: np.ndarray  # answers to proper questions that exact match and people call wrong
    alarms: np.ndarray  # wrong ones that are accepted


def one_system(data: Answers, system: int, held_out: np.ndarray, told: np.ndarray) -> OneSystem:
    """Measures one system on one data set.

    Args:
        data: Its answers among others.
        system: Its place in `SYSTEMS`.
        held_out: Rows that a judge accepts which had not seen the system, bool [rows].
        told: Rows that the judge as it ships accepts, bool [rows].
    """
    mine = data.system == system
    open_ = mine & data.proper & ~data.exact
    lengths = errors.places(data.words)
    count = lambda rows: np.bincount(lengths[rows], minlength=len(errors.WORDS) + 1)  # noqa: E731
    share = float(held_out[open_].mean())
    seen = mine & ~data.flagged & ~data.exact
    scored = told | data.exact
    kept, fit = (float(scored[mine & rows].mean()) for rows in (~data.flagged, data.proper))
    return OneSystem(
        judge=(float(data.right[open_].mean()) - share) / _spread(share),
        check=(kept - fit) / _spread(fit),
        n=count(seen),
        accepted=count(seen & told),
        wrong=count(open_ & ~data.right),
        alarms=count(open_ & ~data.right & held_out),
    )


def _spread(share: float) -> float:
    return math.sqrt(max(share * (1 - share), 1e-4))


def combine(found: Sequence[OneSystem], longest: int, weights: str | None) -> JudgeErrors:
    """The errors to expect of another system than those measured."""
    t = intervals.student(len(found))
    judge, check = (
        t * math.sqrt(sum(getattr(one, name) ** 2 for one in found) / len(found))
        for name in ("judge", "check")
    )
    lengths = []
    for place in range(len(errors.WORDS) + 1):
        wrong, alarms = (sum(int(getattr(one, name)[place]) for one in found)
                         for name in ("wrong", "alarms"))  # fmt: skip
        shares = [one.alarms[place] / one.wrong[place] for one in found if one.wrong[place] >= _FEW]
        seen = [one.accepted[place] / one.n[place] for one in found if one.n[place] >= _RANGE]
        few = len(shares) < 2
        give = 1.0 if few else (
            intervals.student(len(shares) - 1) * float(np.std(shares, ddof=1))
            * math.sqrt(1 + 1 / len(shares))
        )  # fmt: skip
        lengths.append(
            OfLength(
                false_alarms=alarms / max(wrong, 1),
                give=min(give, 1.0),
                least=float(min(seen, default=1.0)),
            )
        )
    return JudgeErrors(
        weights=weights,
        systems=len(found),
        judge=judge,
        check=check,
        lengths=tuple(lengths),
        longest=longest,
    )


def measure(data: Sequence[Answers], mode: str) -> JudgeErrors:
    """The errors of the judge as it ships, over all systems of all data sets."""
    told = [shipped(each, mode) for each in data]
    found = []
    for system in range(len(SYSTEMS)):
        held_out = accepted(data, (system,), mode)
        found += [
            one_system(each, system, *columns)
            for each, *columns in zip(data, held_out, told, strict=True)
            if judged(each, system)
        ]
    return combine(found, longest(data), Evidence(name=mode).version)


def longest(data: Sequence[Answers]) -> int:
    """Words that one answer in a hundred of the longest-winded system exceeds."""
    return max(
        int(np.quantile(each.words[each.system == system], 0.99))
        for each in data
        for system in set(each.system.tolist())
    )


def write(path: pathlib.Path, found: Mapping[str, JudgeErrors]) -> None:
    """Writes the errors of judges by name, at once or not at all."""
    judges = {name: dataclasses.asdict(each) for name, each in found.items()}
    for each in judges.values():
        del each["current"]
    about = "python -m closedbook.eval.adjusted.learn; closedbook.eval.adjusted.errors has the keys"
    text = json.dumps({"about": about, "judges": judges}, indent=1)
    whole_files.write_text(path, text + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, nargs="+", help="EVOUNA's NQ.json, and others")
    parser.add_argument("--out", type=pathlib.Path, default=errors.FILE)
    given = parser.parse_args(arguments)
    data = [read(path) for path in given.data]
    write(given.out, {mode: measure(data, mode) for mode in verdicts.MODES})
    print(given.out)


if __name__ == "__main__":
    main()
