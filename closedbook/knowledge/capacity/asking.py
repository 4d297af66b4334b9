"""Asking a model for facts in several phrasings: its probability of the right candidate in each."""

import dataclasses
import hashlib
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from closedbook.knowledge.capacity.priors import Priors
from closedbook.knowledge.loaded_model import no_numbers
from closedbook.knowledge.probing import tasks as probing_tasks
from closedbook.knowledge.probing.families.protocol import AnyPrompting, Model, Scorer
from closedbook.knowledge.probing.kept_rows import KeptRows, Row
from closedbook.knowledge.probing.tasks import Task, Tasks
from closedbook.knowledge.progress import CountOf, Progress, silent
from closedbook.tasks.facts.form import Fact, Facts

_log = logging.getLogger(__name__)


def with_phrasings(facts: Facts, prompting: AnyPrompting[Model], most: int | None) -> Facts:
    """The facts with those prompts alone that the model is asked in.

    Args:
        facts: Each with a prompt that can be put to the model (`wordings.askable`).
        prompting: How it is put.
        most: How many phrasings of a fact, the first ones; all if None.
    """

    def of(fact: Fact) -> Fact:
        first, *others = prompting.wordings(fact)[:most]
        return dataclasses.replace(fact, prompt=first, paraphrases=tuple(others))

    return dataclasses.replace(facts, facts=tuple(map(of, facts.facts)))


def tasks_of(model: Model, facts: Facts, prompting: AnyPrompting[Model]) -> Tasks:
    """What is asked; what cannot be is told of here, before any work is done.

    Raises:
        UserError: A prompt or a candidate cannot be put to the model, or two candidates are spelled
            alike.
    """
    several = any(len(prompting.wordings(fact)) > 1 for fact in facts.facts)
    return probing_tasks.made(model, facts, prompting, paraphrases=several)


def ask(
    model: Model,
    facts: Facts,
    prompting: AnyPrompting[Model],
    priors: Priors,
    *,
    tasks: Tasks | None = None,
    keep: pathlib.Path | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """Asks a model for all facts; one row per fact, in the order of the data.

    Args:
        model: The model.
        facts: What is asked; the candidates are those of their relations.
        prompting: How it is put to the model.
        priors: Of the facts: which candidates are asked of each.
        tasks: Of `tasks_of`, where that was called before.
        keep: A folder for the rows of finished relations. What it holds of the same model, facts
            and candidates is not asked again.
        progress: Is told a step, how many facts are done, and of how many.

    Returns:
        Rows of "log2", the model's probability of the right candidate among those that are asked,
        in each phrasing, and "prompts".

    Raises:
        UserError: As for `tasks_of`; or the model gives no numbers.
    """
    asked = tasks or tasks_of(model, facts, prompting)
    kept = KeptRows(keep, [model.sha256, prompting.way], "bits")
    rows: list[Row] = [{} for _ in facts.facts]
    done = known = 0
    for name, of in asked.places.items():
        task, excluded = asked.of[name], [priors.excluded[number] for number in of]
        asks = repr((task.facts, task.candidates, task.inputs, task.answers, task.variants))
        given = (asks.encode(), _digest(excluded))
        found = kept.read(*given)
        known += found is not None
        if found is None:
            texts = [prompting.text(fact) for fact in task.facts]

            def told(count: int, of: int, step: str = name, before: int = done) -> None:
                progress(step, before + count, len(facts))

            found = _asked(asked.scorer, task, texts, priors.index[list(of)], excluded, told)
            kept.write(found, *given)
        for place, row in zip(of, found, strict=True):
            rows[place] = row
        done += len(of)
        progress(name, done, len(facts))
    if known:
        _log.info("%d of %d relations were asked before the last run ended", known, len(asked.of))
    return rows


def _digest(excluded: Sequence[np.ndarray]) -> bytes:
    """Of the candidates that are not asked; many facts may share an array of them."""
    shared = {id(places): places for places in excluded}
    each = {key: hashlib.sha256(places.tobytes()).digest() for key, places in shared.items()}
    return b"".join(each[id(places)] for places in excluded)


def _asked(
    scorer: Scorer,
    task: Task,
    texts: Sequence[str],
    index: np.ndarray,
    excluded: Sequence[np.ndarray],
    progress: CountOf,
) -> list[Row]:
    """The rows of one relation; `texts` are the prompts in the first phrasing."""
    rows: list[Row] = [{"log2": [], "prompts": []} for _ in task.facts]
    every: list[tuple[Sequence[int], Sequence[str], Sequence[Any]]] = [
        (range(len(rows)), texts, task.inputs),
        *((each.places, each.texts, each.inputs) for each in task.reworded),
    ]
    prompts, before = sum(len(places) for places, _, _ in every), 0
    for places, of, inputs in every:

        def told(count: int, before: int = before) -> None:
            progress((before + count) * len(rows) // prompts, len(rows))

        scores = scorer(inputs, task.answers, told)
        if not np.isfinite(scores).all():
            raise no_numbers(task.facts[0].relation)
        log2 = log2_of(scores, index[list(places)], [excluded[place] for place in places])
        for place, text, value in zip(places, of, log2, strict=True):
            rows[place]["log2"].append(round(float(value), 9))
            rows[place]["prompts"].append(text)
        before += len(places)
    return rows


def log2_of(scores: np.ndarray, index: np.ndarray, excluded: Sequence[np.ndarray]) -> np.ndarray:
    """log2 of the probability of the right candidate among those that are asked, [facts].

    Args:
        scores: Log-probabilities of candidates, in nats, [facts, candidates]; whatever they sum up
            to, they are made to sum up to 1 over what is asked.
        index: [facts], the right candidate.
        excluded: For each fact the candidates that are not asked.
    """
    left = scores.astype(np.float64)
    right = left[np.arange(len(left)), index]
    for row, places in zip(left, excluded, strict=True):
        row[places] = -np.inf
    most = left.max(axis=1)
    norm = most + np.log(np.exp(left - most[:, None]).sum(axis=1))
    return (right - norm) / np.log(2)
