"""Hugging Face's names of a GPT-2's and a Llama's parameters, and ours.

GPT-2's products are [in, out] as ours, but queries, keys and values are one matrix; Llama's are
[out, in]. Both output matrices are [vocab, emb] where ours is [emb, vocab].
"""

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError

EMBEDDING = "token_embedder/embedding"
HEAD = "decoder/logits_dense/kernel"
THEIR_HEAD = "lm_head.weight"
_JOINED = ("query", "key", "value")  # in the order in which GPT-2 joins them


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one model type.

    Attributes:
        prefix: Of all but the output matrix; models saved without the output have none.
        layer: Before the number of a layer.
        outside: Ours of what is in no layer, by theirs.
        inside: Ours in a layer, by theirs; "{}" in ours stands for query, key and value, which
            are joined.
        transposed: Whether products are [out, in].
        unused: Buffers that hold nothing learned.
    """

    prefix: str
    layer: str
    outside: Mapping[str, str]
    inside: Mapping[str, str]
    transposed: bool
    unused: re.Pattern[str]


def _products(pairs: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{theirs}.{part}": f"{ours}/{our_part}"
        for theirs, ours in pairs.items()
        for part, our_part in (("weight", "kernel"), ("bias", "bias"))
    }


def _norms(pairs: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{theirs}.{part}": f"{ours}/{our_part}"
        for theirs, ours in pairs.items()
        for part, our_part in (("weight", "scale"), ("bias", "bias"))
    }


NAMES: dict[str, Names] = {
    "gpt2": Names(
        prefix="transformer.",
        layer="h.",
        outside={
            "wte.weight": EMBEDDING,
            "wpe.weight": "position_embedder/embedding",
            **_norms({"ln_f": "decoder/decoder_norm"}),
        },
        inside={
            **_norms({"ln_1": "pre_attention_layer_norm", "ln_2": "pre_mlp_layer_norm"}),
            **_products(
                {
                    "attn.c_attn": "attention/{}",
                    "attn.c_proj": "attention/out",
                    "mlp.c_fc": "mlp/wi",
                    "mlp.c_proj": "mlp/wo",
                }
            ),
        },
        transposed=False,
        unused=re.compile(r"h\.\d+\.attn\.(masked_)?bias"),  # the causal mask
    ),
    "llama": Names(
        prefix="model.",
        layer="layers.",
        outside={
            "embed_tokens.weight": EMBEDDING,
            "norm.weight": "decoder/decoder_norm/scale",
        },
        inside={
            "input_layernorm.weight": "pre_attention_layer_norm/scale",
            "post_attention_layernorm.weight": "pre_mlp_layer_norm/scale",
            **_products(
                {
                    "self_attn.q_proj": "attention/query",
                    "self_attn.k_proj": "attention/key",
                    "self_attn.v_proj": "attention/value",
                    "self_attn.o_proj": "attention/out",
                    "mlp.gate_proj": "mlp/wi_0",
                    "mlp.up_proj": "mlp/wi_1",
                    "mlp.down_proj": "mlp/wo",
                }
            ),
        },
        transposed=True,
        unused=re.compile(r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq"),
    ),
}
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,3})\.(.+)")
_OURS = re.compile(r"decoder/layers_(0|[1-9][0-9]{0,3})/(.+)")
Turn = Callable[[Tensor], Tensor]  # transposes a matrix


def to_ours(
    kind: str, weights: Mapping[str, Tensor], turn: Turn
) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by our names and in our shapes, and the names that the model type does not have.

    Args:
        kind: "gpt2" or "llama".
        weights: By their names.
        turn: Transposes a matrix.

    Raises:
        UserError: A joined matrix cannot be taken apart.
    """
    names, params, unknown = NAMES[kind], {}, []
    for theirs, tensor in weights.items():
        if theirs == THEIR_HEAD:
            params[HEAD] = turn(tensor)
            continue
        bare = theirs.removeprefix(names.prefix)
        ours = _ours(names, bare)
        if ours is None:
            if not names.unused.fullmatch(bare):
                unknown.append(theirs)
        elif "{}" in ours:
            for number, each in enumerate(_JOINED):
                params[ours.format(each)] = _part(tensor, number, len(_JOINED))
        else:
            turns = names.transposed and ours.endswith("/kernel")
            params[ours] = turn(tensor) if turns else tensor
    return params, unknown


def _ours(names: Names, bare: str) -> str | None:
    if bare in names.outside:
        return names.outside[bare]
    found = _NUMBER.fullmatch(bare.removeprefix(names.layer))
    if not bare.startswith(names.layer) or found is None:
        return None
    inner = names.inside.get(found[2])
    return f"decoder/layers_{found[1]}/{inner}" if inner else None


def to_theirs(
    kind: str, params: Mapping[str, Tensor], turn: Turn
) -> tuple[dict[str, Tensor], list[str]]:
    """The inverse of `to_ours`, for unrolled layers."""
    names, weights, unknown = NAMES[kind], {}, []
    outside = {ours: theirs for theirs, ours in names.outside.items()}
    inside = {
        ours.format(each): theirs
        for theirs, ours in names.inside.items()
        for each in (_JOINED if "{}" in ours else ("",))
    }
    joined: dict[str, dict[str, Tensor]] = {}
    for ours, tensor in params.items():
        found = _OURS.fullmatch(ours)
        theirs = outside.get(ours) if found is None else inside.get(found[2])
        if ours == HEAD:
            weights[THEIR_HEAD] = turn(tensor)
        elif theirs is None:
            unknown.append(ours)
        else:
            place = "" if found is None else f"{names.layer}{found[1]}."
            theirs = f"{names.prefix}{place}{theirs}"
            part = ours.split("/")[-2]
            if part in _JOINED and "c_attn" in theirs:
                joined.setdefault(theirs, {})[part] = tensor
            else:
                turns = names.transposed and ours.endswith("/kernel")
                weights[theirs] = turn(tensor) if turns else tensor
    for theirs, parts in joined.items():
        weights[theirs] = _together([parts[each] for each in _JOINED])
    return weights, unknown


def _part(tensor: Tensor, number: int, count: int) -> Tensor:
    """One of several equal parts of the last axis."""
    *front, width = tensor.shape or (0,)
    if width % count:
        raise UserError(f"{tensor.place} has {width} columns, which are not {count} equal parts")
    size = width // count
    begin = number * size

    def load(index: Index) -> np.ndarray:
        index = (*index, *(slice(None),) * (len(tensor.shape) - len(index)))
        first, last, step = index[-1].indices(size)
        return tensor.read((*index[:-1], slice(begin + first, begin + last, step)))

    return dataclasses.replace(tensor, shape=(*front, size), load=load)


def _together(parts: list[Tensor]) -> Tensor:
    """Equal parts side by side on the last axis."""
    first = parts[0]

    def load(index: Index) -> np.ndarray:
        # Written out whole; of a part more is read than is needed.
        return np.concatenate([part.read() for part in parts], axis=-1)[index]

    shape = (*first.shape[:-1], sum(part.shape[-1] for part in parts))
    return Tensor(
        shape=shape,
        dtype=first.dtype,
        place=f"{first.place} (and {len(parts) - 1} more)",
        load=load,
    )
