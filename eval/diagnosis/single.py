"""One file: which choices would change its score, and by how much."""

from collections import Counter
from collections.abc import Sequence

from closedbook.errors import UserError
from closedbook.eval import metrics, protocols, summary
from closedbook.eval.analysis import audit, candidates
from closedbook.eval.diagnosis import repairs, rules
from closedbook.eval.diagnosis.results import Cause, Diagnosis, Kind, Side
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction


def choices(
    rows: Sequence[Prediction],
    *,
    name: str = "the predictions",
    protocol: str = "squad",
    other_gold: Sequence[Gold] | None = None,
) -> Diagnosis:
    """What would change a file's score.

    First come faults that can be seen in the predictions and cost points, in the order in which
    they are mended best, each after those before it; then other rules, stop strings, gold answers
    and rows, each by itself, the greatest change first.

    Args:
        rows: The predictions.
        name: The file's.
        protocol: Whose exact match is the score.
        other_gold: Another version of the gold answers.

    Raises:
        UserError: There are no rows.
    """
    if not rows:
        raise UserError(f"{name} has no predictions to diagnose; give at least one")
    right = audit.right(rows, [protocol])[protocol]
    score = sum(right) / len(rows)
    faults = [
        Cause(kind=step.kind, points=step.gained / len(rows), score=step.share,
              rows=step.gained, text=step.text)
        for step in repairs.repaired(rows, right, protocol)[0]
    ]  # fmt: skip
    others = [
        *_rules(rows, right, protocol),
        *_stops(rows, right, protocol),
        *_questions(rows, right),
        *(_gold(rows, right, protocol, other_gold) if other_gold is not None else ()),
    ]
    others = [cause for cause in others if cause.rows >= repairs.least(len(rows))]
    return Diagnosis(
        protocol=protocol,
        sides=[side(rows, name, score)],
        causes=[*faults, *sorted(others, key=lambda cause: -abs(cause.points))],
        notes=[*rules.recorded(rows, name, protocol), *_empty(rows, name)],
    )


def side(rows: Sequence[Prediction], name: str, score: float) -> Side:
    """What a file is, with its score."""
    named = Counter(" ".join(part for part in (row.task, row.split) if part) for row in rows)
    return Side(
        name=name,
        rows=len(rows),
        questions=len(set(summary.question_keys(rows))),
        score=score,
        splits=[split for split, _ in named.most_common() if split],
    )


def _cause(kind: Kind, before: Sequence[bool], after: Sequence[bool], text: str) -> Cause:
    return Cause(
        kind=kind,
        points=(sum(after) - sum(before)) / len(before),
        score=sum(after) / len(before),
        rows=sum(a != b for a, b in zip(before, after, strict=True)),
        text=text,
    )


def _rules(rows: Sequence[Prediction], right: Sequence[bool], protocol: str) -> list[Cause]:
    found = [
        _cause(
            Kind.PROTOCOL,
            right,
            audit.right(rows, [name])[name],
            f"{name}: {protocols.PROTOCOLS[name].rule}",
        )
        for name in protocols.PROTOCOLS
        if name != protocol
    ]
    for name, rule in rules.others(protocol).items():
        kind = Kind.GOLD if name == rules.FIRST else Kind.RULE
        found.append(_cause(kind, right, rules.apply(rows, rule), name))
    return found


def _stops(rows: Sequence[Prediction], right: Sequence[bool], protocol: str) -> list[Cause]:
    return [
        Cause(
            kind=Kind.STOP,
            points=cost.change.mean,
            score=cost.em.mean,
            rows=cost.lost + cost.gained,
            text=f"{cost.rule}: {cost.lost:,} answers lost, {cost.gained:,} gained",
        )
        for cost in audit.stops(rows, protocol, before=right)
    ]


def _questions(rows: Sequence[Prediction], right: Sequence[bool]) -> list[Cause]:
    """Repeated questions, and the tasks and splits that rows name."""
    found = []
    keys = summary.question_keys(rows)
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    if len(first) < len(rows):
        found.append(_of_part(right, list(first.values()), "the first row of each question alone"))
    named = Counter((row.task, row.split) for row in rows)
    for part, count in named.items() if len(named) > 1 else ():
        places = [place for place, row in enumerate(rows) if (row.task, row.split) == part]
        shown = " ".join(one for one in part if one) or "no task or split"
        found.append(_of_part(right, places, f"the {count:,} rows of {shown} alone"))
    return found


def _of_part(right: Sequence[bool], places: Sequence[int], text: str) -> Cause:
    score = sum(right[place] for place in places) / len(places)
    return Cause(
        kind=Kind.QUESTIONS,
        points=score - sum(right) / len(right),
        score=score,
        rows=len(right) - len(places),
        text=text,
    )


def _gold(
    rows: Sequence[Prediction], right: Sequence[bool], protocol: str, gold: Sequence[Gold]
) -> list[Cause]:
    known = {candidates.question_key(each.question): each.answers for each in gold}
    answers = [known.get(candidates.question_key(row.question)) for row in rows]
    asked = [place for place, found in enumerate(answers) if found]
    if not asked:
        raise UserError(
            "the other gold has no question in common with the predictions; give another version "
            "of the same questions' answers"
        )
    found = []
    if len(asked) < len(rows):
        text = f"the {len(asked):,} questions of the other gold alone"
        found.append(_of_part(right, asked, text))
    after = list(right)
    for place in asked:
        after[place] = metrics.is_right(rows[place].prediction, answers[place] or (), protocol)
    return [*found, _cause(Kind.GOLD, right, after, "the other gold's answers")]


def _empty(rows: Sequence[Prediction], name: str) -> list[str]:
    empty = sum(not row.prediction.strip() for row in rows)
    return [f"{name}: {empty:,} empty predictions, which count as wrong"] if empty else []
