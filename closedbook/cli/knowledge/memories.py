"""`closedbook memories`: feed-forward layers read as key-value memories."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from closedbook.cli.knowledge import memories_explain
from closedbook.cli.knowledge.options import ExtraIdsOption, StackOption, VocabularyOption
from closedbook.cli.run import at_least, one_of

if TYPE_CHECKING:
    from closedbook.knowledge.loaded_model import LoadedModel
    from closedbook.knowledge.memories.index import Index
    from closedbook.knowledge.memories.triggers import Trigger
    from closedbook.knowledge.memories.values import Vote

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Read feed-forward layers as key-value memories: what each cell answers to and writes.",
)
DEFAULT = pathlib.Path("memories")
IndexOption = Annotated[
    pathlib.Path,
    typer.Option(
        "--index", metavar="DIR", help="The folder that `closedbook memories index` made."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Where the index's model is now. Default: where it was then."),
]
ReadingOption = Annotated[
    str,
    typer.Option(
        "--reading",
        help="How values are read as votes for tokens. raw: times the output matrix, as in the "
        "paper; scaled: times the scale of the final norm too.",
    ),
]
_LONGEST = 200  # characters that are printed of each side of a trigger


app.command()(memories_explain.explain)
app.command()(memories_explain.ablate)


@app.callback()
def memories() -> None:
    """Read feed-forward layers as key-value memories: what each cell answers to and writes."""


@app.command()
def index(
    model: Annotated[
        str, typer.Option(help="The model: any that `closedbook ask` takes.")
    ] = "closedbook://atlas_qa",
    corpus: Annotated[
        str,
        typer.Option(
            metavar="atlas|FILES",
            help="Where triggers are looked for. atlas: the packaged facts, said or asked as in "
            "the model's training. Or text, as `closedbook ssm build` reads it (a file, a folder, "
            "a pattern in quotes); for a model that answers questions, a file of them.",
        ),
    ] = "atlas",
    stack: StackOption = None,
    out: Annotated[
        pathlib.Path, typer.Option("--out", metavar="DIR", help="The folder to make.")
    ] = DEFAULT,
    t: Annotated[int, typer.Option("--t", help="Triggers to keep per memory and sign.")] = 50,
    per: Annotated[
        str,
        typer.Option(
            help="text: a text is a memory's trigger once, where its coefficient is largest, as in "
            "the paper's code; position: every position stands for itself."
        ),
    ] = "text",
    style: Annotated[
        str | None,
        typer.Option(
            help="How texts are put to the model, as for `closedbook probe`: question, sentinels, "
            "bare, nem, continuation. Default: as the model was trained."
        ),
    ] = None,
    tagger: Annotated[
        str,
        typer.Option(help="What finds the spans of text that become gaps; as for `ssm build`."),
    ] = "dates",
    vocabulary: VocabularyOption = None,
    extra_ids: ExtraIdsOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace DIR if it holds an index already.")
    ] = False,
) -> None:
    """Find the texts to which each memory answers most: its triggers.

    One pass over the corpus, whose length changes nothing about the memory that it takes. What is
    done when the command is killed stays in DIR.unfinished, and the same command goes on from
    there. `show`, `search` and the other commands look for the folder `memories` unless --index
    names another.

    Examples:

    `closedbook memories index`, then `closedbook memories show decoder.1.42`

    `closedbook memories index --model model.gguf --corpus 'text/*.txt' --out memories_of_text`
    """
    from closedbook.cli.analyze import progress_bar
    from closedbook.eval.report import numbers
    from closedbook.knowledge.loading import load_model
    from closedbook.knowledge.memories import build, sources, top
    from closedbook.knowledge.memories import index as indexes

    indexes.check_target(out, force=force)
    settings = build.Settings(
        t=t,
        stacks=None if stack is None else (stack,),
        convention=one_of("--per", per, top.CONVENTIONS),
    )
    way = None if style is None else one_of("--style", style, tuple(sources.MADE))
    with progress_bar() as progress:
        progress("loading", 0, 1)
        loaded = load_model(model, vocabulary=vocabulary, extra_ids=extra_ids)
        made = build.build(
            loaded,
            sources.open_corpus(loaded, corpus, way=way, tagger=tagger),
            out,
            settings,
            named={"name": model, "vocabulary": vocabulary, "extra_ids": extra_ids},
            force=force,
            progress=progress,
        )
    said = made.manifest["corpus"]
    print(f"{out}: up to {made.t} triggers of each memory of {model}")
    texts = numbers.counted(said["texts"], "text")
    print(f"  corpus   {said['name']}: {texts} ({said['in_words']})")
    for name, cells in made.cells.items():
        seen, signs = made.positions(name), " and ".join(cells.signs)
        print(
            f"  {name:8} {numbers.counted(cells.layers, 'layer')} of {cells.width:,} memories; "
            f"{signs} coefficients at {seen:,} positions"
        )


@app.command()
def show(
    cell: Annotated[
        str, typer.Argument(metavar="STACK.LAYER.CELL", help="Counted from 0: decoder.1.42.")
    ],
    index: IndexOption = DEFAULT,
    many: Annotated[
        int, typer.Option("--triggers", callback=at_least(1), help="Triggers to print.")
    ] = 10,
    tokens: Annotated[int, typer.Option(callback=at_least(1), help="Tokens to print.")] = 10,
    reading: ReadingOption = "scaled",
    model: ModelOption = None,
) -> None:
    """Show one memory: the texts that it answers to, and the tokens that it promotes.

    Example: `closedbook memories show decoder.1.42`
    """
    from closedbook.cli.knowledge.memories_table import IN_SHORT
    from closedbook.knowledge.memories import values as of_values
    from closedbook.knowledge.memories.cells import Cell

    which = Cell.parse(cell)
    read = one_of("--reading", reading, of_values.READINGS)
    found, loaded = opened(index, model)
    cells = found.check(which)
    values = of_values.Values(loaded, which.stack, read)
    print(f"{which.name}: memory {which.number} of layer {which.layer} of the {which.stack}")
    print(f"{IN_SHORT}\n")
    for sign in cells.signs:
        triggers = found.triggers(which, sign)
        active = int(found.active(which.stack, sign)[which.layer, which.number])
        share = active / max(found.positions(which.stack), 1)
        strongest = f"strongest {sign} " if len(cells.signs) > 1 else "strongest "
        print(
            f"Its {strongest}triggers in {found.manifest['corpus']['name']}: "
            f"{found.manifest['stacks'][which.stack]['trigger']}. (It answers so at {share:.1%} of "
            "positions.) In front of each stands its coefficient."
        )
        for line in trigger_lines(triggers, many, loaded):
            print(line)
        if not triggers:
            print("  none: it never answers so to this corpus")
        print()
    promoted, suppressed = of_values.strongest(values.votes([which])[0], loaded, tokens)
    turned = " (with a negative coefficient the other way round)" if len(cells.signs) > 1 else ""
    print(f"What its value votes for{turned}; read as {of_values.in_words(which.stack, read)}:")
    print(f"  promotes    {votes(promoted)}")
    print(f"  suppresses  {votes(suppressed)}")


@app.command()
def search(
    word: Annotated[str, typer.Argument(help="A word, or several.")],
    index: IndexOption = DEFAULT,
    stack: Annotated[str, typer.Option(help="encoder or decoder.")] = "decoder",
    z: Annotated[
        float, typer.Option("--z", help="Standard deviations from which a memory counts.")
    ] = 3.0,
    many: Annotated[
        int, typer.Option("--most", callback=at_least(1), help="Memories to print.")
    ] = 20,
    reading: ReadingOption = "scaled",
    model: ModelOption = None,
) -> None:
    """Find the memories whose value promotes a word, and how many chance would give.

    A memory's vote for the word is compared with the votes of all memories of the stack: z says by
    how many standard deviations it lies above their mean. The vote for a word of several pieces is
    the mean over its pieces.

    Example: `closedbook memories search "Europe"`
    """
    from closedbook.errors import unknown_name
    from closedbook.eval.report.text import inline
    from closedbook.knowledge.memories import search as searching
    from closedbook.knowledge.memories import values as of_values

    read = one_of("--reading", reading, of_values.READINGS)
    found, loaded = opened(index, model)
    if stack not in found.cells:
        raise unknown_name(f"stack of the index {index}", stack, found.cells)
    values = of_values.Values(loaded, stack, read)
    # A unit without a gate is never far below 0: GELU not below -0.17.
    gated = len(loaded.config.mlp_activations) > 1
    signs = found.cells[stack].signs if gated else found.cells[stack].signs[:1]
    result = searching.search(values, word, signs, z, least=min(many, 5))
    pieces = " ".join(repr(of_values.token_text(loaded, each)) for each in result.pieces)
    print(
        f"{result.above} of the {result.cells:,} memories of the {stack} promote {inline(word)} "
        f"(pieces: {pieces}): their vote for it is at least {z:g} standard deviations above the "
        "mean of all."
    )
    print(
        f"By chance it would be {result.by_normal:.1f} (normally distributed votes); "
        f"{result.others} other tokens have {result.by_others:.1f} on the mean, and "
        f"{result.share:.0%} of them have as many or more.\n"
    )
    print(f"{'memory':16}  {'z':>5}  {'rank':>6}  strongest trigger")
    for hit in result.hits[:many]:
        first = found.triggers(hit.cell, hit.sign)[:1]
        line = next(iter(trigger_lines(first, 1, loaded)), "  -").strip()
        below = "" if hit.z >= z else "  (below the threshold)"
        print(f"{hit.cell.name:16}  {hit.z:5.1f}  {hit.rank:6,}  {line}{below}")
    turned = (
        " (below 0: the memory then writes the opposite of its value, which promotes the word)"
        if len(signs) > 1
        else ""
    )
    print(
        "\nz: standard deviations above the mean vote. rank: the place of the word's first piece "
        "among the tokens that the memory promotes. In front of a trigger stands its coefficient"
        f"{turned}. Values are read as {of_values.in_words(stack, read)}."
    )


def opened(path: pathlib.Path, model: str | None = None) -> "tuple[Index, LoadedModel]":
    """An index and its model.

    Args:
        path: The folder of the index.
        model: Where the model is; where it was when the index was made if None.

    Raises:
        UserError: There is no index, or the model is another or gone.
    """
    from closedbook.errors import UserError
    from closedbook.knowledge.loading import load_model
    from closedbook.knowledge.memories.index import Index

    found = Index.open(path)
    named = found.manifest["model"]
    try:
        loaded = load_model(
            named["name"] if model is None else model,
            vocabulary=named.get("vocabulary"),
            extra_ids=named.get("extra_ids"),
        )
    except UserError as error:
        if model is not None:
            raise
        raise UserError(
            f"{error}; it is the model of {path}: say with --model where it is now"
        ) from error
    found.check_model(loaded)
    return found, loaded


def trigger_lines(triggers: "list[Trigger]", many: int, model: "LoadedModel") -> list[str]:
    """Triggers for people, those that read the same in one line."""
    from closedbook.cli.knowledge.memories_table import marked_line
    from closedbook.knowledge.memories.triggers import alike, marked

    lines = []
    for group in alike(triggers)[:many]:
        shown = marked_line(marked(group[0], model.vocabulary), _LONGEST)
        more = f"  (and {len(group) - 1} more that read the same up to there)" * (len(group) > 1)
        lines.append(f"  {group[0].coefficient:8.3f}  {shown}{more}")
    return lines


def votes(found: "list[Vote]") -> str:
    """Tokens with their votes."""
    from closedbook.eval.report.text import inline

    return ", ".join(f"{inline(vote.text)} ({vote.vote:+.2f})" for vote in found)
