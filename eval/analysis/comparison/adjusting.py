"""Several systems' adjusted scores on the same questions, whole and in slices."""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from closedbook.eval import adjusted, intervals, paired
from closedbook.eval.analysis import kinds, processes, slices
from closedbook.eval.analysis.comparison.results import (
    Adjusted,
    AdjustedPair,
    AdjustedScore,
    ComparedSlice,
)
from closedbook.eval.answerability import assessment
from closedbook.eval.equivalence import judges
from closedbook.eval.predictions import Prediction

PerSystem: TypeAlias = Mapping[str, np.ndarray]  # by the system's name, [questions]


class Drawn(NamedTuple):
    """How the bootstrap draws."""

    clusters: Sequence[Hashable]
    resamples: int
    seed: int


class Adjusting:
    """All systems' scores with the judge's verdicts, on the same questions."""

    def __init__(
        self,
        rows: Mapping[str, Sequence[Prediction]],
        right: PerSystem,
        judge: judges.Judge,
        drawn: Drawn,
    ) -> None:
        # Questions and gold answers are the same for all systems, and so are their flags.
        flags = assessment.assess_all(next(iter(rows.values())))
        self._drawn = drawn
        self._flagged = np.array([flag.flag is not None for flag in flags])
        self.sorted: dict[str, kinds.SortedRows] = {}
        self._doubts: dict[str, list[str]] = {}
        clusters = intervals.cluster_codes(drawn.clusters)
        errors = adjusted.load(judge.name, judge.version)
        for name, own in rows.items():
            told = processes.parts(judge.judge_all, own, judge=judge)
            verdicts = list(itertools.chain.from_iterable(told))
            trust, self._doubts[name] = adjusted.of_file(own, right[name], verdicts, flags, errors)
            self.sorted[name] = kinds.sort(
                right[name],
                equivalent=[verdict.equivalent for verdict in verdicts],
                flagged=self._flagged,
                clusters=clusters,
                trust=trust,
            )

    def table(self) -> Adjusted:
        """Every system's score, and the differences."""
        every, kept = np.ones(len(self._flagged), bool), ~self._flagged
        clusters = intervals.cluster_codes(self._drawn.clusters)[kept]
        return Adjusted(
            flagged=int(self._flagged.sum()),
            scores=[
                AdjustedScore(
                    system=name,
                    adjusted=kinds.estimates(own, every).adjusted,
                    phrasing=int(own.accepted.sum()),
                    doubts=self._doubts[name],
                )
                for name, own in self.sorted.items()
            ],
            pairs=[
                AdjustedPair(
                    systems=(first, second),
                    difference=paired.difference(
                        self.sorted[first].worth[kept],
                        self.sorted[second].worth[kept],
                        **self._drawn._asdict() | {"clusters": clusters},
                    ),
                )
                for first, second in itertools.combinations(self.sorted, 2)
            ]
            if kept.any()
            else [],
        )

    def slices(self, parts: Sequence[Mapping[str, str]]) -> list[ComparedSlice]:
        """Every system on every part of the questions."""
        found = []
        for name, values, codes in slices.grouped(parts):
            for place, value in enumerate(values):
                group = codes == place
                each = [kinds.estimates(own, group) for own in self.sorted.values()]
                found.append(
                    ComparedSlice(
                        slice=name,
                        value=value,
                        n=int(group.sum()),
                        em=[one.em for one in each],
                        adjusted=[one.adjusted for one in each],
                    )
                )
        return found


def common_parts(rows: Mapping[str, Sequence[Prediction]]) -> list[Mapping[str, str]]:
    """The slices of each question that all files agree on."""
    first, *others = [slices.assign(own) for own in rows.values()]
    return [
        {
            name: value
            for name, value in own.items()
            if all(other[n].get(name) == value for other in others)
            and name not in slices.OF_SYSTEMS
        }
        for n, own in enumerate(first)
    ]
