"""Does attribution find memories that matter? The strongest against random active ones, set to 0.

Each fact is put to the model with its right answer. The memories that add most to the answer's
logits (less the mean logit, since a probability does not see what all logits have in common) are
silenced by taps, their coefficients set to 0 at the positions where they add it, and the answer's
log-probability is measured again. Two controls silence as many memories that are active: anywhere
in the same stacks, and in the same layers and at the same positions as the strongest.

A memory is counted once per position: `(stack, layer, position, cell)`. A decoder's positions are
those whose logits give the answer; an encoder's are all of its input.
"""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError, unknown_name
from closedbook.eval import intervals
from closedbook.eval.intervals import Estimate
from closedbook.eval.report import numbers
from closedbook.inference.predictor import bucket
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.explanations.attribution import ANSWERS, attribute, recorded
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.progress import Count, silent
from closedbook.models.families import Network, network
from closedbook.models.parameters import Params, layers_apart, unboxed
from closedbook.models.taps import Patch, Taps
from closedbook.tasks.facts.form import Fact, Facts

Control = Literal["random", "matched"]
CONTROLS: tuple[Control, ...] = get_args(Control)
FACTS, TOP, DRAWS, SEED = 256, 20, 5, 0
_AT_ONCE = 32  # facts per forward pass
_FAINT = 0.01  # of the strongest of a layer and position: what units other than ReLU must exceed
_ANY = 1 << 30  # no longest
_SHORTEST = 8  # tokens of a row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Of an ablation.

    Attributes:
        top: How many memories are silenced.
        draws: Random sets per control and fact.
        seed: Of the draws, with the fact's id.
        stacks: Whose memories are taken; all that the model has if None.
    """

    top: int = TOP
    draws: int = DRAWS
    seed: int = SEED
    stacks: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One fact: the answer's log-probability as it is, and by how much it falls.

    Attributes:
        id: The fact's.
        relation: The fact's.
        log_prob: Of the answer, its end included where answers have one.
        top: Fall where the strongest are silenced, in nats.
        random: Mean fall over draws of active ones.
        matched: Mean fall over draws in the same layers and at the same positions.
        active: How many memories were active.
        silenced: How many were silenced; fewer than asked for where fewer add anything.
    """

    id: str
    relation: str
    log_prob: float
    top: float
    random: float
    matched: float
    active: int
    silenced: int


def sample(facts: Facts, many: int = FACTS) -> Facts:
    """Facts that a hash of their ids chooses, the same ones always.

    Raises:
        UserError: There are fewer.
    """
    if len(facts) < many:
        holds = numbers.counted(len(facts), "fact")
        raise UserError(f"{facts.source} holds {holds}, fewer than {many:,}")
    chosen = sorted(facts.facts, key=lambda fact: hashlib.sha256(fact.id.encode()).digest())
    return facts.keep(chosen[:many])


def ablate(
    model: LoadedModel,
    facts: Facts,
    prompting: Prompting,
    settings: Settings | None = None,
    progress: Count = silent,
) -> list[Row]:
    """Silences memories, fact by fact; one program is compiled per pair of padded lengths.

    Args:
        model: The model; it computes in float32 here.
        facts: What is asked.
        prompting: How it is put to the model.
        settings: What is silenced.
        progress: Is told how many facts are done.

    Raises:
        UserError: There is no such stack, or a prompt or an answer cannot be put to the model.
    """
    settings = settings or Settings()
    config = dataclasses.replace(model.config, dtype="float32")
    stacks = settings.stacks or tuple(config.stacks)
    for name in stacks:
        if name not in config.stacks:
            raise unknown_name(f"stack of a {config.title}", name, config.stacks)
    params = unboxed(model.params)
    norms = {
        name: np.stack(
            [
                np.linalg.norm(np.asarray(layer["mlp"]["wo"]["kernel"], np.float32), axis=-1)
                for layer in layers_apart(params[name], config.stacks[name].layers)
            ]
        )
        for name in stacks
    }
    run = _program(network(config), stacks)
    found: dict[str, Row] = {}
    for batch in _batches(model, facts, prompting):
        shapes = {
            name: (config.stacks[name].layers, _AT_ONCE, batch.length(name), config.mlp_dim)
            for name in stacks
        }
        ask = functools.partial(run, params, batch.inputs, batch.rows, batch.targets)
        nothing = {name: np.zeros(shape, bool) for name, shape in shapes.items()}
        clean, added, coefficients = jax.device_get(ask(nothing))
        chosen = [
            _Choice.of(fact, row, batch, added, coefficients, norms, stacks, settings)
            for row, fact in enumerate(batch.facts)
        ]

        def fall(
            cells: Sequence[np.ndarray],
            ask: Callable[..., tuple[jax.Array, ...]] = ask,
            clean: np.ndarray = clean,
            shapes: Mapping[str, tuple[int, ...]] = shapes,
        ) -> np.ndarray:
            where = {name: np.zeros(shape, bool) for name, shape in shapes.items()}
            for row, of_fact in enumerate(cells):
                for stack, layer, position, cell in of_fact.tolist():
                    where[stacks[stack]][layer, row, position, cell] = True
            return clean - np.asarray(ask(where)[0])

        top = fall([choice.top for choice in chosen])
        falls: dict[Control, np.ndarray] = {}
        for control in CONTROLS:
            each = [fall([c.drawn[control][d] for c in chosen]) for d in range(settings.draws)]
            falls[control] = np.mean(each, axis=0)
        for row, (fact, choice) in enumerate(zip(batch.facts, chosen, strict=True)):
            found[fact.id] = Row(
                id=fact.id,
                relation=fact.relation,
                log_prob=float(clean[row]),
                top=float(top[row]),
                random=float(falls["random"][row]),
                matched=float(falls["matched"][row]),
                active=choice.active,
                silenced=len(choice.top),
            )
        progress(len(found))
    rows = [found[fact.id] for fact in facts.facts]
    if not np.isfinite([[row.log_prob, row.top, row.random, row.matched] for row in rows]).all():
        raise UserError(
            "the model's scores are no numbers (NaN or infinite); its parameters are damaged"
        )
    return rows


def summarise(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Means over facts in nats, with 95% intervals that draw whole relations.

    Where all facts are of one relation, the intervals draw facts.

    Returns:
        "top", "random", "matched": falls of the log-probability; "top - random" and
        "top - matched": by how much more it falls where the strongest are silenced.
    """
    relations = [row.relation for row in rows]
    clusters = relations if len(set(relations)) > 1 else None
    values = {
        "top": np.array([row.top for row in rows]),
        "random": np.array([row.random for row in rows]),
        "matched": np.array([row.matched for row in rows]),
    }
    for control in CONTROLS:
        values[f"top - {control}"] = values["top"] - values[control]
    found = {}
    for name, each in values.items():
        low, high = intervals.of_any(each, clusters=clusters)
        found[name] = Estimate(mean=float(each.mean()), low=low, high=high)
    return found


@dataclasses.dataclass(frozen=True)
class _Choice:
    """What is silenced for one fact: int [silenced, 4] of stack, layer, position, cell."""

    top: np.ndarray
    drawn: Mapping[Control, Sequence[np.ndarray]]
    active: int

    @classmethod
    def of(
        cls,
        fact: Fact,
        row: int,
        batch: "_Batch",
        added: Mapping[str, np.ndarray],
        coefficients: Mapping[str, np.ndarray],
        norms: Mapping[str, np.ndarray],
        stacks: Sequence[str],
        settings: Settings,
    ) -> "_Choice":
        cells, values = [], []
        for number, name in enumerate(stacks):
            strength = np.abs(coefficients[name][:, row]) * norms[name][:, None]
            floor = 0.0 if batch.relu else _FAINT * strength.max(-1, keepdims=True)
            active = (strength > floor) & batch.counts(name, row)[None, :, None]
            cells.append(np.insert(np.argwhere(active), 0, number, axis=1))
            values.append(added[name][:, row][active])
        every, value = np.concatenate(cells), np.concatenate(values)
        order = np.argsort(-value, kind="stable")[: settings.top]
        order = order[value[order] > 0]
        rest = np.delete(np.arange(len(every)), order)
        digest = hashlib.sha256(fact.id.encode()).digest()
        random = np.random.default_rng([settings.seed, int.from_bytes(digest[:8], "big")])
        many = min(len(order), len(rest))
        drawn: dict[Control, list[np.ndarray]] = {"random": [], "matched": []}
        places = [tuple(place) for place in every[:, :3].tolist()]
        pools: dict[tuple[int, ...], list[int]] = {}
        for each in rest.tolist():
            pools.setdefault(places[each], []).append(each)
        for _ in range(settings.draws):
            drawn["random"].append(every[random.choice(rest, many, replace=False)])
            alike: list[int] = []
            for place, group in itertools.groupby(sorted(places[i] for i in order.tolist())):
                pool = pools.get(place, [])
                wanted = min(len(list(group)), len(pool))
                alike += random.choice(np.array(pool, int), wanted, replace=False).tolist()
            drawn["matched"].append(every[np.array(alike, int)])
        return cls(every[order], drawn, len(every))


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Facts of like lengths; rows beyond them repeat the last.

    Attributes:
        facts: The facts.
        inputs: int32 [batch, inputs].
        rows: What the decoder reads, int32 [batch, length].
        targets: The token that each place is to give, int32 [batch, length]; -1 for none.
        real: Which inputs are no padding, bool [batch, inputs].
        relu: Whether memories are silent where their coefficient is 0, and only there.
    """

    facts: tuple[Fact, ...]
    inputs: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    real: np.ndarray
    relu: bool

    def length(self, stack: str) -> int:
        """How many positions of a stack there are."""
        return (self.rows if stack == ANSWERS else self.inputs).shape[1]

    def counts(self, stack: str, row: int) -> np.ndarray:
        """Which positions of a stack count, bool [length]."""
        return self.targets[row] >= 0 if stack == ANSWERS else self.real[row]


def _batches(model: LoadedModel, facts: Facts, prompting: Prompting) -> Iterator[_Batch]:
    continues, module = model.config.continues_prompt, model.module
    inputs = prompting.inputs(facts.facts)
    spelled = prompting.spelled([fact.object for fact in facts.facts])
    answers = {name: prompting.answers(facts.relations[name]) for name in facts.relations}
    made = []
    for fact, given, (name, pieces) in zip(facts.facts, inputs, spelled, strict=True):
        if not prompting.knows(name, pieces):
            raise UserError(
                f"the object {name!r} of fact {fact.id} does not tokenise with "
                f"{model.vocabulary.path}; leave the fact out"
            )
        of_relation = answers[fact.relation]
        begin = given if continues else [module.config.begin_id]
        row = [*begin, *of_relation.before, *pieces]
        scored = [*pieces, -1 if of_relation.end is None else of_relation.end]
        made.append((fact, given, row, [*[-1] * (len(row) - len(scored)), *scored]))
    longest = model.config.most_positions(after=1) or _ANY
    size = lambda each: (  # noqa: E731
        bucket(len(each[1]), _ANY),
        bucket(len(each[2]), longest, _SHORTEST),
    )
    for (of_inputs, of_rows), group in itertools.groupby(sorted(made, key=size), key=size):
        alike = list(group)
        for first in range(0, len(alike), _AT_ONCE):
            some = alike[first : first + _AT_ONCE]
            filled = [*some, *[some[-1]] * (_AT_ONCE - len(some))]
            lengths = np.array([len(each[1]) for each in filled])
            yield _Batch(
                facts=tuple(each[0] for each in some),
                inputs=_padded([each[1] for each in filled], of_inputs, module.pad_id),
                rows=_padded([each[2] for each in filled], of_rows, module.pad_id),
                targets=_padded([each[3] for each in filled], of_rows, -1),
                real=np.arange(of_inputs) < lengths[:, None],
                relu=tuple(model.config.mlp_activations) == ("relu",),
            )


def _padded(rows: Sequence[Sequence[int]], length: int, pad: int) -> np.ndarray:
    found = np.full((len(rows), length), pad, np.int32)
    for number, row in enumerate(rows):
        found[number, : len(row)] = row
    return found


@functools.lru_cache(maxsize=4)
def _program(module: Network, stacks: tuple[str, ...]) -> "jax.stages.Wrapped":
    return jax.jit(functools.partial(_forward, module, stacks))


def _forward(
    module: Network,
    stacks: tuple[str, ...],
    params: Params,
    inputs: jax.Array,
    rows: jax.Array,
    targets: jax.Array,
    silent: Mapping[str, jax.Array],
) -> tuple[jax.Array, dict[str, jax.Array], dict[str, jax.Array]]:
    """Log-probabilities [batch]; what memories add, and coefficients, [layers, batch, P, cells]."""
    config = module.config
    given = (rows,) if config.continues_prompt else (inputs, rows)
    tokens = {ANSWERS: rows} | {name: inputs for name in config.stacks if name != ANSWERS}
    patches = {
        f"{name}.*.mlp.coefficients": Patch(jnp.zeros((len(where), 1, 1, 1)), where)
        for name, where in silent.items()
    }
    with jax.default_matmul_precision("highest"):
        taps = Taps(patches=patches, record=recorded(config))
        applied: Any = module.apply({"params": params}, *given, taps=taps)
        logits, records = applied
        scored = targets >= 0
        chosen = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
        log_probs = jnp.where(scored, chosen - jax.nn.logsumexp(logits, axis=-1), 0.0)
        vocabulary = logits.shape[-1]
        weights = jax.nn.one_hot(targets, vocabulary) - 1 / vocabulary
        weights = jnp.where(scored[..., None], weights, 0.0)
        places = jnp.broadcast_to(jnp.arange(rows.shape[1]), rows.shape)
        found = attribute(module, params, records, tokens, places, weights, sources=False)
    added = {name: found[name].memories for name in stacks}
    coefficients = {
        name: jnp.stack(
            [records[f"{name}.{i}.mlp.coefficients"] for i in range(config.stacks[name].layers)]
        )
        for name in stacks
    }
    return log_probs.sum(-1), added, coefficients
