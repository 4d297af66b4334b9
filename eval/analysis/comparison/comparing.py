"""The comparison, step by step; `results` says what it holds."""

import dataclasses
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import intervals, metrics, paired, protocols, summary
from closedbook.eval.analysis import audit
from closedbook.eval.analysis.comparison.adjusting import (
    Adjusting,
    Drawn,
    PerSystem,
    common_parts,
)
from closedbook.eval.analysis.comparison.results import (
    Agreement,
    ComparedExample,
    Comparison,
    Meta,
    Pair,
    ProtocolTable,
    SolvedBy,
    System,
    SystemScore,
)
from closedbook.eval.equivalence import judges
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Prediction

_Keyed: TypeAlias = dict[str, dict[Hashable, Prediction]]


def compare(
    systems: Mapping[str, Sequence[Prediction]],
    *,
    protocol: str = "squad",
    others: Iterable[str] | None = None,
    judge: str | judges.Judge = "learned",
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compares systems on the questions that all of them answered.

    Rows are aligned by id where every row has one and equal ids have equal questions, else by the
    question without case and spacing. All systems are scored against the answers of all files
    together: files of one data set may list different ones, and a system must not win by its own
    file's answers, nor by being named first.

    Args:
        systems: Predictions by the system's name, at least two systems.
        protocol: The headline.
        others: Further protocols; the headline is always among them. None: those that apply.
        judge: Of equivalence, as `closedbook.eval.analysis.analyze` has it.
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
    listed = [key for key in first if all(key in keyed[name] for name in names)]
    if not listed:
        raise UserError(_no_overlap(systems, aligned_by))
    # In an order that no file decides, for the bootstrap draws places.
    shared = sorted(listed, key=str)
    gold = [_all_answers(keyed, key) for key in shared]
    rows = {
        name: [
            dataclasses.replace(keyed[name][key], answers=answers)
            for key, answers in zip(shared, gold, strict=True)
        ]
        for name in names
    }
    judge = judges.named(judge) if isinstance(judge, str) else judge
    if others is None:
        others = protocols.applying(
            (row.prediction, row.answers) for own in rows.values() for row in own
        )
    order = list(dict.fromkeys((protocol, *others)))
    right = {name: audit.right(rows[name], order) for name in names}
    questions = summary.question_keys(rows[names[0]])
    drawn = Drawn(questions, resamples, seed)
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
    scored = Adjusting(rows, headline, judge, drawn)
    parts = common_parts(rows)
    differ = [
        key for key in listed if len({frozenset(each[key].answers) for each in keyed.values()}) > 1
    ]
    places = {key: place for place, key in enumerate(shared)}
    return Comparison(
        meta=Meta(
            protocol=protocol,
            n=len(shared),
            n_questions=len(set(questions)),
            aligned_by=aligned_by,
            golds_differ=len(differ),
            golds_differ_in=[first[key].question for key in differ[: audit.MAX_IDS]],
        ),
        systems=[_system(name, keyed[name], gold, shared, protocol) for name in names],
        protocols=tables,
        adjusted=scored.table(),
        slices=scored.slices(parts),
        agreement=[_agreement(pair) for pair in tables[0].pairs],
        solved_by=_solved_by(headline),
        examples=[
            ComparedExample(
                id=first[key].id,
                question=first[key].question,
                answers=gold[n],
                predictions={name: rows[name][n].prediction for name in names},
                correct={name: bool(headline[name][n]) for name in names},
                accepted={name: bool(scored.sorted[name].right[n]) for name in names},
                slices=parts[n],
            )
            for key in listed
            for n in [places[key]]
        ],
    )


def _all_answers(keyed: _Keyed, key: Hashable) -> tuple[str, ...]:
    """The gold answers of all files to a question, in an order that no file decides."""
    return tuple(sorted({answer for rows in keyed.values() for answer in rows[key].answers}))


def _align(systems: Mapping[str, Sequence[Prediction]]) -> tuple[str, _Keyed]:
    for name, rows in systems.items():
        if not rows:
            raise UserError(f"{name} has no predictions to compare")
    if all(row.id is not None for rows in systems.values() for row in rows):
        keyed: _Keyed = {name: {str(r.id): r for r in rows} for name, rows in systems.items()}
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
    gold: Sequence[Sequence[str]],
    shared: Sequence[Hashable],
    protocol: str,
) -> System:
    kept = set(shared)
    left_out = [
        str(number if row.id is None else row.id)
        for number, (key, row) in enumerate(keyed.items(), start=1)
        if key not in kept
    ]
    own = [keyed[key] for key in shared]
    differ = sum(
        set(keyed[key].answers) != set(answers) for key, answers in zip(shared, gold, strict=True)
    )
    return System(
        name=name,
        rows=len(keyed),
        compared=len(shared),
        left_out=len(left_out),
        left_out_ids=left_out[: audit.MAX_IDS],
        answers_differ=differ,
        em_own=sum(audit.right(own, [protocol])[protocol]) / len(own),
    )


def _f1(rows: Mapping[str, Sequence[Prediction]], protocol: str) -> PerSystem | None:
    """Each system's F1, row by row, from 0 to 1; None where the protocol has none."""
    if protocol in protocols.JUDGED or not protocols.PROTOCOLS[protocol].has_f1:
        return None
    return {
        name: np.array(
            [metrics.score(row.prediction, row.answers, protocol).f1 for row in own], float
        )
        / 100
        for name, own in rows.items()
    }


def _table(protocol: str, right: PerSystem, f1: PerSystem | None, drawn: Drawn) -> ProtocolTable:
    differences_f1 = {} if f1 is None else _differences(f1, drawn)
    pairs = []
    for first, second in itertools.combinations(right, 2):
        a, b = right[first] == 1, right[second] == 1
        only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
        gaps = _gaps(a, b, drawn.clusters)
        p = _p(gaps, only_first, only_second)
        pairs.append(
            Pair(
                systems=(first, second),
                both=int((a & b).sum()),
                only_first=only_first,
                only_second=only_second,
                neither=int((~a & ~b).sum()),
                difference=paired.difference(right[first], right[second], **drawn._asdict()),
                difference_f1=differences_f1.get((first, second)),
                p=p,
                detectable=paired.detectable(int((gaps**2).sum()), 0, len(a)),
                p_holm=p,
            )
        )
    corrected = paired.holm([pair.p for pair in pairs])
    return ProtocolTable(
        protocol=protocol,
        scores=[
            SystemScore(
                system=name,
                em=intervals.share(values == 1, **drawn._asdict()),
                f1=None if f1 is None else _mean(f1[name], drawn),
            )
            for name, values in right.items()
        ],
        pairs=[
            dataclasses.replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)
        ],
    )


def _gaps(first: np.ndarray, second: np.ndarray, clusters: Sequence[Hashable]) -> np.ndarray:
    """Rows that only the first has right less those that only the second has, per question."""
    codes = intervals.cluster_codes(clusters)
    return np.bincount(codes, weights=first.astype(float) - second).round().astype(int)


def _p(gaps: np.ndarray, only_first: int, only_second: int) -> float:
    """McNemar's exact p; over whole questions where rows share them."""
    if int(np.abs(gaps).sum()) == only_first + only_second and int(np.abs(gaps).max()) <= 1:
        return paired.mcnemar(only_first, only_second)
    return paired.sign_flips(gaps)


def _differences(values: PerSystem, drawn: Drawn) -> dict[tuple[str, str], Estimate]:
    """As `paired.difference` for every pair of systems, from one bootstrap."""
    pairs = list(itertools.combinations(values, 2))
    if len(set(drawn.clusters)) < intervals.FEW:
        return {
            (first, second): paired.difference(values[first], values[second], **drawn._asdict())
            for first, second in pairs
        }
    means = intervals.drawn_means(np.stack(list(values.values()), axis=1), **drawn._asdict())
    columns = dict(zip(values, means.T, strict=True))
    found = {}
    for first, second in pairs:
        gaps = values[first] - values[second]
        low, high = np.quantile(columns[first] - columns[second], [0.025, 0.975])
        if low == high:
            low, high = paired.certain(float(gaps.mean()), len(set(drawn.clusters)))
        found[first, second] = Estimate(mean=float(gaps.mean()), low=float(low), high=float(high))
    return found


def _mean(values: np.ndarray, drawn: Drawn) -> Estimate:
    low, high = intervals.of_mean(values, **drawn._asdict())
    return Estimate(mean=float(values.mean()), low=low, high=high)


def _agreement(pair: Pair) -> Agreement:
    counts = (pair.both, pair.only_first, pair.only_second, pair.neither)
    return Agreement(
        systems=pair.systems,
        agreement=(pair.both + pair.neither) / sum(counts),
        kappa=paired.kappa(*counts),
    )


def _solved_by(right: PerSystem) -> list[SolvedBy]:
    counts = np.bincount(np.sum([r.astype(int) for r in right.values()], axis=0),
                         minlength=len(right) + 1)  # fmt: skip
    return [
        SolvedBy(right=systems, count=int(count), share=float(count / counts.sum()))
        for systems, count in enumerate(counts)
    ]
