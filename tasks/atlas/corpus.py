"""The atlas as text: facts, sentences for pretraining, questions for fine-tuning and tests.

Everything is read from the two small tables beside this file and made in a fixed order, so
that the same version gives the same text everywhere. Nothing here needs TensorFlow or JAX.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from typing import Any, Literal

from closedbook.errors import UserError, unknown_name
from closedbook.tasks.atlas import DATA
from closedbook.tasks.atlas.phrasings import phrasings, render
from closedbook.tasks.spans.sentences import Sentence, Span

FACTS_FILE = DATA / "facts.tsv"
SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fact:
    """One triple with its provenance."""

    id: str  # "relation:subject"
    relation: str
    subject: str
    object: str
    aliases: tuple[str, ...]  # other acceptable writings of the object
    sources: tuple[str, ...]  # the packages that agree on it
    split: str  # of its questions; its sentences are always pretraining text

    @property
    def answers(self) -> list[str]:
        """Every acceptable answer, the preferred one first."""
        return [self.object, *self.aliases]


@functools.cache
def facts() -> tuple[Fact, ...]:
    """All facts, sorted by id."""
    rows = FACTS_FILE.read_text("utf-8").splitlines()
    names = rows[0].split("\t")
    found = []
    for row in rows[1:]:
        cells = dict(zip(names, row.split("\t"), strict=True))
        found.append(
            Fact(
                id=cells["id"],
                relation=cells["relation"],
                subject=cells["subject"],
                object=cells["object"],
                aliases=tuple(filter(None, cells["aliases"].split("|"))),
                sources=tuple(cells["sources"].split("|")),
                split=cells["split"],
            )
        )
    return tuple(found)


def _draw(key: str, choices: int) -> int:
    """A fixed choice out of `choices` that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % choices


def sentences() -> Iterator[Sentence]:
    """Every fact in every sentence of its relation, each with subject and object as spans.

    The spans' labels are LOC, PER, DATE or MISC; the title is the fact's subject.
    """
    for fact in facts():
        phrasing = phrasings()[fact.relation]
        labels = {"s": phrasing.labels[0], "o": phrasing.labels[1]}
        for template in phrasing.sentences:
            text, places = render(template, fact.subject, fact.object)
            spans = []
            for role, (start, limit) in sorted(places.items(), key=lambda item: item[1]):
                byte_start = len(text[:start].encode())
                name = text[start:limit]
                spans.append(Span(byte_start, byte_start + len(name.encode()), labels[role]))
            yield Sentence(text, tuple(spans), title=fact.subject)


def questions(split: str, phrasing: Literal["seen", "unseen"] = "seen") -> Iterator[dict[str, Any]]:
    """Questions about the facts of one split.

    In training every fact is asked in all seen phrasings, some of them typed carelessly (a
    small first letter, no question mark) so that the model minds neither. In validation and
    test every fact is asked once, in a phrasing that its id determines, so that n is the
    number of facts.

    Args:
        split: "train", "validation" or "test".
        phrasing: "seen" for the phrasings of fine-tuning, "unseen" for others.

    Yields:
        `{"id", "question", "answers", "relation", "fact_id"}`, `answers[0]` the target.

    Raises:
        UserError: Unknown split or phrasing; unseen phrasings asked of the training split.
    """
    if split not in SPLITS:
        raise unknown_name("split of the atlas", split, SPLITS)
    if phrasing not in ("seen", "unseen"):
        raise unknown_name("phrasing of the atlas", phrasing, ("seen", "unseen"))
    if split == "train" and phrasing == "unseen":
        raise UserError(
            "the atlas's unseen phrasings are for validation and test; "
            "training with them would make them seen"
        )
    for fact in facts():
        if fact.split != split:
            continue
        templates = getattr(phrasings()[fact.relation], phrasing)
        if split == "train":
            chosen = list(range(len(templates)))
        else:
            chosen = [_draw(f"{fact.id}/{phrasing}", len(templates))]
        for index in chosen:
            key = f"{fact.id}/{phrasing}/{index}"
            question, _ = render(templates[index], fact.subject, fact.object)
            if split == "train":
                question = _careless(question, templates[index], key)
            yield {
                "id": key,
                "question": question,
                "answers": fact.answers,
                "relation": fact.relation,
                "fact_id": fact.id,
            }


def _careless(question: str, template: str, key: str) -> str:
    if _draw(key + "/letter", 4) == 0 and not template.startswith("{"):
        question = question[0].lower() + question[1:]
    if _draw(key + "/mark", 4) == 0:
        question = question.removesuffix("?").removesuffix(".")
    return question
