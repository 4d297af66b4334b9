"""Log-probabilities of texts by a model that goes on with a text: what begins alike is read once.

The texts of a prompt are paths of a tree. A tree is read in one forward pass, each node seeing the
nodes before it on its path alone (as SpecInfer verifies drafts, Miao et al. 2024); a row of a
batch holds several trees, which do not see each other. So prompts and candidates of any lengths
fill few programs of one size, without padding between them.
"""

import bisect
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.inference import protocol
from closedbook.inference.predictor import bucket
from closedbook.knowledge.probing import tries
from closedbook.knowledge.progress import Count, silent
from closedbook.models import unboxed
from closedbook.models.parameters import Params

_ROW = 128  # nodes of a row, measured: more cost attention and are no quicker
_TREE = 128  # nodes of a tree, its beginning included; more candidates make several trees
_SHORTEST_ROW = 64
_LOGITS = 1 << 26  # numbers that a pass may give at once, 256 MiB
_MOST_ROWS = 16
_ANY = 1 << 30  # no longest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts that a model may write at one place.

    Attributes:
        given: Ids that all of them begin with, one at least.
        pieces: Ids after those, of each text, one at least.
        scored: The place in `given` from which on ids are scored, 1 at least: the first id of a
            text stands after nothing.
    """

    given: tuple[int, ...]
    pieces: tuple[tuple[int, ...], ...]
    scored: int

    @classmethod
    def whole(cls, rows: Sequence[Sequence[int]]) -> "Texts":
        """Texts that are scored from their second id on.

        Args:
            rows: Ids of each, two at least, the first one the same.
        """
        shortest = min(len(row) for row in rows) - 1
        first, last = min(map(tuple, rows)), max(map(tuple, rows))
        same = next((n for n in range(shortest) if first[n] != last[n]), shortest)
        return cls(
            given=tuple(rows[0][:same]), pieces=tuple(tuple(row[same:]) for row in rows), scored=1
        )


@functools.lru_cache(maxsize=4)
def _programs(module: protocol.TreeReader) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The compiled pass and gains of a network, whatever its parameters are."""
    # Apart from the pass, gains are compiled per size of rows, not per number of edges.
    return (
        jax.jit(functools.partial(protocol.tree, module)),
        jax.jit(functools.partial(_gains, module)),
    )


class TreeScorer:
    """Scores texts with one network; its compiled programs serve all of them.

    Args:
        module: The network.
        params: Its parameters.
    """

    def __init__(self, module: protocol.TreeReader, params: Params) -> None:
        self._module = module
        self._params = unboxed(params)
        self._read, self._gains = _programs(module)
        self._shared = _SharedTries()

    def __call__(self, asked: Sequence[Texts], progress: Count = silent) -> list[np.ndarray]:
        """Sums of the log-probabilities of the scored ids of all texts.

        Args:
            asked: What may be written at each place.
            progress: Is told how many places are done.

        Returns:
            For each place float32 [texts].
        """
        jobs = list(self._jobs(asked))
        found = [np.empty(len(each.pieces), np.float32) for each in asked]
        left = [0] * len(asked)
        for job in jobs:
            left[job.place] += 1
        done = 0
        for rows in self._batches(jobs):
            for job, gains in self._passed(rows):
                found[job.place][job.trie.numbers] = _sums(job, gains)
                left[job.place] -= 1
                done += not left[job.place]
            progress(done)
        return found

    def _jobs(self, asked: Sequence[Texts]) -> Iterator["_Job"]:
        """The trees of all places."""
        for place, texts in enumerate(asked):
            given = len(texts.given)
            room = max(_TREE, 2 * given) - given
            for trie, branches in self._shared(texts.pieces, room):
                yield _Job(place=place, texts=texts, trie=trie, branches=branches)

    @functools.cached_property
    def _vocabulary(self) -> int:
        """Rows of the output."""
        one = jax.ShapeDtypeStruct((1, 1), jnp.int32)
        seen = jax.ShapeDtypeStruct((1, 1, 1), jnp.bool_)
        outputs = jax.eval_shape(self._read, self._params, one, one, seen)
        logits = functools.partial(protocol.logits, self._module)
        return jax.eval_shape(logits, self._params, outputs).shape[-1]

    def _batches(self, jobs: Sequence["_Job"]) -> Iterator[list[list["_Job"]]]:
        """Rows of jobs that are read at once, the largest jobs first."""
        if not jobs:
            return
        size = max(_ROW, max(job.size for job in jobs))
        most = max(1, min(_MOST_ROWS, _LOGITS // (self._vocabulary * size)))
        most = 1 << (most.bit_length() - 1)  # no row of a pass is empty but in the last one
        rows = _filled(jobs, size)
        for first in range(0, len(rows), most):
            yield rows[first : first + most]

    def _passed(self, rows: Sequence[Sequence["_Job"]]) -> Iterator[tuple["_Job", np.ndarray]]:
        """Each job with the log-probabilities of its edges."""
        nodes = max(sum(job.size for job in row) for row in rows)
        nodes = bucket(nodes, _ANY, shortest=_SHORTEST_ROW)
        count = bucket(len(rows), _ANY, shortest=1)
        tokens, positions = (np.zeros((count, nodes), np.int32) for _ in range(2))
        seen = np.zeros((count, nodes, nodes), np.bool_)
        jobs, asking, starts = [], [], []
        asked = 0
        for number, row in enumerate(rows):
            node = 0
            for job in row:
                part = slice(node, node + job.size)
                tokens[number, part], positions[number, part] = job.tokens, job.positions
                seen[number, part, part] = job.seen
                node = part.stop
                here = np.arange(node - job.asking, node)
                asking.append(here + number * nodes)
                starts.append(job.starts + asked)
                asked += len(here)
                jobs.append(job)
        outputs = self._read(self._params, tokens, positions, seen)
        gains = self._gains(
            self._params,
            outputs,
            _padded(asking),
            _padded(starts),
            _padded([job.ends for job in jobs]),
        )
        ends = np.cumsum([len(each) for each in starts])
        yield from zip(jobs, np.split(np.asarray(gains), ends)[:-1], strict=True)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Branches:
    """The inner nodes of a trie in one row, parents first, and its edges level after level."""

    tokens: np.ndarray  # [nodes]
    depths: np.ndarray  # [nodes], 0 for the first piece
    seen: np.ndarray  # bool [nodes, nodes]
    starts: np.ndarray  # [edges], the node before each piece; -1 for the root
    ends: np.ndarray  # [edges], the piece

    @classmethod
    def of(cls, trie: tries.Trie) -> "_Branches":
        tokens, parents, depths, starts = [], [], [], []
        before, count = -1, 0  # the number of the first inner node of the level before; the root
        for depth, level in enumerate(trie.levels):
            above = level.parents + np.int32(before)
            starts.append(above)
            tokens.append(level.tokens[level.inner])
            parents.append(above[level.inner])
            depths.append(np.full(len(level.inner), depth, np.int32))
            before, count = count, count + len(level.inner)
        seen = np.eye(count, dtype=np.bool_)
        for node, parent in enumerate(np.concatenate(parents).tolist()):
            if parent >= 0:
                seen[node] |= seen[parent]
        return cls(
            tokens=np.concatenate(tokens),
            depths=np.concatenate(depths),
            seen=seen,
            starts=np.concatenate(starts),
            ends=np.concatenate([level.tokens for level in trie.levels]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """A tree: what is given, and a trie of some texts after it."""

    place: int  # of the texts, among those that are asked
    texts: Texts
    trie: tries.Trie
    branches: _Branches

    @property
    def size(self) -> int:
        """Nodes."""
        return len(self.texts.given) + len(self.branches.tokens)

    @property
    def tokens(self) -> np.ndarray:
        return np.concatenate([np.array(self.texts.given, np.int32), self.branches.tokens])

    @property
    def positions(self) -> np.ndarray:
        given = len(self.texts.given)
        return np.concatenate([np.arange(given), self.branches.depths + given])

    @property
    def seen(self) -> np.ndarray:
        given = len(self.texts.given)
        seen = np.tri(self.size, dtype=np.bool_)
        seen[given:, given:] = self.branches.seen
        return seen

    @property
    def asking(self) -> int:
        """How many nodes, the last ones, have something after them that is scored."""
        return self.size - self.texts.scored + 1

    @property
    def starts(self) -> np.ndarray:
        """Before each scored id its place among the asking nodes: ids given, then edges."""
        given = len(self.texts.given) - self.texts.scored
        # The root, -1, is the last id of what is given.
        return np.concatenate([np.arange(given), self.branches.starts + given + 1])

    @property
    def ends(self) -> np.ndarray:
        """Ids that are scored."""
        own = np.array(self.texts.given[self.texts.scored :], np.int32)
        return np.concatenate([own, self.branches.ends])


class _SharedTries:
    """Tries of pieces, so that places that share their pieces share the work on them."""

    def __init__(self) -> None:
        self._pieces: tuple[tuple[int, ...], ...] | None = None  # those of the place before
        self._known: dict[int, list[tuple[tries.Trie, _Branches]]] = {}  # by their room

    def __call__(
        self, pieces: tuple[tuple[int, ...], ...], room: int
    ) -> list[tuple[tries.Trie, _Branches]]:
        """The tries of pieces, each of at most `room` inner nodes."""
        if pieces is not self._pieces:
            self._pieces, self._known = pieces, {}
        if room not in self._known:
            found = tries.groups(pieces, ended=False, most=room)
            self._known[room] = [(trie, _Branches.of(trie)) for trie in found]
        return self._known[room]


def _filled(jobs: Sequence[_Job], size: int) -> list[list[_Job]]:
    """Rows of jobs, each with the largest ones that still have room in it."""
    waiting = sorted(jobs, key=lambda job: (job.size, -job.place))
    sizes = [job.size for job in waiting]
    rows = []
    while waiting:
        row: list[_Job] = []
        free = size
        while (fits := bisect.bisect_right(sizes, free)) > 0:
            job = waiting.pop(fits - 1)
            free -= sizes.pop(fits - 1)
            row.append(job)
        rows.append(row)
    return rows


def _sums(job: _Job, gains: np.ndarray) -> np.ndarray:
    """The score of each text of a job [members], by the log-probabilities of its edges."""
    own = len(job.texts.given) - job.texts.scored
    reached = np.array([gains[:own].sum(dtype=np.float64)])
    levels, first = [], own
    for level in job.trie.levels:
        here = reached[level.parents] + gains[first : first + len(level.tokens)]
        levels.append(here)
        reached = here[level.inner]
        first += len(level.tokens)
    return np.concatenate(levels)[job.trie.nodes]


def _gains(
    module: protocol.TreeReader,
    params: Params,
    outputs: jax.Array,
    asking: jax.Array,
    starts: jax.Array,
    ends: jax.Array,
) -> jax.Array:
    """Log-probabilities [edges] of ids after nodes.

    Args:
        module: The network.
        params: Its parameters.
        outputs: Of all nodes, [batch, nodes, emb].
        asking: Places [asking] of the nodes after which something is scored, among batch * nodes.
        starts: For each edge its node, a place in `asking`.
        ends: For each edge its id.
    """
    flat = outputs.reshape(-1, outputs.shape[-1])[asking]
    logits = protocol.logits(module, params, flat[None])[0]
    return logits[starts, ends] - jax.nn.logsumexp(logits, axis=-1)[starts]


def _padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays, one after the other, filled up with zeros to a length that occurs often."""
    joined = np.concatenate(arrays)
    return np.pad(joined.astype(np.int32), (0, bucket(len(joined), _ANY) - len(joined)))
