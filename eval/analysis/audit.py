"""What the choice of protocol does to a score: where protocols disagree, and what stops cost."""

import dataclasses
import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval import metrics, protocols
from closedbook.eval.analysis import differences
from closedbook.eval.equivalence.verdicts import judge_all
from closedbook.eval.predictions import Prediction

MAX_IDS = 20  # examples named per line of a table

STOP_RULES: Mapping[str, tuple[str, ...]] = {
    "stop at a newline": ("\n",),
    "stop at '.'": (".",),
    "stop at ','": (",",),
    "stop at 'Q:'": ("Q:",),
    "stop at newline, '.' and ','": protocols.HARNESS_STOPS,
}
"""Stop strings by the rule's name; what is left is scored under the headline protocol."""

HARNESS_RULES: Mapping[str, bool] = {
    "lm-evaluation-harness nq_open": True,
    "lm-evaluation-harness triviaqa": False,
}
"""Whether articles go, by the rule's name; the harness stops and compares in its own way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Why:
    """One reason for which a protocol accepts what another one refuses."""

    reason: str  # as `closedbook.eval.analysis.differences.explain` gives it
    right: str  # the protocol that accepts
    count: int  # rows
    ids: Sequence[str]  # of the first of them; a row without an id has its number, from 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Two protocols that judge some rows differently."""

    protocols: tuple[str, str]
    only_first: int  # rows that only the first protocol accepts
    only_second: int
    why: Sequence[Why]  # the most frequent first


@dataclasses.dataclass(frozen=True, kw_only=True)
class StopCost:
    """What it costs to cut the predictions at stop strings."""

    rule: str
    em: float  # share, when cut
    lost: int  # rows that are right before and wrong then
    gained: int  # the reverse
    ids: Sequence[str]  # of the first of the lost; a row without an id has its number, from 1
    answers_cut: int  # gold answers that a model cannot give under the rule
    answers: int  # all gold answers
    gold_unreachable: int  # questions without an answer that a model can give
    ceiling: float  # share of the questions that a perfect model gets right


def right(
    rows: Sequence[Prediction], names: Sequence[str] = tuple(protocols.PROTOCOLS)
) -> dict[str, list[bool]]:
    """Per protocol what is right, row by row."""
    return {
        name: [verdict.equivalent for verdict in judge_all(rows)]
        if name in protocols.JUDGED
        else [metrics.is_right(row.prediction, row.answers, name) for row in rows]
        for name in names
    }


def disagreements(
    rows: Sequence[Prediction], verdicts: Mapping[str, Sequence[bool]] | None = None
) -> list[Disagreement]:
    """Every pair of protocols that disagree about a row, and why.

    Args:
        rows: The predictions.
        verdicts: Per protocol what is right, as `right` gives; None computes them.
    """
    verdicts = right(rows) if verdicts is None else verdicts
    table = []
    for first, second in itertools.combinations(verdicts, 2):
        found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for number, row in enumerate(rows):
            if verdicts[first][number] == verdicts[second][number]:
                continue
            accepts, refuses = (first, second) if verdicts[first][number] else (second, first)
            reason = differences.explain(row.prediction, row.answers, right=accepts, wrong=refuses)
            found[accepts, reason].append(_name(row, number))
        if not found:
            continue
        sides: Counter[str] = Counter()
        for (accepts, _), ids in found.items():
            sides[accepts] += len(ids)
        why = [
            Why(reason=reason, right=accepts, count=len(ids), ids=ids[:MAX_IDS])
            for (accepts, reason), ids in found.items()
        ]
        table.append(
            Disagreement(
                protocols=(first, second),
                only_first=sides[first],
                only_second=sides[second],
                why=sorted(why, key=lambda line: -line.count),
            )
        )
    return table


def stops(rows: Sequence[Prediction], protocol: str = "squad") -> list[StopCost]:
    """What it would cost to cut the predictions at stop strings, as evaluation harnesses do.

    Args:
        rows: The predictions, not cut.
        protocol: The headline, to which each rule is compared.

    Raises:
        UserError: There are no rows.
    """
    if not rows:
        raise UserError("there are no predictions to audit; give at least one")
    before = right(rows, [protocol])[protocol]
    costs = []
    for name, stop in STOP_RULES.items():
        accepts = functools.partial(_right_when_cut, stop, protocol)
        # What the rule leaves as it is has been scored already.
        after = [
            was if _kept(row.prediction, stop) else accepts(row.prediction, row.answers)
            for row, was in zip(rows, before, strict=True)
        ]
        costs.append(_cost(name, rows, before, after, stop, accepts))
    for name, articles in HARNESS_RULES.items():
        accepts = functools.partial(protocols.harness, articles=articles)
        after = [accepts(row.prediction, row.answers) for row in rows]
        costs.append(_cost(name, rows, before, after, protocols.HARNESS_STOPS, accepts))
    return costs


def _kept(text: str, stop: tuple[str, ...]) -> bool:
    return not any(one in text for one in stop) and text == text.strip()


def _right_when_cut(
    stop: tuple[str, ...], protocol: str, text: str, answers: Sequence[str]
) -> bool:
    return metrics.is_right(protocols.cut(text, stop), answers, protocol)


def _cost(
    rule: str,
    rows: Sequence[Prediction],
    before: Sequence[bool],
    after: Sequence[bool],
    stop: tuple[str, ...],
    accepts: Callable[[str, Sequence[str]], bool],
) -> StopCost:
    reached = [
        # An answer without a stop reaches itself.
        [not any(s in a for s in stop) or accepts(a, row.answers) for a in row.answers]
        for row in rows
    ]
    unreachable = sum(not any(answers) for answers in reached)
    lost = [n for n, (was, is_) in enumerate(zip(before, after, strict=True)) if was and not is_]
    return StopCost(
        rule=rule,
        em=sum(after) / len(rows),
        lost=len(lost),
        gained=sum(is_ and not was for was, is_ in zip(before, after, strict=True)),
        ids=[_name(rows[n], n) for n in lost[:MAX_IDS]],
        answers_cut=sum(not one for answers in reached for one in answers),
        answers=sum(map(len, reached)),
        gold_unreachable=unreachable,
        ceiling=1 - unreachable / len(rows),
    )


def _name(row: Prediction, number: int) -> str:
    return str(number + 1 if row.id is None else row.id)
