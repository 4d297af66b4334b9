"""`closedbook memories explain` and `ablate`: what adds up to an answer, and whether it matters."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from closedbook.cli.knowledge.options import (
    ExtraIdsOption,
    ForceOption,
    StackOption,
    VocabularyOption,
)
from closedbook.cli.run import at_least, plain, print_json

if TYPE_CHECKING:
    from closedbook.knowledge.loaded_model import LoadedModel
    from closedbook.knowledge.memories.index import Index

DEFAULT_INDEX = pathlib.Path("memories")


def explain(
    question: Annotated[str, typer.Argument(help="A question, in quotes.")],
    model: Annotated[
        str | None,
        typer.Option(help="Any that `closedbook ask` takes. Default: the index's, or atlas_qa."),
    ] = None,
    answer: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Explain this answer, not the model's own.")
    ] = None,
    token: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Which token of the answer, from 1. Default: the first not blank."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Another answer: explain by how much the token's logit is above its token's.",
        ),
    ] = None,
    centred: Annotated[
        bool,
        typer.Option("--centred", help="Explain by how much the logit is above the mean logit."),
    ] = False,
    layer: Annotated[
        int | None, typer.Option(metavar="N", help="List only memories of this layer, from 0.")
    ] = None,
    many: Annotated[
        int, typer.Option("--top", callback=at_least(1), help="Memories to list per stack.")
    ] = 10,
    index: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--index",
            metavar="DIR",
            help="Of `memories index`: what memories answer to. Default: memories, if it is there.",
        ),
    ] = None,
    vocabulary: VocabularyOption = None,
    extra_ids: ExtraIdsOption = None,
    out: Annotated[
        pathlib.Path | None,
        typer.Option("--out", metavar="DIR", help="A folder of results to make, with a page."),
    ] = None,
    force: ForceOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show why a model gives an answer: what each of its parts adds to the answer's logit.

    The logit of a token, from which its probability is made, is a sum of what embeddings, attention
    heads and memories write, at the scale that the last norm has in this run. All parts together
    are the logit.

    Example: `closedbook memories explain "What is the capital of Kenya?"`
    """
    arguments = {name: plain(value) for name, value in locals().items()}
    from closedbook.cli.knowledge import memories_table
    from closedbook.errors import UserError
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.memories.explanations import explain as explaining
    from closedbook.knowledge.memories.explanations import page, strongest

    if out is not None:
        result_folders.check_target(out, force=force)
    if not question.strip():
        raise UserError('an empty question; give one like "What is the capital of France?"')
    loaded, name, found = _model_and_index(model, index, vocabulary, extra_ids)
    layers = max(stack.layers for stack in loaded.config.stacks.values())
    if layer is not None and not 0 <= layer < layers:
        raise UserError(f"--layer is {layer}; the model has {layers} layers, 0 to {layers - 1}")
    result = explaining.explain(
        loaded, question, answer=answer, token=token, against=against, centred=centred
    )
    strong = strongest.by_stack(loaded, result, found, many=many, layer=layer)
    if out is not None:
        page.write(
            result,
            strong,
            result_folders.command(loaded, name, arguments),
            out,
            model_name=name,
            indexed=found is not None,
            force=force,
        )
    if json:
        print_json(page.summary(result, name, strong))
        return
    memories_table.show(result, strong, indexed=found is not None)
    if out is not None:
        print(f"\nreport       {out / 'report.html'}")


def ablate(
    model: Annotated[
        str, typer.Option(help="Any that `closedbook ask` takes.")
    ] = "closedbook://atlas_qa",
    data: Annotated[
        str, typer.Option(metavar="DIR|FILE|atlas", help="Facts, as `closedbook probe` takes them.")
    ] = "atlas",
    facts: Annotated[
        int,
        typer.Option(
            "--facts", callback=at_least(2), metavar="N", help="How many, chosen by a fixed hash."
        ),
    ] = 256,
    top: Annotated[
        int, typer.Option(callback=at_least(1), help="Memories that are silenced per fact.")
    ] = 20,
    draws: Annotated[
        int, typer.Option(callback=at_least(1), help="Random sets per fact and control.")
    ] = 5,
    seed: Annotated[int, typer.Option(callback=at_least(0), help="Of the random sets.")] = 0,
    stack: StackOption = None,
    out: Annotated[
        pathlib.Path | None,
        typer.Option("--out", metavar="DIR", help="The folder of results to make. Default: none."),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Set the memories to 0 that add most to answers, and as many random active ones.

    What `memories explain` finds should matter: without it the answers' log-probability falls by
    more than without random memories that are active too.

    Example: `closedbook memories ablate --facts 256 --out ablation`
    """
    arguments = {**locals(), "out": None if out is None else str(out)}
    from closedbook.cli.analyze import progress_bar
    from closedbook.eval.report import numbers
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.loading import load_model
    from closedbook.knowledge.memories.explanations import ablation, ablation_page
    from closedbook.knowledge.probing.prompts import Prompting, style_of
    from closedbook.tasks.facts import atlas, read_facts

    if out is not None:
        result_folders.check_target(out, force=force)
    loaded = load_model(model)
    prompting = Prompting.of(loaded)
    style = style_of(prompting.way) if data == atlas.NAME else None
    chosen = ablation.sample(read_facts(data, style=style), facts)
    stacks = None if stack is None else (stack,)
    settings = ablation.Settings(top=top, draws=draws, seed=seed, stacks=stacks)
    with progress_bar() as progress:
        rows = ablation.ablate(
            loaded, chosen, prompting, settings, lambda done: progress("facts", done, facts)
        )
    found = ablation.summarise(rows)
    whose = stack or " and ".join(loaded.config.stacks)
    print(
        f"{facts:,} facts: by how much the answer's log-probability falls (nats), means with 95% "
        f"intervals, without {numbers.counted(top, 'memory')} of the {whose}"
    )
    for name, words in ablation_page.IN_WORDS.items():
        value = found[name]
        print(f"  {value.mean:8.4f} [{value.low:.4f}, {value.high:.4f}]  {words}")
    if out is not None:
        ablation_page.write(
            rows,
            settings,
            result_folders.command(loaded, model, arguments),
            out,
            model_name=model,
            source=chosen.source,
            force=force,
        )
        print(f"\nreport       {out / 'report.html'}")


def _model_and_index(
    model: str | None, index: pathlib.Path | None, vocabulary: str | None, extra_ids: int | None
) -> "tuple[LoadedModel, str, Index | None]":
    """The model, its name, and its index where there is one.

    Raises:
        UserError: The index that was asked for is missing, or of another model.
    """
    import sys

    from closedbook.knowledge.loading import DEFAULT_MODEL, load_model
    from closedbook.knowledge.memories.index import MANIFEST, Index

    found = None
    if index is not None or (DEFAULT_INDEX / MANIFEST).is_file():
        found = Index.open(index or DEFAULT_INDEX)
    name = model or (found.model_name if found else DEFAULT_MODEL)
    if found is not None and name == found.model_name and (vocabulary, extra_ids) == (None, None):
        named = found.manifest["model"]
        vocabulary, extra_ids = named.get("vocabulary"), named.get("extra_ids")
    loaded = load_model(name, vocabulary=vocabulary, extra_ids=extra_ids)
    if found is not None and index is None and loaded.sha256 != found.manifest["model"]["sha256"]:
        print(
            f"the index in {DEFAULT_INDEX} is of {found.model_name}, so that no triggers are "
            "shown; --index names another",
            file=sys.stderr,
        )
        return loaded, name, None
    if found is not None:
        found.check_model(loaded)
    return loaded, name, found
