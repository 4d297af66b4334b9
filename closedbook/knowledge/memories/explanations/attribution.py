"""Direct attribution: what each part of a model adds to a logit, in numbers that add up.

The residual stream is a sum: an embedding, and what every attention head, every memory and every
bias writes. After the last layer it is normalised and projected, so that at the norm's scale of
the actual run (a "frozen norm") a logit is linear in the stream, hence a sum over all that was
written (the direct part of the decomposition of Elhage et al. 2021, "A Mathematical Framework for
Transformer Circuits", and of Geva et al. 2022, arXiv 2203.14680, section 2):

    logit = sum over parts of part · d + b · u,    d = (u * g / size(x)), centred for LayerNorm

u is the output vector of the token, g the scale and b the bias of the last norm, x the stream after
the last layer. A memory's part is its coefficient times its value, a head's is its share of the
attention's output. Biases of an attention's values pass through weights that add up to 1, so that
they are counted with the bias of its output, and not with heads.

An encoder acts through cross-attention alone. At frozen weights of cross-attention and at the
frozen last norm of the encoder, what its heads write is linear in the encoder's own stream, so that
their sum is a sum over the encoder's embeddings, heads and memories at each input position. This
second sum is exact too. It is the direct path alone: what an encoder memory did to later layers of
the encoder is counted as theirs, as everywhere in direct attribution.

Everything comes from tap sites and parameters; the numbers must be float32 for sums to be exact.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from closedbook.models.families import Config, Network
from closedbook.models.parameters import Params, layers_apart
from closedbook.models.sites import AttentionUnit

ANSWERS = "decoder"  # the stack that writes answers, in every family


class Written(flax.struct.PyTreeNode):
    """What the parts of one stack add to the explained number, float32.

    P are the positions of the stack that are looked at; padding adds 0.

    Attributes:
        embedding: Of tokens, [batch, P].
        position: Of added position vectors, [batch, P]; 0 where the model has none.
        heads: Per attention, by its site, [layers, batch, P, heads].
        sources: The same numbers, apart by the position that a head reads, [layers, batch, P,
            heads, keys]; of the stack that writes answers alone.
        attention_bias: Per attention, by its site, [layers, batch, P].
        memories: [layers, batch, P, cells].
        mlp_bias: [layers, batch, P].
        norm_bias: Of the stack's last norm, [batch, P].
    """

    embedding: jax.Array
    position: jax.Array
    heads: dict[str, jax.Array]
    sources: dict[str, jax.Array]
    attention_bias: dict[str, jax.Array]
    memories: jax.Array
    mlp_bias: jax.Array
    norm_bias: jax.Array

    def total(self) -> jax.Array:
        """The sum of all parts, [batch, P]."""
        layered = [self.memories.sum((0, 3)), self.mlp_bias.sum(0)]
        layered += [x.sum((0, 3)) for x in self.heads.values()]
        layered += [x.sum(0) for x in self.attention_bias.values()]
        return sum(layered, self.embedding + self.position + self.norm_bias)


def recorded(config: Config) -> tuple[str, ...]:
    """The sites that `attribute` needs, as `Taps.record` takes them."""
    found = []
    for name, stack in config.stacks.items():
        found += [f"{name}.embed", f"{name}.*.mlp.coefficients"]
        found += [f"{name}.{stack.layers - 1}.resid_post"]
        for unit in stack.attentions:
            of_unit = ("heads",) if name != ANSWERS else ("heads", "values", "weights")
            found += [f"{name}.*.{unit.site}.{what}" for what in of_unit]
    return tuple(found)


def attribute(
    module: Network,
    params: Params,
    records: Mapping[str, jax.Array],
    tokens: Mapping[str, jax.Array],
    positions: jax.Array,
    weights: jax.Array,
    *,
    sources: bool = True,
) -> dict[str, Written]:
    """What every part adds to a weighted sum of logits.

    Weights of 1 for one token explain its logit; 1 and -1 the difference of two; less 1 / V for
    all tokens the logit above the mean logit. To be called inside `jit`.

    Args:
        module: The network, computing in float32.
        params: Its parameters, without boxes.
        records: Of a forward pass with `Taps(record=recorded(config))`.
        tokens: By stack, what it read, int32 [batch, length].
        positions: Of the answering stack, int32 [batch, P].
        weights: Of all logits at these positions, float32 [batch, P, vocab]; 0 explains nothing.
        sources: Whether to give `Written.sources`, which may be large.

    Returns:
        By stack. The answering stack's total over a position is the weighted sum of its logits.
        Where it has cross-attention, the total over all of the encoder's positions is what all
        cross-attention heads add at all positions of an example; the encoder's parts are summed
        over the positions that read them.
    """
    config, run = module.config, _Run(module.config, params, records, tokens)
    read = jnp.zeros((*weights.shape[:2], config.emb_dim))
    transposed = jax.linear_transpose(
        lambda x: module.apply({"params": params}, x, method="logits"), read
    )
    (wanted,) = transposed(weights)
    stack = config.stacks[ANSWERS]
    layers = layers_apart(params[ANSWERS], stack.layers)
    last = _at(records[f"{ANSWERS}.{stack.layers - 1}.resid_post"], positions)
    direction, norm_bias = through_norm(config, params[ANSWERS][f"{ANSWERS}_norm"], last, wanted)
    found = {ANSWERS: _written(run, ANSWERS, layers, positions, direction, norm_bias, sources)}
    for other in dict.fromkeys(unit.reads for unit in stack.attentions if unit.reads != ANSWERS):
        units = [unit for unit in stack.attentions if unit.reads == other]
        pulls = [
            _through_attention(run, layer[unit.module], unit, i, positions, direction)
            for i, layer in enumerate(layers)
            for unit in units
        ]
        of_other = layers_apart(params[other], config.stacks[other].layers)
        last = records[f"{other}.{len(of_other) - 1}.resid_post"]
        to_other, norm_bias = through_norm(
            config, params[other][f"{other}_norm"], last, sum(pulls[1:], pulls[0])
        )
        found[other] = _written(run, other, of_other, None, to_other, norm_bias, False)
    return found


def through_norm(
    config: Config, norm: Params, x: jax.Array, wanted: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What a direction after a norm is before it, at the scale that x gets.

    Args:
        config: The model's.
        norm: Parameters: a scale, and for LayerNorm a bias.
        x: What was normalised, [..., emb].
        wanted: The direction after the norm, [..., emb].

    Returns:
        The direction [..., emb] and what the norm's bias adds [...]; norm(x) · wanted is
        x · direction + added.
    """
    centred = "bias" in norm
    if centred:
        x = x - x.mean(-1, keepdims=True)
    size = jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + config.norm_epsilon)
    direction = wanted * norm["scale"] * size
    if not centred:
        return direction, jnp.zeros(x.shape[:-1])
    return direction - direction.mean(-1, keepdims=True), wanted @ norm["bias"]


class _Run(NamedTuple):
    """What all parts of one forward pass are computed from."""

    config: Config
    params: Params
    records: Mapping[str, jax.Array]
    tokens: Mapping[str, jax.Array]


def _written(
    run: _Run,
    name: str,
    layers: Sequence[Params],
    positions: jax.Array | None,
    direction: jax.Array,
    norm_bias: jax.Array,
    sources: bool,
) -> Written:
    """The parts of a stack along a direction [batch, P, emb]."""
    config, records = run.config, run.records
    stack = config.stacks[name]
    embedded, read = _at(records[f"{name}.embed"], positions), _at(run.tokens[name], positions)
    of_tokens = run.params["token_embedder"]["embedding"][jnp.maximum(read, 0)]
    of_tokens = of_tokens * config.embedding_scale
    embedding = _dot(of_tokens if config.adds_positions else embedded, direction)
    position = (
        _dot(embedded - of_tokens, direction)
        if config.adds_positions
        else jnp.zeros(direction.shape[:-1])
    )
    heads: dict[str, list[jax.Array]] = {unit.site: [] for unit in stack.attentions}
    biases: dict[str, list[jax.Array]] = {unit.site: [] for unit in stack.attentions}
    apart: dict[str, list[jax.Array]] = {unit.site: [] for unit in stack.attentions}
    memories, mlp_biases = [], []
    for i, layer in enumerate(layers):
        for unit in stack.attentions:
            at, own = f"{name}.{i}.{unit.site}", layer[unit.module]
            mixed = _at(records[f"{at}.heads"], positions)  # [batch, P, heads, depth]
            pull = _onto_heads(own, direction, mixed.shape[2])
            bias = _value_bias(own, *mixed.shape[2:])
            heads[unit.site].append(_dot(mixed - bias, pull))
            biases[unit.site].append((bias * pull).sum((-1, -2)) + _bias(own["out"], direction))
            if sources:
                values = _for_queries(records[f"{at}.values"], mixed.shape[2]) - bias
                seen = _of_queries(records[f"{at}.weights"], positions)
                each = jnp.einsum("bkhd,bphd->bphk", values, pull)
                apart[unit.site].append(seen * each)
        coefficients = _at(records[f"{name}.{i}.mlp.coefficients"], positions)
        memories.append(coefficients * (direction @ layer["mlp"]["wo"]["kernel"].T))
        mlp_biases.append(_bias(layer["mlp"]["wo"], direction))
    return Written(
        embedding=embedding,
        position=position,
        heads={site: jnp.stack(each) for site, each in heads.items()},
        sources={site: jnp.stack(each) for site, each in apart.items() if each},
        attention_bias={site: jnp.stack(each) for site, each in biases.items()},
        memories=jnp.stack(memories),
        mlp_bias=jnp.stack(mlp_biases),
        norm_bias=norm_bias,
    )


def _through_attention(
    run: _Run,
    attention: Params,
    unit: AttentionUnit,
    layer: int,
    positions: jax.Array,
    direction: jax.Array,
) -> jax.Array:
    """What a direction [batch, P, emb] is at the positions that are read, [batch, keys, emb]."""
    at = f"{ANSWERS}.{layer}.{unit.site}"
    seen = _of_queries(run.records[f"{at}.weights"], positions)  # [batch, P, heads, keys]
    pull = _onto_heads(attention, direction, seen.shape[2])
    depth = pull.shape[-1]
    kernel = attention["value"]["kernel"]  # [emb, heads of values * depth]
    shared = kernel.shape[1] // depth
    mixed = jnp.einsum("bphk,bphd->bkhd", seen, pull)
    groups = mixed.reshape(*mixed.shape[:2], shared, -1, depth).sum(3)
    return groups.reshape(*groups.shape[:2], -1) @ kernel.T


def _at(x: jax.Array, positions: jax.Array | None) -> jax.Array:
    """x [batch, length, ...] at positions [batch, P]; at all of them if None."""
    return x if positions is None else jax.vmap(lambda row, place: row[place])(x, positions)


def _of_queries(weights: jax.Array, positions: jax.Array | None) -> jax.Array:
    """Weights [batch, heads, queries, keys] as [batch, P, heads, keys]."""
    return _at(weights.swapaxes(1, 2), positions)


def _onto_heads(attention: Params, direction: jax.Array, heads: int) -> jax.Array:
    """A direction [batch, P, emb] as what each head must mix, [batch, P, heads, depth]."""
    joined = direction @ attention["out"]["kernel"].T
    return joined.reshape(*joined.shape[:2], heads, -1)


def _value_bias(attention: Params, heads: int, depth: int) -> jax.Array:
    """The bias of a head's values, [heads, depth]; 0 where there is none."""
    if "bias" not in attention["value"]:
        return jnp.zeros((heads, depth))
    bias = attention["value"]["bias"].reshape(-1, depth)
    return jnp.repeat(bias, heads // len(bias), axis=0)


def _for_queries(values: jax.Array, heads: int) -> jax.Array:
    """Values [batch, keys, shared heads, depth] for each head of queries."""
    return jnp.repeat(values, heads // values.shape[2], axis=2)


def _bias(kernel: Params, direction: jax.Array) -> jax.Array:
    """What a product's bias adds along a direction [batch, P, emb]: [batch, P]."""
    return direction @ kernel["bias"] if "bias" in kernel else jnp.zeros(direction.shape[:-1])


def _dot(x: jax.Array, y: jax.Array) -> jax.Array:
    return (x * y).sum(-1)
