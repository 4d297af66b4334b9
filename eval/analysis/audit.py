"""What the choice of protocol does to a score: where protocols disagree, and what stops cost."""

import dataclasses
import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import intervals, metrics, paired, protocols, summary
from closedbook.eval.analysis import differences
from closedbook.eval.equivalence.verdicts import judge_all
from closedbook.eval.intervals import Estimate
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
    alike: tuple[Sequence[str], Sequence[str]]  # others that judge every row as these do
    only_first: int  # rows that only the first protocol accepts
    only_second: int
    why: Sequence[Why]  # the most frequent first


@dataclasses.dataclass(frozen=True, kw_only=True)
class StopCost:
    """What it costs to cut the predictions at stop strings."""

    rule: str
    em: Estimate  # share, when cut
    change: Estimate  # of exact match: when cut less as it is
    lost: int  # rows that are right before and wrong then
    gained: int  # the reverse
    ids: Sequence[str]  # of the first of the lost; a row without an id has its number, from 1
    answers_cut: int  # gold answers that a model cannot give under the rule
    answers: int  # all gold answers
    gold_unreachable: int  # questions without an answer that a model can give
    ceiling: float  # share of the questions that a perfect model gets right


class Cut(NamedTuple):
    """One row under one stop rule."""

    right: bool  # the prediction, when cut
    unreached: int  # gold answers that a model cannot give
    reachable: bool  # whether it can give any


class Differs(NamedTuple):
    """Two protocols that judge one row differently."""

    accepts: str
    refuses: str
    reason: str


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


def differs(row: Prediction, verdicts: Mapping[str, bool]) -> tuple[Differs, ...]:
    """Every pair of protocols that disagree about a row, and why.

    Args:
        row: The prediction.
        verdicts: By protocol whether it is right.
    """
    accept = [name for name, yes in verdicts.items() if yes]
    refuse = [name for name, yes in verdicts.items() if not yes]
    return tuple(
        Differs(
            accepts=accepts,
            refuses=refuses,
            reason=differences.explain(row.prediction, row.answers, right=accepts, wrong=refuses),
        )
        for accepts, refuses in itertools.product(accept, refuse)
    )


def disagreements(
    rows: Sequence[Prediction],
    verdicts: Mapping[str, Sequence[bool]] | None = None,
    found: Sequence[Sequence[Differs]] | None = None,
) -> list[Disagreement]:
    """Every pair of protocols that disagree about a row, and why.

    Protocols that judge all rows alike are one: each difference stands once.

    Args:
        rows: The predictions.
        verdicts: Per protocol what is right, as `right` gives; None computes them.
        found: Per row what `differs` gives; None computes it.
    """
    verdicts = right(rows) if verdicts is None else verdicts
    if found is None:
        found = [
            differs(row, dict(zip(verdicts, told, strict=True)))
            for row, told in zip(rows, zip(*verdicts.values(), strict=True), strict=True)
        ]
    same: defaultdict[bytes, list[str]] = defaultdict(list)
    for name, told in verdicts.items():
        same[np.asarray(told, bool).tobytes()].append(name)
    kept = {names[0]: names[1:] for names in same.values()}
    ids: defaultdict[Differs, list[str]] = defaultdict(list)
    counts: Counter[Differs] = Counter()
    for number, (row, each) in enumerate(zip(rows, found, strict=True)):
        for one in each:
            counts[one] += 1
            if counts[one] <= MAX_IDS:
                ids[one].append(_name(row, number))
    table = []
    for pair in itertools.combinations(kept, 2):
        of_pair = [one for one in counts if {one.accepts, one.refuses} == set(pair)]
        if not of_pair:
            continue
        sides: Counter[str] = Counter()
        for one in of_pair:
            sides[one.accepts] += counts[one]
        why = [
            Why(reason=one.reason, right=one.accepts, count=counts[one], ids=ids[one])
            for one in of_pair
        ]
        table.append(
            Disagreement(
                protocols=pair,
                alike=(kept[pair[0]], kept[pair[1]]),
                only_first=sides[pair[0]],
                only_second=sides[pair[1]],
                why=sorted(why, key=lambda line: -line.count),
            )
        )
    return table


def cuts(row: Prediction, was: bool, protocol: str) -> tuple[Cut, ...]:
    """One row under every stop rule: those of `STOP_RULES`, then those of `HARNESS_RULES`.

    Args:
        row: The prediction, not cut.
        was: Whether it is right under the protocol.
        protocol: The headline.
    """
    found = []
    for stop in STOP_RULES.values():
        accepts = functools.partial(_right_when_cut, stop, protocol)
        # What the rule leaves as it is has been scored already.
        same = _kept(row.prediction, stop)
        found.append(
            _cut(row, was if same else accepts(row.prediction, row.answers), stop, accepts)
        )
    for articles in HARNESS_RULES.values():
        accepts = functools.partial(protocols.harness, articles=articles)
        after = accepts(row.prediction, row.answers)
        found.append(_cut(row, after, protocols.HARNESS_STOPS, accepts))
    return _shared(tuple(found))


@functools.lru_cache(maxsize=4096)
def _shared(found: tuple[Cut, ...]) -> tuple[Cut, ...]:
    """Rows that fare alike share one value: most do."""
    return found


def stops(
    rows: Sequence[Prediction],
    protocol: str = "squad",
    *,
    before: Sequence[bool] | None = None,
    found: Sequence[Sequence[Cut]] | None = None,
) -> list[StopCost]:
    """What it would cost to cut the predictions at stop strings, as evaluation harnesses do.

    Args:
        rows: The predictions, not cut.
        protocol: The headline, to which each rule is compared.
        before: Per row whether it is right under the protocol; None computes it.
        found: Per row what `cuts` gives; None computes it.

    Raises:
        UserError: There are no rows.
    """
    if not rows:
        raise UserError("there are no predictions to audit; give at least one")
    before = right(rows, [protocol])[protocol] if before is None else before
    if found is None:
        found = [cuts(row, was, protocol) for row, was in zip(rows, before, strict=True)]
    clusters = intervals.cluster_codes(summary.question_keys(rows))
    answers = sum(len(row.answers) for row in rows)
    return [
        _cost(
            rule, rows, np.asarray(before, bool), [row[place] for row in found], clusters, answers
        )
        for place, rule in enumerate((*STOP_RULES, *HARNESS_RULES))
    ]


def _kept(text: str, stop: tuple[str, ...]) -> bool:
    return not any(one in text for one in stop) and text == text.strip()


def _right_when_cut(
    stop: tuple[str, ...], protocol: str, text: str, answers: Sequence[str]
) -> bool:
    return metrics.is_right(protocols.cut(text, stop), answers, protocol)


def _cut(
    row: Prediction,
    right: bool,
    stop: tuple[str, ...],
    accepts: Callable[[str, Sequence[str]], bool],
) -> Cut:
    unreached = sum(
        # An answer without a stop reaches itself.
        any(s in answer for s in stop) and not accepts(answer, row.answers)
        for answer in row.answers
    )
    return Cut(right=right, unreached=unreached, reachable=unreached < len(row.answers))


def _cost(
    rule: str,
    rows: Sequence[Prediction],
    before: np.ndarray,
    found: Sequence[Cut],
    clusters: np.ndarray,
    answers: int,
) -> StopCost:
    after = np.array([cut.right for cut in found], bool)
    lost = np.flatnonzero(before & ~after).tolist()
    unreachable = sum(not cut.reachable for cut in found)
    return StopCost(
        rule=rule,
        em=intervals.share(after, clusters=clusters),
        change=paired.difference(after.astype(float), before.astype(float), clusters=clusters),
        lost=len(lost),
        gained=int((after & ~before).sum()),
        ids=[_name(rows[n], n) for n in lost[:MAX_IDS]],
        answers_cut=sum(cut.unreached for cut in found),
        answers=answers,
        gold_unreachable=unreachable,
        ceiling=1 - unreachable / len(rows),
    )


def _name(row: Prediction, number: int) -> str:
    return str(number + 1 if row.id is None else row.id)
