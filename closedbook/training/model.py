"""What is trained: a network with its vocabulary, optimiser and objective."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from closedbook.models import T5, T5Config, unboxed
from closedbook.models.parameters import Params
from closedbook.training.loss import cross_entropy
from closedbook.vocabulary import Vocabulary

Batch = dict[str, jax.Array]  # SeqIO's names; int32 [batch, length]
Sums = dict[str, jax.Array]  # float32 scalars


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderDecoderModel:
    """A T5 with its objective; the fields are those of T5X's `models.EncoderDecoderModel`.

    Attributes:
        module: The network.
        vocabulary: Of inputs and targets.
        optimizer: Returns a direction for learning rate 1.
        z_loss: Factor of log(Z)^2.
        label_smoothing: Probability mass spread over wrong pieces.
        loss_normalizing_factor: See `loss.normalize_weights`.
    """

    module: T5
    vocabulary: Vocabulary
    optimizer: optax.GradientTransformation
    z_loss: float = 1e-4
    label_smoothing: float = 0.0
    loss_normalizing_factor: float | str | None = None

    @property
    def config(self) -> T5Config:
        """The network's configuration."""
        return self.module.config

    def init(self, key: jax.Array) -> Params:
        """Fresh parameters, boxed with their logical axes."""
        tokens = jnp.ones((1, 2), jnp.int32)
        return self.module.init(key, tokens, tokens)["params"]

    def init_unboxed(self, key: jax.Array) -> Params:
        """Fresh parameters as plain arrays."""
        return unboxed(self.init(key))

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
            `z_loss`, `correct`, `target_tokens`.
        """
        rngs = None if dropout_key is None else {"dropout": dropout_key}
        logits = self.module.apply(
            {"params": params},
            batch["encoder_input_tokens"],
            batch["decoder_input_tokens"],
            encoder_segment_ids=batch.get("encoder_segment_ids"),
            decoder_segment_ids=batch.get("decoder_segment_ids"),
            rngs=rngs,
        )
        assert isinstance(logits, jax.Array)  # not a pair with the records of taps
        targets, weights = batch["decoder_target_tokens"], batch["decoder_loss_weights"]
        ce, z = cross_entropy(
            logits, targets, weights, z_loss=self.z_loss, label_smoothing=self.label_smoothing
        )
        counted = (weights > 0).astype(jnp.float32)
        right = _is_argmax(logits, targets).astype(jnp.float32)
        total = ce + z
        sums = {
            "loss": total,
            "cross_ent_loss": ce,
            "z_loss": z,
            "correct": jnp.sum(right * counted),
            "target_tokens": jnp.sum(counted),
        }
        return total, sums


def _is_argmax(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Whether each target is the first index of its logits' maximum, bool [batch, length].

    One pass over the logits [batch, length, vocab], a sixth of the time of XLA's argmax on a CPU.
    A vocabulary that is split over devices stays split: no device gathers all logits, as with
    `inference.steps.argmax`.
    """
    gold = jnp.take_along_axis(logits, targets[..., None], axis=-1)
    earlier = jnp.arange(logits.shape[-1]) < targets[..., None]
    return ~jnp.any((logits > gold) | ((logits == gold) & earlier), axis=-1)
