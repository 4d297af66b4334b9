"""Many edits in a row: how many hold, what is kept, how the matrices grow, when it collapses."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from closedbook.eval.intervals import Estimate, share
from closedbook.knowledge.editing import answering
from closedbook.knowledge.editing.editor import Editor
from closedbook.knowledge.editing.evaluation.cases import KEPT, TOLD, Case, Question
from closedbook.knowledge.editing.moments import Moment
from closedbook.knowledge.editing.places import Place, kernel
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.progress import CountOf, silent

POINTS = (1, 10, 100, 1000)  # edits in a row after which the model is asked
_COLLAPSE = 0.5  # a model that keeps fewer of its other facts has collapsed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """The model after some edits in a row.

    Attributes:
        edits: How many.
        told: Group -> share of questions about all edits so far that are answered with the target.
        kept: Of facts that no edit was about and that were right before, the share still right.
        lost: How many of them are wrong.
        others: How many of them there are.
        norms: Place -> |W| now over |W| of the original.
        collapsed: Whether fewer than half of them are kept.
        seconds: All edits so far took.
    """

    edits: int
    told: Mapping[str, Estimate]
    kept: Estimate
    lost: int
    others: int
    norms: Mapping[str, float]
    collapsed: bool
    seconds: float


def run(
    model: LoadedModel,
    cases: Sequence[Case],
    settings: Settings,
    moments: Mapping[Place, Moment],
    *,
    points: Sequence[int] = POINTS,
    progress: CountOf = silent,
) -> Iterator[Point]:
    """Applies the edits in order and asks at some points.

    Args:
        model: The stored original, which every comparison is with.
        cases: In the order of the edits; of one fact one edit.
        settings: How; methods of many edits at once get one at a time here.
        moments: Of the original.
        points: After how many edits to ask; those above the number of cases are left out.
        progress: Told how many edits are done.
    """
    editor = Editor(model, settings, moments)
    start = {place: _norm(model.params, place) for place in editor.places}
    seconds = 0.0
    edited = {q.text for case in cases for q in case.questions if q.group in TOLD}
    for number, case in enumerate(cases, 1):
        seconds += editor.apply([case.edit]).seconds
        progress(number, len(cases))
        if number not in points and number != len(cases):
            continue
        told: dict[str, list[tuple[int, Question]]] = {}  # with the numbers of their edits
        others: dict[str, Question] = {}
        for place, done in enumerate(cases[:number]):
            for question in done.questions:
                if question.group in TOLD:
                    told.setdefault(question.group, []).append((place, question))
        for each in cases:
            for question in each.questions:
                if question.group in KEPT and question.text not in edited:
                    others[question.text] = question
        shares = {}
        for group, asked in told.items():
            said = answering.answers(model, editor.params, [each.text for _, each in asked])
            hits = [q.hit(a) for (_, q), a in zip(asked, said, strict=True)]
            shares[group] = share(hits, clusters=[place for place, _ in asked])
        before = answering.answers(model, model.params, list(others))
        known = [q for q, old in zip(others.values(), before, strict=True) if q.hit(old)]
        after = answering.answers(model, editor.params, [each.text for each in known])
        kept = [q.hit(a) for q, a in zip(known, after, strict=True)]
        found = share(kept)
        yield Point(
            edits=number,
            told=shares,
            kept=found,
            lost=len(kept) - sum(kept),
            others=len(kept),
            norms={str(p): _norm(editor.params, p) / start[p] for p in editor.places},
            collapsed=bool(kept) and found.mean < _COLLAPSE,
            seconds=seconds,
        )


def _norm(params: dict, place: Place) -> float:
    return float(np.linalg.norm(np.asarray(kernel(params, place), np.float64)))
