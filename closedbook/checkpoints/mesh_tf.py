"""Checkpoints of Mesh TensorFlow, the form in which the first T5s were published.

A checkpoint is `model.ckpt-N.index` and one or more `model.ckpt-N.data-0000i-of-0000n`, written by
`tf.train.Saver`; TensorFlow reads it, tensor by tensor, and checks each tensor's checksum.

What is known of the layout, and from where:
- Names: the patterns below are those that T5X's own importer takes (t5x/checkpoint_importer.py),
  and the 105 names in the index of its test checkpoint (t5x/testdata/mtf_tiny_t5).
- Shapes: `model-info.txt` of that checkpoint names every axis, and Mesh TensorFlow creates them so
  (mesh_tensorflow/transformer/attention.py, `AttentionParams`; transformer_layers.py): q, k and v
  [d_model, heads * d_kv], o [heads * d_kv, d_model], wi [d_model, d_ff], wo [d_ff, d_model],
  relative_attention_bias [heads, buckets], embedding [vocab, d_model], logits [d_model, vocab].
  T5X stores the same; nothing is transposed.
- Norms are called `rms_norm`, in older files `layer_norm` and `final_layer_norm` (transformer.py,
  `sublayer_legacy_rms_norm`).
- Types: the checkpoint's `master_dtype`, float32 or bfloat16; accumulators are float32.
- Accumulators (mesh_tensorflow/optimize.py, `AdafactorOptimizer`): `_slot_vr` is the mean over the
  largest dimension, as v_row is here and in T5X, and `_slot_vc` the mean over the second largest.
  Of two equal dimensions Mesh TensorFlow takes the first for the largest (a stable descending
  sort) and T5X the last (an ascending one). So for square parameters vr and vc change places
  here, and the next step is the one that Mesh TensorFlow would have taken. T5X's importer keeps
  them in place, which gives each accumulator to the other axis.
- Variables beside parameters and accumulators: `global_step` alone (`tf.global_variables()`).
"""

import contextlib
import pathlib
import re
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.errors import UserError

GLOBAL_STEP = "global_step"
_SLOTS = {"vr": "v_row", "vc": "v_col", "v": "v", "m": "m"}
_SLOT = re.compile(r"^(.+)_slot_(vr|vc|v|m)$")
_OTHER_OPTIMIZERS = {"/adam_m": "Adam", "/adam_v": "Adam", "_momentum_v": "momentum"}
_BLOCK = re.compile(r"^(encoder|decoder)/block_(\d+)/layer_(\d+)/(.+)$")
_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "out"}
_NORM = re.compile(r"^(?:layer|rms)_norm/scale$")
_MLP = re.compile(r"^DenseReluDense/(wi|wi_0|wi_1|wo)/kernel$")
_BIAS = "SelfAttention/relative_attention_bias"
# The layers of a block, in order: Mesh TensorFlow's class, T5X's name, the norm before it.
_LAYERS = {
    "encoder": [
        ("SelfAttention", "attention", "pre_attention_layer_norm"),
        ("DenseReluDense", "mlp", "pre_mlp_layer_norm"),
    ],
    "decoder": [
        ("SelfAttention", "self_attention", "pre_self_attention_layer_norm"),
        ("EncDecAttention", "encoder_decoder_attention", "pre_cross_attention_layer_norm"),
        ("DenseReluDense", "mlp", "pre_mlp_layer_norm"),
    ],
}
_OUTSIDE_BLOCKS = {
    "shared/embedding": "token_embedder/embedding",
    "encoder/rms_norm/scale": "encoder/encoder_norm/scale",
    "encoder/final_layer_norm/scale": "encoder/encoder_norm/scale",
    "decoder/rms_norm/scale": "decoder/decoder_norm/scale",
    "decoder/final_layer_norm/scale": "decoder/decoder_norm/scale",
    "decoder/logits/kernel": "decoder/logits_dense/kernel",
}
_FLOATS = ("float32", "bfloat16", "float16", "float64")


def open_mesh_tf(prefix: pathlib.Path) -> Checkpoint:
    """Opens FOLDER/model.ckpt-N; tensors are read when asked for.

    Args:
        prefix: The checkpoint's files without ".index" and ".data-...".

    Returns:
        The checkpoint with unrolled layers. `slots` holds Adafactor's accumulators if every
        parameter has whole ones, filled up with unused ones as T5X keeps them.

    Raises:
        UserError: TensorFlow is not installed; a file is absent, truncated or damaged; a variable
            is none of an encoder-decoder T5's.
    """
    shards = _shards(prefix)
    tensorflow = _tensorflow(prefix)
    reader, shapes, types = _open(tensorflow, prefix)
    lock = threading.Lock()  # TensorFlow's reader is for one thread at a time

    def get(name: str) -> np.ndarray:
        try:
            with lock:
                return np.asarray(reader.get_tensor(name))
        except (tensorflow.errors.OpError, IndexError) as error:
            raise OSError(_words(error)) from error

    tensors = {
        name: _tensor(prefix, name, shape, types[name], get) for name, shape in shapes.items()
    }
    claimed = sum(tensor.nbytes for tensor in tensors.values())
    stored = sum(path.stat().st_size for path in shards)
    if claimed > stored:
        sizes = ", ".join(f"{path.name} {path.stat().st_size:,}" for path in shards)
        raise UserError(
            f"{prefix}.index lists {claimed:,} bytes of tensors, its data files hold {stored:,} "
            f"({sizes}); a file is truncated, copy or download it again"
        )
    step = tensors.pop(GLOBAL_STEP, None)
    if step is not None and (step.shape != () or step.dtype.kind not in "iu"):
        raise UserError(f"{step.place} is {step.dtype} of shape {step.shape}, not a whole number")
    params, slots, other = _sorted_out(prefix, tensors)
    whole, incomplete = _slots(params, slots)
    return Checkpoint(
        format=Format.MESH_TF,
        path=str(prefix),
        params=params,
        slots=whole,
        other_optimizer=other or incomplete,
        step=None if step is None else int(step.read()),
    )


def parameter_name(variable: str) -> str | None:
    """T5X's name of a variable of Mesh TensorFlow, or None if a T5 has no such parameter.

    >>> parameter_name("decoder/block_003/layer_001/EncDecAttention/k")
    'decoder/layers_3/encoder_decoder_attention/key/kernel'
    """
    if variable in _OUTSIDE_BLOCKS:
        return _OUTSIDE_BLOCKS[variable]
    match = _BLOCK.match(variable)
    if not match:
        return None
    stack, block, rest = match[1], int(match[2]), match[4]
    if int(match[3]) >= len(_LAYERS[stack]):
        return None
    kind, layer, norm = _LAYERS[stack][int(match[3])]
    folder = f"{stack}/layers_{block}"
    if rest == _BIAS and kind == "SelfAttention" and block == 0:
        return f"{stack}/relpos_bias/rel_embedding"
    if _NORM.match(rest):
        return f"{folder}/{norm}/scale"
    name, _, part = rest.partition("/")
    if name != kind:
        return None
    if kind == "DenseReluDense":
        mlp = _MLP.match(rest)
        return f"{folder}/{layer}/{mlp[1]}/kernel" if mlp else None
    return f"{folder}/{layer}/{_ATTENTION[part]}/kernel" if part in _ATTENTION else None


def _tensorflow(prefix: pathlib.Path) -> types.ModuleType:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise UserError(
            f"reading {prefix} needs TensorFlow, which does not load here ({error}); install it, "
            "or convert the checkpoint with `closedbook convert` where it is installed"
        ) from error
    # Refused if something else has set TensorFlow's devices up before, and has decided on them.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")
    return tf


def _shards(prefix: pathlib.Path) -> list[pathlib.Path]:
    if not prefix.with_name(prefix.name + ".index").is_file():
        raise UserError(f"no {prefix}.index; give FOLDER/model.ckpt-N without the endings")
    pattern = re.compile(re.escape(prefix.name) + r"\.data-(\d{5})-of-(\d{5})")
    found = {
        (int(match[2]), int(match[1])): path
        for path in prefix.parent.iterdir()
        if (match := pattern.fullmatch(path.name))
    }
    counts = sorted({count for count, _ in found})
    if len(counts) > 1:
        raise UserError(
            f"{prefix}.data-* are the files of several checkpoints, of {counts} files each; "
            "remove those that do not belong to the .index file"
        )
    missing = [
        i for i in range(counts[0] if counts else 1) if not counts or (counts[0], i) not in found
    ]
    if missing:
        count = f"{counts[0]:05d}" if counts else "*"
        names = ", ".join(f"{prefix}.data-{i:05d}-of-{count}" for i in missing[:5])
        raise UserError(f"missing {names}; copy or download the data files beside the .index file")
    return [found[key] for key in sorted(found)]


def _open(
    tf: types.ModuleType, prefix: pathlib.Path
) -> tuple[Any, dict[str, tuple[int, ...]], dict[str, Any]]:
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        dtypes = reader.get_variable_to_dtype_map()
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(
            f"{prefix}.index cannot be read: {_words(error)}; the file is damaged or is no index "
            "of a TensorFlow checkpoint, copy or download it again"
        ) from error
    return reader, {name: tuple(shape) for name, shape in sorted(shapes.items())}, dtypes


def _tensor(
    prefix: pathlib.Path,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    get: Callable[[str], np.ndarray],
) -> Tensor:
    place = f"{prefix}: {name}"
    try:
        stored = np.dtype(dtype.as_numpy_dtype)
    except TypeError as error:
        raise UserError(f"{place} has a type without numbers: {dtype}") from error
    if name != GLOBAL_STEP and stored.name not in _FLOATS:
        raise UserError(f"{place} has type {stored.name}; a T5's variables are {_FLOATS}")
    return Tensor(shape=shape, dtype=stored, place=place, load=lambda index: get(name)[index])


def _sorted_out(
    prefix: pathlib.Path, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor], str]:
    """Parameters and accumulators under T5X's names, and the name of another optimiser."""
    params: dict[str, Tensor] = {}
    slots: dict[str, Tensor] = {}
    other = ""
    unknown: dict[str, None] = {}
    for variable, tensor in tensors.items():
        optimizer = next((o for end, o in _OTHER_OPTIMIZERS.items() if variable.endswith(end)), "")
        if optimizer:
            other = optimizer
            continue
        slot = _SLOT.match(variable)
        parameter = slot[1] if slot else variable
        name = parameter_name(parameter)
        if name is None:
            unknown[parameter] = None
            continue
        target, key = (slots, f"{name}/{_SLOTS[slot[2]]}") if slot else (params, name)
        if key in target:
            raise UserError(f"{target[key].place} and {variable} both stand for {key}; keep one")
        target[key] = tensor
    if unknown:
        raise _refusal(prefix, list(unknown))
    return params, slots, other


def _refusal(prefix: pathlib.Path, unknown: list[str]) -> UserError:
    if any(name.endswith(_BIAS) for name in unknown):
        reason = "it has a relative position bias for each layer, closedbook's T5 one for a stack"
    elif any(re.match(r"(encoder|decoder)/embedding", name) for name in unknown):
        reason = "encoder and decoder have embeddings of their own, closedbook's T5 shares one"
    elif any(name.startswith("transformer/") for name in unknown):
        reason = "it is a decoder-only model, closedbook reads encoder-decoder T5s"
    else:
        reason = "closedbook's T5 has no such parameters"
    shown = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
    return UserError(f"{prefix} is not a T5 that closedbook can hold: {reason}: {shown}")


def _slots(
    params: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor] | None, str]:
    """Every parameter's four accumulators; or None, and what is wrong with those that there are."""
    if not found:
        return None, ""
    whole: dict[str, Tensor] = {}
    for name, parameter in params.items():
        mine = {
            slot: found[f"{name}/{slot}"] for slot in _SLOTS.values() if f"{name}/{slot}" in found
        }
        factored = len(parameter.shape) == 2 and "v" not in mine
        if (
            factored
            and parameter.shape[0] == parameter.shape[1]
            and {"v_row", "v_col"} <= set(mine)
        ):
            mine["v_row"], mine["v_col"] = mine["v_col"], mine["v_row"]
        smaller, larger = sorted(parameter.shape) if factored else (0, 0)
        wanted: dict[str, tuple[int, ...]] = (
            {"v_row": (smaller,), "v_col": (larger,)} if factored else {"v": parameter.shape}
        )
        if "m" in mine:
            wanted["m"] = parameter.shape
        if {slot: tensor.shape for slot, tensor in mine.items()} != wanted:
            return None, f"Adafactor, incomplete: {name} has no whole accumulators"
        for slot in _SLOTS.values():
            unused = Tensor.of(np.zeros((1,), np.float32), f"{parameter.place}, no {slot}")
            whole[f"{name}/{slot}"] = mine.get(slot, unused)
    return whole, ""


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
