"""A T5 as a folder that CTranslate2 runs (https://opennmt.net/CTranslate2), in the user's cache.

Pieces are named by their ids ("0", "1", ..., in inputs "in0", "in1", ...), so that texts are cut by
the model's own vocabulary and nothing of another library is asked for. Written with CTranslate2's
own specifications.
"""

import contextlib
import importlib
import pathlib
from typing import Any

import jax
import numpy as np
import xxhash

from closedbook import whole_files
from closedbook.cache_folders import cache_folder, writing
from closedbook.errors import UserError, unknown_name
from closedbook.models import T5Config
from closedbook.models.families import Config
from closedbook.models.parameters import Params, apart
from closedbook.vocabulary import EOS_ID

KINDS = {"float32": "float32", "int8": "int8_float32"}  # of weights: CTranslate2's names
_FORMAT = 1  # of what is cached; raised when the same parameters are written otherwise
_ACTIVATIONS = {"relu": "RELU", "gelu": "GELUTanh", "silu": "SWISH"}


def ctranslate2() -> Any:
    """The package, which is an extra.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module("ctranslate2")
    except ImportError as error:
        raise UserError(
            "the engine ctranslate2 needs the package of that name; install closedbook with the "
            f'extra: pip install "closedbook[ctranslate2]" ({error})'
        ) from error


def check_held(config: Config) -> None:
    """Checks that CTranslate2 can hold a model, and is there.

    Raises:
        UserError: The model is of another family than T5, or has an activation that CTranslate2
            does not know; or the package is not installed.
    """
    why = None
    if not isinstance(config, T5Config):
        why = "it is no T5"
    else:
        first, *second = config.mlp_activations
        if first not in _ACTIVATIONS or second not in ([], ["linear"]):
            why = f"it knows no feed-forward unit of {' and '.join(config.mlp_activations)}"
    if why:
        raise UserError(
            f"the engine ctranslate2 cannot run this model ({config.title}): {why}; use the "
            "engine jax"
        )
    ctranslate2()


def folder_of(config: Config, params: Params, kind: str) -> pathlib.Path:
    """The model's folder in the user's cache, written if it is not there.

    Args:
        config: The model's.
        params: Its parameters, without metadata boxes, on this machine.
        kind: Of weights: "float32", or "int8", of which each row has a scale of its own.

    Raises:
        UserError: CTranslate2 cannot hold the model or is not installed, or the disk is full.
    """
    if kind not in KINDS:
        raise unknown_name("kind of weights", kind, KINDS)
    check_held(config)
    assert isinstance(config, T5Config)
    version = ctranslate2().__version__
    target = cache_folder() / "ctranslate2" / f"{_digest(config, params)}-{kind}-{version}"
    if not target.is_dir():
        with writing(target):
            _write(target, config, params, kind)
    return target


def _digest(config: T5Config, params: Params) -> str:
    digest = xxhash.xxh3_128(f"{_FORMAT} {config.canonical!r}".encode())
    for path, value in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(value)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)  # bfloat16 has no buffer of its own
    return digest.hexdigest()


def _write(target: pathlib.Path, config: T5Config, params: Params, kind: str) -> None:
    spec = _specification(config, params)
    spec.validate()
    spec.optimize(KINDS[kind])
    # Another process may have made the same folder meanwhile; its content is the same.
    with contextlib.suppress(FileExistsError), whole_files.folder(target) as folder:
        spec.save(str(folder))


def _specification(config: T5Config, params: Params) -> Any:
    specs = ctranslate2().specs
    layers = {"encoder": config.num_encoder_layers, "decoder": config.num_decoder_layers}
    params = apart(params, layers)
    activation, *gate = config.mlp_activations
    spec = specs.TransformerSpec.from_config(
        tuple(layers.values()),
        config.num_heads,
        pre_norm=True,
        activation=specs.Activation[_ACTIVATIONS[activation]],
        ffn_glu=bool(gate),
        relative_attention_bias=True,
        rms_norm=True,
    )
    embedding = _array(params["token_embedder"]["embedding"])
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight = embedding
    for name in layers:
        _set_stack(getattr(spec, name), params[name], config, name)
    if config.logits_via_embedding:
        spec.decoder.projection.weight = embedding
        spec.decoder.scale_outputs = np.float32(config.logit_scale)
    else:
        _set_linear(spec.decoder.projection, params["decoder"]["logits_dense"])
    names = [str(number) for number in range(config.vocab_size)]
    # An input of its end alone would be taken for none, and not be read.
    spec.register_source_vocabulary([f"in{name}" for name in names])
    spec.register_target_vocabulary(names)
    spec.config.unk_token = spec.config.eos_token = names[EOS_ID]  # no id is unknown
    spec.config.bos_token = spec.config.decoder_start_token = names[config.begin_id]
    spec.config.add_attribute("layer_norm_epsilon", config.norm_epsilon)
    return spec


def _set_stack(spec: Any, params: Params, config: T5Config, name: str) -> None:
    spec.scale_embeddings = False
    spec.layer_norm.gamma = _array(params[f"{name}_norm"]["scale"])
    decoder = name == "decoder"
    for number, layer in enumerate(spec.layer):
        own = params[f"layers_{number}"]
        of_self = "self_attention" if decoder else "attention"
        mine = layer.self_attention
        mine.layer_norm.gamma = _array(own[f"pre_{of_self}_layer_norm"]["scale"])
        attention = own[of_self]
        _set_linear(mine.linear[0], *(attention[each] for each in ("query", "key", "value")))
        _set_linear(mine.linear[1], attention["out"])
        biases = own if config.relpos_per_layer else params
        # Of [heads, buckets]; theirs has the buckets first.
        mine.relative_attention_bias = _array(biases["relpos_bias"]["rel_embedding"]).T.copy()
        mine.relative_attention_max_distance = np.int32(config.relpos_max_distance)
        scaled = [mine]
        if decoder:
            cross, theirs = layer.attention, own["encoder_decoder_attention"]
            cross.layer_norm.gamma = _array(own["pre_cross_attention_layer_norm"]["scale"])
            _set_linear(cross.linear[0], theirs["query"])
            _set_linear(cross.linear[1], theirs["key"], theirs["value"])
            _set_linear(cross.linear[2], theirs["out"])
            scaled.append(cross)
        for each in scaled:
            each.queries_scale = np.float32(
                config.head_dim**-0.5 if config.scale_attn_logits else 1.0
            )
        unit = own["mlp"]
        layer.ffn.layer_norm.gamma = _array(own["pre_mlp_layer_norm"]["scale"])
        gated = "wi_0" in unit
        _set_linear(layer.ffn.linear_0, unit["wi_0" if gated else "wi"])
        if gated:
            _set_linear(layer.ffn.linear_0_noact, unit["wi_1"])
        _set_linear(layer.ffn.linear_1, unit["wo"])


def _set_linear(spec: Any, *kernels: Params) -> None:
    """Products with kernels [in, out], side by side; theirs are [out, in]."""
    spec.weight = np.concatenate([_array(each["kernel"]).T for each in kernels])


def _array(value: Any) -> np.ndarray:
    """A copy, because CTranslate2 rounds in place."""
    return np.array(value, np.float32)
