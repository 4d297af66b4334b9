"""What a model says and what a linear probe reads in it, about the same right and wrong answers.

Each fact is put to the model with its right candidate and some wrong ones of its relation. One
forward pass per pair gives the candidate's log-probability (external) and, by taps, the states of
its last token, from which a probe learns to tell right from wrong on other subjects (internal).
`share` compares the two (Gekhman et al. 2025, arXiv 2503.15299).
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError
from closedbook.eval.intervals import Estimate
from closedbook.knowledge.loaded_model import LoadedModel, no_numbers
from closedbook.knowledge.probing.gold import gold
from closedbook.knowledge.probing.hidden import linear, share
from closedbook.knowledge.probing.hidden.batches import Pairs, batches
from closedbook.knowledge.probing.hidden.kept import SUMS, Kept
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.progress import Count, silent
from closedbook.models.families import Config, Network
from closedbook.models.parameters import Params, unboxed
from closedbook.models.sites import matching
from closedbook.models.taps import Taps
from closedbook.tasks.facts.form import Facts, subject_key

WRONG = 10  # wrong candidates per fact
FOLDS = 5
_STACK = "decoder"  # reads the candidates in every family
_NOTHING = 1e-6  # of the largest number of a state: below it is rounding
_SHOWN = {"sum": "log-probability", "length": "log-probability per token"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Read:
    """What was read of each pair.

    Attributes:
        states: Site -> float32 [pairs, width], at the candidate's last token.
        log_probs: float64 [pairs], the candidate's, its end included where the prompting has one.
        tokens: int64 [pairs], how many were scored.
    """

    states: Mapping[str, np.ndarray]
    log_probs: np.ndarray
    tokens: np.ndarray


def sites(config: Config, patterns: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the sites whose states are read, in the order in which they are computed.

    Args:
        config: The model's.
        patterns: Names or globs. Default: the residual stream after the middle and the last
            layer, and as a control the embedding of the candidate's last piece, which sees no
            question and no other piece.

    Raises:
        UserError: A pattern names no site, or one that has no state per token of the candidate.
    """
    last = config.stacks[_STACK].layers - 1
    layers = [f"{_STACK}.{layer}.resid_post" for layer in (last // 2, last)]
    found = matching(config, patterns or [f"{_STACK}.embed", *layers])
    for site in found:
        if site.stack != _STACK or site.local.endswith("weights"):
            raise UserError(
                f"the site {site.name} has no state of a candidate's token; name sites of the "
                f"{_STACK} that hold a vector per token, such as '{_STACK}.*.resid_post'"
            )
    return tuple(site.name for site in found)


def sample(facts: Facts, wrong: int = WRONG) -> Pairs:
    """Each fact's own object and up to `wrong` wrong candidates of its relation.

    Which they are is told by a hash of relation, subject and candidate, so that it never changes.
    Other right objects of the subject are neither. Facts without a wrong candidate are left out.

    Raises:
        UserError: Fewer than two subjects are left, so that no probe could be tried on others.
    """
    right = gold(facts)
    rows: list[tuple[int, int, bool]] = []
    for number, fact in enumerate(facts.facts):
        own = int(right.index[number])
        never = {own, *right.others[number].tolist()}
        start = hashlib.sha256("\0".join(subject_key(fact)).encode())

        def drawn(place: int, start: Any = start, relation: str = fact.relation) -> bytes:
            digest = start.copy()
            digest.update(b"\0" + facts.relations[relation].candidates[place].encode())
            return bytes(digest.digest())

        many = len(facts.relations[fact.relation].candidates)
        chosen = sorted((place for place in range(many) if place not in never), key=drawn)[:wrong]
        if chosen:
            rows += [(number, own, True), *((number, place, False) for place in chosen)]
    subjects = {subject_key(facts.facts[number])[1] for number, _, _ in rows}
    if len(subjects) < 2:
        raise UserError(
            f"{facts.source}: hidden knowledge needs two subjects at least that have a right and a "
            "wrong candidate, for a probe learns from some and is tried on others; there is "
            + ("one" if subjects else "none")
        )
    fact_, candidate, is_right = (np.array(column) for column in zip(*rows, strict=True))
    return Pairs(fact=fact_, candidate=candidate, right=is_right)


def read(
    model: LoadedModel,
    facts: Facts,
    prompting: Prompting,
    pairs: Pairs,
    names: Sequence[str],
    *,
    single: bool = False,
    keep: pathlib.Path | None = None,
    progress: Count = silent,
) -> Read:
    """The states and log-probabilities of all pairs, many per forward pass.

    Args:
        model: The model.
        facts: What is asked.
        prompting: How it is put to the model.
        pairs: Of `sample`.
        names: Of the sites.
        single: Whether candidates are single pieces, scored without an end.
        keep: A folder for what was read of each batch. What it holds of the same model, sites and
            batch is not read again.
        progress: Is told how many pairs are done.

    Raises:
        UserError: A prompt or a candidate cannot be put to the model, or it gives no numbers.
    """
    inputs = prompting.inputs(facts.facts)
    answers = {
        name: prompting.answers(relation, single=single)
        for name, relation in facts.relations.items()
    }
    params = unboxed(model.params)
    forward = jax.jit(functools.partial(_forward, model.module, model.config, tuple(names)))
    states: dict[str, list[np.ndarray]] = {name: [] for name in names}
    log_probs = np.empty(len(pairs.fact))
    tokens = np.empty(len(pairs.fact), np.int64)
    order = []
    kept = Kept(keep, model.sha256, names) if keep else None
    for batch in batches(model, facts, inputs, answers, pairs):
        given = batch.inputs, batch.rows, batch.targets, batch.last
        found = kept.read(given) if kept else None
        if found is None:
            here, sums = forward(params, *given)
            found = {name: np.asarray(here[name], np.float32) for name in names}
            found[SUMS] = np.asarray(sums)
            if kept:
                kept.write(given, found)
        for name in names:
            states[name].append(found[name][batch.real])
        log_probs[batch.pairs] = found[SUMS][batch.real]
        tokens[batch.pairs] = (batch.targets >= 0).sum(1)[batch.real]
        order.append(batch.pairs)
        progress(sum(map(len, order)))
    back = np.argsort(np.concatenate(order))
    joined = {name: np.concatenate(states.pop(name))[back] for name in names}
    if not all(np.isfinite(each).all() for each in (log_probs, *joined.values())):
        raise no_numbers("these facts")
    return Read(states=joined, log_probs=log_probs, tokens=tokens)


def summarise(facts: Facts, pairs: Pairs, found: Read) -> dict[str, Any]:
    """K by the model's own scores and by a probe per site, and the gaps between them.

    The probes learn from all relations at once. A site has two: one reads the states, one ("site,
    centred") the states less their mean over the questions that were asked with the same
    candidate. A probe of plain states knows a candidate again: the object of one subject alone
    was right for nobody else, so that other subjects teach it to be wrong, and K may fall far
    below a half. The centred one is left out where no question changes the state.

    Intervals draw whole relations; where there is
    one relation, subjects.

    Returns:
        Of which `plain` makes JSON: "facts", "pairs", "folds"; "external" and "internal", lists
        of "name", "k", "full" (estimates) and "relations" (name -> K); each internal one also
        has "gaps", to each external one: "value" (estimate) and "relative" (None where the
        external K is 0).
    """
    asked = np.unique(pairs.fact)
    subjects = [subject_key(facts.facts[number])[1] for number in pairs.fact]
    number_of_folds = min(FOLDS, len(set(subjects)))
    fold = linear.folds(subjects, number_of_folds)
    relations = [facts.facts[number].relation for number in asked]
    one = len(set(relations)) == 1
    clusters = [subject_key(facts.facts[n])[1] for n in asked] if one else relations
    external = {
        "sum": k_of_facts(pairs, found.log_probs),
        "length": k_of_facts(pairs, found.log_probs / found.tokens),
    }
    own = {name: place for place, name in enumerate(facts.relations)}
    names = np.array([own[facts.facts[number].relation] for number in pairs.fact])
    same = np.unique(np.stack([names, pairs.candidate]), axis=1, return_inverse=True)[1].ravel()
    internal = {}
    for name, states in found.states.items():
        internal[name] = k_of_facts(pairs, linear.cross_validated(states, pairs.right, fold))
        less = linear.centred(states, same)
        if np.abs(less).max() > _NOTHING * np.abs(states).max():
            k = k_of_facts(pairs, linear.cross_validated(less, pairs.right, fold))
            internal[f"{name}, centred"] = k

    def entry(name: str, k: np.ndarray) -> dict[str, Any]:
        known = share.knowledge(k, clusters)
        of = np.array(relations)
        return {
            "name": name,
            "k": Estimate(mean=known.k, low=known.k_interval.low, high=known.k_interval.high),
            "full": Estimate(
                mean=known.full, low=known.full_interval.low, high=known.full_interval.high
            ),
            "relations": {each: float(k[of == each].mean()) for each in dict.fromkeys(relations)},
        }

    def gap(k: np.ndarray, other: np.ndarray) -> dict[str, Any]:
        found = share.gap(k, other, clusters)
        return {
            "value": Estimate(mean=found.value, low=found.interval.low, high=found.interval.high),
            "relative": found.relative if np.isfinite(found.relative) else None,
        }

    return {
        "facts": len(asked),
        "pairs": len(pairs.fact),
        "folds": number_of_folds,
        "external": [{**entry(name, k), "label": _SHOWN[name]} for name, k in external.items()],
        "internal": [
            {**entry(name, k), "gaps": {other: gap(k, each) for other, each in external.items()}}
            for name, k in internal.items()
        ],
    }


def k_of_facts(pairs: Pairs, scores: np.ndarray) -> np.ndarray:
    """K of each fact, [facts that have pairs], by the scores [pairs]."""
    parts = np.split(scores, np.flatnonzero(np.diff(pairs.fact)) + 1)
    return share.of_candidates(parts, [np.array([0])] * len(parts))


def _forward(
    module: Network,
    config: Config,
    names: tuple[str, ...],
    params: Params,
    inputs: jax.Array,
    rows: jax.Array,
    targets: jax.Array,
    last: jax.Array,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """States [rows, width] of the last tokens, and sums [rows] of the targets' log-probabilities.

    An input is encoded once for all its candidates.
    """
    taps = Taps(record=names)
    if config.continues_prompt:
        logits, records = module.apply({"params": params}, rows, taps=taps)
    else:
        encoded, _ = module.apply({"params": params}, inputs, method="encode")
        copies = len(rows) // len(inputs)
        given = (jnp.repeat(each, copies, axis=0) for each in (encoded, inputs))
        logits, records = module.apply({"params": params}, *given, rows, taps=taps, method="decode")
    scored = targets >= 0
    chosen = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    log_probs = jnp.where(scored, chosen - jax.nn.logsumexp(logits, axis=-1), 0.0)
    states = {name: records[name][jnp.arange(len(rows)), last] for name in names}
    return states, log_probs.sum(-1)
