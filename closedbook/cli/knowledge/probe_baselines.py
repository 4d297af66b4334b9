"""What `closedbook probe` puts beside the model where it is asked to: triples, retrieved text."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.knowledge.probing import baselines
from closedbook.knowledge.probing.probe import Settings
from closedbook.knowledge.progress import Progress
from closedbook.tasks.facts import Facts, atlas, read_facts, triples


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """The options.

    Attributes:
        triples: A file of extracted triples.
        retrieve: A corpus, as `closedbook ssm build` reads it.
        reader: A SQuAD model.
    """

    triples: pathlib.Path | None
    retrieve: Sequence[str]
    reader: str | None

    def __post_init__(self) -> None:
        if self.reader is not None and not self.retrieve:
            raise UserError("--reader reads what --retrieve finds; give a corpus with it")


def of(
    asked: Asked,
    facts: Facts,
    data: str,
    settings: Settings,
    ks: Sequence[int],
    keep: pathlib.Path,
    progress: Progress,
) -> tuple[list[baselines.Baseline], list[dict[str, Any]]]:
    """The baselines, and for each fact what retrieval and reading gave; nothing without --retrieve.

    Args:
        asked: The options.
        facts: What is asked.
        data: As the user names the data.
        settings: Of the probe.
        ks: Of P@k.
        keep: A folder for what was retrieved and read.
        progress: Is told a step, how much is done, and of how much.
    """
    found: list[baselines.Baseline] = []
    if asked.triples is not None:
        said = triples.read(asked.triples)
        found += baselines.of_triples(facts, said, ks, others=settings.others == "removed")
    if not asked.retrieve:
        return found, []
    from closedbook.knowledge.probing.baselines import passages, reader, retrieval

    model = reader.load(asked.reader) if asked.reader is not None else None
    retrieved = retrieval.retrieve(
        facts,
        passages.read(asked.retrieve, lambda done: progress("reading the corpus", done, done)),
        model,
        natural=_questions(data),
        words=settings.single,
        keep=keep,
        progress=progress,
    )
    return found + retrieved.baselines, retrieved.rows


def _questions(data: str) -> Mapping[str, str]:
    """Id of a fact -> its natural question, which the atlas has beside its sentences."""
    if data != atlas.NAME:
        return {}
    return {fact.id: fact.asked() for fact in read_facts(data, style="question").facts}
