"""Asking a model for facts: every relation scored, ranked and kept, so that a kill costs one."""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from closedbook.eval import equivalence, metrics
from closedbook.knowledge.loaded_model import no_numbers
from closedbook.knowledge.probing import metrics as ranking
from closedbook.knowledge.probing import wordings
from closedbook.knowledge.probing.families.protocol import AnyPrompting, Model, Scorer
from closedbook.knowledge.probing.kept_rows import KeptRows, Row
from closedbook.knowledge.probing.tasks import Task, Tasks, made
from closedbook.knowledge.progress import Count, Progress, silent
from closedbook.tasks.facts.form import Facts

_log = logging.getLogger(__name__)
Normalisation = Literal["sum", "length"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)
Others = Literal["removed", "ranked"]
OTHERS: tuple[Others, ...] = get_args(Others)
SHOWN = 5  # best candidates that a row names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked and how it is ranked.

    Attributes:
        normalise: "sum" of the candidate's log-probabilities, or that over its "length" in
            scored tokens, the end included.
        others: Other right objects of a fact's subject are "removed" from its ranking, or
            "ranked" against it, as LAMA does.
        single: Candidates are single pieces, scored without an end (LAMA).
        generate: Whether the model also answers freely, judged by exact match and the judge.
        paraphrases: Whether every wording of a fact is asked, not the first one alone.
        negated: Whether the denied prompt of a fact is asked too.
    """

    normalise: Normalisation = "sum"
    others: Others = "removed"
    single: bool = False
    generate: bool = False
    paraphrases: bool = False
    negated: bool = False


def probe(
    model: Model,
    facts: Facts,
    prompting: AnyPrompting[Model],
    settings: Settings,
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
        settings: What is asked and how it is ranked.
        tasks: Of `tasks_of`, where that was called before.
        keep: A folder for the rows of finished relations. What it holds of the same model, facts
            and settings is not asked again.
        progress: Is told a step, how many facts are done, and of how many.

    Raises:
        UserError: A prompt or a candidate cannot be put to the model, or it gives no numbers; or
            there is no other wording of any fact where some are asked for.
    """
    asked = tasks or tasks_of(model, facts, prompting, settings)
    context = [model.sha256, dataclasses.asdict(settings), prompting.way]
    kept = KeptRows(keep, context, "rows")
    rows: list[Row] = [{} for _ in facts.facts]
    done = known = 0
    for name, of in asked.places.items():
        task = asked.of[name]
        given = _depends_on(task)
        found = kept.read(*given)
        known += found is not None
        if found is None:
            step = facts.relations[name].label or name

            def told(count: int, step: str = step, before: int = done) -> None:
                progress(step, before + count, len(facts))

            found = _asked(model, asked.scorer, prompting, settings, task, told)
            kept.write(found, *given)
        for place, row in zip(of, found, strict=True):
            rows[place] = row
        done += len(of)
        progress(name, done, len(facts))
    if known:
        _log.info("%d of %d relations were asked before the last run ended", known, len(asked.of))
    return rows


def tasks_of(
    model: Model, facts: Facts, prompting: AnyPrompting[Model], settings: Settings
) -> Tasks:
    """What `probe` asks; bad candidates and prompts are told of here, before any work is done.

    Raises:
        UserError: A prompt or a candidate cannot be put to the model, or there is no other
            wording of any fact where some are asked for.
    """
    return made(
        model,
        facts,
        prompting,
        single=settings.single,
        paraphrases=settings.paraphrases,
        negated=settings.negated,
    )


def places_of(rows: Sequence[Row], normalise: Normalisation) -> ranking.Places:
    """What stands before each fact's object, out of its row."""
    found = [row["ranking"][normalise] for row in rows]
    return ranking.Places(
        better=np.array([each["better"] for each in found], np.int64),
        equal=np.array([each["equal"] for each in found], np.int64),
        candidates=np.array([row["candidates"] for row in rows], np.int64),
    )


def _asked(
    model: Model,
    scorer: Scorer,
    prompting: AnyPrompting[Model],
    settings: Settings,
    task: Task,
    progress: Count,
) -> list[Row]:
    scores = scorer(task.inputs, task.answers, progress)
    if not np.isfinite(scores).all():
        raise no_numbers(task.facts[0].relation)
    lengths = np.broadcast_to(prompting.lengths(task.inputs, task.answers), scores.shape)
    ranked = {"sum": scores, "length": scores / lengths}
    others = task.right.others if settings.others == "removed" else None
    places = {name: ranking.places(each, task.right.index, others) for name, each in ranked.items()}
    best = [ranking.best([row], SHOWN)[0] for row in ranked[settings.normalise]]
    subjects = prompting.spelled([fact.subject for fact in task.facts])
    written = _generated(model, prompting, task) if settings.generate else [None] * len(task.facts)
    rows = []
    for number, fact in enumerate(task.facts):
        own = int(task.right.index[number])
        right = {own, *task.right.others[number].tolist()}
        row: Row = {
            **{name: getattr(fact, name) for name in ("id", "relation", "corpus", "type", "split")},
            **{name: getattr(fact, name) for name in ("subject", "object")},
            "objects": list(fact.objects),
            "prompt": prompting.text(fact),
            "rank": int(ranking.rank(places[settings.normalise])[number]),
            "candidates": int(places["sum"].candidates[number]),
            "log_prob": _rounded(scores[number, own]),
            "tokens": int(lengths[number, own]),
            "subject_tokens": len(subjects[number][1]),
            "ranking": {
                name: {"better": int(each.better[number]), "equal": int(each.equal[number])}
                for name, each in places.items()
            },
            "top": [
                {
                    "text": task.candidates[place],
                    "log_prob": _rounded(scores[number, place]),
                    "right": int(place) in right,
                }
                for place in best[number]
            ],
        }
        if written[number] is not None:
            row["generated"] = written[number]
        rows.append(row)

    def by(variant: wordings.Variant) -> np.ndarray:
        found = scorer(variant.inputs, task.answers)
        return (
            found / prompting.lengths(variant.inputs, task.answers)
            if settings.normalise == "length"
            else found
        )

    index, names = task.right.index, task.candidates
    for variant in task.reworded:
        wordings.put_wordings(rows, variant, by(variant), names, index, others)
    if task.negated is not None:
        plain = ranked[settings.normalise]
        denied = by(task.negated)
        wordings.put_negations(rows, task.negated, denied, plain, names, index, others)
    return rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answered:
    question: str
    answers: Sequence[str]
    prediction: str


def _generated(model: Model, prompting: AnyPrompting[Model], task: Task) -> list[Row]:
    """What the model answers by itself, and whether that is right."""
    found = prompting.written(model, task.inputs)
    answered = []
    for number, (fact, (prediction, _)) in enumerate(zip(task.facts, found, strict=True)):
        also = [task.candidates[place] for place in task.right.others[number]]
        answered.append(
            _Answered(
                question=prompting.text(fact).removeprefix(prompting.prefix),
                answers=list(dict.fromkeys([*fact.objects, *also])),
                prediction=prediction,
            )
        )
    verdicts = equivalence.judge_all(answered)
    return [
        {
            "text": row.prediction,
            "log_prob": _rounded(log_prob),
            "exact": metrics.is_right(row.prediction, row.answers),
            "judged": verdict.equivalent,
        }
        for row, (_, log_prob), verdict in zip(answered, found, verdicts, strict=True)
    ]


def _rounded(value: float) -> float:
    return round(float(value), 5)


def _depends_on(task: Task) -> tuple[bytes, ...]:
    """All that the rows of a task depend on, beside the model and the settings."""
    asked = task.facts, task.candidates, task.inputs, task.answers, task.variants
    places = (task.right.index, *task.right.others)
    return repr(asked).encode(), *(np.ascontiguousarray(each).tobytes() for each in places)
