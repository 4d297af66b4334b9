"""Which checkpoints of a run are kept: the newest, the best, and one that an evaluation stands on.

Scores are known only after a checkpoint is written, since an evaluation must not lose the state
that it evaluates. They lie beside its parameters, in `checkpoint_<step>/scores.json`.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from closedbook import whole_files

_SCORES = "scores.json"
_SCORES_OF_ORBAX = pathlib.Path("metrics", "metrics")  # where closedbook wrote them before


class Retention:
    """Says which checkpoints are kept; a preservation policy of Orbax.

    Args:
        folder: MODEL_DIR.
        keep: Newest to keep; None keeps all, or one where `keep_best` is set.
        keep_best: Best to keep as well.
        metric: The name of the score that says which is best.
        best_mode: "max" or "min".
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        keep: int | None,
        keep_best: int | None,
        metric: str | None,
        best_mode: str,
    ) -> None:
        self._folder = folder
        self._keep = keep if keep is not None or keep_best is None else 1
        self._keep_best, self._metric = keep_best, metric
        self._sign = 1.0 if best_mode == "max" else -1.0
        self._known: dict[int, Mapping[str, float]] = {}
        self.passing: set[int] = set()  # kept only while they are evaluated

    def scores(self, step: int) -> Mapping[str, float] | None:
        """The scores of a checkpoint; None where it has none yet, or they cannot be read."""
        if step not in self._known:
            for name in (_SCORES, _SCORES_OF_ORBAX):
                path = self._folder / f"checkpoint_{step}" / name
                if path.is_file():
                    try:
                        found = json.loads(path.read_bytes())
                    except ValueError:  # damaged: as if it was never evaluated
                        continue
                    if isinstance(found, dict):
                        self._known[step] = found
                        break
        return self._known.get(step)

    def keep_scores(self, step: int, scores: Mapping[str, float]) -> None:
        """Takes the scores of a checkpoint that is on the disk."""
        self._known[step] = dict(scores)
        if not jax.process_index():
            path = self._folder / f"checkpoint_{step}" / _SCORES
            whole_files.write_text(path, json.dumps(dict(scores)))

    def kept(self, steps: Sequence[int]) -> set[int]:
        """Which of these checkpoints stay, their steps ascending."""
        if self._keep is None:
            return set(steps)
        lasting = [step for step in steps if step not in self.passing]
        ranked = sorted((value, step) for step in lasting for value in self._ranks(step))
        best = [step for _, step in ranked[-self._keep_best :]] if self._keep_best else []
        return {*lasting[-max(self._keep, 1) :], *best, *(self.passing & set(steps))}

    def should_preserve(self, checkpoints: Sequence[Any], *, context: object) -> Sequence[bool]:
        """As Orbax asks it, of checkpoints with a `step`."""
        del context
        steps = [each.step for each in checkpoints]
        kept = self.kept(sorted(steps))
        return [step in kept for step in steps]

    def _ranks(self, step: int) -> list[float]:
        """By what a checkpoint is ranked, larger is better; nothing where it was not evaluated."""
        scores = self.scores(step) or {}
        return [self._sign * value for name, value in scores.items() if name == self._metric]
