"""Edits one by one, each of the stored original, and what the model says after each.

Before is always the stored original, so that no edit is measured against another one's damage.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.eval import equivalence, predictions
from closedbook.knowledge.editing import answering
from closedbook.knowledge.editing.editor import Editor
from closedbook.knowledge.editing.evaluation import forced, generations
from closedbook.knowledge.editing.evaluation.cases import KEPT, TOLD, YES_NO, Case
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
        yes_no: Name -> value of the original and of the edited model (`claimed`).
        written: "GE" and "RS" of the original and of the edited model, where the data asks.
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
    yes_no: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    written: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Original:
    """What the stored original says, so that it is asked once.

    Attributes:
        answers: Question -> answer.
        margins: Claim -> log-probability of yes less that of no.
        texts: Prompt -> it and what the model writes after it.
        weights: Of the reference texts of all cases.
    """

    answers: Mapping[str, str]
    margins: Mapping[str, float]
    texts: Mapping[str, str]
    weights: generations.Weights

    @classmethod
    def of(cls, model: LoadedModel, cases: Sequence[Case]) -> "Original":
        """That about all cases."""
        questions = list(dict.fromkeys(q.text for case in cases for q in case.questions))
        claims = list(dict.fromkeys(t for c in cases if c.claims for t in c.claims.texts))
        prompts = list(dict.fromkeys(p for case in cases for p in case.generation_prompts))
        params = model.params
        said = answering.answers(model, params, questions)
        margins = _margins(forced.scores(model, params, _yes_and_no(claims))[0])
        texts = generations.written(model, params, prompts) if prompts else []
        return cls(
            answers=dict(zip(questions, said, strict=True)),
            margins=dict(zip(claims, margins, strict=True)),
            texts=dict(zip(prompts, texts, strict=True)),
            weights=generations.Weights.of(t for case in cases for t in case.references),
        )


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
    original = Original.of(model, cases)
    for number, case in enumerate(cases):
        editor = Editor(model, settings, moments)
        done = editor.apply([case.edit])
        yield asked(model, editor.params, case, original, done.record[0], done.seconds)
        progress(number + 1, len(cases))


def asked(
    model: LoadedModel,
    params: Params,
    case: Case,
    original: Original,
    record: Mapping[str, Any],
    seconds: float,
) -> Trial:
    """What an edited model says to a case's questions.

    Args:
        model: The stored original.
        params: The edited parameters.
        case: The edit and its questions.
        original: What the original says.
        record: Of the edit.
        seconds: The edit took.
    """
    said = answering.answers(model, params, [q.text for q in case.questions])
    hits: dict[str, list[bool]] = {}
    changed: dict[str, list[bool]] = {}
    before: dict[str, list[bool]] = {}
    told = []
    for question, answer in zip(case.questions, said, strict=True):
        old = original.answers[question.text]
        hits.setdefault(question.group, []).append(question.hit(answer))
        before.setdefault(question.group, []).append(question.hit(old))
        changed.setdefault(question.group, []).append(answer != old)
        if question.group in TOLD:
            told.append((question, answer))
    verdicts = equivalence.judge_all(
        predictions.Prediction(
            id=str(i),
            question=answering.unframed(question.text),
            answers=question.right,
            prediction=answer,
        )
        for i, (question, answer) in enumerate(told)
    )
    judged: dict[str, list[bool]] = {}
    for (question, _), verdict in zip(told, verdicts, strict=True):
        judged.setdefault(question.group, []).append(verdict.equivalent)
    scores, claims = _forced(model, params, case)
    return Trial(
        id=case.edit.id,
        hits=hits,
        judged=judged,
        changed=changed,
        before=before,
        forced=scores,
        answer=said[0],
        record=record,
        seconds=seconds,
        yes_no=claimed(case, original.margins, claims),
        written=_written(model, params, case, original),
    )


def claimed(
    case: Case, before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """What a model says to "Is it true that ...?", by the likelihoods of yes and no.

    Args:
        case: The edit.
        before: Claim -> log-probability of yes less that of no, of the original.
        after: The same of the edited model.

    Returns:
        `YES_NO` -> 1 or 0 of the original and of the edited model. The last is 1 where yes
        outweighs no by more for the target than for the true object: a model's liking for yes
        does not count there.
    """
    if case.claims is None:
        return {}
    target, true = case.claims.target, case.claims.true

    def pair(value: Callable[[Mapping[str, float]], bool]) -> tuple[float, float]:
        return float(value(before)), float(value(after))

    found = {YES_NO[0]: pair(lambda margins: margins[target] > 0)}
    if true is not None:
        found[YES_NO[1]] = pair(lambda margins: margins[true] > 0)
        found[YES_NO[2]] = pair(lambda margins: margins[target] > margins[true])
    return found


def _yes_and_no(claims: Sequence[str]) -> list[tuple[str, str]]:
    return [(claim, answer) for claim in claims for answer in ("Yes", "No")]


def _margins(losses: np.ndarray) -> list[float]:
    """Of the losses of `_yes_and_no`."""
    return [float(no - yes) for yes, no in losses.reshape(-1, 2)]


def _written(
    model: LoadedModel, params: Params, case: Case, original: Original
) -> dict[str, tuple[float, float]]:
    """GE, and RS where the data brings references; see `generations`."""
    prompts = case.generation_prompts
    if not prompts:
        return {}
    texts = ([original.texts[p] for p in prompts], generations.written(model, params, prompts))
    before, after = map(generations.fluency, texts)
    found = {"GE": (before, after)}
    if case.references:
        before, after = (
            generations.consistency(each, case.references, original.weights) for each in texts
        )
        found["RS"] = (before, after)
    return found


def _forced(
    model: LoadedModel, params: Params, case: Case
) -> tuple[dict[str, float], dict[str, float]]:
    """ES, EM, PS, PM, NS, NM and token accuracies (see `forced`); and the margins of claims."""
    target, true = case.edit.target, case.true
    pairs: list[tuple[str, str]] = []
    groups: list[str] = []
    for question in case.questions:
        if question.group not in (TOLD[0], TOLD[2], *KEPT) or question.group == KEPT[2]:
            continue
        other = true if question.group in TOLD else target
        groups.append(question.group)
        pairs += [(question.text, question.right[0]), (question.text, other or target)]
    claims = case.claims.texts if case.claims else ()
    number = len(pairs)
    losses, accuracy = forced.scores(model, params, [*pairs, *_yes_and_no(claims)])
    margins = dict(zip(claims, _margins(losses[number:]), strict=True))
    losses, accuracy = losses[:number], accuracy[:number]
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
    return found, margins


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
        "yes_no": {name: list(pair) for name, pair in trial.yes_no.items()},
        "written": {name: list(pair) for name, pair in trial.written.items()},
        "record": {name: value for name, value in trial.record.items() if name != "losses"},
        "seconds": round(trial.seconds, 3),
    }
