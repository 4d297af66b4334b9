"""`closedbook trace`: in which layers and at which tokens a fact sits."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from closedbook.cli.knowledge.options import ExtraIdsOption, ForceOption, OutOption
from closedbook.cli.run import at_least, comma_separated, one_of, plain

if TYPE_CHECKING:
    from closedbook.knowledge.leaving_out import LeftOut
    from closedbook.knowledge.loaded_model import LoadedModel
    from closedbook.knowledge.probing.prompts import Prompting
    from closedbook.knowledge.tracing.cases import Case, Score
    from closedbook.knowledge.tracing.study import Row
    from closedbook.tasks.facts import Facts


_AGREEMENTS = {"pearson": "Pearson", "spearman": "Spearman", "recall": "top 10"}


def trace(
    out: OutOption,
    prompt: Annotated[
        str | None, typer.Option(help="What the model is asked; its own answer is traced.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="What the prompt is about, as it stands in it.")
    ] = None,
    occurrence: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which occurrence of the subject is meant, from 1."),
    ] = None,
    facts: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|FILE|atlas",
            help="Facts instead of a prompt, as for `closedbook probe`: averages over those that "
            "the model answers right. What cannot be put to it is left out and counted.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A run's MODEL_DIR, any checkpoint (see `closedbook ask`), or a packaged model."
        ),
    ] = "closedbook://atlas_qa",
    relations: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Only these relations of the facts. Default: all."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(callback=at_least(1), metavar="N", help="The first N facts of each relation."),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(help="How facts are put to the model; see `closedbook probe --style`."),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="What is restored, such as encoder.state,encoder.mlp,decoder.cross_attention. "
            "Default: everything that the model has.",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            callback=at_least(1),
            metavar="N",
            help="Neighbouring layers whose parts are restored together. Default: in proportion "
            "to the paper's 10 of 48.",
        ),
    ] = None,
    convention: Annotated[
        str,
        typer.Option(
            help="code: windows and severed runs as kmeng01/rome makes them; paper: windows "
            "centred, and severed runs of one noise."
        ),
    ] = "code",
    noise: Annotated[
        float | None,
        typer.Option(metavar="LEVEL", help="The level of the noise. Default: --sigmas."),
    ] = None,
    sigmas: Annotated[
        float,
        typer.Option(
            help="The level in standard deviations of the embeddings of subjects: of the facts, "
            "or for a prompt of the atlas."
        ),
    ] = 3.0,
    distribution: Annotated[str, typer.Option(help="gaussian or uniform.")] = "gaussian",
    samples: Annotated[
        int, typer.Option(callback=at_least(1), help="Runs with noise of their own.")
    ] = 10,
    seed: Annotated[int, typer.Option(callback=at_least(0), help="Of the noise.")] = 1,
    score: Annotated[
        str | None,
        typer.Option(
            help="answer: the probability of the whole answer; first: of its first token. "
            "Default: first for models that go on with a prompt, as in the paper."
        ),
    ] = None,
    severed: Annotated[
        bool, typer.Option("--severed/--no-severed", help="Whether severed paths are measured.")
    ] = True,
    lenses: Annotated[
        bool,
        typer.Option(
            "--lenses", help="Also what the logit lens and the DecoderLens see after each layer."
        ),
    ] = False,
    approx: Annotated[
        list[str] | None,
        typer.Option(
            metavar="attribution|relp",
            help="Estimate the maps from one backward pass instead; may be given twice.",
        ),
    ] = None,
    verify: Annotated[
        int,
        typer.Option(
            callback=at_least(0), metavar="K", help="With --approx: measure the K highest cells."
        ),
    ] = 0,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="With --approx: measure all cells too, and say how well both agree."
        ),
    ] = False,
    vocabulary: Annotated[
        str | None, typer.Option(help="For checkpoints that come without a vocabulary.")
    ] = None,
    extra_ids: ExtraIdsOption = None,
    force: ForceOption = False,
) -> None:
    """Find where a fact sits in a model, by causal tracing (Meng et al. 2022).

    Noise on the subject makes the model forget its answer. Then one activation at a time, of each
    token in each layer, is set back to what it was without noise: those that bring the answer
    back hold the fact. DIR gets report.html with the heat maps (open it in a browser), figures,
    results.jsonl, summary.json and tables.

    Examples:

    `closedbook trace --prompt "What is the capital of Kenya?" --subject Kenya --out kenya`

    `closedbook trace --facts atlas --limit 4 --out atlas_trace`
    """
    arguments = {name: plain(value) for name, value in locals().items()}
    from closedbook.cli.analyze import progress_bar
    from closedbook.errors import UserError
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.leaving_out import LeftOut
    from closedbook.knowledge.loading import load_model
    from closedbook.knowledge.tracing import cases, results, study
    from closedbook.knowledge.tracing import kinds as all_kinds
    from closedbook.knowledge.tracing.approximate import METHODS
    from closedbook.knowledge.tracing.noise import DISTRIBUTIONS, Noise
    from closedbook.knowledge.tracing.program import Tracer

    result_folders.check_target(out, force=force)
    if (facts is None) == (prompt is None):
        raise UserError("give either --prompt with --subject, or --facts")
    if (prompt is None) != (subject is None):
        raise UserError("--prompt and --subject go together; give both")
    followed = one_of("--score", score, cases.SCORES) if score is not None else None
    form = one_of("--convention", convention, all_kinds.CONVENTIONS)
    spread = one_of("--distribution", distribution, DISTRIBUTIONS)
    methods = tuple(dict.fromkeys(one_of("--approx", each, METHODS) for each in approx or []))
    if verify and (exact or not approx):
        raise UserError("--verify goes with --approx, and without --exact")
    with progress_bar() as progress:
        loaded = load_model(model, vocabulary=vocabulary, extra_ids=extra_ids)
        tracer = Tracer(loaded)
        chosen = all_kinds.chosen(loaded.config, comma_separated(kinds or ""))
        if facts is None:
            assert prompt is not None
            assert subject is not None
            data, source, unknown, left = None, "", 0, LeftOut()
            known = _prompt(loaded, prompt, subject, occurrence, followed)
        else:
            data, source = _facts(loaded, facts, relations, limit, style), facts
            known, unknown, left = _known(loaded, data, style, followed)
        level, noise_from = _level(loaded, data, noise, sigmas)
        settings = study.Settings(
            kinds=chosen,
            noise=Noise(level=level, distribution=spread, samples=samples, seed=seed),
            width=window,
            convention=form,
            severed=severed,
            lenses=lenses,
            exact=exact or not approx,
            approximations=methods,
            verify=verify,
        )
        with result_folders.unfinished(out) as kept:
            rows = study.run(tracer, known, settings, keep=kept, progress=progress)
            progress("writing", 1, 1)
            about = results.meta(
                loaded,
                settings,
                model_name=model,
                source=source,
                rows=rows,
                unknown=unknown,
                left=left,
                score=followed or cases.default_score(loaded),
                noise_from=noise_from,
            )
            command = result_folders.command(loaded, model, arguments)
            results.write(out, rows, about, command, force=force)
    _print(rows, about, out)


def _prompt(
    model: "LoadedModel", prompt: str, subject: str, occurrence: int | None, score: "Score | None"
) -> "list[Case]":
    from closedbook.knowledge import subject_tokens
    from closedbook.knowledge.tracing import cases

    found = subject_tokens.in_text(model, prompt, subject, occurrence=occurrence)
    return [cases.of_prompt(model, found, score=score)]


def _facts(
    model: "LoadedModel", data: str, relations: str | None, limit: int | None, style: str | None
) -> "Facts":
    from closedbook.knowledge.probing.candidates import first_facts
    from closedbook.knowledge.probing.prompts import style_of
    from closedbook.tasks.facts import atlas, read_facts

    names = None if relations is None else comma_separated(relations)
    way = _prompting(model, style).way
    facts = read_facts(data, relations=names, style=style_of(way) if data == atlas.NAME else None)
    return facts if limit is None else first_facts(facts, limit)


def _prompting(model: "LoadedModel", style: str | None) -> "Prompting":
    from closedbook.knowledge.probing.prompts import WAYS, Prompting

    return Prompting.of(model, one_of("--style", style, WAYS) if style is not None else None)


def _known(
    model: "LoadedModel", facts: "Facts", style: str | None, score: "Score | None"
) -> "tuple[list[Case], int, LeftOut]":
    from closedbook.errors import UserError, listed
    from closedbook.knowledge.tracing import cases

    known, unknown, left = cases.of_facts(model, facts, _prompting(model, style), score=score)
    if not known:
        wrong = f"the model answers none of {unknown:,} right; " if unknown else ""
        raise UserError(
            f"none of the {len(facts):,} facts of {facts.source} can be traced: {wrong}give "
            "others, or a prompt" + "".join(f"\n{line}" for line in [listed(left.lines())] if line)
        )
    return known, unknown, left


def _level(
    model: "LoadedModel", facts: "Facts | None", noise: float | None, sigmas: float
) -> tuple[float, str]:
    """The level of the noise, and where it comes from in words."""
    from closedbook.errors import UserError
    from closedbook.knowledge.tracing.noise import sigma
    from closedbook.tasks.facts import atlas, read_facts

    if noise is not None:
        return noise, "given"
    if not 0 <= sigmas < float("inf"):
        raise UserError(f"--sigmas is {sigmas}; give a number from 0 on, such as 3")
    known = facts or read_facts(atlas.NAME, relations=None, style="question")
    subjects = list(dict.fromkeys(fact.subject for fact in known.facts if fact.subject))
    whose = known.source if facts else "the atlas"
    found = sigma(model, subjects)
    return sigmas * found, f"{sigmas:g} standard deviations of the subjects of {whose}"


def _print(rows: "Sequence[Row]", about: Mapping[str, Any], out: pathlib.Path) -> None:
    """The best cells of each kind."""
    from rich.console import Console
    from rich.table import Table

    from closedbook.eval.report import numbers
    from closedbook.eval.report.text import inline
    from closedbook.knowledge.tracing import results
    from closedbook.knowledge.tracing.summary import summarise

    summary = summarise(rows)
    screen = Console(highlight=False, soft_wrap=True, markup=False, width=120)
    one = rows[0] if len(rows) == 1 else None
    shown = numbers.with_interval if one is None else lambda value: numbers.percent(value.mean)
    if one is not None:
        screen.print(f"{inline(one['prompt'])}  {inline(one['answer'])}")
    if about["data"]:
        screen.print(
            f"{inline(about['model'])} on {inline(about['data'])}: "
            f"{numbers.counted(about['facts'], 'fact')}, "
            f"{about['unknown']:,} left out, which the model answers wrong"
        )
        for reason, left in about["left_out"].items():
            screen.print(
                f"{left['facts']:,} left out, {reason}; the first: {inline(left['first'])}"
            )
    screen.print(
        f"P(answer) {shown(summary['clean'])}%, with the subject disturbed "
        f"{shown(summary['corrupted'])}%"
    )
    if about["noise"] == 0:
        screen.print("noise of level 0 disturbs nothing, so that all effects are 0")
    table = Table("restored", "best at", "layer", "effect, points", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for kind in summary["kinds"]:
        best = kind["best"]
        where, layer, effect = best["role"], best["layer"], shown(best["effect"])
        if one is not None:
            cell = results.best(one, [kind["name"]])[0]
            where = f"{inline(cell.text)!r}, {cell.role}"
            layer, effect = cell.layer, numbers.percent(cell.effect)
        table.add_row(kind["name"], where, str(layer), effect)
    screen.print(table)
    for each in summary["approximations"]:
        shares = [
            f"{name} {numbers.decimal(each[key] and each[key].mean)}"
            for key, name in (
                ("pearson", "Pearson"),
                ("spearman", "Spearman"),
                ("recall", "top 10"),
            )
        ]
        screen.print(f"{each['method']}, {each['kind']}: {', '.join(shares)}")
    for each in summary["verified"]:
        screen.print(f"measured, best of {each['kind']}: {shown(each['effect'])} points")
    screen.print(f"report  {out / 'report.html'}")
