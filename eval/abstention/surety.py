"""How sure a model was of each answer, by whatever its rows say."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.eval.abstention.semantic_entropy import SemanticEntropy, is_number
from closedbook.eval.predictions import Prediction

SEMANTIC_ENTROPY = "semantic_entropy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surety:
    """A number per row that has one; larger is surer."""

    name: str
    values: np.ndarray  # float64 [n]
    rows: np.ndarray  # int [n], which rows they are of
    sign: int = 1  # -1 where the rows' own numbers are smaller the surer a model is

    def shown(self, value: float) -> float:
        """A value as the rows have it."""
        return self.sign * value


def read(
    rows: Sequence[Prediction],
    name: str | None = None,
    entropies: Sequence[SemanticEntropy | None] = (),
) -> Surety:
    """The surety of each row that states one.

    Args:
        rows: The predictions.
        name: "score", "confidence", or any other key of the rows or of their meta; with a minus
            before it where smaller is surer. If None, "confidence" if a row has it, else "score".
        entropies: Of the rows; they stand for "semantic_entropy" where no row has that key.

    Raises:
        UserError: No row has the key, or a value is no finite number.
    """
    if name is None:
        stated = any(_of(row, "confidence") is not None for row in rows)
        name = "confidence" if stated else "score"
    key, sign = (name[1:], -1) if name.startswith("-") else (name, 1)
    given = [_number(row, key, place) for place, row in enumerate(rows, start=1)]
    if key == SEMANTIC_ENTROPY:
        sign = -1  # the less, the surer
        if all(value is None for value in given):
            given = [None if one is None else one.value for one in entropies]
    if all(value is None for value in given):
        beams = ", nor beams to work it out" if key == SEMANTIC_ENTROPY else ""
        raise UserError(
            f'no row has a number under "{key}"{beams}, so nothing says how sure the model was; '
            "give --score NAME, a key of the rows; -NAME where smaller is surer"
        )
    return of_values(key, given, sign)


def of_values(name: str, values: Sequence[float | None], sign: int = 1) -> Surety:
    """Values, one per row, None where a row has none."""
    present = [place for place, value in enumerate(values) if value is not None]
    taken = np.array([value for value in values if value is not None], np.float64)
    return Surety(name=name, values=sign * taken, rows=np.array(present, int), sign=sign)


def _of(row: Prediction, key: str) -> object:
    if key == "score":
        return row.score
    return row.extra.get(key, row.meta.get(key))


def _number(row: Prediction, key: str, place: int) -> float | None:
    value = _of(row, key)
    if value is None:
        return None
    if not isinstance(value, int | float) or not is_number(value):
        named = place if row.id is None else row.id
        raise UserError(
            f'"{key}" of row {named} is {str(value)[:80]!r}; a score must be a finite number, or '
            "leave the key out"
        )
    return float(value)
