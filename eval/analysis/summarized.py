"""What an analysis and a comparison have in common: examples, and all that sums them up."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summarized:
    """Results as plain data; a class of ours adds fields to it, one of them `examples`."""

    def to_json(self) -> dict[str, Any]:
        """All but the examples, as plain JSON values: what summary.json holds."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "examples"
        }
