"""Two files: what about rows, gold answers and predictions explains that one scores lower."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval import metrics
from closedbook.eval.analysis import audit, candidates
from closedbook.eval.diagnosis import repairs, rules
from closedbook.eval.diagnosis.results import Cause, Diagnosis, Kind
from closedbook.eval.diagnosis.single import side
from closedbook.eval.predictions import Prediction

_Golds = Mapping[str, Sequence[str]]  # by the question's key
_ROUNDING = 1e-9


def gap(
    mine: Sequence[Prediction],
    theirs: Sequence[Prediction],
    *,
    names: tuple[str, str] = ("mine", "theirs"),
    protocol: str = "squad",
) -> Diagnosis:
    """What the gap between two files is made of: parts that add up to it, the largest first.

    In this order, each after those before it: questions that only one file has; gold answers that
    differ, both being scored against those of both; what stands between the predictions of either
    and the answers in them; what is left is the systems'. Questions are matched by their letters
    and digits.

    Args:
        mine: The predictions that score lower, or whose score is asked about.
        theirs: The others.
        names: The files'.
        protocol: Whose exact match is the score of both.

    Raises:
        UserError: A file is empty.
    """
    files = dict(zip(("mine", "theirs"), (list(mine), list(theirs)), strict=True))
    for name, rows in zip(names, files.values(), strict=True):
        if not rows:
            raise UserError(f"{name} has no predictions to diagnose; give at least one")
    right = [audit.right(rows, [protocol])[protocol] for rows in files.values()]
    scores = [_mean(each) for each in right]
    parts = _Parts(names, scores)
    both = _keys(files["mine"]) & _keys(files["theirs"])
    sides = [side(rows, name, score)
             for name, rows, score in zip(names, files.values(), scores, strict=True)]  # fmt: skip
    notes = [note for name, rows in zip(names, files.values(), strict=True)
             for note in rules.recorded(rows, name, protocol)]  # fmt: skip
    if not both:
        notes.insert(0, "no question is in both files: they are different data")
        parts.rest("the files have no question in common")
        return Diagnosis(protocol=protocol, sides=sides, causes=parts.sorted(), notes=notes)
    if sides[0].splits != sides[1].splits and all(one.splits for one in sides):
        notes.append(
            "the files name different tasks or splits: "
            + "; ".join(f"{one.name} {', '.join(one.splits)}" for one in sides)
        )
    kept = [[row for row in rows if _key(row) in both] for rows in files.values()]
    scored = [audit.right(rows, [protocol])[protocol] for rows in kept]
    parts.step(
        Kind.QUESTIONS,
        [_mean(each) for each in scored],
        sum(map(len, files.values())) - sum(map(len, kept)),
        _of_questions(names, list(files.values()), right, both),
    )
    golds = [_golds(rows) for rows in kept]
    union = {key: list(dict.fromkeys([*golds[0][key], *golds[1][key]])) for key in both}
    for place, rows in enumerate(kept):
        again = [metrics.is_right(row.prediction, union[_key(row)], protocol) for row in rows]
        changed = sum(a != b for a, b in zip(again, scored[place], strict=True))
        means = [_mean(each) for each in scored]
        scored[place], means[place] = again, _mean(again)
        parts.step(Kind.GOLD, means, changed, _of_golds(names, golds, place), place)
    whole = [_with(rows, union) for rows in kept]
    for place, rows in enumerate(whole):
        steps, after = repairs.repaired(rows, scored[place], protocol)
        for step in steps:
            means = [_mean(each) for each in scored]
            means[place] = step.share
            parts.step(step.kind, means, step.gained, f"{names[place]}: {step.text}", place)
            scored[place] = [True] * round(step.share * len(rows)) + [False] * (
                len(rows) - round(step.share * len(rows))
            )
        scored[place] = after
    parts.rest(_of_systems(names, whole, scored))
    return Diagnosis(protocol=protocol, sides=sides, causes=parts.sorted(), notes=notes)


class _Parts:
    """Parts of a gap, each what one more step changes of it."""

    def __init__(self, names: tuple[str, str], scores: Sequence[float]) -> None:
        self._names = names
        self._scores = list(scores)
        self._found: list[Cause] = []

    def step(
        self, kind: Kind, scores: Sequence[float], rows: int, text: str, place: int = 0
    ) -> None:
        """Notes by how much the gap is smaller with these scores, if it is another one."""
        before, after = (each[1] - each[0] for each in (self._scores, scores))
        self._scores = list(scores)
        if abs(before - after) > _ROUNDING:
            self._found.append(
                Cause(kind=kind, points=before - after, score=scores[place], rows=rows, text=text)
            )

    def rest(self, text: str) -> None:
        """Notes what is left of the gap."""
        first, second = self._scores
        self._found.append(
            Cause(kind=Kind.SYSTEMS, points=second - first, score=first, rows=0, text=text)
        )

    def sorted(self) -> list[Cause]:
        """The largest first; what is left last."""
        return sorted(self._found, key=lambda part: (part.kind == Kind.SYSTEMS, -abs(part.points)))


def _key(row: Prediction) -> str:
    return candidates.question_key(row.question)


def _keys(rows: Sequence[Prediction]) -> set[str]:
    return {_key(row) for row in rows} - {""}


def _mean(right: Sequence[bool]) -> float:
    return sum(right) / len(right)


def _golds(rows: Sequence[Prediction]) -> dict[str, list[str]]:
    """All gold answers to each question, in the order of the file."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        found[_key(row)].update(dict.fromkeys(row.answers))
    return {key: list(answers) for key, answers in found.items()}


def _with(rows: Sequence[Prediction], golds: _Golds) -> list[Prediction]:
    return [
        Prediction(question=row.question, answers=golds[_key(row)], prediction=row.prediction)
        for row in rows
    ]


def _of_questions(
    names: tuple[str, str],
    files: Sequence[Sequence[Prediction]],
    right: Sequence[Sequence[bool]],
    both: set[str],
) -> str:
    """Which rows only one file has, and how they score."""
    said = []
    for name, rows, verdicts in zip(names, files, right, strict=True):
        alone = [was for row, was in zip(rows, verdicts, strict=True) if _key(row) not in both]
        if alone:
            said.append(
                f"{len(alone):,} of {len(rows):,} rows are in {name} alone, of these "
                f"{100 * _mean(alone):.1f}% right"
            )
    return "; ".join(said)


def _of_golds(names: tuple[str, str], golds: Sequence[_Golds], place: int) -> str:
    """How one file's gold answers differ from the other's."""
    own, other = golds[place], golds[1 - place]
    fewer = [key for key in own if not set(other[key]) <= set(own[key])]
    first = sum(len(own[key]) == 1 and own[key][0] == other[key][0] for key in fewer)
    kind = ""
    if fewer and first >= _MOSTLY * len(fewer):
        kind = ": it lists the first answer alone"
    elif fewer and all(set(own[key]) < set(other[key]) for key in fewer):
        kind = ": it lists a part of them"
    return (
        f"{names[place]} lacks gold answers of {names[1 - place]} to {len(fewer):,} of "
        f"{len(own):,} questions{kind}"
    )


_MOSTLY = 0.9


def _of_systems(
    names: tuple[str, str],
    files: Sequence[Sequence[Prediction]],
    right: Sequence[Sequence[bool]],
) -> str:
    """Questions that one file has right at least once and the other never."""
    solved: list[set[str]] = []
    for rows, verdicts in zip(files, right, strict=True):
        solved.append({_key(row) for row, was in zip(rows, verdicts, strict=True) if was})
    said: Counter[str] = Counter()
    predictions = [{_key(row): row.prediction for row in rows} for rows in files]
    said["alike"] = sum(predictions[0][key] == predictions[1].get(key) for key in predictions[0])
    return (
        f"what is left: {len(solved[0] - solved[1]):,} questions that only {names[0]} answers, "
        f"{len(solved[1] - solved[0]):,} that only {names[1]} does; "
        f"{said['alike']:,} of {len(predictions[0]):,} predictions are the same"
    )
