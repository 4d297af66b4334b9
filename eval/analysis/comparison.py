"""Two or more systems on the same questions: who is better, by how much, and is it chance?"""

import dataclasses
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import intervals, metrics, paired, protocols, summary
from closedbook.eval.analysis import audit
from closedbook.eval.analysis.summarized import Summarized
from closedbook.eval.predictions import Prediction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison(Summarized):
    """A comparison as plain data; shares and intervals from 0 to 1, intervals 95%."""

    # {"protocol" (headline), "n", "n_questions", "aligned_by"}
    meta: dict[str, Any]
    # per system {"name", "rows", "compared", "left_out", "left_out_ids",
    # "answers_differ" (questions with other answers than in the first file),
    # "em_own" (share, by its own file's answers)}
    systems: list[dict[str, Any]]
    # per protocol {"protocol", "scores": [{"system", "em": {mean, low, high}, "f1": the same, or
    # None where the protocol has none}], "pairs": [...]}; a pair is {"systems": [a, b], "both",
    # "only_first", "only_second", "neither", "difference" (of exact match), "difference_f1" (or
    # None), "p" (exact McNemar), "p_holm", "detectable" (difference, power 0.8)}
    protocols: list[dict[str, Any]]
    # per pair, under the headline, {"systems", "agreement" (share alike), "kappa"}
    agreement: list[dict[str, Any]]
    # how many questions 0, 1, ..., all systems answer right: {"right", "count", "share"}
    solved_by: list[dict[str, Any]]
    # per compared question {"id", "question", "answers", "predictions": {system: text},
    # "correct": {system: bool}} under the headline
    examples: list[dict[str, Any]]

    def won(self, first: str, second: str) -> list[dict[str, Any]]:
        """The examples that the first system answers right and the second does not."""
        return [e for e in self.examples if e["correct"][first] and not e["correct"][second]]


def compare(
    systems: Mapping[str, Sequence[Prediction]],
    *,
    protocol: str = "squad",
    others: Iterable[str] = tuple(protocols.PROTOCOLS),
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compares systems on the questions that all of them answered.

    Rows are aligned by id where every row has one and equal ids have equal questions, else by the
    question without case and spacing. All systems are scored against the first one's answers: files
    of one data set may list different ones, and a system must not win by its file's answers.

    Args:
        systems: Predictions by the system's name, at least two systems.
        protocol: The headline.
        others: Further protocols; the headline is always among them.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        UserError: There is one system, no question is common to all, or a file without ids asks a
            question twice.
    """
    if len(systems) < 2:
        raise UserError(f"a comparison needs two systems or more, not {len(systems)}")
    aligned_by, keyed = _align(systems)
    names = list(systems)
    first = keyed[names[0]]
    shared = [key for key in first if all(key in keyed[name] for name in names)]
    if not shared:
        raise UserError(_no_overlap(systems, aligned_by))
    gold = [first[key].answers for key in shared]
    rows = {
        name: [
            dataclasses.replace(keyed[name][key], answers=answers)
            for key, answers in zip(shared, gold, strict=True)
        ]
        for name in names
    }
    order = list(dict.fromkeys((protocol, *others)))
    right = {name: audit.right(rows[name], order) for name in names}
    questions = summary.question_keys(rows[names[0]])
    distinct = len(set(questions))
    clusters = questions if distinct < len(shared) else None
    drawn = _Drawn(clusters, resamples, seed)
    tables = [
        _table(
            table,
            {name: np.array(right[name][table], float) for name in names},
            _f1(rows, table),
            drawn,
        )
        for table in order
    ]
    headline = {name: np.array(right[name][protocol], bool) for name in names}
    return Comparison(
        meta={
            "protocol": protocol,
            "n": len(shared),
            "n_questions": distinct,
            "aligned_by": aligned_by,
        },
        systems=[_system(name, keyed[name], first, shared, protocol) for name in names],
        protocols=tables,
        agreement=[_agreement(pair) for pair in tables[0]["pairs"]],
        solved_by=_solved_by(headline),
        examples=[
            {
                "id": first[key].id,
                "question": first[key].question,
                "answers": list(first[key].answers),
                "predictions": {name: rows[name][n].prediction for name in names},
                "correct": {name: bool(headline[name][n]) for name in names},
            }
            for n, key in enumerate(shared)
        ],
    )


Keyed = dict[str, dict[Hashable, Prediction]]


def _align(systems: Mapping[str, Sequence[Prediction]]) -> tuple[str, Keyed]:
    for name, rows in systems.items():
        if not rows:
            raise UserError(f"{name} has no predictions to compare")
    if all(row.id is not None for rows in systems.values() for row in rows):
        keyed: Keyed = {name: {str(r.id): r for r in rows} for name, rows in systems.items()}
        asked: dict[Hashable, Hashable] = {}
        # Ids that only number the rows mean other questions in another file.
        agree = all(
            asked.setdefault(key, question) == question
            for rows in keyed.values()
            for key, question in zip(rows, summary.question_keys(list(rows.values())), strict=True)
        )
        if agree and any(all(key in rows for rows in keyed.values()) for key in asked):
            return "id", keyed
    return "question", {name: _by_question(name, rows) for name, rows in systems.items()}


def _by_question(name: str, rows: Sequence[Prediction]) -> dict[Hashable, Prediction]:
    keyed: dict[Hashable, Prediction] = {}
    numbers: dict[Hashable, int] = {}
    for number, (key, row) in enumerate(zip(summary.question_keys(rows), rows, strict=True), 1):
        if key in keyed:
            raise UserError(
                f"{name} asks {_cut(row.question)} in rows {numbers[key]} and {number}; give the "
                "rows of every file the same ids"
            )
        keyed[key], numbers[key] = row, number
    return keyed


def _no_overlap(systems: Mapping[str, Sequence[Prediction]], aligned_by: str) -> str:
    shown = "; ".join(
        f"{name} has {len(rows):,} rows, such as {_cut(rows[0].question)}"
        for name, rows in systems.items()
    )
    return f"no {aligned_by} is common to all files: {shown}; compare files of one data set"


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _system(
    name: str,
    keyed: Mapping[Hashable, Prediction],
    first: Mapping[Hashable, Prediction],
    shared: Sequence[Hashable],
    protocol: str,
) -> dict[str, Any]:
    kept = set(shared)
    left_out = [
        str(number if row.id is None else row.id)
        for number, (key, row) in enumerate(keyed.items(), start=1)
        if key not in kept
    ]
    own = [keyed[key] for key in shared]
    differ = sum(set(keyed[key].answers) != set(first[key].answers) for key in shared)
    return {
        "name": name,
        "rows": len(keyed),
        "compared": len(shared),
        "left_out": len(left_out),
        "left_out_ids": left_out[: audit.MAX_IDS],
        "answers_differ": differ,
        "em_own": sum(audit.right(own, [protocol])[protocol]) / len(own),
    }


class _Drawn(NamedTuple):
    """How the bootstrap draws."""

    clusters: Sequence[Hashable] | None
    resamples: int
    seed: int


def _f1(
    rows: Mapping[str, Sequence[Prediction]], protocol: str
) -> dict[str, np.ndarray] | dict[str, None]:
    """Each system's F1, row by row, from 0 to 1; None where the protocol has none."""
    if metrics.score("", [""], protocol).f1 is None:
        return dict.fromkeys(rows)
    return {
        name: np.array(
            [metrics.score(row.prediction, row.answers, protocol).f1 for row in own], float
        )
        / 100
        for name, own in rows.items()
    }


def _table(
    protocol: str,
    right: Mapping[str, np.ndarray],
    f1: Mapping[str, np.ndarray] | Mapping[str, None],
    drawn: _Drawn,
) -> dict[str, Any]:
    pairs: list[dict[str, Any]] = []
    differences_f1 = _differences(f1, drawn)
    for first, second in itertools.combinations(right, 2):
        a, b = right[first] == 1, right[second] == 1
        only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
        pairs.append(
            {
                "systems": [first, second],
                "both": int((a & b).sum()),
                "only_first": only_first,
                "only_second": only_second,
                "neither": int((~a & ~b).sum()),
                "difference": paired.difference(right[first], right[second], **drawn._asdict()),
                "difference_f1": differences_f1.get((first, second)),
                "p": paired.mcnemar(only_first, only_second),
                "detectable": paired.detectable(only_first, only_second, len(a)),
            }
        )
    corrected = paired.holm([pair["p"] for pair in pairs])
    for pair, p in zip(pairs, corrected, strict=True):
        pair["p_holm"] = p
    return {
        "protocol": protocol,
        "scores": [
            {"system": name, "em": _share(values, drawn), "f1": _mean(f1[name], drawn)}
            for name, values in right.items()
        ],
        "pairs": pairs,
    }


def _differences(
    values: Mapping[str, np.ndarray] | Mapping[str, None], drawn: _Drawn
) -> dict[tuple[str, str], dict[str, float]]:
    """As `paired.difference` for every pair of systems, from one bootstrap; nothing from None."""
    given = {name: own for name, own in values.items() if own is not None}
    if not given:
        return {}
    means = intervals.drawn_means(np.stack(list(given.values()), axis=1), **drawn._asdict())
    columns = dict(zip(given, means.T, strict=True))
    found = {}
    for first, second in itertools.combinations(given, 2):
        gaps = given[first] - given[second]
        low, high = np.quantile(columns[first] - columns[second], [0.025, 0.975])
        if len(set(range(len(gaps)) if drawn.clusters is None else drawn.clusters)) == 1:
            low, high = -1.0, 1.0  # one question says nothing of others
        found[first, second] = {"mean": float(gaps.mean()), "low": float(low), "high": float(high)}
    return found


def _share(values: np.ndarray, drawn: _Drawn) -> dict[str, float] | None:
    if drawn.clusters is not None:
        return _mean(values, drawn)
    low, high = intervals.wilson(int(values.sum()), len(values))
    return {"mean": float(values.mean()), "low": low, "high": high}


def _mean(values: np.ndarray | None, drawn: _Drawn) -> dict[str, float] | None:
    if values is None:
        return None
    low, high = intervals.of_mean(values, **drawn._asdict())
    return {"mean": float(values.mean()), "low": low, "high": high}


def _agreement(pair: Mapping[str, Any]) -> dict[str, Any]:
    counts = [pair[key] for key in ("both", "only_first", "only_second", "neither")]
    return {
        "systems": pair["systems"],
        "agreement": (pair["both"] + pair["neither"]) / sum(counts),
        "kappa": paired.kappa(*counts),
    }


def _solved_by(right: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    counts = np.bincount(np.sum([r.astype(int) for r in right.values()], axis=0),
                         minlength=len(right) + 1)  # fmt: skip
    return [
        {"right": systems, "count": int(count), "share": float(count / counts.sum())}
        for systems, count in enumerate(counts)
    ]
