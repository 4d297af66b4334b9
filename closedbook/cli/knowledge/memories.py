"""`closedbook memories`: feed-forward layers read as key-value memories."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from closedbook.knowledge.loaded_model import LoadedModel
    from closedbook.knowledge.memories.index import Index

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Read feed-forward layers as key-value memories: what each cell answers to and writes.",
)
DEFAULT = pathlib.Path("memories")
IndexOption = Annotated[
    pathlib.Path, typer.Option("--index", metavar="DIR", help="An index that was made before.")
]
_IN_SHORT = (
    "A memory is one cell of a feed-forward layer. Its key answers to a pattern in the text; its "
    "value is then added to the model's state and votes for tokens."
)


@app.callback()
def memories() -> None:
    """Read feed-forward layers as key-value memories: what each cell answers to and writes."""


@app.command()
def index(
    model: Annotated[
        str, typer.Option(help="The model: any that `closedbook ask` takes.")
    ] = "closedbook://atlas_qa",
    corpus: Annotated[str, typer.Option(help="Where triggers are looked for: atlas.")] = "atlas",
    stack: Annotated[
        str | None, typer.Option(help="encoder or decoder. Default: all that the model has.")
    ] = None,
    out: Annotated[
        pathlib.Path, typer.Option("--out", metavar="DIR", help="The folder to make.")
    ] = DEFAULT,
    t: Annotated[int, typer.Option("--t", help="Triggers to keep per cell and sign.")] = 50,
    force: Annotated[
        bool, typer.Option("--force", help="Replace DIR if it holds an index already.")
    ] = False,
) -> None:
    """Find the texts to which each memory answers most.

    Example: `closedbook memories index`, then `closedbook memories show decoder.1.42`
    """
    from closedbook.cli.analyze import progress_bar
    from closedbook.knowledge.loading import load_model
    from closedbook.knowledge.memories import build, sources

    build.check_target(out, force=force)
    settings = build.Settings(t=t, stacks=None if stack is None else (stack,))
    with progress_bar() as progress:
        loaded = load_model(model)
        made = build.build(
            loaded,
            sources.open_corpus(loaded, corpus),
            out,
            settings,
            model_name=model,
            force=force,
            progress=progress,
        )
    print(f"{out}: the {made.t} strongest triggers of each memory")
    for name, cells in made.cells.items():
        print(f"  {name}: {cells.layers} layers of {cells.width:,} memories")


@app.command()
def show(
    cell: Annotated[str, typer.Argument(help="STACK.LAYER.CELL, counted from 0.")],
    index: IndexOption = DEFAULT,
    many: Annotated[int, typer.Option("--triggers", min=1, help="Triggers to print.")] = 10,
) -> None:
    """Show one memory: the texts that it answers to, and the tokens that it promotes.

    Example: `closedbook memories show decoder.1.42`
    """
    from closedbook.knowledge.memories import triggers as of_triggers
    from closedbook.knowledge.memories.cells import Cell
    from closedbook.knowledge.memories.values import Values, in_words, strongest

    found, model = opened(index)
    which = Cell.parse(cell)
    cells = found.check(which)
    values = Values(model, which.stack)
    print(f"{which.name} of {found.model_name}")
    print(_IN_SHORT)
    for sign in cells.signs:
        print(f"\n{sign} triggers:")
        for trigger in found.triggers(which, sign)[:many]:
            text = of_triggers.marked(trigger, model.vocabulary)
            given = f"{text.inputs} | " if text.inputs else ""
            print(f"  {trigger.coefficient:8.3f}  {given}{text.before}«{text.at}»{text.after}")
    promoted, suppressed = strongest(values.votes([which])[0], model)
    print(f"\n{in_words(which.stack, values.reading)}")
    print("promotes   " + ", ".join(f"{vote.text} ({vote.vote:+.2f})" for vote in promoted))
    print("suppresses " + ", ".join(f"{vote.text} ({vote.vote:+.2f})" for vote in suppressed))


@app.command()
def search(
    word: Annotated[str, typer.Argument(help="A word, or several.")],
    index: IndexOption = DEFAULT,
    stack: Annotated[str, typer.Option(help="encoder or decoder.")] = "decoder",
) -> None:
    """Find the memories whose value promotes a word.

    Example: `closedbook memories search "Europe"`
    """
    from closedbook.errors import unknown_name
    from closedbook.knowledge.memories import search as searching
    from closedbook.knowledge.memories.values import Values

    found, model = opened(index)
    if stack not in found.cells:
        raise unknown_name(f"stack of the index {index}", stack, found.cells)
    result = searching.search(Values(model, stack), word, found.cells[stack].signs)
    print(
        f"{len(result.hits)} of {result.cells:,} memories promote {word!r} (z >= "
        f"{result.threshold:g}); chance: {result.by_normal:.2f} by a normal distribution, "
        f"{result.by_others:.2f} on the mean of {result.others} other tokens"
    )
    for hit in result.hits:
        print(f"  {hit.cell.name:16} {hit.sign} z {hit.z:5.1f}  rank {hit.rank:,}")


def opened(path: pathlib.Path) -> "tuple[Index, LoadedModel]":
    """An index and its model.

    Raises:
        UserError: There is no index, or its model has changed or is gone.
    """
    from closedbook.knowledge.loading import load_model
    from closedbook.knowledge.memories.index import Index

    found = Index.open(path)
    model = load_model(found.model_name)
    found.check_model(model)
    return found, model
