"""Log-probabilities of closed sets of candidates, for many prompts that share the set.

A prompt is read once. Candidates that begin alike are read once up to where they part: they form a
trie (`tries`), whose levels are steps of the decoder, all nodes of a level at once as hypotheses of
the prompt. What costs is one step and one normaliser over the vocabulary per node, not per
candidate and piece. A model that goes on with its prompt reads prompts and tries in one pass, many
of them at once (`trees`).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.inference.predictor import bucket
from closedbook.inference.protocol import Decoder, TreeReader, start, step
from closedbook.knowledge.probing import trees, tries
from closedbook.knowledge.progress import Count, silent
from closedbook.models import unboxed
from closedbook.models.decoding import DecodingState
from closedbook.models.parameters import Params

_WIDTHS = (1, 8, 32, 64, 128)  # nodes of a step: few, so that few programs are compiled
_LOGITS = 1 << 23  # numbers that a step may give at once, 32 MiB
_MOST_PROMPTS = 16  # read at once
_ATTENTIONS = 1 << 24  # pairs of tokens of prompts that attend at once, per head: 64 MiB
_ANY = 1 << 30  # no longest
_SHORTEST_ANSWER = 8  # tokens; more keys cost little, more programs much


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """A closed set of candidates as a model is to write them.

    Attributes:
        pieces: Ids of each candidate, one at least.
        before: Ids that stand before every candidate and are given, not scored.
        end: The id after every candidate, which is scored with it; None to score the candidate
            as the beginning of anything.
    """

    pieces: tuple[tuple[int, ...], ...]
    before: tuple[int, ...] = ()
    end: int | None = None

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Ids that are scored, int64 [candidates]: by which `length` normalises."""
        return np.array([len(row) + (self.end is not None) for row in self.pieces], np.int64)

    @functools.cached_property
    def scored(self) -> tuple[tuple[int, ...], ...]:
        """Ids of each candidate that are scored."""
        return self.pieces if self.end is None else tuple((*row, self.end) for row in self.pieces)

    @functools.cached_property
    def groups(self) -> list[tries.Trie]:
        """Tries of the pieces whose levels fit steps of the decoder."""
        return tries.groups(self.pieces, ended=self.end is not None, widest=_WIDTHS[-1])

    @property
    def room(self) -> int:
        """Tokens that an answer may have where they are scored, the first input among them."""
        longest = max(len(row) for row in self.pieces)
        return bucket(len(self.before) + longest + 1, _ANY, shortest=_SHORTEST_ANSWER)


class CandidateScorer:
    """Scores candidates with one network; its compiled programs serve all relations.

    They serve other parameters of the same network too, such as edited ones.

    Args:
        module: The network.
        params: Its parameters.
    """

    def __init__(self, module: Decoder, params: Params) -> None:
        self._module = module
        self._params = unboxed(params)
        self._begin, self._deeper, self._gains, self._continued = _programs(module)
        self._trees = trees.TreeScorer(module, params) if isinstance(module, TreeReader) else None

    def __call__(
        self,
        inputs: Sequence[Sequence[int]],
        answers: Answers,
        progress: Count = silent,
    ) -> np.ndarray:
        """Sums of the log-probabilities of all candidates after each input.

        Args:
            inputs: Ids of each prompt, framed as the network wants it; none is cut.
            answers: The candidates.
            progress: Is told how many inputs are done.

        Returns:
            float32 [inputs, candidates].
        """
        if self._trees is not None:
            return self._by_trees(self._trees, inputs, answers, progress)
        groups = answers.groups
        scores = np.empty((len(inputs), len(answers.pieces)), np.float32)
        done = 0
        for chosen, batch in self._batches(inputs, groups):
            scores[chosen] = self._scored(batch, answers, groups)[: len(chosen)]
            done += len(chosen)
            progress(done)
        return scores

    @staticmethod
    def _by_trees(
        scorer: trees.TreeScorer,
        inputs: Sequence[Sequence[int]],
        answers: Answers,
        progress: Count,
    ) -> np.ndarray:
        given = [(*ids, *answers.before) for ids in inputs]
        asked = [trees.Texts(given=ids, pieces=answers.scored, scored=len(ids)) for ids in given]
        found = scorer(asked, progress)
        return np.stack(found) if found else np.empty((0, len(answers.pieces)), np.float32)

    def _batches(
        self, inputs: Sequence[Sequence[int]], groups: Sequence[tries.Trie]
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Numbers of inputs of like lengths, and their ids [batch, length], padded."""
        most = self._rows(groups)
        order = np.argsort([len(row) for row in inputs], kind="stable").tolist()
        while order:
            rows = most
            # Few of the long ones: what attention needs grows with the square of the length.
            while rows > 1 and rows * self._length(inputs, order[:rows]) ** 2 > _ATTENTIONS:
                rows //= 2
            chosen, order = order[:rows], order[rows:]
            length = self._length(inputs, chosen)
            batch = np.full((rows, length), self._module.pad_id, np.int32)
            for row, number in enumerate(chosen):
                batch[row, : len(inputs[number])] = inputs[number]
            yield chosen, batch

    @staticmethod
    def _length(inputs: Sequence[Sequence[int]], chosen: Sequence[int]) -> int:
        """To which the chosen inputs are padded."""
        return bucket(max(len(inputs[number]) for number in chosen), _ANY)

    @functools.cached_property
    def _vocabulary(self) -> int:
        """Rows of the output."""
        shapes = jax.eval_shape(
            functools.partial(self._begin, max_length=_SHORTEST_ANSWER),
            self._params,
            jax.ShapeDtypeStruct((1, 1), jnp.int32),
            jax.ShapeDtypeStruct((0,), jnp.int32),
        )
        return shapes[0].shape[-1]

    def _rows(self, groups: Sequence[tries.Trie]) -> int:
        """Prompts that are read at once: a power of two."""
        # Where all candidates are one piece without an end, nothing is read after the prompt.
        goes_deeper = any(len(level.inner) for trie in groups for level in trie.levels)
        most = max(1, _LOGITS // (self._vocabulary * (_WIDTHS[-1] if goes_deeper else 1)))
        return min(_MOST_PROMPTS, 1 << (most.bit_length() - 1))

    def _scored(
        self, batch: np.ndarray, answers: Answers, groups: Sequence[tries.Trie]
    ) -> np.ndarray:
        *root, state = self._begin(
            self._params,
            jnp.asarray(batch),
            jnp.asarray(answers.before, jnp.int32),
            max_length=answers.room,
        )
        scores = np.empty((len(batch), len(answers.pieces)), np.float32)
        waiting = [(trie, self._of_group(trie, answers, root, state)) for trie in groups]
        for trie, levels in waiting:
            found = [
                np.asarray(gains)[:, : len(level.tokens)]
                for gains, level in zip(levels, trie.levels, strict=True)
            ]
            scores[:, trie.numbers] = np.concatenate(found, axis=1)[:, trie.nodes]
        return scores

    def _of_group(
        self, trie: tries.Trie, answers: Answers, root: Sequence[jax.Array], state: DecodingState
    ) -> list[jax.Array]:
        """For each level the scores [batch, nodes] of what ends at its nodes."""
        (logits, norm), found = root, []
        so_far = np.zeros(norm.shape, np.float32)
        index = 1 + len(answers.before)
        for number, level in enumerate(trie.levels):
            reached = self._gains(so_far, logits, norm, *_padded(level.parents, level.tokens))
            if not len(level.inner):
                found.append(reached)
                break
            parents, tokens, places = _padded(
                level.parents[level.inner], level.tokens[level.inner], level.inner
            )
            state, so_far = self._continued(state, reached, parents, places)
            logits, norm, state = self._deeper(
                self._params, state, tokens, np.int32(index + number)
            )
            if answers.end is not None:  # then all nodes are inner ones
                own = np.arange(len(places), dtype=np.int32)
                reached = self._gains(so_far, logits, norm, own, np.full_like(own, answers.end))
            found.append(reached)
        return found


@functools.lru_cache(maxsize=4)
def _programs(module: Decoder) -> tuple[Callable[..., Any], ...]:
    """The compiled steps of a network, whatever its parameters are."""
    return (
        jax.jit(functools.partial(_begin, module), static_argnames="max_length"),
        jax.jit(functools.partial(_deeper, module)),
        jax.jit(_gains),
        # Apart from the step, so that a step is compiled per width, not per pair of widths.
        jax.jit(_continued),
    )


def _begin(
    module: Decoder, params: Params, inputs: jax.Array, before: jax.Array, *, max_length: int
) -> tuple[jax.Array, jax.Array, DecodingState]:
    """Reads prompts [batch, length] and what stands before all candidates [tokens].

    Returns:
        Logits [batch, 1, vocab] of the first piece, their normaliser [batch, 1] and the state.
    """
    first, state = start(module, params, inputs, 1, max_length)
    given = jnp.broadcast_to(before, (len(first), len(before)))
    given = jnp.concatenate([first[:, None], given], axis=1)
    logits, state = step(module, params, given, jnp.int32(0), state)
    logits = logits[:, -1:]
    return logits, jax.nn.logsumexp(logits, axis=-1), state


def _continued(
    state: DecodingState, reached: jax.Array, parents: jax.Array, places: jax.Array
) -> tuple[DecodingState, jax.Array]:
    """The state of the inner nodes [nodes] of a level, and their scores [batch, nodes].

    Args:
        state: Of the inner nodes of the level before.
        reached: Scores of all nodes of the level [batch, all].
        parents: For each inner node its place in `state`.
        places: For each inner node its place in `reached`.
    """
    shape = (len(reached), len(parents))
    return state.continued(jnp.broadcast_to(parents, shape)), reached[:, places]


def _deeper(
    module: Decoder, params: Params, state: DecodingState, tokens: jax.Array, index: jax.Array
) -> tuple[jax.Array, jax.Array, DecodingState]:
    """A level of the trie: its inner nodes, the same after every prompt, read their pieces.

    Args:
        module: The network.
        params: Its parameters.
        state: Of these nodes.
        tokens: [nodes].
        index: How many tokens were read before.

    Returns:
        Logits [batch, nodes, vocab] of what follows, normalisers [batch, nodes] and the state.
    """
    rows = jax.tree.leaves(state.own)[0].shape[state.row_axis]
    logits, state = step(
        module, params, jnp.tile(tokens, rows // len(tokens))[:, None], index, state
    )
    logits = logits.reshape(-1, len(tokens), logits.shape[-1])
    return logits, jax.nn.logsumexp(logits, axis=-1), state


def _gains(
    so_far: jax.Array, logits: jax.Array, norm: jax.Array, parents: jax.Array, tokens: jax.Array
) -> jax.Array:
    """Scores [batch, nodes] of beginnings that add a piece to those of the level before."""
    return so_far[:, parents] + logits[:, parents, tokens] - norm[:, parents]


def _padded(*arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays [nodes] filled up with zeros to a length that occurs often."""
    size = len(arrays[0])
    width = next((w for w in _WIDTHS if w >= size), 0) or bucket(size, _ANY)
    return [np.pad(array, (0, width - size)) for array in arrays]
