"""Edits one by one, each of the stored original, and what the model says after each.

Before is always the stored original, so that no edit is measured against another one's damage.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.eval import equivalence, predictions
from closedbook.knowledge.editing import answering
from closedbook.knowledge.editing.editor import Editor
from closedbook.knowledge.editing.evaluation import forced
from closedbook.knowledge.editing.evaluation.cases import KEPT, TOLD, Case
from closedbook.knowledge.editing.moments import Moment
from closedbook.knowledge.editing.places import Place
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.progress import CountOf, silent
from closedbook.models.parameters import Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One edit and what came of it.

    Attributes:
        id: Of the edit.
        hits: Group -> per question whether the answer is right (with the target, for told groups).
        judged: The same by the judge, for told groups.
        changed: Group -> per question whether the answer is another than the original's.
        before: Group -> hits of the original.
        forced: Name -> value of this edit.
        answer: What the model says to the bare prompt.
        record: Of the edit: norms, losses.
        seconds: The edit took.
    """

    id: str
    hits: Mapping[str, list[bool]]
    judged: Mapping[str, list[bool]]
    changed: Mapping[str, list[bool]]
    before: Mapping[str, list[bool]]
    forced: Mapping[str, float]
    answer: str
    record: Mapping[str, Any]
    seconds: float


def singles(
    model: LoadedModel,
    cases: Sequence[Case],
    settings: Settings,
    moments: Mapping[Place, Moment],
    progress: CountOf = silent,
) -> Iterator[Trial]:
    """Each edit alone, of the stored original.

    Args:
        model: The stored original.
        cases: The edits and their questions.
        settings: How.
        moments: Of the original.
        progress: Told how many are done.
    """
    questions = list(dict.fromkeys(q.text for case in cases for q in case.questions))
    said = answering.answers(model, model.params, questions)
    original = dict(zip(questions, said, strict=True))
    for number, case in enumerate(cases):
        editor = Editor(model, settings, moments)
        done = editor.apply([case.edit])
        yield asked(model, editor.params, case, original, done.record[0], done.seconds)
        progress(number + 1, len(cases))


def asked(
    model: LoadedModel,
    params: Params,
    case: Case,
    original: Mapping[str, str],
    record: Mapping[str, Any],
    seconds: float,
) -> Trial:
    """What an edited model says to a case's questions.

    Args:
        model: The stored original.
        params: The edited parameters.
        case: The edit and its questions.
        original: Question -> the original's answer.
        record: Of the edit.
        seconds: The edit took.
    """
    said = answering.answers(model, params, [q.text for q in case.questions])
    hits: dict[str, list[bool]] = {}
    changed: dict[str, list[bool]] = {}
    before: dict[str, list[bool]] = {}
    told = []
    for question, answer in zip(case.questions, said, strict=True):
        old = original[question.text]
        hits.setdefault(question.group, []).append(answering.right(answer, question.right))
        before.setdefault(question.group, []).append(answering.right(old, question.right))
        changed.setdefault(question.group, []).append(answer != old)
        if question.group in TOLD:
            told.append((question, answer))
    verdicts = equivalence.judge_all(
        predictions.Prediction(
            id=str(i), question=question.text, answers=question.right, prediction=answer
        )
        for i, (question, answer) in enumerate(told)
    )
    judged: dict[str, list[bool]] = {}
    for (question, _), verdict in zip(told, verdicts, strict=True):
        judged.setdefault(question.group, []).append(verdict.equivalent)
    return Trial(
        id=case.edit.id,
        hits=hits,
        judged=judged,
        changed=changed,
        before=before,
        forced=_forced(model, params, case),
        answer=said[0],
        record=record,
        seconds=seconds,
    )


def _forced(model: LoadedModel, params: Params, case: Case) -> dict[str, float]:
    """ES, EM, PS, PM, NS, NM and token accuracies; see `forced`."""
    target, true = case.edit.target, case.true
    pairs: list[tuple[str, str]] = []
    groups: list[str] = []
    for question in case.questions:
        if question.group not in (TOLD[0], TOLD[2], *KEPT) or question.group == KEPT[2]:
            continue
        other = true if question.group in TOLD else target
        groups.append(question.group)
        pairs += [(question.text, question.right[0]), (question.text, other or target)]
    losses, accuracy = forced.scores(model, params, pairs)
    first, second = losses[::2], losses[1::2]
    found: dict[str, float] = {}
    names = {TOLD[0]: ("ES", "EM"), TOLD[2]: ("PS", "PM"), KEPT[1]: ("NS", "NM")}
    names[KEPT[3]] = names[KEPT[1]]
    for group, (share, gap) in names.items():
        rows = np.array([each == group for each in groups], bool)
        if rows.any() and true is not None:
            found[share] = float((first < second)[rows].mean())
            found[gap] = float((np.exp(-first) - np.exp(-second))[rows].mean())
    for group, name in ((TOLD[0], "token accuracy"), (TOLD[2], "token accuracy, rephrased")):
        rows = np.array([each == group for each in groups], bool)
        if rows.any():
            found[name] = float(accuracy[::2][rows].mean())
    return found


def as_row(trial: Trial, variant: str) -> dict[str, Any]:
    """As results.jsonl has it: numbers of hits and questions per group."""
    counts = {
        group: {
            "hits": sum(found),
            "of": len(found),
            "before": sum(trial.before[group]),
            "changed": sum(trial.changed[group]),
        }
        for group, found in trial.hits.items()
    }
    return {
        "variant": variant,
        "id": trial.id,
        "answer": trial.answer,
        "groups": counts,
        "judged": {group: sum(found) for group, found in trial.judged.items()},
        "forced": dict(trial.forced),
        "record": {name: value for name, value in trial.record.items() if name != "losses"},
        "seconds": round(trial.seconds, 3),
    }
