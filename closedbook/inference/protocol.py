"""What inference asks of a network: how to begin answers, and how to go on with them."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax

from closedbook.models.decoding import DecodingState, Packing
from closedbook.models.parameters import Params


class Decoder(Protocol):
    """A Linen module that writes answers token by token; hashable, as Linen modules are.

    Its methods run inside `apply`; `start` and `step` of this file call them so.

    Attributes:
        pad_id: Fills up rows of inputs, and answers after their end; -1 where every id is a piece.
        eos_id: Ends an answer; -1 where nothing does.
        vocab_size: Tokens among which each step chooses: the logits' last axis.
    """

    def __hash__(self) -> int:
        """As Linen modules have it."""

    @property
    def pad_id(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    @property
    def vocab_size(self) -> int: ...

    def framed(self, ids: Sequence[int]) -> list[int]:
        """An input of the ids of a text: with what the network was trained to see around it."""

    def cut(self, ids: Sequence[int], longest: int) -> Sequence[int]:
        """An input of at most `longest` ids: what the network can do without is left out."""

    def apply(self, variables: dict[str, Any], *args: Any, method: str) -> Any:
        """Linen's: runs the method of this name with the given parameters."""

    def start(
        self, inputs: jax.Array, copies: int, max_length: int
    ) -> tuple[jax.Array, DecodingState]:
        """Reads the inputs, once for all hypotheses of each.

        Args:
            inputs: int32 [batch, length], filled up with `pad_id`.
            copies: Hypotheses per input.
            max_length: Tokens that an answer may have, EOS included.

        Returns:
            The tokens [batch * copies] that the first step is to be given, and the state.
        """

    def step(
        self, tokens: jax.Array, index: jax.Array, state: DecodingState
    ) -> tuple[jax.Array, DecodingState]:
        """Reads tokens of the answers and predicts the ones after them.

        Args:
            tokens: int32 [batch * copies, length]; one each, or several to score given answers.
            index: How many tokens were read before, an int32 scalar.
            state: From `start` or from the step before.

        Returns:
            Logits float32 [batch * copies, length, vocab] and the new state.
        """


@runtime_checkable
class TreeReader(Protocol):
    """A network that can read texts that begin alike as one tree: one that continues its prompt."""

    def __hash__(self) -> int:
        """As Linen modules have it."""

    def apply(self, variables: dict[str, Any], *args: Any, method: str) -> Any:
        """Linen's: runs the method of this name with the given parameters."""

    def tree(self, tokens: jax.Array, positions: jax.Array, seen: jax.Array) -> jax.Array:
        """Outputs of the last layer at each node of trees of tokens, for `logits`.

        Args:
            tokens: int32 [batch, nodes].
            positions: int32 [batch, nodes], of each in its text.
            seen: bool [batch, nodes, nodes], which nodes each one may see.

        Returns:
            [batch, nodes, emb].
        """

    def logits(self, x: jax.Array) -> jax.Array:
        """Logits float32 [..., length, vocab] of what follows, by outputs [..., length, emb]."""


def start(
    module: Decoder,
    params: Params,
    inputs: jax.Array,
    copies: int,
    max_length: int,
    packing: Packing | None = None,
) -> tuple[jax.Array, DecodingState]:
    """`Decoder.start` with the given parameters.

    A packing is for networks that read an input apart from its answer; others do not take one.
    """
    packings = () if packing is None else (packing,)
    return module.apply({"params": params}, inputs, copies, max_length, *packings, method="start")


def step(
    module: Decoder, params: Params, tokens: jax.Array, index: jax.Array, state: DecodingState
) -> tuple[jax.Array, DecodingState]:
    """`Decoder.step` with the given parameters."""
    return module.apply({"params": params}, tokens, index, state, method="step")


def tree(
    module: TreeReader,
    params: Params,
    tokens: jax.Array,
    positions: jax.Array,
    seen: jax.Array,
) -> jax.Array:
    """`TreeReader.tree` with the given parameters."""
    return module.apply({"params": params}, tokens, positions, seen, method="tree")


def logits(module: TreeReader, params: Params, outputs: jax.Array) -> jax.Array:
    """`TreeReader.logits` with the given parameters."""
    return module.apply({"params": params}, outputs, method="logits")
