"""Causal tracing (Meng et al. 2022, section 2): what restoring one state brings back of a fact.

    tracer = Tracer(load_model())
    traced = trace(tracer, case, kinds(tracer.config), noise=Noise(level=3 * sigma))
    traced.scores["encoder.mlp"]        # [tokens, layers], probabilities of the answer
    traced.effects("encoder.mlp")       # indirect effects: less the corrupted run's

The clean run, the corrupted runs and all restored ones are rows of one batch. A restored run joins
it where it parts from the corrupted one, so that nothing below is computed again.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from closedbook.knowledge.loaded_model import no_numbers
from closedbook.knowledge.tracing import lanes
from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.kinds import Convention, Kind, default_width, in_stack, window
from closedbook.knowledge.tracing.lanes import Lane, Layout, Restore
from closedbook.knowledge.tracing.noise import Noise
from closedbook.knowledge.tracing.program import Fact, Tracer

_NUMBERS = 1 << 25  # of the largest activation of a program, 128 MiB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """The probabilities of one fact's answer.

    Attributes:
        case: What was traced.
        clean: P, of the run without noise.
        corrupted: P*, the mean over the samples of noise.
        scores: By kind, float64 [tokens, layers], P* with clean activations: means over samples.
        layer_rows: Rows of all programs summed over the layers that they passed.
    """

    case: Case
    clean: float
    corrupted: float
    scores: dict[str, np.ndarray]
    layer_rows: int = 0

    @property
    def total_effect(self) -> float:
        """TE = P - P*: what the noise takes."""
        return self.clean - self.corrupted

    def effects(self, kind: str) -> np.ndarray:
        """IE = P* with clean activations - P*, float64 [tokens, layers]."""
        return self.scores[kind] - self.corrupted


def trace(
    tracer: Tracer,
    case: Case,
    kinds: Sequence[Kind],
    *,
    noise: Noise,
    width: int | None = None,
    convention: Convention = "code",
) -> Trace:
    """Restores every token in every layer, each kind apart.

    Args:
        tracer: The model.
        case: The fact.
        kinds: What is restored.
        noise: On the subject's embeddings.
        width: Layers of a window, for kinds that have windows; default: in proportion to the
            stack's layers (`kinds.default_width`).
        convention: Of windows (`kinds.window`).

    Raises:
        UserError: The model gives no numbers.
    """
    fact = tracer.fact(case, draw(tracer, case, noise, 1))
    scores: dict[str, np.ndarray] = {}
    clean = corrupted = np.nan
    cost = 0
    for stack in tracer.config.stacks:
        tokens = tokens_of(tracer, case, stack)
        for some, slots in programs(tracer, fact, in_stack(kinds, stack), stack, tokens, noise):
            layers = tracer.config.stacks[stack].layers
            wide = default_width(layers) if width is None else width
            layout = restored(tracer, stack, some, slots, noise.samples, wide, convention)
            rows = layout.rows(2 * layers)
            found = []
            for first in range(0, tokens, slots):
                some_tokens = range(first, min(first + slots, tokens))
                values = tracer.scores(fact, layout, lanes.at(some_tokens, slots, layers))
                found.append(lanes.numbers(rows, values, range(1, len(layout.all))))
                cost += layout.row_layers(layers)
            base = rows.index(np.zeros(1, int), np.zeros(1, int))[0]
            clean, corrupted = float(values[base]), lanes.numbers(rows, values, [0])[0]
            # Lanes are kinds x slots x layers; a token's place is its chunk and its slot.
            cells = np.stack(found).reshape(len(found), len(some), slots, layers)
            cells = cells.transpose(1, 0, 2, 3).reshape(len(some), -1, layers)[:, :tokens]
            scores |= {kind.name: cells[n] for n, kind in enumerate(some)}
    if not np.isfinite([clean, corrupted, *(each.sum() for each in scores.values())]).all():
        raise no_numbers(repr(case.prompt.text))
    return Trace(case=case, clean=clean, corrupted=float(corrupted), scores=scores, layer_rows=cost)


def draw(tracer: Tracer, case: Case, noise: Noise, number: int) -> np.ndarray:
    """Noise of a case's subject, [number, samples, subject tokens, emb]."""
    tokens = case.prompt.limit - case.prompt.first
    return noise.draws(number, tokens, tracer.config.emb_dim)


def tokens_of(tracer: Tracer, case: Case, stack: str) -> int:
    """How many tokens a stack reads of a case."""
    return len(case.prompt.ids if stack == "encoder" else case.row)


def programs(
    tracer: Tracer,
    fact: Fact,
    kinds: Sequence[Kind],
    stack: str,
    tokens: int,
    noise: Noise,
) -> list[tuple[tuple[Kind, ...], int]]:
    """How kinds and tokens of a stack are divided into programs: (kinds, tokens at once) each.

    As many as memory holds go together, because they share the clean run and the corrupted ones.
    """
    config = tracer.config
    if not kinds:
        return []
    length = fact.noise.shape[2] if stack == tracer.subject_stack else fact.row.shape[1]
    widest = length * max(config.mlp_dim, config.num_heads * length, 4 * config.emb_dim)
    of_row = max(widest, len(fact.places) * config.vocab_size)
    of_slot = of_row * config.stacks[stack].layers * noise.samples
    together = max(1, _NUMBERS // (of_slot * len(kinds)))
    padded = -(-tokens // 2) * 2  # so that facts of like lengths share programs
    if of_slot * len(kinds) <= _NUMBERS:
        return [(tuple(kinds), min(together, padded))]
    return [((kind,), min(max(1, _NUMBERS // of_slot), padded)) for kind in kinds]


@functools.lru_cache(maxsize=64)
def _restored(
    stack: str,
    layers: int,
    kinds: tuple[Kind, ...],
    slots: int,
    samples: int,
    width: int,
    convention: Convention,
    grouped: bool,
) -> Layout:
    made = []
    for kind in kinds:
        for slot in range(slots):
            for layer in range(layers):
                found = window(layer, width, layers, convention)
                if not kind.windowed:
                    found = range(layer, layer + 1)
                restore = Restore(site=kind.site, first=found.start, limit=found.stop, slot=slot)
                begin = (lanes.before if kind.windowed else lanes.after)(found.start)
                made.append(Lane(begin=begin, restores=(restore,)))
    return Layout(stack, tuple(made), samples, grouped)


def restored(
    tracer: Tracer,
    stack: str,
    kinds: Sequence[Kind],
    slots: int,
    samples: int,
    width: int,
    convention: Convention,
) -> Layout:
    """The runs that restore some tokens: one lane per kind, slot and layer, in this order."""
    grouped = stack != tracer.subject_stack
    layers = tracer.config.stacks[stack].layers
    return _restored(stack, layers, tuple(kinds), slots, samples, width, convention, grouped)
