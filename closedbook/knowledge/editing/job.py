"""One run of `closedbook edit`: check, edit, measure, write."""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge import result_folders
from closedbook.knowledge.editing import answering, atlas_edits, effects, moments, report, stored
from closedbook.knowledge.editing.deltas import Delta
from closedbook.knowledge.editing.editor import Done, Editor
from closedbook.knowledge.editing.effects import Effects
from closedbook.knowledge.editing.moments import Corpus
from closedbook.knowledge.editing.places import places
from closedbook.knowledge.editing.requests import Edit
from closedbook.knowledge.editing.settings import FINE_TUNING, Settings
from closedbook.knowledge.loaded_model import LoadedModel, no_numbers
from closedbook.knowledge.progress import Progress, silent
from closedbook.tasks.facts import read_facts, templates
from closedbook.tasks.facts.form import Fact

MODEL = "model"  # in the folder of results
DELTA = "delta.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a run found.

    Attributes:
        done: What was changed.
        effects: What the model says before and after.
        delta: The change as a file holds it.
        null_ranks: Dimension of the null space per place, where one was used.
        corpus: Name of the corpus of second moments; "" for fine-tuning.
        keys: How many keys the second moment is the mean over.
    """

    done: Done
    effects: Effects
    delta: Delta
    null_ranks: Mapping[str, int]
    corpus: str
    keys: int


def run(
    model: LoadedModel,
    edits: Sequence[Edit],
    settings: Settings,
    corpus: Corpus | None,
    others: Sequence[Fact],
    progress: Progress = silent,
) -> Result:
    """Edits a copy of the parameters and asks what changed.

    Args:
        model: The stored original.
        edits: At least one.
        settings: How.
        corpus: Of second moments; not needed for fine-tuning.
        others: Facts that should not change.
        progress: Told what goes on.

    Raises:
        UserError: A target is the answer already, or an edit cannot be made.
    """
    place = places(model.config, settings.stack, settings.layers)
    questions = [fact.asked() for fact in others]
    own = [templates.with_subject(edit.prompt, edit.subject) for edit in edits]
    progress("asking the original", 0, len(questions) + len(own))
    before = answering.answers(model, model.params, [*own, *questions])
    for edit, said in zip(edits, before, strict=False):
        begins = answering.goes_on(model, edit.prompt)
        if len(edits) == 1 and answering.right(said, (edit.target,), begins=begins):
            raise UserError(
                f"the target {edit.target!r} is what the model answers already to "
                f"{own[0]!r}; there is nothing to edit"
            )
    known = dict(zip((fact.id for fact in others), before[len(edits) :], strict=True))
    found: dict[Any, moments.Moment] = {}
    if settings.method not in FINE_TUNING:
        assert corpus is not None
        found = moments.second_moments(
            model,
            place,
            corpus,
            progress=lambda done, of: progress("reading the second moment", done, of),
        )
    editor = Editor(model, settings, found)
    progress("editing", 0, len(edits))
    done = editor.apply(edits)
    _check(done, edits)
    progress("asking the edited model", 0, len(questions) + len(own))
    measured = effects.measure(model, editor.params, edits, others, known)
    records = [
        {
            "id": edit.id,
            "subject": edit.subject,
            "prompt": edit.prompt,
            "target": edit.target,
            "contexts": len(edit.contexts),
            "kept_prompts": len(edit.keep),
            "method": settings.method,
            "places": [str(each) for each in place],
            **record,
        }
        for edit, record in zip(edits, done.record, strict=True)
    ]
    return Result(
        done=done,
        effects=measured,
        delta=Delta(model=model.sha256, changes=done.changes, records=tuple(records)),
        null_ranks={str(each): rank for each, rank in editor.null_ranks.items()},
        corpus=corpus.name if corpus and found else "",
        keys=max((each.count for each in found.values()), default=0),
    )


def _check(done: Done, edits: Sequence[Edit]) -> None:
    """Refuses changes that are no numbers.

    Raises:
        UserError: They are not, because the model gives none or because the search ran away.
    """
    for edit, record in zip(edits, done.record, strict=True):
        if not np.isfinite(np.asarray(record["losses"], float)[:1]).all():
            raise no_numbers(repr(edit.prompt))
    if not all(np.isfinite(each.matrix).all() for each in done.changes.values()):
        raise UserError(
            "the search for the new value left all numbers (NaN or infinite); give a lower "
            "--learning-rate or fewer --steps"
        )


def others_of(model: LoadedModel, check: str | None) -> Sequence[Fact]:
    """The facts that should not change.

    Args:
        model: Who is asked.
        check: "none", "atlas", or where facts lie; None for the atlas where the model knows it.
    """
    if check == "none" or (check is None and not atlas_edits.knows(model)):
        return ()
    if check in (None, "atlas"):
        return atlas_edits.questions().facts
    return read_facts(str(check)).facts


def write(
    result: Result,
    model: LoadedModel,
    source: str,
    out: pathlib.Path,
    settings: Settings,
    arguments: Mapping[str, object],
    *,
    delta_only: bool,
    options: Any = None,
    force: bool = False,
) -> pathlib.Path:
    """Writes the folder of results and the edited model, or the delta alone, into it.

    An earlier run's model or delta, which the new report does not tell of, is removed, unless it is
    the model that was edited.

    Raises:
        UserError: The folder must not be written, or the disk refuses.
    """
    made = report.of(result, model, source, settings, arguments)
    result_folders.write(
        out,
        page=report.render(made),
        summary=made.summary,
        rows=made.rows,
        command=made.command,
        figures=made.figures,
        tables=made.tables,
        force=force,
    )
    if delta_only:
        result.delta.save(out / DELTA)
        edited = pathlib.Path(source).absolute()
        if (out / MODEL).absolute() not in (edited, *edited.parents):
            shutil.rmtree(out / MODEL, ignore_errors=True)
        return out / DELTA
    made_model = stored.write(source, out / MODEL, result.delta, options=options)
    (out / DELTA).unlink(missing_ok=True)
    return made_model
