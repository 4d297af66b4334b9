"""Which model a checkpoint holds, and whether it is whole; shapes alone tell a T5."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from closedbook.checkpoints.layouts import is_scanned
from closedbook.checkpoints.tensors import SLOTS, Checkpoint, Tensor
from closedbook.errors import UserError, listed
from closedbook.models import DecoderOnlyConfig, T5Config, decoder_only
from closedbook.models.families import Config
from closedbook.models.parameters import LAYER_AXIS
from closedbook.models.stack import Shape, layers_of
from closedbook.models.t5.sizes import SIZES

_BIASES = "relpos_bias/rel_embedding"  # of a stack, or of each of its layers
_MOST_LAYERS = 1000  # of a stack; more would only make an endless list of missing names


def recognise(checkpoint: Checkpoint) -> Config:
    """The architecture of a checkpoint, every parameter checked.

    Of a T5, shapes tell all but the activation, which is ReLU in an ungated and tanh-approximated
    GELU in a gated feed-forward layer of every public T5 (Raffel et al. 2020; Shazeer 2020), and
    the furthest relative position, which is 128. Where the format itself says more, that is taken;
    a decoder-only model is known only where it does.

    Raises:
        UserError: Parameters are missing, unknown or of another shape; all are listed, with the
            place of each.
    """
    config = checkpoint.config or _from_shapes(checkpoint)
    config = dataclasses.replace(config, scan_layers=is_scanned(checkpoint.params))
    _check_sizes(config, checkpoint.path)
    found = {name: tensor.shape for name, tensor in checkpoint.params.items()}
    places = {name: tensor.place for name, tensor in checkpoint.params.items()}
    check_shapes(found, parameter_shapes(config), where=checkpoint.path, places=places)
    if checkpoint.slots is not None:
        _check_slots(checkpoint)
    return config


def _check_sizes(config: Config, where: str) -> None:
    for name, stack in config.stacks.items():
        if not 0 < stack.layers <= _MOST_LAYERS:
            raise UserError(
                f"{where}: the {name} has {stack.layers} layers; it must have 1 to {_MOST_LAYERS}"
            )


def parameter_shapes(config: Config) -> dict[str, Shape]:
    """Names and shapes of all parameters; those of a T5 are T5X's."""
    if isinstance(config, DecoderOnlyConfig):
        return decoder_only.parameter_shapes(config)
    emb, joined, mlp = config.emb_dim, config.joined_kv, config.mlp_dim
    attention = {
        **{f"{each}/kernel": (emb, joined) for each in ("query", "key", "value")},
        "out/kernel": (joined, emb),
    }
    gated = len(config.mlp_activations) > 1
    inner = [f"wi_{i}" for i in range(len(config.mlp_activations))] if gated else ["wi"]
    feed_forward: dict[str, Shape] = {f"mlp/{each}/kernel": (emb, mlp) for each in inner}
    feed_forward |= {"mlp/wo/kernel": (mlp, emb), "pre_mlp_layer_norm/scale": (emb,)}
    stacks: dict[str, dict[str, Shape]] = {
        "encoder": {f"attention/{name}": shape for name, shape in attention.items()}
        | {"pre_attention_layer_norm/scale": (emb,)}
        | feed_forward,
        "decoder": {f"self_attention/{name}": shape for name, shape in attention.items()}
        | {f"encoder_decoder_attention/{name}": shape for name, shape in attention.items()}
        | {"pre_self_attention_layer_norm/scale": (emb,)}
        | {"pre_cross_attention_layer_norm/scale": (emb,)}
        | feed_forward,
    }
    shapes: dict[str, Shape] = {"token_embedder/embedding": (config.vocab_size, emb)}
    for side, layer in stacks.items():
        biases = (config.num_heads, config.relpos_buckets)
        if config.relpos_per_layer:
            layer[_BIASES] = biases
        else:
            shapes[f"{side}/{_BIASES}"] = biases
        shapes[f"{side}/{side}_norm/scale"] = (emb,)
        stacked = layers_of(config, side).parameter_shapes(layer)
        shapes |= {f"{side}/{name}": shape for name, shape in stacked.items()}
    if not config.logits_via_embedding:
        shapes["decoder/logits_dense/kernel"] = (emb, config.vocab_size)
    return shapes


def check_shapes(
    found: Mapping[str, Shape],
    wanted: Mapping[str, Shape],
    *,
    where: str,
    places: Mapping[str, str] | None = None,
) -> None:
    """Checks that arrays are the wanted ones, by name and shape.

    Args:
        found: Shapes of the arrays that there are, by name.
        wanted: Shapes of the arrays that there should be, by name.
        where: The checkpoint, for the message.
        places: File and name in the file of each array, for the message.

    Raises:
        UserError: Lists all that are missing, extra or of another shape.
    """

    def at(name: str) -> str:
        return f" ({places[name]})" if places and name in places else ""

    lines = [f"  missing: {name} {wanted[name]}" for name in sorted(wanted.keys() - found.keys())]
    lines += [
        f"  extra: {name} {found[name]}{at(name)}" for name in sorted(found.keys() - wanted.keys())
    ]
    lines += [
        f"  other shape: {name} is {found[name]}, the model has {wanted[name]}{at(name)}"
        for name in sorted(wanted.keys() & found.keys())
        if found[name] != wanted[name]
    ]
    if lines:
        raise UserError(
            f"{where} does not fit the model (version, size or layer layout differ?):\n"
            + listed(lines)
        )


def describe(config: Config) -> str:
    """A model in words: "T5 1.1 xl", or its dimensions."""
    if isinstance(config, DecoderOnlyConfig):
        return _describe_decoder_only(config)
    for name, size in SIZES.items():
        if all(getattr(config, field) == getattr(size, field) for field in _SHAPE_FIELDS):
            version, _, rest = name.removeprefix("t5_").rpartition("_")
            return f"T5 {'1.1' if version else '1.0'} {rest}"
    return (
        f"{config.title}, {config.num_encoder_layers} + {config.num_decoder_layers} layers, "
        f"emb {config.emb_dim}, {config.num_heads} heads of {config.head_dim}, "
        f"mlp {config.mlp_dim} ({' x '.join(config.mlp_activations)})"
    )


def _describe_decoder_only(config: DecoderOnlyConfig) -> str:
    norm = {"layer": "LayerNorm", "rms": "RMSNorm"}[config.norm]
    heads = f"{config.num_heads} heads of {config.head_dim}"
    if config.kv_heads != config.num_heads:
        heads += f" ({config.kv_heads} of keys and values)"
    return (
        f"decoder-only, {config.num_layers} layers, emb {config.emb_dim}, {heads}, "
        f"mlp {config.mlp_dim} ({' x '.join(config.mlp_activations)}), {norm}, "
        f"{config.positions} positions"
    )


_SHAPE_FIELDS = (
    *("emb_dim", "num_heads", "num_encoder_layers", "num_decoder_layers", "head_dim"),
    *("mlp_dim", "mlp_activations", "logits_via_embedding", "relpos_per_layer"),
)


def _from_shapes(checkpoint: Checkpoint) -> T5Config:
    params = checkpoint.params
    scanned = is_scanned(params)
    first = "encoder/layers" if scanned else "encoder/layers_0"
    gated = f"{first}/mlp/wi_0/kernel" in params
    inner = "wi_0" if gated else "wi"
    per_layer = f"{first}/{_BIASES}" in params
    biases = f"{first if per_layer else 'encoder'}/{_BIASES}"
    essential = (
        "token_embedder/embedding",
        biases,
        f"{first}/attention/query/kernel",
        f"{first}/mlp/{inner}/kernel",
    )
    missing = [name for name in essential if name not in params]
    if missing:
        some = ", ".join(list(params)[:5]) or "no parameters at all"
        raise UserError(
            f"{checkpoint.path} ({checkpoint.format}) is not a T5 that closedbook knows: "
            f"{', '.join(missing)} missing; it holds {some}, ..."
        )

    def matrix(name: str) -> Shape:
        tensor: Tensor = params[name]
        shape = tensor.shape
        if scanned and "/layers/" in name:
            shape = shape[:LAYER_AXIS] + shape[LAYER_AXIS + 1 :]
        if len(shape) != 2 or 0 in shape:
            raise UserError(f"{tensor.place} has shape {tensor.shape}; expected is a matrix")
        return shape

    vocab, emb = matrix("token_embedder/embedding")
    heads, buckets = matrix(biases)
    joined = matrix(f"{first}/attention/query/kernel")[1]
    if joined % heads:
        raise UserError(
            f"{params[f'{first}/attention/query/kernel'].place} has {joined} columns, which "
            f"{heads} heads ({params[biases].place}) do not divide"
        )
    return T5Config(
        vocab_size=vocab,
        emb_dim=emb,
        num_heads=heads,
        num_encoder_layers=_depth(params, "encoder", scanned),
        num_decoder_layers=_depth(params, "decoder", scanned),
        head_dim=joined // heads,
        mlp_dim=matrix(f"{first}/mlp/{inner}/kernel")[1],
        mlp_activations=("gelu", "linear") if gated else ("relu",),
        dropout_rate=0.05 if gated else 0.1,
        logits_via_embedding="decoder/logits_dense/kernel" not in params,
        relpos_buckets=buckets,
        relpos_per_layer=per_layer,
        scan_layers=scanned,
    )


def _depth(params: Mapping[str, Tensor], side: str, scanned: bool) -> int:
    if scanned:
        stacks = [t.shape for name, t in params.items() if name.startswith(f"{side}/layers/")]
        return max((shape[LAYER_AXIS] for shape in stacks if len(shape) > LAYER_AXIS), default=0)
    numbers = _layer_numbers(params, side)
    return max(numbers, default=-1) + 1


def _layer_numbers(names: Iterable[str], side: str) -> set[int]:
    found = (re.match(rf"{side}/layers_(\d+)/", name) for name in names)
    # A number that is absurd would only make an endless list of missing layers.
    return {int(match.group(1)) for match in found if match and len(match.group(1)) <= 3}


def _check_slots(checkpoint: Checkpoint) -> None:
    slots: Mapping[str, Any] = checkpoint.slots or {}
    bad = []
    for name in slots:
        parameter, _, slot = name.rpartition("/")
        if parameter not in checkpoint.params or slot not in SLOTS:
            bad.append(f"  extra: {name} ({slots[name].place})")
    for parameter in checkpoint.params:
        bad += [
            f"  missing: {parameter}/{slot}" for slot in SLOTS if f"{parameter}/{slot}" not in slots
        ]
    if bad:
        raise UserError(
            f"{checkpoint.path}: the optimiser state is not a whole Adafactor state (drop it with "
            "--optimizer drop, or RestoreCheckpointConfig.optimizer = 'reset'):\n" + listed(bad)
        )
