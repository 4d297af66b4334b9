"""labels.jsonl: what people say of wrong predictions, one object per line: {"id", "label"}.

Lines are of all wrong predictions or of a random sample of them, and stand for the others; or each
corrects a verdict of a report and stands for itself: {"id", "label", "corrects", "prediction"}, as
a report's page saves them.
"""

import os
import re
from collections.abc import Collection, Mapping

from closedbook.errors import UserError
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.files import json_lines
from closedbook.eval.files.json_lines import shown

_NAMES = {
    Kind.TRUE_NEGATIVE: ("wrong", "incorrect", "error", "really wrong", "truly wrong"),
    Kind.PHRASING: ("same in other words", "other words", "phrasing mismatch", "equivalent"),
    Kind.INCOMPLETE: ("incomplete annotation", "incomplete gold", "missing gold"),
    Kind.UNANSWERABLE: ("cannot be answered", "no answer", "ambiguous"),
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in (str(kind), *names)}


class Corrections(dict[str, Kind]):
    """Labels that replace single verdicts; the judge's stand for all other rows."""

    def __init__(
        self, labels: Mapping[str, Kind] = {}, predictions: Mapping[str, str] = {}
    ) -> None:
        """Corrections by id, and what the corrected predictions were, where that is known."""
        super().__init__(labels)
        self.predictions = dict(predictions)

    def of(self, predictions: Mapping[str, str]) -> "Corrections":
        """The corrections that are not of another prediction than a row has now.

        Args:
            predictions: By id.
        """
        kept = {
            key: kind
            for key, kind in self.items()
            if self.predictions.get(key) in (None, predictions.get(key))
        }
        return Corrections(kept, self.predictions)


def read(path: str | os.PathLike[str]) -> dict[str, Kind]:
    """Kinds by the ids of predictions; the ids of a file without them are its row numbers, from 1.

    Returns:
        `Corrections`, where every line has the key "corrects": the verdict that it replaces.

    Raises:
        UserError: The file cannot be read, a row is malformed, an id is labelled twice, or only
            some lines are corrections; the message names file and line.
    """
    labels: dict[str, Kind] = {}
    predictions: dict[str, str] = {}
    correcting = 0
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
            if isinstance(prediction := found.get("prediction"), str):
                predictions[str(key)] = prediction
            correcting += "corrects" in found
            if 0 < correcting < len(labels):
                raise UserError(
                    'some lines have "corrects" and some have not; corrections stand for '
                    "themselves and a sample for all, so give two files, or one kind of line"
                )
    return Corrections(labels, predictions) if correcting else labels


def parse(value: object) -> Kind:
    """The kind of wrong answer that a label names, by any of its plain names.

    Raises:
        UserError: It is none of them.

    >>> parse("phrasing") is Kind.PHRASING, parse("Wrong") is Kind.TRUE_NEGATIVE
    (True, True)
    """
    if isinstance(value, str):
        plain = " ".join(re.split(r"[\s_-]+", value.strip().rstrip("?").casefold()))
        if plain in _KINDS:
            return _KINDS[plain]
    raise UserError(
        f"label {shown(value)} is not one of true negative (or wrong), phrasing, incomplete, "
        "unanswerable; write one of these"
    )


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
