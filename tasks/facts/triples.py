"""Triples that a relation extractor found in text: what LAMA's RE baseline answers from."""

import dataclasses
import pathlib

from closedbook.eval.files.json_lines import place
from closedbook.tasks.facts import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Triple:
    """One extraction."""

    subject: str
    relation: str
    object: str
    score: float = 1.0  # the extractor's confidence
    fact: str | None = None  # id of the fact whose sentence it was extracted from


def read(path: pathlib.Path) -> list[Triple]:
    """Triples of JSON lines, or of a table, with `subject`, `relation`, `object`.

    Optional are `score` (a number) and `fact` (the id of the fact that the sentence expresses;
    oracle linking needs it).

    Raises:
        UserError: The file cannot be read, or a row is malformed.
    """
    found = []
    for where, row in fields.rows(path):
        with place(where):
            found.append(
                Triple(
                    subject=fields.text(row, "subject"),
                    relation=fields.text(row, "relation"),
                    object=fields.text(row, "object"),
                    score=fields.number(row, "score", 1.0),
                    fact=fields.name(row, "fact", "") or None,
                )
            )
    return found
