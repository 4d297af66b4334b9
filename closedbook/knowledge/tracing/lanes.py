"""Many interventions as one forward pass: which rows of the batch go on from which.

A `Lane` is a run of the model that differs from another one from some layer on. It takes rows of
the batch, one per sample of noise, only from there: the layers below are those of its parent. Row
0 is the clean run, which all others take restored activations from.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.models import Interchange

EMBEDDED = -1  # the stage at which a lane begins that has noise of its own


def before(layer: int) -> int:
    """The stage before a layer."""
    return 2 * layer


def after(layer: int) -> int:
    """The stage after a layer."""
    return 2 * layer + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restore:
    """Activations at one token that a lane takes from another run.

    Attributes:
        site: Of each layer, "mlp.out" or "resid_post".
        first, limit: The layers, first to limit - 1.
        slot: Which of the tokens that the program is given.
        clean: Whether they are the clean run's, or else those of the same noise's first run.
    """

    site: str
    first: int
    limit: int
    slot: int
    clean: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lane:
    """A run that is another one's up to a stage.

    Attributes:
        begin: The stage: `before` or `after` a layer, or `EMBEDDED`.
        parent: The number of the lane that it goes on from; 0 is the corrupted run.
        draw: Which draw of the noise it has, where it begins with the embeddings.
        restores: What is different in it. Those of one site and layer are from one run.
    """

    begin: int
    parent: int = 0
    draw: int = 0
    restores: tuple[Restore, ...] = ()


_BASE = Lane(begin=EMBEDDED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a batch: which lane each is of, and which sample of noise.

    Attributes:
        lane: int [rows].
        sample: int [rows]; 0 is the run without noise.
    """

    lane: np.ndarray
    sample: np.ndarray

    def __len__(self) -> int:
        return len(self.lane)

    def index(self, lane: np.ndarray, sample: np.ndarray) -> np.ndarray:
        """Where rows stand; -1 for those that are not there."""
        table = np.full((max(self.lane.max(), lane.max()) + 1, self.sample.max() + 1), -1)
        table[self.lane, self.sample] = np.arange(len(self))
        return table[lane, sample]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The lanes of one program through one stack.

    Attributes:
        stack: Its name.
        lanes: Without the corrupted run, which is lane 0.
        samples: Of noise.
        grouped: Whether the lanes of one sample stand side by side and the clean run has as many,
            so that all of them can attend to one encoded input.
    """

    stack: str
    lanes: tuple[Lane, ...]
    samples: int
    grouped: bool = False

    @functools.cached_property
    def all(self) -> tuple[Lane, ...]:
        """The corrupted run and the lanes."""
        return (_BASE, *self.lanes)

    def rows(self, stage: int) -> Rows:
        """The rows after a stage."""
        there = [n for n, lane in enumerate(self.all) if lane.begin <= stage]
        # As they begin, so that rows keep their places.
        there = sorted(there, key=lambda n: self.all[n].begin)
        samples = np.arange(self.samples + 1)
        if self.grouped:
            return Rows(lane=np.tile(there, len(samples)), sample=np.repeat(samples, len(there)))
        rest = [n for n in there if n]
        return Rows(
            lane=np.concatenate([np.zeros_like(samples), np.repeat(rest, self.samples)]).astype(
                int
            ),
            sample=np.concatenate([samples, np.tile(samples[1:], len(rest))]),
        )

    def row_layers(self, layers: int) -> int:
        """Rows summed over the layers that they pass: what the program costs."""
        return sum(len(self.rows(before(layer))) for layer in range(layers))

    def patches(
        self, layers: int, length: int, slots: jax.Array, noise: jax.Array | None
    ) -> dict[str, Interchange]:
        """The interchanges of a forward pass of one row, by the names of their sites.

        Args:
            layers: Of the stack.
            length: Tokens.
            slots: Where lanes restore, int32 [slots, 3]: the token (-1 for none), and the first
                of the layers and their limit, of those that a lane has.
            noise: On the embeddings, [draws, samples, length, emb]; None where the stack's inputs
                have none.
        """
        made = {f"{self.stack}.embed": self._embedded(noise)}
        for layer in range(layers):
            name = f"{self.stack}.{layer}"
            for site in ("resid_pre", *self._sites(layer), "resid_post"):
                change = self._change(layer, site, length, slots)
                if change is not None:
                    made[f"{name}.{site}"] = change
        return made

    def _sites(self, layer: int) -> Iterator[str]:
        found = {
            restore.site
            for lane in self.all
            for restore in lane.restores
            if restore.first <= layer < restore.limit
        }
        yield from sorted(found - {"resid_post"})

    def _embedded(self, noise: jax.Array | None) -> Interchange:
        rows = self.rows(EMBEDDED)
        zeros = jnp.zeros(len(rows), jnp.int32)
        added = None
        if noise is not None:
            draw = np.array([lane.draw for lane in self.all])[rows.lane]
            own = noise[draw, np.maximum(rows.sample - 1, 0)]
            added = jnp.where((rows.sample > 0)[:, None, None], own, 0.0)
        return Interchange(zeros, zeros[:1], added=added)

    def _change(self, layer: int, site: str, length: int, slots: jax.Array) -> Interchange | None:
        """What happens at a site; None if nothing does."""
        stage = after(layer) if site == "resid_post" else before(layer)
        moves = site in ("resid_pre", "resid_post")
        rows = self.rows(stage)
        old = self.rows(stage - 1) if moves else rows
        source = old.index(rows.lane, rows.sample)
        begins = source < 0
        parents = np.array([lane.parent for lane in self.all])[rows.lane]
        source = np.where(begins, old.index(parents, rows.sample), source)
        restored = np.zeros((len(self.all), len(slots)), bool)  # which slots, in each lane
        clean = np.ones(len(self.all), bool)
        for number, lane in enumerate(self.all):
            for restore in lane.restores:
                if restore.site == site and restore.first <= layer < restore.limit:
                    restored[number, restore.slot], clean[number] = True, restore.clean
        own = restored[rows.lane] & (rows.sample > 0)[:, None]
        if not begins.any() and not own.any():
            return None
        other = old.index(np.zeros_like(rows.lane), np.where(clean[rows.lane], 0, rows.sample))
        token, first, limit = slots.T
        token = jnp.where((first <= layer) & (layer < limit), token, -1)
        here = (token[:, None] == jnp.arange(length)).astype(jnp.float32)
        where = jnp.asarray(own, jnp.float32) @ here > 0
        # Gathers that would change nothing are left out: for small models they cost the most.
        same = len(source) == len(old) and (source == np.arange(len(old))).all()
        other = other[:1] if (other == other[0]).all() else other
        return Interchange(
            None if same else jnp.asarray(source, jnp.int32),
            jnp.asarray(other, jnp.int32),
            where if own.any() else None,
        )


def at(tokens: Sequence[int], slots: int, layers: int) -> np.ndarray:
    """Slots of some tokens, in all layers of their lanes, int32 [slots, 3]; the rest for none."""
    found = np.full((slots, 3), -1, np.int32)
    found[: len(tokens)] = np.array([(token, 0, layers) for token in tokens]).reshape(-1, 3)
    return found


def numbers(rows: Rows, values: np.ndarray, lanes: Sequence[int]) -> np.ndarray:
    """The means over the samples of values [rows] in some lanes, float64 [lanes]."""
    samples = np.arange(1, rows.sample.max() + 1)
    places = rows.index(np.repeat(lanes, len(samples)), np.tile(samples, len(lanes)))
    return values[places].astype(np.float64).reshape(len(lanes), -1).mean(1)
