"""Why a model gives an answer: what each of its parts adds to the logit of one token.

`attribution` has the sums; here a question becomes a forward pass, and its numbers become a list
of parts that adds up to the logit, the strongest memories first.
"""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError
from closedbook.inference.predictor import bucket
from closedbook.inference.quick_programs import quick_options
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.cells import Cell
from closedbook.knowledge.memories.explanations import answers
from closedbook.knowledge.memories.explanations.answers import Answer
from closedbook.knowledge.memories.explanations.attribution import (
    ANSWERS,
    Written,
    attribute,
    recorded,
)
from closedbook.knowledge.memories.values import token_text
from closedbook.models.families import Network, network
from closedbook.models.parameters import Params, unboxed
from closedbook.models.taps import Taps

Kind = Literal["embedding", "positions", "heads", "biases", "memories"]
TOLERANCE = 1e-4  # of the explained number: by so much at most the parts' sum differs from it
_ANY = 1 << 30  # no longest
_SHORTEST = 8  # tokens of a row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What parts of one kind add."""

    kind: Kind
    stack: str
    layer: int | None  # None for what stands before the first layer or after the last
    name: str  # in words
    value: float

    @property
    def label(self) -> str:
        """In words, with its layer: "layer 1 cross-attention"."""
        return self.name if self.layer is None else f"layer {self.layer} {self.name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """What one attention head adds."""

    stack: str
    layer: int
    site: str  # of the attention
    head: int
    position: int  # of the stack
    value: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """What one memory adds at one position."""

    stack: str
    layer: int
    cell: int
    position: int  # of the stack
    token: str  # that the stack reads there
    coefficient: float
    value: float

    @property
    def name(self) -> str:
        """As commands take it: "decoder.1.42"."""
        return Cell(self.stack, self.layer, self.cell).name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Read:
    """What attention heads add by reading one token."""

    position: int
    token: str
    value: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """An answer's token, and what adds up to its logit.

    Attributes:
        question: As asked.
        answer: The answer.
        place: Which token of the answer, from 0.
        tokens: The answer's tokens in words.
        probability: Of the token, after those before it.
        answer_probability: Of the whole answer, its end included where answers have one.
        logit: Of the token.
        against: "" for the logit itself, "the mean logit", or another token in words.
        explained: The logit less that of `against`.
        parts: They add up to `explained`.
        error: By how much they do not, from rounding: explained less their sum.
        heads: Of all stacks.
        memories: Of all stacks, those that add anything, the largest numbers first.
        reads: Which tokens the answering stack's heads read, for each of its attentions.
        encoder_parts: Of an encoder: they add up to what cross-attention heads add. Empty for a
            decoder-only model.
    """

    question: str
    answer: Answer
    place: int
    tokens: tuple[str, ...]
    probability: float
    answer_probability: float
    logit: float
    against: str
    explained: float
    parts: tuple[Part, ...]
    error: float
    heads: tuple[Head, ...]
    memories: tuple[Memory, ...]
    reads: dict[str, tuple[Read, ...]]
    encoder_parts: tuple[Part, ...]

    @property
    def token(self) -> str:
        """The explained token in words."""
        return self.tokens[self.place]


def explain(
    model: LoadedModel,
    question: str,
    *,
    answer: str | None = None,
    token: int | None = None,
    against: str | None = None,
    centred: bool = False,
) -> Explanation:
    """What adds up to the logit of one token of the answer, given those before it.

    Args:
        model: The model; it computes in float32 here, whatever its own type.
        question: Without prefix.
        answer: Explain this answer in the stead of the model's own.
        token: Which token of the answer, from 1. Default: the first that is no blank.
        against: Another answer: the difference to the logit of its token at that place.
        centred: The difference to the mean logit of the vocabulary.

    Raises:
        UserError: What is asked for does not exist, or the model's logits are no numbers.
    """
    if against is not None and centred:
        raise UserError("a contrast with another answer and one with the mean logit; give one")
    given = answers.of_question(model, question, answer)
    place = given.informative if token is None else token - 1
    words = tuple(word(model, each) for each in given.tokens)
    if not 0 <= place < len(given.tokens):
        raise UserError(
            f"the answer {given.text!r} has no token {token}; it has {len(words)}, from 1: "
            f"{' '.join(words)}"
        )
    weights = np.zeros(model.config.vocab_size, np.float32)
    weights[given.tokens[place]] = 1
    contrast = ""
    if against is not None:
        other = answers.contrasted(model, given, place, against)
        weights[other] -= 1
        contrast = word(model, other)
    elif centred:
        known = min(model.vocabulary.vocab_size, len(weights))
        weights[:known] -= 1 / known
        contrast = "the mean logit"
    inputs = _padded(given.inputs, bucket(len(given.inputs), _ANY), model.module.pad_id)
    longest = model.config.most_positions(after=1) or _ANY
    row = _padded(given.row, bucket(len(given.row), longest, _SHORTEST), model.module.pad_id)
    at = np.array([[given.at(place)]], np.int32)
    run = _program(network(dataclasses.replace(model.config, dtype="float32")))
    logits, found, coefficients = jax.device_get(
        run(unboxed(model.params), inputs, row, at, weights[None, None])
    )
    logits = np.asarray(logits, np.float64)
    if not np.isfinite(logits).all():
        raise UserError(
            "the model's logits are no numbers (NaN or infinite); its parameters are damaged"
        )
    places = given.first + np.arange(len(given.tokens))
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    of_tokens = log_probs[places, list(given.tokens)]
    explained = float(logits[places[place]] @ weights.astype(np.float64))
    reading = {ANSWERS: [int(at[0, 0])]}
    if not model.config.continues_prompt:
        reading |= {name: list(range(len(given.inputs))) for name in found if name != ANSWERS}
    texts = {name: given.row if name == ANSWERS else given.inputs for name in found}
    parts = _parts(model, found[ANSWERS], ANSWERS)
    total = sum(part.value for part in parts)
    heads, memories = [], []
    for name, written in found.items():
        heads += _heads(written, name, reading[name])
        tokens = [word(model, texts[name][p]) for p in reading[name]]
        memories += _memories(written, coefficients[name], name, reading[name], tokens)
    encoder = [
        part for name in found if name != ANSWERS for part in _parts(model, found[name], name)
    ]
    return Explanation(
        question=question,
        answer=given,
        place=place,
        tokens=words,
        probability=float(np.exp(of_tokens[place])),
        answer_probability=float(np.exp(of_tokens.sum())),
        logit=float(logits[places[place], given.tokens[place]]),
        against=contrast,
        explained=explained,
        parts=tuple(parts),
        error=explained - total,
        heads=tuple(sorted(heads, key=lambda each: -abs(each.value))),
        memories=tuple(sorted(memories, key=lambda each: -abs(each.value))),
        reads=_reads(model, given, found[ANSWERS], given.at(place)),
        encoder_parts=tuple(encoder),
    )


def word(model: LoadedModel, token: int) -> str:
    """A token in words; padding, of what a decoder reads, is what it begins with."""
    if token in (model.vocabulary.eos_id, model.module.eos_id):
        return "</s>"
    return "<start>" if token == model.module.pad_id else token_text(model, token)


@functools.lru_cache(maxsize=4)
def _program(module: Network) -> "jax.stages.Wrapped":
    """The forward pass of `explain`, compiled once per pair of padded lengths."""
    return jax.jit(functools.partial(_forward, module), compiler_options=quick_options())


def _padded(ids: tuple[int, ...], length: int, pad: int) -> np.ndarray:
    return np.array([[*ids, *[pad] * (length - len(ids))]], np.int32)


def _forward(
    module: Network,
    params: Params,
    inputs: jax.Array,
    row: jax.Array,
    at: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, dict[str, Written], dict[str, jax.Array]]:
    """Logits of all places [length, vocab], the parts, and coefficients [layers, P, cells]."""
    config = module.config
    given = (row,) if config.continues_prompt else (inputs, row)
    tokens = {ANSWERS: row} | {name: inputs for name in config.stacks if name != ANSWERS}
    with jax.default_matmul_precision("highest"):  # accelerators would round products
        taps = Taps(record=recorded(config))
        applied: Any = module.apply({"params": params}, *given, taps=taps)
        logits, records = applied
        found = attribute(module, params, records, tokens, at, weights)
    coefficients = {}
    for name in found:
        layers = range(config.stacks[name].layers)
        each = jnp.stack([records[f"{name}.{i}.mlp.coefficients"][0] for i in layers])
        coefficients[name] = each[:, at[0]] if name == ANSWERS else each
    return logits[0], found, coefficients


def _parts(model: LoadedModel, written: Written, stack: str) -> list[Part]:
    """A stack's parts in the order in which they are written, those that it lacks left out."""

    def part(kind: Kind, layer: int | None, name: str, value: jax.Array) -> Part:
        return Part(kind=kind, stack=stack, layer=layer, name=name, value=float(value.sum()))

    found = [part("embedding", None, "token embedding", written.embedding)]
    if written.position.any():
        found.append(part("positions", None, "position", written.position))
    biases = []
    for layer in range(len(written.memories)):
        for site in (unit.site for unit in model.config.stacks[stack].attentions):
            name = site.replace("_", "-")
            found.append(part("heads", layer, name, written.heads[site][layer]))
            if written.attention_bias[site].any():
                bias = written.attention_bias[site][layer]
                biases.append(part("biases", layer, f"biases of {name}", bias))
        found.append(part("memories", layer, "memories", written.memories[layer]))
        if written.mlp_bias.any():
            biases.append(part("biases", layer, "bias of memories", written.mlp_bias[layer]))
    if written.norm_bias.any():
        biases.append(part("biases", None, "bias of the last norm", written.norm_bias))
    return [*found, *biases]


def _heads(written: Written, stack: str, positions: list[int]) -> list[Head]:
    found = []
    for site, values in written.heads.items():
        for layer, place, head in np.argwhere(values[:, 0, : len(positions)]).tolist():
            found.append(
                Head(
                    stack=stack,
                    layer=layer,
                    site=site,
                    head=head,
                    position=positions[place],
                    value=float(values[layer, 0, place, head]),
                )
            )
    return found


def _memories(
    written: Written,
    coefficients: np.ndarray,
    stack: str,
    positions: list[int],
    tokens: list[str],
) -> list[Memory]:
    values = written.memories[:, 0, : len(positions)]
    return [
        Memory(
            stack=stack,
            layer=layer,
            cell=cell,
            position=positions[place],
            token=tokens[place],
            coefficient=float(coefficients[layer, place, cell]),
            value=float(values[layer, place, cell]),
        )
        for layer, place, cell in np.argwhere(values).tolist()
    ]


def _reads(
    model: LoadedModel, given: Answer, written: Written, place: int
) -> dict[str, tuple[Read, ...]]:
    """By attention, the tokens that its heads read; padding and later tokens are left out."""
    found = {}
    for unit in model.config.stacks[ANSWERS].attentions:
        own = unit.reads == ANSWERS
        sums = written.sources[unit.site][:, 0, 0].sum((0, 1))
        read = given.row[: place + 1] if own else given.inputs
        found[unit.site] = tuple(
            Read(position=p, token=word(model, token), value=float(sums[p]))
            for p, token in enumerate(read)
        )
    return found
