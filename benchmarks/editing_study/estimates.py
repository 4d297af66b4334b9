"""How long the study is going to take, before it is begun.

Processor seconds of one core of an AMD EPYC machine, measured on whole cells of each kind
(2026-11-29); what is compiled or loaded once is in `_START`.
"""

from collections.abc import Sequence

from benchmarks.editing_study.plan import DEEP, MODEL, SMOLLM2, Cell

# Of an edit by method, and of asking about it: a constant, and per thousand other facts.
_EDIT = {
    MODEL: {"rome": 0.75, "ft": 0.2, "ft-l": 0.2, "ft-m": 0.05, "": 0.6},
    DEEP: {"": 2.0},
    SMOLLM2: {"rome": 8.5, "ft-m": 5.0, "": 12.0},
}
_ASK = {MODEL: (0.1, 0.75), DEEP: (0.3, 1.8), SMOLLM2: (2.6, 0.0)}
_START = {MODEL: 15.0, DEEP: 60.0, SMOLLM2: 150.0}
_TRACED = 3.0  # a fact


def processor_seconds(cell: Cell) -> float:
    """Of one cell."""
    if cell.part == "tracing":
        return _START[cell.model] + _TRACED * cell.edits
    by_method = _EDIT[cell.model]
    edit = by_method.get(cell.method, by_method[""])
    constant, others = _ASK[cell.model]
    ask = constant + others * (cell.others or 0) / 1000
    # In a row the edits so far are asked about at each point, the other facts of all edits once.
    asked = cell.edits * ask if not cell.points else sum(cell.points) * constant
    return _START[cell.model] + cell.edits * edit + asked


def minutes(cells: Sequence[Cell], cores: int) -> float:
    """Of cells that share some idle cores, one each."""
    return sum(map(processor_seconds, cells)) / cores / 60
