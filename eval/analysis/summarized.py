"""What an analysis and a comparison have in common: examples, and all that sums them up."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summarized:
    """Results of ours; a class adds its own fields, one of them `examples`."""

    def to_json(self) -> dict[str, Json]:
        """All but the examples, as plain JSON values: what summary.json holds."""
        return {
            field.name: plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name != "examples"
        }


def plain(value: object) -> Json:
    """Plain JSON values: objects of dataclasses, lists of sequences, texts of enums.

    >>> from closedbook.eval.intervals import Estimate
    >>> plain({"em": Estimate(mean=0.5, low=0.4, high=0.6), "systems": ("a", "b")})
    {'em': {'mean': 0.5, 'low': 0.4, 'high': 0.6}, 'systems': ['a', 'b']}

    Raises:
        TypeError: The value holds something else.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [plain(one) for one in value]
    raise TypeError(f"{value!r} of {type(value)} is no plain value")
