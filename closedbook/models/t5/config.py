"""Configuration of an encoder-decoder T5."""

import dataclasses
from typing import ClassVar

from closedbook.errors import UserError, require_least, unknown_name
from closedbook.models.layers import ACTIVATIONS
from closedbook.models.precision import CHOICES, Precision
from closedbook.models.sites import AttentionUnit, Stack
from closedbook.models.stack import REMAT_POLICIES
from closedbook.vocabulary import PAD_ID

_ATTENTION = ("values", "weights", "heads", "out")
_MLP = ("mlp.coefficients", "mlp.out")
_ENCODER_SITES = ("resid_pre", *(f"attention.{s}" for s in _ATTENTION), *_MLP, "resid_post")
_DECODER_SITES = (
    "resid_pre",
    *(f"self_attention.{s}" for s in _ATTENTION),
    *(f"cross_attention.{s}" for s in _ATTENTION),
    *_MLP,
    "resid_post",
)
_ENCODER_ATTENTIONS = (AttentionUnit("attention", "attention", "encoder"),)
_DECODER_ATTENTIONS = (
    AttentionUnit("self_attention", "self_attention", "decoder"),
    AttentionUnit("cross_attention", "encoder_decoder_attention", "encoder"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
    """Shape and numerics of a T5 (Raffel et al. 2020; 1.1: Shazeer 2020, "GLU variants").

    Field names are those of T5X's `network.T5Config`.
    """

    family: ClassVar[str] = "t5"
    continues_prompt: ClassVar[bool] = False  # an answer is a text of its own
    norm_epsilon: ClassVar[float] = 1e-6
    embedding_scale: ClassVar[float] = 1.0  # of token embeddings as inputs
    adds_positions: ClassVar[bool] = False  # they are in the attention's biases

    vocab_size: int = 32128  # rows of the embedding; the vocabulary's 32,100 padded to 128
    emb_dim: int = 512
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    head_dim: int = 64
    mlp_dim: int = 2048
    mlp_activations: tuple[str, ...] = ("relu",)  # two names: a gated unit, their product
    dropout_rate: float = 0.1  # the paper's; 0.05 for 1.1
    logits_via_embedding: bool = True  # 1.0; 1.1 has its own output matrix
    scale_attn_logits: bool = False  # by 1/sqrt(head_dim), as T5X's network for GPUs may
    relpos_buckets: int = 32
    relpos_max_distance: int = 128  # tokens; all further ones share a bucket
    relpos_per_layer: bool = False  # each layer has its own biases: umT5, T5X's scalable_t5
    begin_id: int = PAD_ID  # the decoder's first input, which is padding in every public T5
    dtype: str = "float32"  # of activations and products, or "auto"; parameters stay float32
    scan_layers: bool = False  # one compiled layer, parameters stacked on axis 1
    remat_policy: str = "none"  # "products", "minimal", "full": ever less is kept

    def __post_init__(self) -> None:
        # gin and JSON hand over lists; a tuple keeps the config hashable.
        object.__setattr__(self, "mlp_activations", tuple(self.mlp_activations))
        require_least(self, 1, "vocab_size", "emb_dim", "num_heads", "head_dim", "mlp_dim")
        require_least(self, 1, "num_encoder_layers", "num_decoder_layers")
        require_least(self, 4, "relpos_buckets")  # half for each direction, half of it exact
        require_least(self, self.relpos_buckets // 2 + 1, "relpos_max_distance")
        if not self.mlp_activations:
            raise UserError("T5Config.mlp_activations is empty; give one name, or two for a gate")
        for name in self.mlp_activations:
            if name not in ACTIVATIONS:
                raise unknown_name("activation in T5Config.mlp_activations", name, ACTIVATIONS)
        if self.remat_policy not in REMAT_POLICIES:
            raise unknown_name("T5Config.remat_policy", self.remat_policy, REMAT_POLICIES)
        if self.dtype not in CHOICES:
            raise unknown_name("T5Config.dtype", self.dtype, CHOICES)
        if not 0.0 <= self.dropout_rate < 1.0:
            raise UserError(f"T5Config.dropout_rate is {self.dropout_rate}; it must be in [0, 1)")
        if not 0 <= self.begin_id < self.vocab_size:
            raise UserError(
                f"T5Config.begin_id is {self.begin_id}; it must be a row of the embedding, from 0 "
                f"to {self.vocab_size - 1}"
            )

    @property
    def canonical(self) -> "T5Config":
        """Without what a run may choose anew: equal for configurations of one model."""
        return dataclasses.replace(
            self, dropout_rate=0.0, dtype="float32", scan_layers=False, remat_policy="none"
        )

    @property
    def title(self) -> str:
        """For people."""
        return f"T5 {self.version}" if not self.relpos_per_layer else "umT5"

    @property
    def joined_kv(self) -> int:
        """Width of all heads side by side."""
        return self.num_heads * self.head_dim

    @property
    def logit_scale(self) -> float:
        """What products with the output matrix are multiplied by."""
        return float(self.emb_dim**-0.5) if self.logits_via_embedding else 1.0

    def most_positions(self, *, after: int) -> int | None:
        """How long an input may be where an answer of `after` tokens follows; None for any."""
        return None

    @property
    def precision(self) -> Precision:
        """The number types of parameters, products and sums."""
        return Precision.of(self.dtype)

    @property
    def stacks(self) -> dict[str, Stack]:
        """The two stacks: how many layers each has, and the tap sites of a layer."""
        return {
            "encoder": Stack(
                self.num_encoder_layers, _ENCODER_SITES, attentions=_ENCODER_ATTENTIONS
            ),
            "decoder": Stack(
                self.num_decoder_layers, _DECODER_SITES, attentions=_DECODER_ATTENTIONS
            ),
        }

    @property
    def version(self) -> str:
        """ "1.0" or "1.1", told by the gate and the output matrix; "other" for anything else."""
        gated = len(self.mlp_activations) == 2
        if not gated and self.logits_via_embedding:
            return "1.0"
        return "1.1" if gated and not self.logits_via_embedding else "other"
