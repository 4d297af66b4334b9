"""labels.jsonl: what people say of wrong predictions, one object per line: {"id", "label"}."""

import os
from collections.abc import Collection, Mapping

from closedbook.errors import UserError, unknown_name
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.files import json_lines
from closedbook.eval.files.json_lines import shown


def read(path: str | os.PathLike[str]) -> dict[str, Kind]:
    """Kinds by the ids of predictions; the ids of a file without them are its row numbers, from 1.

    Raises:
        UserError: The file cannot be read, a row is malformed, or an id is labelled twice; the
            message names file and line.
    """
    labels: dict[str, Kind] = {}
    remedy = 'give one object per line: {"id": ..., "label": "phrasing"}'
    for number, row in json_lines.read(path, what="labels", remedy=remedy):
        with json_lines.place(f"{path}:{number}"):
            found = row if isinstance(row, Mapping) else {}
            key = found.get("id")
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise UserError(f"{shown(row)} has no id; {remedy}")
            if str(key) in labels:
                raise UserError(f"id {shown(key)} is labelled twice; keep one of the lines")
            labels[str(key)] = parse(found.get("label"))
    return labels


def parse(value: object) -> Kind:
    """The kind of wrong answer that a label names.

    Raises:
        UserError: It is none of the four names.

    >>> parse("phrasing") is Kind.PHRASING
    True
    """
    names = [str(kind) for kind in Kind]
    if not isinstance(value, str) or value not in names:
        raise unknown_name("label", str(value)[:80], names)
    return Kind(value)


def check(labels: Collection[str], ids: Collection[str]) -> None:
    """Refuses labels of predictions that are not there.

    Raises:
        UserError: An id stands in the labels alone.
    """
    strange = [key for key in labels if key not in ids]
    if strange:
        raise UserError(
            f"{len(strange):,} of {len(labels):,} labels have an id that no prediction has, for "
            f"example {shown(strange[0])}; give labels of this predictions file"
        )
