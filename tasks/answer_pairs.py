"""The task `answer_equivalence`: does a prediction say the same as the reference? true or false.

Its pairs are made from judged predictions (`closedbook.eval.equivalence.judged`), with every
question in one split alone. Exact matches are pairs of the training split only: a judge is not
asked about them.
"""

import functools
import pathlib
from collections.abc import Sequence

from closedbook.errors import UserError
from closedbook.eval import normalize
from closedbook.eval.equivalence import judged, judges
from closedbook.tasks.rows import Row

_SPLITS = {"fit": "train", "held_out": "validation", "test": "test"}


def read(paths: Sequence[pathlib.Path], part: str) -> list[Row]:
    """The pairs of one part, out of all the files.

    Args:
        paths: Files of judged predictions.
        part: "fit", "held_out" or "test"; a question's hash says which it belongs to.

    Raises:
        UserError: A file is not of judged predictions, or the part is empty.
    """
    found = [
        _row(pair, f"{path}: {pair.question[:60]!r}")
        for path in paths
        for pair in _read(path, path.stat().st_mtime_ns)
        if judged.part(pair.question) == _SPLITS[part] and (part == "fit" or not _exact(pair))
    ]
    if not found:
        raise UserError(
            f"{', '.join(map(str, paths))}: no question falls into the split {_SPLITS[part]}; give "
            "more judged predictions"
        )
    return found


@functools.lru_cache(maxsize=4)
def _read(path: pathlib.Path, changed: int) -> list[judged.Judged]:
    del changed  # part of the key alone
    return judged.read(path)


def _row(pair: judged.Judged, place: str) -> Row:
    answer = "true" if pair.equivalent else "false"
    text = judges.pair_text(pair.question, pair.answers, pair.prediction)
    return Row(
        question=text.removeprefix(judges.PREFIX),
        answers=(answer,),
        target=answer,
        id=None,
        place=place,
    )


def _exact(pair: judged.Judged) -> bool:
    return normalize.squad(pair.prediction) in map(normalize.squad, pair.answers)
