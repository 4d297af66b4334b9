"""Configuration of a decoder-only transformer."""

import dataclasses
import math
from typing import Any, ClassVar

from closedbook.errors import UserError, unknown_name
from closedbook.models.layers import ACTIVATIONS
from closedbook.models.precision import CHOICES, Precision
from closedbook.models.sites import AttentionUnit, Stack
from closedbook.models.stack import REMAT_POLICIES

POSITIONS = ("learned", "sinusoidal", "rotary")
NORMS = ("layer", "rms")
# There is one attention, so it is plainly "attention"; an encoder-decoder's decoder has two.
_SITES = (
    *("resid_pre", "attention.values", "attention.weights", "attention.heads", "attention.out"),
    *("mlp.coefficients", "mlp.out", "resid_post"),
)
_ATTENTIONS = (AttentionUnit("attention", "attention", "decoder"),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderOnlyConfig:
    """Shape and numerics of a transformer that predicts the next token.

    Layers normalise before attention and before the feed-forward unit. The defaults are GPT-2's
    (Radford et al. 2019); the Llama block (Touvron et al. 2023) has rotary positions, RMSNorm,
    ("silu", "linear") and no biases; the language model of Geva et al. 2021 has ("relu",).
    `closedbook.models.decoder_only.SIZES` holds examples.
    """

    family: ClassVar[str] = "decoder_only"
    continues_prompt: ClassVar[bool] = True  # an answer goes on with the input's own text
    logit_scale: ClassVar[float] = 1.0  # of products with the output matrix

    vocab_size: int = 50257  # rows of the embedding
    emb_dim: int = 768
    num_heads: int = 12
    num_kv_heads: int = 0  # of keys and values, each serving a group of heads; 0: num_heads
    num_layers: int = 12
    head_dim: int = 64
    mlp_dim: int = 3072
    mlp_activations: tuple[str, ...] = ("gelu",)  # two names: a gated unit, their product
    attention_bias: bool = True  # of all four products
    mlp_bias: bool = True  # of all products of the feed-forward unit
    norm: str = "layer"  # "layer": mean and variance, with bias; "rms": root mean square, without
    norm_epsilon: float = 1e-5
    positions: str = "learned"  # added to the embeddings; or "sinusoidal", added; or "rotary"
    max_positions: int = 1024  # rows of learned positions; of other kinds the longest of training
    rope_theta: float = 10000.0  # wavelengths of rotary positions go from 2 pi to 2 pi theta
    # Llama 3.1 stretches long wavelengths: by the factor those above original_positions / low,
    # not at all those below original_positions / high. A factor of 1 leaves all as they are.
    rope_factor: float = 1.0
    rope_low: float = 1.0
    rope_high: float = 4.0
    rope_original_positions: int = 8192
    embedding_scale: float = 1.0  # of token embeddings as inputs; Vaswani et al.: emb_dim ** 0.5
    logits_via_embedding: bool = True  # the output matrix is the embedding; otherwise its own
    dropout_rate: float = 0.1
    bos_id: int = -1  # begins a text; -1 for none
    eos_id: int = 50256  # ends a text; -1 for none
    pad_id: int = -1  # fills up rows; -1 where every id is a piece, as in GPT-2
    add_bos: bool = False  # whether the model was trained with bos_id before each text
    dtype: str = "float32"  # of activations and products, or "auto"; parameters stay float32
    scan_layers: bool = False  # one compiled layer, parameters stacked on axis 1
    remat_policy: str = "none"  # "products", "minimal", "full": ever less is kept

    def __post_init__(self) -> None:
        # gin and JSON hand over lists; a tuple keeps the config hashable.
        object.__setattr__(self, "mlp_activations", tuple(self.mlp_activations))
        for name in self.mlp_activations:
            self._one_of("mlp_activations", name, ACTIVATIONS)
        self._require("mlp_activations", bool(self.mlp_activations), "one name or two")
        self._one_of("norm", self.norm, NORMS)
        self._one_of("positions", self.positions, POSITIONS)
        self._one_of("remat_policy", self.remat_policy, REMAT_POLICIES)
        self._one_of("dtype", self.dtype, CHOICES)
        for name in ("vocab_size", "emb_dim", "num_heads", "num_layers", "head_dim", "mlp_dim"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("max_positions", self.max_positions >= 1, "at least 1")
        divides = self.num_kv_heads >= 0 and self.num_heads % self.kv_heads == 0
        self._require("num_kv_heads", divides, f"a divisor of num_heads, {self.num_heads}, or 0")
        for name in ("norm_epsilon", "rope_theta", "rope_factor", "rope_low", "embedding_scale"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and value > 0, "above 0")
        self._require("rope_high", self.rope_high > self.rope_low, "above rope_low")
        if self.positions == "rotary":
            self._require("head_dim", self.head_dim % 2 == 0, "even with rotary positions")
        if self.positions == "sinusoidal":
            self._require("emb_dim", self.emb_dim % 2 == 0, "even with sinusoidal positions")
        self._require("dropout_rate", 0.0 <= self.dropout_rate < 1.0, "in [0, 1)")
        for name in ("bos_id", "eos_id", "pad_id"):
            inside = -1 <= getattr(self, name) < self.vocab_size
            self._require(name, inside, f"a row of the embedding, below {self.vocab_size}, or -1")
        self._require("add_bos", not self.add_bos or self.bos_id >= 0, "false without bos_id")
        # What ends a text or begins one would otherwise be taken for padding.
        clash = self.pad_id >= 0 and self.pad_id in (self.bos_id, self.eos_id)
        self._require("pad_id", not clash, "another than bos_id and eos_id; -1 always works")

    def _one_of(self, name: str, value: str, valid: Any) -> None:
        if value not in valid:
            raise unknown_name(f"value of DecoderOnlyConfig.{name}", value, valid)

    def _require(self, name: str, holds: bool, remedy: str) -> None:
        if not holds:
            raise UserError(
                f"DecoderOnlyConfig.{name} is {getattr(self, name)!r}; it must be {remedy}"
            )

    @property
    def canonical(self) -> "DecoderOnlyConfig":
        """Without what a run may choose anew or never reads: equal for configurations of one model.

        Positions that are worked out, not learned, have no end: a model that is trained on may then
        see longer texts. What fills up rows is seen by no other token.
        """
        unread: dict[str, Any] = {}
        if self.positions != "learned":
            unread["max_positions"] = 1
        if self.positions != "rotary":
            unread |= {"rope_theta": 1.0, "rope_factor": 1.0}
        if self.positions != "rotary" or self.rope_factor == 1.0:
            unread |= {"rope_low": 1.0, "rope_high": 2.0, "rope_original_positions": 1}
        return dataclasses.replace(
            self,
            num_kv_heads=self.kv_heads,
            bos_id=self.begin_id,
            pad_id=-1,
            dropout_rate=0.0,
            dtype="float32",
            scan_layers=False,
            remat_policy="none",
            **unread,
        )

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_kv_heads or self.num_heads

    @property
    def adds_positions(self) -> bool:
        """Whether positions are vectors that are added to token embeddings."""
        return self.positions != "rotary"

    @property
    def begin_id(self) -> int:
        """What stands before the first token of a text in training: BOS, or what ends texts."""
        return self.bos_id if self.bos_id >= 0 else self.eos_id

    @property
    def title(self) -> str:
        """For people."""
        unit = " x ".join(self.mlp_activations)
        return f"decoder-only ({unit}, {self.positions} positions)"

    @property
    def joined_kv(self) -> int:
        """Width of all heads of queries side by side."""
        return self.num_heads * self.head_dim

    def most_positions(self, *, after: int) -> int | None:
        """How long an input may be where `after` tokens follow it; None for any.

        The last token that is written is not read, so it needs no position.
        """
        return self.max_positions + 1 - after if self.positions == "learned" else None

    @property
    def precision(self) -> Precision:
        """The number types of parameters, products and sums."""
        return Precision.of(self.dtype)

    @property
    def stacks(self) -> dict[str, Stack]:
        """The one stack; `decoder.embed` is the sum of the embeddings of tokens and positions."""
        return {"decoder": Stack(self.num_layers, _SITES, attentions=_ATTENTIONS)}
