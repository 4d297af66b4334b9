"""One run of `closedbook edit-eval`: cases, then every way of editing on the same cases."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

from closedbook.errors import UserError, unknown_name
from closedbook.eval.report import numbers
from closedbook.knowledge.editing import answering, atlas_edits, moments, presets
from closedbook.knowledge.editing.evaluation import cases as cases_
from closedbook.knowledge.editing.evaluation import counterfactuals, sequences, summary, trials
from closedbook.knowledge.editing.evaluation.cases import Case
from closedbook.knowledge.editing.evaluation.pages import Variant
from closedbook.knowledge.editing.places import places
from closedbook.knowledge.editing.settings import FINE_TUNING, METHODS, Method, Settings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.progress import Progress, silent


def atlas_cases(
    model: LoadedModel, number: int, others: int | None = None, seed: int = 0
) -> list[Case]:
    """Counterfactual edits of facts that the model knows.

    Args:
        model: Who is edited.
        number: Edits, of different facts.
        others: Other facts that are asked after each; None for all.
        seed: Which facts and targets.

    Raises:
        UserError: The model does not answer the atlas's questions, or knows too few facts.
    """
    if not atlas_edits.knows(model):
        raise UserError(
            "the atlas's edits need a model that answers its questions, such as "
            "closedbook://atlas_qa; give --data FILE for another"
        )
    facts = atlas_edits.questions().facts
    found = answering.answers(model, model.params, [fact.asked() for fact in facts])
    said = {fact.id: answer for fact, answer in zip(facts, found, strict=True)}
    known = [fact for fact in facts if answering.right(said[fact.id], fact.objects)]
    if len(known) < number:
        knows = numbers.counted(len(known), "fact")
        raise UserError(f"the model knows {knows}; ask for no more edits than that")
    chosen = counterfactuals.drawn(facts, known, number, seed)
    asked = cases_.sample(known, others)
    return [cases_.of_atlas(fact, target, said, asked) for fact, target in chosen]


def methods(names: Sequence[str]) -> list[Method]:
    """Names of methods, checked.

    Raises:
        UserError: A method is unknown, or none is given.
    """
    if not names:
        raise UserError(f"no method is given; there are {', '.join(METHODS)}")
    for name in names:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
    return [each for name in names for each in METHODS if each == name]


def evaluate(
    model: LoadedModel,
    cases: Sequence[Case],
    methods: Sequence[Method],
    *,
    singles: int,
    points: Sequence[int] = (),
    changed: Callable[[Settings], Settings] = lambda made: made,
    corpus: pathlib.Path | None = None,
    progress: Progress = silent,
) -> list[Variant]:
    """Every method on the same cases, with its own settings for the model, single and in a row.

    Args:
        model: The stored original.
        cases: At least as many as `singles` and as the largest of `points`.
        methods: What edits.
        singles: How many single edits.
        points: After how many edits in a row to ask; none without.
        changed: What all methods do otherwise than by their own settings for the model.
        corpus: Of second moments; None for the atlas.
        progress: Told what goes on.
    """

    def settings(name: Method, *, in_row: bool) -> Settings:
        return changed(presets.settings(model, name, in_row=in_row))

    alone: dict[str, Settings] = {name: settings(name, in_row=False) for name in methods}
    in_row: dict[str, Settings] = {name: settings(name, in_row=True) for name in methods}
    return variants(model, cases, alone, singles, points, corpus, progress, in_row)


def variants(
    model: LoadedModel,
    cases: Sequence[Case],
    settings: Mapping[str, Settings],
    singles: int,
    points: Sequence[int] = (),
    corpus: pathlib.Path | None = None,
    progress: Progress = silent,
    in_row: Mapping[str, Settings] | None = None,
) -> list[Variant]:
    """Any settings, by name, on the same cases; see `evaluate`.

    Those of `in_row` are for edits in a row, where they are others; they change the same places.
    """
    text = presets.corpus_of(model, corpus)
    found = []
    for name, each in settings.items():
        read = {}
        if each.method not in FINE_TUNING:
            read = moments.second_moments(
                model, places(model.config, each.stack, each.layers), text
            )

        def told(done: int, of: int, name: str = name) -> None:
            progress(name, done, of)

        made = list(trials.singles(model, cases[:singles], each, read, told))
        row, way = [], each if in_row is None else in_row[name]
        if points:
            last = max(points)
            row = list(sequences.run(model, cases[:last], way, read, points=points, progress=told))
        found.append(
            Variant(
                name=name,
                trials=made,
                summary=summary.of_trials(made),
                points=row,
                settings=each,
                in_row=way,
            )
        )
    return found
