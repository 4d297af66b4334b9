"""Trains one network and measures what it holds; what is done stays when it is killed."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.capacity_study import examples, people, training, zeroing
from benchmarks.capacity_study.networks import NAMES
from benchmarks.capacity_study.plan import BITS, Cell
from closedbook import whole_files
from closedbook.checkpoints import ModelCard
from closedbook.eval.analysis.summarized import plain
from closedbook.knowledge.capacity import asking, bits, priors, sizes, summary
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing.families.opening import prompting_of
from closedbook.knowledge.probing.prompts import Way
from closedbook.models.parameters import Params
from closedbook.tasks.facts.form import Facts
from closedbook.vocabulary.sentencepiece import Vocabulary

RESULT = "result.json"
_ASKED = 240  # people of each group that are asked about
_SILENCED = 48  # people that are asked about when parts are silenced
PASSES = 10  # over the questions of fine-tuning
SLOWER = 0.3  # the rate of fine-tuning, of that of pretraining
_AT_ONCE = 256  # rows whose code lengths are computed together


def run(cell: Cell, folder: pathlib.Path, vocabulary: pathlib.Path) -> dict[str, Any]:
    """Runs a cell and keeps its result.

    Args:
        cell: What to run, with its learning rate.
        folder: The cell's own.
        vocabulary: A folder for the one of people.

    Returns:
        What the page needs, as JSON has it.
    """
    assert cell.rate is not None, "tuning comes first"
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    raw = cell.meter != "facts"
    found = _raw(cell, folder) if raw else _facts(cell, folder, people.vocabulary(vocabulary))
    counted = sizes.count(training.fresh(cell.config, 0))
    result = {
        **{f.name: getattr(cell, f.name) for f in dataclasses.fields(cell)},
        "items": cell.items,
        "offered": cell.items * BITS[cell.meter],
        "steps": cell.steps,
        "parameters": counted.others,
        "embeddings": counted.embeddings,
        **found,
        "seconds": round(time.monotonic() - started, 1),
    }
    whole_files.write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")
    return result


def _trained(cell: Cell, folder: pathlib.Path, batches: examples.Batches) -> tuple[Params, float]:
    schedule = training.Schedule(rate=cell.rate or 0.0, steps=cell.steps)
    params = training.fresh(cell.config, cell.seed)
    return training.train(cell.config, params, batches, schedule, keep=folder / "state.msgpack")


def _raw(cell: Cell, folder: pathlib.Path) -> dict[str, Any]:
    """Bits of random strings: their entropy less the model's code length."""
    if cell.meter == "pairs":
        whole = examples.pairs(cell.items, cell.seed, cell.config)
    else:
        whole = examples.strings(cell.items, cell.seed)
    batches = examples.of_rows(whole, batch=cell.batch, seed=cell.seed)
    params, loss = _trained(cell, folder, batches)
    entropies = np.full(cell.items, BITS[cell.meter])

    def measured(of: Params) -> bits.Bits:
        return bits.memorised(entropies, training.code_lengths(cell.config, of, whole, _AT_ONCE))

    fresh = training.fresh(cell.config, cell.seed + 1)
    return {
        "loss": loss,
        "held": plain(measured(params)),
        "untrained": plain(measured(fresh)),
        "silenced": [
            {**dataclasses.asdict(part), "held": plain(measured(without))}
            for part, without in zeroing.silenced(params)
        ],
    }


def _facts(cell: Cell, folder: pathlib.Path, vocabulary: Vocabulary) -> dict[str, Any]:
    """Bits of people that can be asked for, of those that fine-tuning asked about and others.

    First they are asked for as stated, then, when half of the people were asked about in
    fine-tuning, by questions. Some other people were never told of: of them a model must hold
    nothing.
    """
    told = people.people(cell.items + _ASKED, cell.seed)
    known = people.People(names=told.names[: cell.items], values=told.values[: cell.items])
    order = np.random.default_rng([cell.seed, 6]).permutation(cell.items)
    asked, held_out = order[: cell.items // 2], order[cell.items // 2 :]
    pretrained = folder / "pretrained.msgpack"
    batches = examples.pretraining(
        known, vocabulary, cell.objective, batch=cell.batch, seed=cell.seed
    )
    if pretrained.exists():
        params, loss = training.read(pretrained, training.fresh(cell.config, cell.seed))
    else:
        params, loss = _trained(cell, folder, batches)
        training.write(pretrained, params, loss)
    strangers = np.arange(cell.items, cell.items + _ASKED)
    groups = {"told": held_out[:_ASKED], "never told": strangers}
    stated = _groups(cell, params, vocabulary, told, groups, stated=True)
    silenced = _silenced(cell, params, vocabulary, told, held_out[:_SILENCED])
    many, asking_ = examples.questions(
        known, asked, vocabulary, cell.config, batch=cell.batch, seed=cell.seed
    )
    steps = max(PASSES * many // cell.batch, 1)
    schedule = training.Schedule(rate=SLOWER * (cell.rate or 0.0), steps=steps)
    params, fine = training.train(cell.config, params, asking_, schedule)
    groups = {"asked": asked[:_ASKED], "held out": held_out[:_ASKED], "never told": strangers}
    whole = _groups(cell, params, vocabulary, told, groups)
    result = {
        "loss": loss,
        "fine_tuning": {"loss": fine, "steps": steps, "people": len(asked)},
        "stated": stated,
        "groups": whole,
        **silenced,
    }
    pretrained.unlink(missing_ok=True)
    return result


def _silenced(
    cell: Cell,
    params: Params,
    vocabulary: Vocabulary,
    told: people.People,
    places: np.ndarray,
) -> dict[str, Any]:
    """Bits of some people as stated, with the whole network and without each of its parts."""
    some = people.gathered(people.facts(told, places, "", stated=True))

    def measured(of: Params) -> Any:
        return plain(_summary(cell, of, vocabulary, some, stated=True)["all"]["best"])

    return {
        "whole": {"people": len(places), "held": measured(params)},
        "silenced": [
            {**dataclasses.asdict(part), "held": measured(without)}
            for part, without in zeroing.silenced(params)
        ],
    }


def _groups(
    cell: Cell,
    params: Params,
    vocabulary: Vocabulary,
    told: people.People,
    groups: Mapping[str, np.ndarray],
    *,
    stated: bool = False,
) -> dict[str, Any]:
    """Bits of several groups of people, by group."""
    every = people.gathered(
        [
            fact
            for split, places in groups.items()
            for fact in people.facts(told, places, split, stated=stated)
        ]
    )
    found = _summary(cell, params, vocabulary, every, stated=stated)
    return {
        part["name"]: {
            "people": len(groups[part["name"]]),
            **{name: plain(part[name]) for name in summary.PHRASINGS},
            "relations": plain(part["relations"]),
        }
        for part in found["parts"]
    }


def _summary(
    cell: Cell, params: Params, vocabulary: Vocabulary, facts: Facts, *, stated: bool
) -> Mapping[str, Any]:
    """What `closedbook capacity` would say of a network and facts that a fair die drew.

    As stated, facts are asked for by the sentences that told them: a T5 fills the gap, a model that
    goes on with its prompt has those that end with the value.
    """
    card = ModelCard(
        config=cell.config, vocabulary_sha256=vocabulary.sha256, task=NAMES[cell.family]
    )
    model = LoadedModel(
        config=cell.config, params=params, vocabulary=vocabulary, card=card, step=cell.steps
    )
    way: Way = "question"
    if stated:
        way = "continuation" if cell.config.continues_prompt else "sentinels"
    prompting = prompting_of(model, way)
    facts = priors.counted_once(asking.with_phrasings(facts, prompting, None), "uniform")
    worth = priors.priors(facts, "uniform")
    rows = asking.ask(model, facts, prompting, worth)
    lengths = summary.code_lengths(facts, rows, worth)
    return summary.summarise(facts, lengths, worth, sizes.parameters_of(model))


def best_rate(results: Sequence[Mapping[str, Any]]) -> float:
    """The learning rate with which most bits were held, of runs that are not reported.

    Args:
        results: Of one arm, of people as stated.
    """

    def held(result: Mapping[str, Any]) -> float:
        facts = result["meter"] == "facts"
        found = result["stated"]["told"]["best"] if facts else result["held"]
        return float(found["unclipped"])

    return float(max(results, key=held)["rate"])
