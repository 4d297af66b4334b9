"""One compiled program per shape: a fact's runs, clean, corrupted and restored, all at once."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.tracing.cases import Case
from closedbook.knowledge.tracing.lanes import Layout
from closedbook.models import Interchange, Taps, network, unboxed
from closedbook.models.families import Network
from closedbook.models.parameters import Params, apart

_STEP = 4  # padded lengths are its multiples, so that few programs are compiled
OUTPUT = "decoder.final_norm"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fact:
    """A case as arrays of padded lengths.

    Attributes:
        inputs: int32 [1, inputs], what the encoder reads; [1, 0] where there is none.
        row: int32 [1, length], what the decoder reads.
        places: int32 [scored], the places of `row` after which a token is scored.
        targets: int32 [scored], these tokens; -1 for none.
        noise: float32 [draws, samples, tokens, emb] on the embeddings of the stack that reads the
            subject, zero outside of it.
    """

    inputs: np.ndarray
    row: np.ndarray
    places: np.ndarray
    targets: np.ndarray
    noise: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All of them, as programs take them."""
        return self.inputs, self.row, self.places, self.targets, self.noise


class Tracer:
    """A model whose layers are unrolled, with its compiled programs.

    Args:
        model: The model.
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        config = dataclasses.replace(model.config, scan_layers=False)
        self.module = network(config)
        layers = {name: stack.layers for name, stack in config.stacks.items()}
        self.params = apart(unboxed(model.params), layers)
        self.config = config
        self._scores = jax.jit(functools.partial(_scores, self.module), static_argnames="layout")

    @property
    def subject_stack(self) -> str:
        """The stack that reads the subject."""
        return next(iter(self.config.stacks))

    def fact(self, case: Case, noise: np.ndarray) -> Fact:
        """A case as arrays.

        Args:
            case: The case.
            noise: Of its subject's tokens, [draws, samples, subject tokens, emb].
        """
        continues = self.config.continues_prompt
        inputs = () if continues else case.prompt.ids
        places = [place for place, token in enumerate(case.scored) if token >= 0]
        number = 1 if len(places) == 1 else _length(len(places))
        targets = np.full(number, -1, np.int32)
        targets[: len(places)] = case.targets
        read = _length(len(case.row if continues else inputs))
        wide = np.zeros((*noise.shape[:2], read, noise.shape[3]), np.float32)
        wide[:, :, case.prompt.first : case.prompt.limit] = noise
        return Fact(
            inputs=_padded(inputs, _length(len(inputs)), self.pad),
            row=_padded(case.row, _length(len(case.row)), self.pad),
            places=np.array([*places, *[0] * (number - len(places))], np.int32),
            targets=targets,
            noise=wide,
        )

    @property
    def pad(self) -> int:
        """Fills up rows. What is read after a text does not change it, so any id will do."""
        return max(self.module.pad_id, 0)

    def scores(self, fact: Fact, layout: Layout, slots: np.ndarray) -> np.ndarray:
        """The probability of the answer in each row of a layout, float32 [rows].

        Args:
            fact: The fact.
            layout: The runs. Those of one layout and of facts of one padded length share a
                program.
            slots: Where they restore, int32 [slots, 3] (`Layout.patches`).
        """
        return np.asarray(self._scores(self.params, *fact.arrays, slots, layout=layout))

    def flops(self, fact: Fact, layout: Layout, slots: np.ndarray) -> float:
        """Floating-point operations of `scores`, as the compiler counts them."""
        compiled = self._scores.lower(self.params, *fact.arrays, slots, layout=layout).compile()
        analysis: Any = compiled.cost_analysis()
        return float(analysis["flops"])


def _length(number: int) -> int:
    return -(-number // _STEP) * _STEP


def _padded(ids: tuple[int, ...], length: int, pad: int) -> np.ndarray:
    found = np.full((1, length), pad, np.int32)
    found[0, : len(ids)] = ids
    return found


def _scores(
    module: Network,
    params: Params,
    inputs: jax.Array,
    row: jax.Array,
    places: jax.Array,
    targets: jax.Array,
    noise: jax.Array,
    slots: jax.Array,
    *,
    layout: Layout,
) -> jax.Array:
    stacks = module.config.stacks
    layers = stacks[layout.stack].layers
    apply = functools.partial(module.apply, {"params": params})
    if module.config.continues_prompt:
        patches = layout.patches(layers, row.shape[1], slots, noise)
        _, records = apply(row, taps=_taps(patches))
        return jnp.exp(log_probabilities(module, params, records[OUTPUT][:, places], targets))
    if layout.stack == "decoder":  # its rows attend to the runs that differ by their noise alone
        encoder = Layout("encoder", (), layout.samples)
        decoder = layout.patches(layers, row.shape[1], slots, None)
    else:
        encoder = layout
        decoder = {"decoder.embed": copies(len(layout.rows(2 * layers)))}
    patches = encoder.patches(stacks["encoder"].layers, inputs.shape[1], slots, noise)
    encoded, _ = apply(inputs, taps=Taps(patches=patches), method="encode")
    _, records = apply(encoded, inputs, row, taps=_taps(decoder), method="decode")
    return jnp.exp(log_probabilities(module, params, records[OUTPUT][:, places], targets))


def copies(rows: int) -> Interchange:
    """One row made many, all alike."""
    zeros = jnp.zeros(rows, jnp.int32)
    return Interchange(zeros, zeros[:1])


def _taps(patches: Mapping[str, Interchange]) -> Taps:
    """Logits are made of the places that are scored alone; the others' are not computed."""
    return Taps(patches=patches, record=(OUTPUT,))


def log_probabilities(
    module: Network, params: Params, x: jax.Array, targets: jax.Array
) -> jax.Array:
    """The log-probability of the target tokens together, [rows], after outputs [rows, scored, emb].

    Args:
        module: The network.
        params: Its parameters.
        x: Of the last norm.
        targets: int32 [scored], the token after each place; -1 for none.
    """
    logits = module.apply({"params": params}, x, method="logits")
    assert isinstance(logits, jax.Array)
    at = jnp.maximum(targets, 0)[None, :, None]
    chosen = jnp.take_along_axis(logits, at, axis=-1)[..., 0]
    log_probs = jnp.where(targets >= 0, chosen - jax.nn.logsumexp(logits, axis=-1), 0.0)
    return log_probs.sum(-1)
