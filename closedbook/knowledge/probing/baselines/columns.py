"""Baselines that an option asks for, as columns beside the model's."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.probing import metrics, tables
from closedbook.knowledge.probing.baselines.counting import extracted
from closedbook.knowledge.probing.gold import gold
from closedbook.tasks.facts.form import Facts
from closedbook.tasks.facts.triples import Triple


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a baseline did on each fact.

    Attributes:
        name: In summary.json.
        label: In tables.
        words: What it does and under which conventions.
        values: Metric -> [facts], 0 to 1; NaN where it is not defined.
    """

    name: str
    label: str
    words: str
    values: Mapping[str, np.ndarray]


def of_triples(
    facts: Facts, triples: Sequence[Triple], ks: Sequence[int], *, others: bool
) -> list[Baseline]:
    """LAMA's RE baselines: RE_n, and RE_o where triples name the facts they were extracted from.

    Args:
        facts: What is asked.
        triples: Of a relation extractor.
        ks: Of P@k.
        others: Whether other right objects are removed from a fact's ranking, as for the model.

    Raises:
        UserError: No triple is of a relation that is asked.
    """
    if not any(triple.relation in facts.relations for triple in triples):
        named = sorted({triple.relation for triple in triples})
        raise UserError(
            f"no triple is of a relation of {facts.source} ({', '.join(list(facts.relations)[:5])})"
            f"; the triples have {', '.join(named[:5])}: name their relations as the data does"
        )
    right = gold(facts)
    taken = right.others if others else None

    def column(name: str, label: str, words: str, *, oracle: bool) -> Baseline:
        scores = extracted(facts, triples, right if oracle else None)
        places = metrics.places(scores, right.index, taken)
        return Baseline(
            name=name,
            label=label,
            words=f"{len(triples):,} extracted triples, the most confident first; {words}; what "
            "was not extracted is last",
            values=tables.measured(places, ks=ks),
        )

    exact = column("re_n", "RE_n", "names linked by exact string", oracle=False)
    if not any(triple.fact for triple in triples):
        return [exact]
    words = "names linked by an oracle where the triple is from the fact's own sentence"
    return [exact, column("re_o", "RE_o", words, oracle=True)]
