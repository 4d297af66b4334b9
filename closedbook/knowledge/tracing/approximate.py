"""All restorations of a fact estimated from one forward and one backward pass.

A restored activation changes the answer's log-probability by about the change of the activation
times the derivative, in the corrupted run: attribution patching (Nanda 2023; Syed et al. 2023).
With the derivatives of relevance patching ("relp", arXiv 2508.21258) large changes and saturated
units mislead it less. The clean run and the corrupted ones are rows of one batch, so that a sample
of noise costs a forward and a backward pass, and a share of the clean run.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.tracing import lanes
from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.kinds import Convention, Kind, default_width, in_stack, window
from closedbook.knowledge.tracing.lanes import Lane, Layout, Restore
from closedbook.knowledge.tracing.noise import Noise
from closedbook.knowledge.tracing.program import OUTPUT, Tracer, copies, log_probabilities
from closedbook.knowledge.tracing.trace import Trace, draw, tokens_of
from closedbook.models import Interchange, Patch, Taps
from closedbook.models.families import Network
from closedbook.models.parameters import Params

Arrays: TypeAlias = dict[str, jax.Array]
Method = Literal["attribution", "relp"]
METHODS: tuple[Method, ...] = get_args(Method)


def approximate(
    tracer: Tracer,
    case: Case,
    kinds: Sequence[Kind],
    method: Method,
    *,
    noise: Noise,
    width: int | None = None,
    convention: Convention = "code",
) -> tuple[Trace, dict[str, np.ndarray]]:
    """Estimates what `trace` measures.

    Args:
        tracer: The model.
        case: The fact.
        kinds: What is restored.
        method: One of `METHODS`.
        noise: On the subject's embeddings.
        width: Layers of a window; default: in proportion to the stack's layers. The estimate of a
            window is the sum of those of its layers.
        convention: Of windows.

    Returns:
        The trace, in which a score is the mean over the samples of min(1, P* exp(change)); and by
        kind the mean changes of the answer's log-probability themselves, [tokens, layers].
    """
    fact = tracer.fact(case, draw(tracer, case, noise, 1))
    gradients = _compiled(tracer.module, tuple(kinds), method == "relp")
    log_probs, found = gradients(tracer.params, *fact.arrays)
    own = np.asarray(log_probs, np.float64)
    scores, changes = {}, {}
    for kind in kinds:
        layers = tracer.config.stacks[kind.stack].layers
        wide = default_width(layers) if width is None else width
        together = np.eye(layers)
        if kind.windowed:
            for layer in range(layers):
                together[layer] = np.isin(range(layers), window(layer, wide, layers, convention))
        tokens = tokens_of(tracer, case, kind.stack)
        # [layers, samples, tokens] to [samples, tokens, layers], windows summed.
        single = np.asarray(found[kind.name], np.float64)[:, :, :tokens]
        change = np.einsum("kl,lst->stk", together, single)
        reached = np.exp(np.minimum(own[1:, None, None] + change, 0.0))
        scores[kind.name], changes[kind.name] = reached.mean(0), change.mean(0)
    clean, corrupted = float(np.exp(own[0])), float(np.exp(own[1:]).mean())
    return Trace(case=case, clean=clean, corrupted=corrupted, scores=scores), changes


@functools.lru_cache(maxsize=16)
def _compiled(module: Network, kinds: tuple[Kind, ...], relevance: bool):
    return jax.jit(functools.partial(_gradients, module, kinds, relevance))


def _gradients(
    module: Network,
    kinds: tuple[Kind, ...],
    relevance: bool,
    params: Params,
    inputs: jax.Array,
    row: jax.Array,
    places: jax.Array,
    targets: jax.Array,
    noise: jax.Array,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Log-probabilities [1 + samples] and, by kind, estimated changes [layers, samples, tokens]."""
    stacks = module.config.stacks
    samples, emb = noise.shape[1], noise.shape[-1]
    apply: Any = functools.partial(module.apply, {"params": params})
    length = {"encoder": inputs.shape[1], "decoder": row.shape[1]}

    def answered(
        added: dict[str, jax.Array],
    ) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
        # One name for all layers of a site: the patch has a leading layer axis.
        globs = {f"{kind.stack}.*.{kind.site}": kind for kind in kinds}
        patches: dict[str, Patch | Interchange] = {
            glob: Patch(added[kind.name], mode="add") for glob, kind in globs.items()
        }
        subject = next(iter(stacks))
        first = Layout(subject, (), samples)
        patches |= first.patches(0, length[subject], jnp.zeros((1, 3), jnp.int32), noise)
        if not module.config.continues_prompt:
            patches["decoder.embed"] = copies(1 + samples)
        taps = Taps(patches=patches, record=(*globs, OUTPUT), relevance=relevance)
        if module.config.continues_prompt:
            _, records = apply(row, taps=taps)
        else:
            encoded, seen = apply(inputs, taps=taps, method="encode")
            _, records = apply(encoded, inputs, row, taps=taps, method="decode")
            records = seen | records
        found = log_probabilities(module, params, records[OUTPUT][:, places], targets)
        return found[1:].sum(), (found, records)

    zeros = {
        kind.name: jnp.zeros((stacks[kind.stack].layers, 1 + samples, length[kind.stack], emb))
        for kind in kinds
    }
    slopes, (log_probs, records) = jax.grad(answered, has_aux=True)(zeros)
    changes = {}
    for kind in kinds:
        names = (f"{kind.stack}.{i}.{kind.site}" for i in range(stacks[kind.stack].layers))
        x = jnp.stack([records[name] for name in names])
        changes[kind.name] = jnp.einsum(
            "lste,lste->lst", x[:, :1] - x[:, 1:], slopes[kind.name][:, 1:]
        )
    return log_probs, changes


def verified(
    tracer: Tracer,
    case: Case,
    estimated: Trace,
    kinds: Sequence[Kind],
    most: int,
    *,
    noise: Noise,
    width: int | None = None,
    convention: Convention = "code",
) -> dict[str, list[tuple[int, int, float]]]:
    """The cells that an estimate puts highest, measured exactly.

    Args:
        tracer: The model.
        case: The fact.
        estimated: Of `approximate`.
        kinds: What is restored.
        most: Cells of each kind.
        noise: The same.
        width: The same.
        convention: The same.

    Returns:
        By kind, highest estimate first: token, layer and the measured score.
    """
    fact = tracer.fact(case, draw(tracer, case, noise, 1))
    found: dict[str, list[tuple[int, int, float]]] = {}
    for stack in tracer.config.stacks:
        some = in_stack(kinds, stack)
        if not some:
            continue
        layers = tracer.config.stacks[stack].layers
        wide = default_width(layers) if width is None else width
        slots = np.full((len(some) * most, 3), -1, np.int32)
        cells = {}
        for number, kind in enumerate(some):
            scores = estimated.scores[kind.name]
            order = np.argsort(-scores, axis=None, kind="stable")[:most]
            cells[kind.name] = [divmod(int(place), layers) for place in order]
            for place, (token, layer) in enumerate(cells[kind.name]):
                of = window(layer, wide, layers, convention)
                span = (of.start, of.stop) if kind.windowed else (layer, layer + 1)
                slots[number * most + place] = (token, *span)
        layout = _anywhere(stack, layers, some, most, noise.samples, stack != tracer.subject_stack)
        values = tracer.scores(fact, layout, slots)
        rows = layout.rows(2 * layers)
        means = lanes.numbers(rows, values, range(1, len(layout.all))).reshape(len(some), most)
        for kind, row in zip(some, means, strict=True):
            pairs = zip(cells[kind.name], row, strict=False)
            found[kind.name] = [(token, layer, float(score)) for (token, layer), score in pairs]
    return found


@functools.lru_cache(maxsize=16)
def _anywhere(
    stack: str, layers: int, kinds: tuple[Kind, ...], most: int, samples: int, grouped: bool
) -> Layout:
    """Lanes that may restore in any layer, which their slot says: one program for all facts."""
    made = [
        Lane(
            begin=lanes.before(0),
            restores=(Restore(site=kind.site, first=0, limit=layers, slot=n * most + place),),
        )
        for n, kind in enumerate(kinds)
        for place in range(most)
    ]
    return Layout(stack, tuple(made), samples, grouped)
