"""config.json of a Hugging Face T5 and our T5Config, both ways."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.models import T5Config
from closedbook.vocabulary import EOS_ID, PAD_ID

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
# Their names of activation functions. Their plain "gelu" is exact, ours is the tanh approximation.
ACTIVATIONS = {
    "relu": "relu",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "silu": "silu",
    "swish": "silu",
    "linear": "linear",
}
_PROJECTIONS = {
    ("relu",): "relu",
    ("gelu",): "gelu_new",
    ("silu",): "silu",
    ("linear",): "linear",
    ("gelu", "linear"): "gated-gelu",
    ("silu", "linear"): "gated-silu",
    ("relu", "linear"): "gated-relu",
    ("linear", "linear"): "gated-linear",
}
_UMT5 = "umt5"  # as mT5, with position biases in every layer
_MODEL_TYPES = ("t5", "mt5", _UMT5)
BEGIN, EOS, PAD = "decoder_start_token_id", "eos_token_id", "pad_token_id"
_ENDS = {EOS: EOS_ID, PAD: PAD_ID}  # the same in every T5 that closedbook trains or reads


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        UserError: The file cannot be read or holds anything else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} must hold a JSON object, not {type(data).__name__}")
    return data


class HuggingFaceConfig:
    """The fields of a config.json, each checked when it is asked for.

    `generation_config.json` beside it is read too, for the ids with which `generate` of
    transformers begins and ends a text.
    """

    def __init__(self, path: pathlib.Path, data: dict[str, Any]):
        """Takes the file's content; raises UserError if it is not that of a T5 with a decoder."""
        self.path = path
        self.data = data
        kind = self.data.get("model_type")
        if kind not in _MODEL_TYPES:
            raise UserError(
                f"{path}: model_type is {kind!r}; models that can be read are "
                f"{', '.join(_MODEL_TYPES)}, gpt2 and llama (not longt5 or "
                "switch_transformers)"
            )
        self.kind = str(kind)
        names = self.data.get("architectures") or []
        wrong = ("EncoderModel", "ForTokenClassification", "ForSequenceClassification")
        for name in names if isinstance(names, list) else [names]:
            if str(name).endswith((*wrong, "ForQuestionAnswering")):
                raise UserError(
                    f"{path}: architectures names {name!r}; only T5ForConditionalGeneration, a "
                    "model that writes text, can be read"
                )
        if self.data.get("quantization_config"):
            raise UserError(
                f"{path}: quantization_config is set; give the model before it was quantised"
            )

    def _number(self, name: str, default: int | None = None) -> int:
        value = self.data.get(name)
        if value is None:
            value = default
        if type(value) is not int or not 0 < value < 2**31:
            raise UserError(f"{self.path}: {name} is {value!r}; it must be a positive integer")
        return value

    @property
    def scaled_logits(self) -> bool:
        """Whether outputs are multiplied by emb_dim ** -0.5 before the output matrix.

        transformers 4 scales if and only if the embeddings are tied; 5 says it apart, always
        writes "tied", and lets equal or absent output matrices decide.
        """
        tied, multilingual = self.data.get("tie_word_embeddings"), self.kind == "mt5"
        if tied is None:
            tied = not multilingual
        scaled = self.data.get("scale_decoder_outputs")
        if scaled is None:  # version 5 never scales an mT5
            scaled = tied and not (multilingual and self._major_version >= 5)
        if type(tied) is not bool or type(scaled) is not bool:
            raise UserError(
                f"{self.path}: tie_word_embeddings and scale_decoder_outputs must be true or false"
            )
        return scaled

    @property
    def tied_unscaled(self) -> bool:
        """Whether an absent output matrix is the embedding, without scaling (transformers 5)."""
        return self.data.get("tie_word_embeddings") is True and not self.scaled_logits

    @property
    def _major_version(self) -> int:
        major = str(self.data.get("transformers_version", "4")).partition(".")[0]
        return int(major) if major.isdecimal() and len(major) < 4 else 4

    def _begin_id(self) -> int:
        """The decoder's first input; the ids of ends and padding are checked.

        Raises:
            UserError: The files disagree, or say what our T5 cannot do.
        """
        generation = self.path.with_name(GENERATION_FILE)
        files = {self.path: self.data}
        if generation.is_file():
            files[generation] = read_json(generation)
        for name, ours in _ENDS.items():
            for path, data in files.items():
                value = data.get(name)
                value = value[0] if isinstance(value, list) and len(value) == 1 else value
                if value is not None and (type(value) is not int or value != ours):
                    raise UserError(
                        f"{path}: {name} is {value!r}; a T5 whose texts end with another id than "
                        f"{EOS_ID}, or which are padded with another than {PAD_ID} (MADLAD-400 has "
                        "2 and 1), cannot be read"
                    )
        found = {path: data[BEGIN] for path, data in files.items() if data.get(BEGIN) is not None}
        for path, value in found.items():
            if type(value) is not int or not 0 <= value < 2**31:
                raise UserError(f"{path}: {BEGIN} is {value!r}; it must be a token's id")
        if len(set(found.values())) > 1:
            said = ", but ".join(f"{path.name} says {value}" for path, value in found.items())
            raise UserError(
                f"{self.path.parent}: {BEGIN}, the decoder's first input: {said}; set both to that "
                "of the training"
            )
        return next(iter(found.values()), PAD_ID)

    def _activations(self) -> tuple[str, ...]:
        projection = self.data.get("feed_forward_proj")
        if projection is None:
            projection = "relu" if self.kind == "t5" else "gated-gelu"
        parts = str(projection).split("-")
        gated, function = parts[0] == "gated", parts[-1]
        if projection == "gated-gelu":
            function = "gelu_new"
        # Where these are given, they win in transformers too.
        function = self.data.get("dense_act_fn", function)
        gated = self.data.get("is_gated_act", gated)
        if type(gated) is not bool:
            raise UserError(f"{self.path}: is_gated_act is {gated!r}; it must be true or false")
        malformed = len(parts) - (parts[0] == "gated") != 1 or type(function) is not str
        if malformed or function not in ACTIVATIONS:
            raise UserError(
                f"{self.path}: feed_forward_proj {projection!r} with dense_act_fn {function!r} "
                f"cannot be expressed; activations that can: {', '.join(ACTIVATIONS)}"
            )
        ours = ACTIVATIONS[function]
        return (ours, "linear") if gated else (ours,)

    def architecture(self) -> T5Config:
        """Our configuration.

        Raises:
            UserError: A field is absent or malformed, or says what our T5 cannot do.
        """
        epsilon = self.data.get("layer_norm_epsilon", 1e-6)
        if epsilon != 1e-6:
            raise UserError(f"{self.path}: layer_norm_epsilon is {epsilon!r}; T5's is 1e-06")
        dropout = self.data.get("dropout_rate", 0.1)
        if type(dropout) not in (int, float) or not 0 <= dropout < 1:
            raise UserError(f"{self.path}: dropout_rate is {dropout!r}; it must be in [0, 1)")
        layers = self._number("num_layers")
        rows, begin_id = self._number("vocab_size"), self._begin_id()
        if begin_id >= rows:
            raise UserError(
                f"{self.path}: {BEGIN} is {begin_id}, but vocab_size, the rows of the embedding, "
                f"is {rows}"
            )
        return T5Config(
            vocab_size=rows,
            emb_dim=self._number("d_model"),
            num_heads=self._number("num_heads"),
            num_encoder_layers=layers,
            num_decoder_layers=self._number("num_decoder_layers", layers),
            head_dim=self._number("d_kv"),
            mlp_dim=self._number("d_ff"),
            mlp_activations=self._activations(),
            dropout_rate=float(dropout),
            logits_via_embedding=self.scaled_logits,
            relpos_buckets=self._number("relative_attention_num_buckets", 32),
            relpos_max_distance=self._number("relative_attention_max_distance", 128),
            relpos_per_layer=self.kind == _UMT5,
            begin_id=begin_id,
        )


def fields_of(config: T5Config, dtype: np.dtype) -> dict[str, Any]:
    """The content of config.json for transformers 4 and 5.

    Args:
        config: The architecture.
        dtype: Type of the parameters.

    Raises:
        UserError: The feed-forward unit cannot be expressed, or the scale of attention.
    """
    if config.scale_attn_logits:
        raise UserError(
            "T5Config.scale_attn_logits is True, which no Hugging Face config of a T5 can say; "
            "multiply the query kernels by head_dim ** -0.5 and set it to False, or write another "
            "format"
        )
    if config.mlp_activations not in _PROJECTIONS:
        raise UserError(
            f"T5Config.mlp_activations {config.mlp_activations!r} cannot be expressed in a Hugging "
            f"Face config; those that can: {', '.join(map(str, _PROJECTIONS))}"
        )
    projection = _PROJECTIONS[config.mlp_activations]
    function = {"gated-gelu": "gelu_new"}.get(projection, projection.rpartition("-")[2])
    tied, umt5 = config.logits_via_embedding, config.relpos_per_layer
    fields = {
        "architectures": [("UMT5" if umt5 else "T5") + "ForConditionalGeneration"],
        "classifier_dropout": 0.0,
        "d_ff": config.mlp_dim,
        "d_kv": config.head_dim,
        "d_model": config.emb_dim,
        "dense_act_fn": function,
        "dropout_rate": config.dropout_rate,
        "feed_forward_proj": projection,
        "initializer_factor": 1.0,
        "is_decoder": False,
        "is_encoder_decoder": True,
        "is_gated_act": len(config.mlp_activations) == 2,
        "layer_norm_epsilon": 1e-6,
        "model_type": _UMT5 if umt5 else "t5",
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
        "num_layers": config.num_encoder_layers,
        "relative_attention_max_distance": config.relpos_max_distance,
        "relative_attention_num_buckets": config.relpos_buckets,
        "scale_decoder_outputs": tied,
        "tie_word_embeddings": tied,
        "torch_dtype": str(dtype),  # version 4's name, which version 5 reads too
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }
    return dict(sorted((fields | _ENDS | {BEGIN: config.begin_id}).items()))


def write_config(folder: pathlib.Path, fields: Mapping[str, Any]) -> None:
    """Writes config.json, and the ids that begin and end a text into generation_config.json.

    Args:
        folder: The folder to write into.
        fields: From `fields_of`.
    """
    write_json(folder / CONFIG_FILE, dict(fields))
    write_json(folder / GENERATION_FILE, {name: fields[name] for name in (*_ENDS, BEGIN)})


def write_json(path: pathlib.Path, data: dict[str, Any]) -> None:
    """Writes an object, indented.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
