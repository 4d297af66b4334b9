"""What `closedbook edit` does and prints."""

import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from closedbook.cli.run import print_json
from closedbook.errors import UserError

if TYPE_CHECKING:
    from closedbook.knowledge.editing.job import Result
    from closedbook.knowledge.editing.requests import Edit
    from closedbook.knowledge.editing.settings import Settings
    from closedbook.knowledge.loaded_model import LoadedModel

_WIDTH = 140
_SHOWN = 12  # questions of one kind, and changed facts, that are printed


def read_edits(model: "LoadedModel", path: str, limit: int | None) -> "list[Edit]":
    """The edits of a data set or a file."""
    from closedbook.eval.files.json_lines import place
    from closedbook.knowledge.editing import presets
    from closedbook.tasks.facts import read_facts

    facts = read_facts(path).facts
    with place(path):
        return [presets.of_fact(model, presets.put(model, fact)) for fact in facts[:limit]]


def edited(
    name: str,
    out: pathlib.Path,
    asked: "Callable[[LoadedModel], list[Edit]]",
    settled: "Callable[[LoadedModel, int], Settings]",
    arguments: "Mapping[str, object]",
    *,
    corpus: pathlib.Path | None,
    check: str | None,
    delta_only: bool,
    vocabulary: pathlib.Path | None,
    force: bool,
) -> None:
    """Edits a model, writes the folder, prints before and after.

    Args:
        name: The model.
        out: The folder to make.
        asked: Gives the edits.
        settled: Gives the settings of so many edits.
        arguments: Of the command, for command.json, where the settings join them.
        corpus: Of second moments; None for the default.
        check: Facts that should not change.
        delta_only: Whether to write no checkpoint.
        vocabulary: For checkpoints that come without one.
        force: Whether to replace results.
    """
    import dataclasses

    from closedbook.cli.analyze import progress_bar
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.editing import job, presets
    from closedbook.knowledge.editing.settings import FINE_TUNING
    from closedbook.knowledge.loading import load_model

    result_folders.check_target(out, force=force)
    with progress_bar() as progress:
        model = load_model(name, vocabulary=vocabulary)
        edits = asked(model)
        settings = settled(model, len(edits))
        others = job.others_of(model, check)
        tuned = settings.method in FINE_TUNING
        texts = None if tuned else presets.corpus_of(model, corpus)
        result = job.run(model, edits, settings, texts, others, progress)
        progress("writing", 1, 1)
        made = job.write(
            result,
            model,
            name,
            out,
            settings,
            {**arguments, **dataclasses.asdict(settings)},
            delta_only=delta_only,
            options=_options(vocabulary),
            force=force,
        )
    _print(result, out, made)


def _options(vocabulary: pathlib.Path | None) -> object:
    from closedbook.checkpoints import Format
    from closedbook.checkpoints.convert import Options

    return None if vocabulary is None else Options(to=Format.CLOSEDBOOK, vocabulary=vocabulary)


def listed(path: pathlib.Path) -> None:
    """Prints what was edited in a model, a folder of results or a delta file."""
    from closedbook.knowledge.editing import deltas, stored

    if path.is_file():
        records = deltas.load(path).records
    else:
        records = stored.history(_model_in(path)).records
    if not records:
        raise UserError(f"{path} holds no edits; give a folder that `closedbook edit` made")
    for each in records:
        print_json({k: v for k, v in each.items() if k != "losses"})


def compared(one: pathlib.Path, other: pathlib.Path) -> None:
    """Prints norms and cosines of two delta files, as JSON lines."""
    from closedbook.knowledge.editing import deltas

    for row in deltas.compare(deltas.load(one), deltas.load(other)):
        print_json(row)


def undone(path: pathlib.Path) -> None:
    """Takes all edits of a model back."""
    from closedbook.knowledge.editing import stored

    folder = _model_in(path)
    number = stored.undo(folder)
    edits = "edit" if number == 1 else "edits"
    print(f"{number} {edits} undone: {folder} has the parameters of the original again")


def added(
    delta: pathlib.Path, name: str, out: pathlib.Path, *, vocabulary: pathlib.Path | None
) -> None:
    """Writes a model with a delta file added."""
    from closedbook.checkpoints.convert import Options
    from closedbook.knowledge.editing import deltas, stored
    from closedbook.knowledge.loading import load_model

    found = deltas.load(delta)
    deltas.check_fits(found, load_model(name, vocabulary=vocabulary), delta)
    if out.exists():
        raise UserError(f"{out} exists; give another folder")
    options = _options(vocabulary)
    assert options is None or isinstance(options, Options)
    print(f"model        {stored.write(name, out, found, options=options)}")


def _model_in(path: pathlib.Path) -> pathlib.Path:
    """The model in a folder of results, or the folder itself."""
    from closedbook.knowledge.editing.job import MODEL

    if not path.exists():
        raise UserError(f"no such folder: {path}; give one that `closedbook edit` made")
    return path / MODEL if (path / MODEL).is_dir() else path


def _print(result: "Result", out: pathlib.Path, made: pathlib.Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from closedbook.eval.report import numbers
    from closedbook.eval.report.text import inline

    screen = Console(highlight=False, soft_wrap=True, markup=False, width=_WIDTH)
    effects = result.effects
    table = Table("question", "before", "after", "target", box=None, pad_edge=False)
    for row in effects.prompts[:_SHOWN]:
        mark = "✓" if row.is_right else "✗"
        cells = (row.question, row.before, f"{mark} {row.after}", row.objects[0])
        table.add_row(*(inline(cell, 60) for cell in cells))
    screen.print(table)
    if len(effects.prompts) > _SHOWN:
        screen.print(f"... and {len(effects.prompts) - _SHOWN:,} more, in the report")
    screen.print()
    for kind, share in effects.told().items():
        screen.print(f"{kind + ' with the target':36} {numbers.with_interval(share)} %")
    if effects.others:
        counts, kept = effects.counts(), effects.kept()
        for group, count in counts.items():
            rest = f", kept {numbers.with_interval(kept[group])} %" if group in kept else ""
            screen.print(
                f"{group:14} {count['facts']:5,} {numbers.nouns(count['facts'], 'fact')}: "
                f"{numbers.counted(count['changed'], 'answer')} changed, "
                f"{count['lost']:,} lost, {count['gained']:,} gained{rest}"
            )
        changed = [each for each in effects.others if each.changed]
        rows = Table("what else changed", "before", "after", "right", box=None, pad_edge=False)
        for each in changed[:_SHOWN]:
            said = (each.question, each.before, each.after, each.objects[0])
            rows.add_row(*(inline(cell, 60) for cell in said))
        if changed:
            screen.print()
            screen.print(rows)
    for place, rank in result.null_ranks.items():
        screen.print(f"null space of {place}: {rank} dimensions; more edits do not fit in exactly")
    screen.print()
    screen.print(f"edited in    {result.done.seconds:.1f} s")
    screen.print(f"report       {out / 'report.html'}")
    screen.print(f"{'model' if made.is_dir() else 'delta':12} {made}")
