"""The groups of relations that a probe has means of, and which means are over fewer of them.

P@k stands only where a relation has more than k candidates, and MRR where it has more than one. So
the mean of one metric may be over fewer relations than that of another beside it: P@10 may then be
below P@1, and its interval wider. Wherever such a mean is shown, its number of relations is too.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from closedbook.knowledge.probing.summary import Measured

FEWER = (
    "the mean of n relations alone: P@k counts those with more than k candidates, MRR those with "
    "more than one. So P@10 may be below P@1. The fewer relations count, the wider is the interval "
    "(of one alone it is over its facts); where all have the same mean it is Wilson's, with one "
    "trial per relation"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Relations, or a part of their facts, with means.

    Attributes:
        kind: "all", "pooled", "corpora", "types" or "parts", as the summary has it.
        name: What the group is called where it is shown.
        facts: How many facts it has.
        relations: How many relations.
        means: "model", "freq", "chance" and other baselines, each metric -> mean.
    """

    kind: str
    name: str
    facts: int
    relations: int
    means: Mapping[str, Any]


def of(summary: Mapping[str, Any]) -> Iterator[Group]:
    """The groups in the order in which they are shown; corpora and types where there are several.

    Args:
        summary: Of `summary.summarise`.
    """
    relations = len(summary["relations"])
    facts = sum(each["facts"] for each in summary["relations"])

    def whole(kind: str, name: str) -> Group:
        means = summary[kind]
        return Group(kind=kind, name=name, facts=facts, relations=relations, means=means)

    yield whole("all", "mean over relations")
    for kind in ("corpora", "types"):
        for each in summary[kind] if len(summary[kind]) > 1 else ():
            yield _part(kind, each, each["relations"])
    yield whole("pooled", "mean over facts")
    for each in summary["parts"]:
        yield _part("parts", each, len(each["relations"]))


def _part(kind: str, each: Mapping[str, Any], relations: int) -> Group:
    return Group(kind=kind, name=each["name"], facts=each["facts"], relations=relations, means=each)


def mark(value: Measured | None, relations: int) -> str:
    """ " (23)" behind a mean over 23 relations that stands among means over more, else "".

    >>> mean = Measured(mean=0.5, low=0.2, high=0.8, facts=300, relations=23)
    >>> mark(mean, 24), mark(mean, 23), mark(None, 24)
    (' (23)', '', '')
    """
    return "" if value is None or value.relations == relations else f" ({value.relations:,})"


def any_fewer(summary: Mapping[str, Any]) -> bool:
    """Whether any mean of the summary is over fewer relations than others of its group."""
    found = [
        *(
            (each.means[name], each.relations)
            for each in of(summary)
            for name in _measured(summary)
        ),
        *((means, len(summary["relations"])) for means in summary["normalisations"].values()),
        *(
            (summary[name]["all"], len(summary[name]["relations"]))
            for name in ("wordings", "negated")
            if name in summary
        ),
    ]
    return any(mark(each, relations) for means, relations in found for each in means.values())


def _measured(summary: Mapping[str, Any]) -> list[str]:
    """All but chance, which is computed."""
    return ["model", "freq", *(each["name"] for each in summary["baselines"])]
