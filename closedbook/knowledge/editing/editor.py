"""Edits, one after another or many at once; what was done comes back as changes of matrices."""

import dataclasses
import time
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.editing import finetuning, keys, requests, updates, values
from closedbook.knowledge.editing.moments import Moment
from closedbook.knowledge.editing.places import Place, kernel, places, with_kernels
from closedbook.knowledge.editing.requests import Edit
from closedbook.knowledge.editing.rows import Batch, acts_at, pack
from closedbook.knowledge.editing.settings import FINE_TUNING, Settings
from closedbook.knowledge.editing.updates import Change, Weighing
from closedbook.knowledge.loaded_model import LoadedModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """What a call of `Editor.apply` did.

    Attributes:
        edits: All that it was given.
        changes: Place -> change of its matrix; factors are float32 numbers.
        record: Per edit what edits.jsonl says: norms, losses, steps.
        seconds: It took.
    """

    edits: tuple[Edit, ...]
    changes: Mapping[Place, Change]
    record: tuple[dict[str, object], ...]
    seconds: float


class Editor:
    """Edits a model; each call of `apply` goes on from the ones before.

    An editor that is made anew knows nothing of other edits: the same edit gives the same change to
    the last bit, whatever was edited elsewhere.

    Args:
        model: The stored original. It is left as it is.
        settings: How.
        moments: C of each place, of the original; not needed for fine-tuning.

    Attributes:
        params: The parameters with all edits so far.
    """

    def __init__(
        self, model: LoadedModel, settings: Settings, moments: Mapping[Place, Moment]
    ) -> None:
        self._model = model
        self._settings = settings
        self._places = places(model.config, settings.stack, settings.layers)
        self.params = model.params
        width = model.config.mlp_dim
        self._earlier = {place: np.zeros((width, width)) for place in self._places}
        self._moments: dict[Place, np.ndarray] = {}
        self._projectors: dict[Place, np.ndarray] = {}
        self.null_ranks: dict[Place, int] = {}
        if settings.method in FINE_TUNING:
            return
        for place in self._places:
            self._moments[place] = moments[place].with_ridge(settings.ridge)
            if settings.null_space:
                found = updates.null_space(*moments[place].spectrum, settings.null_threshold)
                self._projectors[place], self.null_ranks[place] = found

    @property
    def places(self) -> tuple[Place, ...]:
        """The layers that are changed."""
        return self._places

    def apply(self, edits: Sequence[Edit]) -> Done:
        """Makes edits at once; rome and fine-tuning make one after another.

        Raises:
            UserError: A prompt or a target cannot be used, or the equations have no solution.
        """
        started = time.monotonic()
        if self._settings.method in ("rome", *FINE_TUNING):
            steps = [self._one(edit) for edit in edits]
            changes = {place: _joined([step[0] for step in steps]) for place in self._places}
            record = [step[1] for step in steps]
        else:
            changes, record = self._together(edits)
        return Done(
            edits=tuple(edits),
            changes=changes,
            record=tuple(record),
            seconds=time.monotonic() - started,
        )

    def _one(self, edit: Edit) -> tuple[Change, dict[str, object]]:
        """ROME's edit, or a fine-tuning, of the one place."""
        (place,) = self._places
        model, settings = self._model, self._settings
        told, kept = requests.tells(model, edit), requests.keeps(model, edit)
        if settings.method in FINE_TUNING:
            change, losses = finetuning.tune(model, self.params, place, told, settings)
            self._write(place, change)
            return change, {"losses": losses, **_norms(self, place, change)}
        batch = pack(model, told, kept)
        read = keys.at_places(model, self.params, batch, [place], len(told) + len(kept))[place]
        key, divisor = self._key(read[0][: len(told)])
        weighing = self._weighing(place, read[0][len(told) :])
        form = updates.rank_one(weighing, key, np.ones(1), divisor)
        gain = self._gain(place, batch, form.left[:, 0], key if divisor is None else divisor)
        found = self._value(place, batch, gain, read)
        change = _rounded(Change(form.left, form.right * found.delta))
        self._write(place, change)
        self._remember(place, key[:, None])
        return change, {**_search(found), **_norms(self, place, change)}

    def _together(
        self, edits: Sequence[Edit]
    ) -> tuple[dict[Place, Change], list[dict[str, object]]]:
        """MEMIT's spreading over layers, with any of the closed forms per layer."""
        model, last = self._model, self._places[-1]
        asked = [(requests.tells(model, e), requests.keeps(model, e)) for e in edits]
        batches = [pack(model, told, kept) for told, kept in asked]
        counts = [len(told) + len(kept) for told, kept in asked]
        searches, goals = [], []
        for batch, count in zip(batches, counts, strict=True):
            read = keys.at_places(model, self.params, batch, [last], count)[last]
            state = self._state(batch)
            found = self._value(last, batch, None, (read[0], np.stack([state])))
            searches.append(found)
            goals.append(state + found.delta)
        changes: dict[Place, Change] = {}
        for number, place in enumerate(self._places):
            left = len(self._places) - number
            told_keys, kept_keys = [], []
            for (told, _), batch, count in zip(asked, batches, counts, strict=True):
                read = keys.at_places(model, self.params, batch, [place], count)[place]
                told_keys.append(self._key(read[0][: len(told)])[0])
                kept_keys.append(read[0][len(told) :])
            states = np.stack([self._state(batch) for batch in batches])
            wanted = (np.stack(goals) - states) / left
            matrix = np.stack(told_keys, axis=1)
            weighing = self._weighing(place, np.concatenate(kept_keys))
            exact = self._settings.method == "emmet"
            solved = (updates.exactly if exact else updates.least_squares)(weighing, matrix, wanted)
            changes[place] = _rounded(solved)
            self._write(place, changes[place])
            self._remember(place, matrix)
        norms = _norms(self, last, changes[last])
        return changes, [{**_search(found), **norms} for found in searches]

    def _key(self, told: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """k* out of those of the prompts [n, mlp], and the divisor's where it is another."""
        match self._settings.key_mode:
            case "prompt":
                return told[0], None
            case "averaged":
                return told.mean(0), None
            case "original":
                return told.mean(0), told[0]

    def _weighing(self, place: Place, kept: np.ndarray) -> Weighing:
        """A and P of a place; kept are the keys [n, mlp] of what is to be left alone."""
        settings = self._settings
        if settings.method == "alphaedit":
            matrix = settings.l2 * np.eye(len(self._earlier[place]))
        else:
            weight = 1.0 if settings.method == "rome" else settings.moment_weight
            matrix = weight * self._moments[place]
        if settings.accumulate_keys:
            matrix = matrix + settings.key_weight * self._earlier[place]
        if settings.preserve and len(kept):
            matrix = matrix + settings.preserve * kept.T @ kept / len(kept)
        return Weighing(matrix, self._projectors.get(place))

    def _gain(
        self, place: Place, batch: Batch, unit: np.ndarray, divisor: np.ndarray
    ) -> jnp.ndarray | None:
        """How much of the value the edited matrix adds at each position [rows, length].

        None where the search is to see it at the subject alone.
        """
        if self._settings.effect == "subject":
            return None
        read = keys.recorded(self._model.module, self.params, batch, (place.key_site,))
        scale = jnp.asarray(unit / (unit @ divisor), jnp.float32)
        return jnp.einsum("rlm,m->rl", read[place.key_site], scale)

    def _value(
        self,
        place: Place,
        batch: Batch,
        gain: jnp.ndarray | None,
        read: tuple[np.ndarray, np.ndarray],
    ) -> values.Found:
        """delta; the output that it starts from is that of the bare prompt."""
        settings, anchor = self._settings.value, None
        if self._settings.norm_anchor:
            settings = dataclasses.replace(settings, anchor=True)
            anchor = self._original_length(place, batch)
        model = self._model
        start = read[1][0]
        return values.find(model.module, self.params, place, batch, gain, start, settings, anchor)

    def _original_length(self, place: Place, batch: Batch) -> float:
        """The length of the value of the bare prompt in the stored original."""
        model = self._model
        if self._settings.method == "rome":
            read = keys.at_places(model, model.params, batch, [place], 1)[place]
            return float(np.linalg.norm(read[1][0]))
        return float(np.linalg.norm(self._state(batch, model.params)))

    def _state(self, batch: Batch, params: object = None) -> np.ndarray:
        """The residual stream [emb] after the last edited layer, at the bare prompt's subject."""
        last = self._places[-1]
        site = last.after_site
        of = self.params if params is None else params
        read = keys.recorded(self._model.module, of, batch, (site,))[site]
        return np.asarray(read[0, acts_at(last, batch)[0]], np.float64)

    def _write(self, place: Place, change: Change) -> None:
        self.params = with_kernels(
            self.params, {place: applied(kernel(self.params, place), change)}
        )

    def _remember(self, place: Place, matrix: np.ndarray) -> None:
        self._earlier[place] = self._earlier[place] + matrix @ matrix.T


def applied(matrix: object, change: Change) -> np.ndarray:
    """A float32 matrix with a change; the same numbers in give the same bits out."""
    before = np.asarray(matrix, np.float32)
    return before + change.matrix.astype(np.float32)


def _rounded(change: Change) -> Change:
    """The change as a delta file holds it: factors of float32 numbers."""
    return Change(
        *(each.astype(np.float32).astype(np.float64) for each in (change.left, change.right))
    )


def _joined(changes: Sequence[Change]) -> Change:
    left = np.concatenate([change.left for change in changes], axis=1)
    return Change(left, np.concatenate([change.right for change in changes]))


def _search(found: values.Found) -> dict[str, object]:
    return {
        "steps": len(found.losses),
        "losses": [round(float(each), 6) for each in found.losses[:, 0]],
        "probability": float(found.probability[-1]),
        "value_norm": float(np.linalg.norm(found.target_init)),
        "delta_norm": float(np.linalg.norm(found.delta)),
    }


def _norms(editor: Editor, place: Place, change: Change) -> dict[str, object]:
    return {
        "change_norm": float(np.linalg.norm(change.matrix)),
        "matrix_norm": float(np.linalg.norm(np.asarray(kernel(editor.params, place), np.float64))),
    }
