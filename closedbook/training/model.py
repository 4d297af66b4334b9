"""What is trained: a network with its vocabulary, optimiser and objective."""

import abc
import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Self

import jax
import jax.numpy as jnp
import optax

from closedbook.data.converters import EncDecFeatureConverter, FeatureConverter, LMFeatureConverter
from closedbook.errors import UserError
from closedbook.models import T5, DecoderOnly, decoder_only, t5, unboxed
from closedbook.models.families import Config, Network
from closedbook.models.parameters import Params
from closedbook.models.precision import DTYPES, dtype_on
from closedbook.parallel.processes import of_first
from closedbook.training.decoding import Decoding
from closedbook.training.loss import check_factor, parts_of, summed
from closedbook.vocabulary.protocol import AnyVocabulary

Batch = dict[str, jax.Array]  # SeqIO's names; int32 [batch, length]
Sums = dict[str, jax.Array]  # float32 scalars


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerModel(abc.ABC):
    """A network with its objective; what differs between families is in the subclasses.

    Attributes:
        module: The network.
        vocabulary: Of inputs and targets.
        optimizer: Returns a direction for learning rate 1.
        z_loss: Factor of log(Z)^2.
        label_smoothing: Probability mass spread over wrong pieces.
        loss_normalizing_factor: See `loss.normalize_weights`.
        decoding: How questions are answered where the evaluation does not say.

    Raises:
        UserError: The label smoothing is no share, the z-loss negative, or the factor no divisor.
    """

    module: Network
    vocabulary: AnyVocabulary
    optimizer: optax.GradientTransformation
    z_loss: float = 1e-4
    label_smoothing: float = 0.0
    loss_normalizing_factor: float | str | None = None
    decoding: Decoding = dataclasses.field(default_factory=Decoding)

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"the label smoothing is {self.label_smoothing}; it must be 0 or more and below 1"
            )
        if not 0 <= self.z_loss < math.inf:
            raise UserError(f"the z-loss is {self.z_loss}; it must be 0 or more")
        check_factor(self.loss_normalizing_factor)

    @property
    def config(self) -> Config:
        """The network's configuration."""
        return self.module.config

    def on(self, platform: str) -> Self:
        """The same model with the number types that its own mean on a platform ("cpu", "tpu").

        All processes take those that the first finds fastest.
        """
        cfg = self.config
        heads = cfg.num_heads * cfg.head_dim
        sides = ((cfg.emb_dim, heads), (cfg.emb_dim, cfg.mlp_dim), (cfg.mlp_dim, cfg.emb_dim))
        dtype = dtype_on(cfg.dtype, platform, sides)
        dtype = DTYPES[of_first(DTYPES.index(dtype))]
        return self if dtype == cfg.dtype else self._with(dtype=dtype)

    def lean(self, platform: str) -> Self:
        """The same model as a platform trains it without a policy of rematerialisation.

        On a CPU what stands between products of matrices is cheaper to work out again than to keep:
        memory that is fresh in each step has to be cleared first.
        """
        if platform != "cpu" or self.config.remat_policy != "none":
            return self
        return self._with(remat_policy="products")

    def _with(self, **changes: str) -> Self:
        config = dataclasses.replace(self.config, **changes)  # type: ignore[arg-type]
        return dataclasses.replace(self, module=self.module.clone(config=config))

    @property
    @abc.abstractmethod
    def converter(self) -> FeatureConverter:
        """What batches for the network are made of."""

    @abc.abstractmethod
    def flops_per_step(self, batch_size: int, lengths: Mapping[str, int]) -> int:
        """Floating-point operations of a training step, recomputation apart.

        Args:
            batch_size: Rows of the whole batch.
            lengths: Tokens of a row of each of the converter's features.
        """

    @abc.abstractmethod
    def states(self, params: Params, batch: Batch, dropout_key: jax.Array | None) -> jax.Array:
        """What logits are made of, [batch, length, emb]; arguments as for `loss`."""

    @abc.abstractmethod
    def counts(self, batch: Batch) -> Sums:
        """Further sums of a batch, of tokens that are read and not predicted."""

    def init(self, key: jax.Array) -> Params:
        """Fresh parameters, boxed with their logical axes."""
        return self.module.init(key, *self.module.example())["params"]

    def init_unboxed(self, key: jax.Array) -> Params:
        """Fresh parameters as plain arrays."""
        return unboxed(self.init(key))

    def logits(self, params: Params, batch: Batch, dropout_key: jax.Array | None) -> jax.Array:
        """Logits float32 [batch, length, vocab] of the targets; arguments as for `loss`."""
        return self._logits_of(params, self.states(params, batch, dropout_key))

    def _logits_of(self, params: Params, states: jax.Array) -> jax.Array:
        logits = self.module.apply({"params": params}, states, method="logits")
        assert isinstance(logits, jax.Array)
        return logits

    def loss(
        self, params: Params, batch: Batch, dropout_key: jax.Array | None
    ) -> tuple[jax.Array, Sums]:
        """The summed loss of a (micro)batch and its sums.

        Args:
            params: Plain parameters.
            batch: Arrays [batch, length] under SeqIO's names, with segment ids where
                it is packed; weights already normalised (`loss.normalize_weights`).
            dropout_key: None for no dropout.

        Returns:
            Cross-entropy plus z-loss, and sums over all targets: `loss`, `cross_ent_loss`,
            `z_loss`, `correct`, `target_tokens`, and those of `counts`.
        """
        states = self.states(params, batch, dropout_key)
        targets, weights = batch["decoder_target_tokens"], batch["decoder_loss_weights"]
        rows, length = targets.shape
        total, sums = summed(
            functools.partial(self._logits_of, params),
            states,
            targets,
            weights,
            z_loss=self.z_loss,
            label_smoothing=self.label_smoothing,
            parts=parts_of(rows, length, self.config.vocab_size),
        )
        return total, sums | self.counts(batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderDecoderModel(TransformerModel):
    """A T5 with its objective; the fields are those of T5X's `models.EncoderDecoderModel`."""

    module: T5

    @property
    def converter(self) -> FeatureConverter:
        """Inputs and targets."""
        return EncDecFeatureConverter(self.module.config.begin_id)

    def flops_per_step(self, batch_size: int, lengths: Mapping[str, int]) -> int:
        """Of both stacks, each on its own tokens (PaLM, appendix B, with the stacks apart)."""
        inputs, targets = lengths["inputs"], lengths["targets"]
        return t5.flops_per_step(self.module.config, batch_size, inputs, targets)

    def states(self, params: Params, batch: Batch, dropout_key: jax.Array | None) -> jax.Array:
        """As in `TransformerModel`."""
        states = self.module.apply(
            {"params": params},
            batch["encoder_input_tokens"],
            batch["decoder_input_tokens"],
            encoder_segment_ids=batch.get("encoder_segment_ids"),
            decoder_segment_ids=batch.get("decoder_segment_ids"),
            rngs=_rngs(dropout_key),
            method="states",
        )
        assert isinstance(states, jax.Array)
        return states

    def counts(self, batch: Batch) -> Sums:
        """`input_tokens`, those of the encoder."""
        return {
            "input_tokens": jnp.sum(batch["encoder_input_tokens"] > 0).astype(jnp.float32),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderOnlyModel(TransformerModel):
    """A language model with its objective; the fields are those of T5X's `DecoderOnlyModel`.

    Every token of a text counts, its first one and its end included.
    """

    module: DecoderOnly

    @property
    def converter(self) -> FeatureConverter:
        """Targets alone."""
        return LMFeatureConverter(self.module.config.begin_id)

    def flops_per_step(self, batch_size: int, lengths: Mapping[str, int]) -> int:
        """Of the one stack (PaLM, appendix B)."""
        return decoder_only.flops_per_step(self.module.config, batch_size, lengths["targets"])

    def states(self, params: Params, batch: Batch, dropout_key: jax.Array | None) -> jax.Array:
        """As in `TransformerModel`."""
        states = self.module.apply(
            {"params": params},
            batch["decoder_input_tokens"],
            decoder_segment_ids=batch.get("decoder_segment_ids"),
            rngs=_rngs(dropout_key),
            method="states",
        )
        assert isinstance(states, jax.Array)
        return states

    def counts(self, batch: Batch) -> Sums:
        """None: what is read is what is predicted."""
        return {}


def _rngs(dropout_key: jax.Array | None) -> dict[str, jax.Array] | None:
    return None if dropout_key is None else {"dropout": dropout_key}
