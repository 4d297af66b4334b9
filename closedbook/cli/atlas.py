"""`closedbook atlas`: the packaged facts, the model that knows them, and the quickstart."""

import collections
import pathlib
from typing import Annotated

import typer

from closedbook.cli.run import at_least, print_json
from closedbook.errors import UserError, unknown_name

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The atlas: a closed book of true facts that ships with the package.",
)


@app.command()
def facts(
    relation: Annotated[str | None, typer.Option(help="Only this relation.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only this subject.")] = None,
) -> None:
    """List facts: relation, subject, object, split, the packages that agree on it.

    Without options, the relations and their numbers of facts.
    """
    from closedbook.tasks.atlas import corpus

    found = corpus.facts()
    if relation is None and subject is None:
        counts = collections.Counter(fact.relation for fact in found)
        for name, count in sorted(counts.items()):
            print(f"{count:6,}  {name}")
        print(f"{len(found):6,}  facts")
        return
    relations = {fact.relation for fact in found}
    if relation is not None and relation not in relations:
        raise unknown_name("relation", relation, relations)
    chosen = [
        fact
        for fact in found
        if relation in (None, fact.relation)
        and (subject is None or fact.subject.casefold() == subject.casefold())
    ]
    if not chosen:
        raise UserError(
            f"no fact about {subject!r}; `closedbook atlas facts --relation NAME` lists"
        )
    for fact in chosen:
        sources = ",".join(fact.sources)
        print("\t".join((fact.relation, fact.subject, fact.object, fact.split, sources)))


@app.command()
def questions(
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    phrasing: Annotated[str, typer.Option(help="seen or unseen in fine-tuning.")] = "seen",
) -> None:
    """Print questions as JSON lines: id, question, answers, relation, fact_id."""
    from closedbook.tasks.atlas import corpus

    if phrasing not in ("seen", "unseen"):
        raise unknown_name("phrasing", phrasing, ("seen", "unseen"))
    for row in corpus.questions(split, "seen" if phrasing == "seen" else "unseen"):
        print_json(row)


@app.command()
def quickstart(
    out: Annotated[pathlib.Path, typer.Option(help="Folder of the two runs.")] = pathlib.Path(
        "runs/quickstart"
    ),
    steps: Annotated[
        int | None,
        typer.Option(
            callback=at_least(1), help="Steps of each fine-tuning; 130, one epoch, if not given."
        ),
    ] = None,
) -> None:
    """Fine-tune the packaged model on questions; score it on facts it was never asked.

    The control is the same network with the same fine-tuning and no pretraining: the difference
    is what sits in the parameters.
    """
    from closedbook.cli import quickstart as script

    script.run(out, steps)


@app.command()
def pretrain(
    out: Annotated[pathlib.Path, typer.Option(help="Folder of the two runs.")] = pathlib.Path(
        "runs/atlas"
    ),
    install: Annotated[
        bool, typer.Option(help="Put the results into the package as its models.")
    ] = False,
    model: Annotated[
        str, typer.Option(help="small: 2+2 layers, as packaged; deep: 6+4 layers.")
    ] = "small",
) -> None:
    """Reproduce the packaged models: salient span masking, then questions."""
    from closedbook.cli import quickstart as script

    script.reproduce(out, install=install, model=model)


@app.command()
def build() -> None:
    """Rebuild the tables of facts from PyPI's fact-table packages (extra `atlas`)."""
    try:
        from closedbook.tasks.atlas import build_facts
    except ImportError as error:
        raise UserError(f"{error}; install the extra: pip install 'closedbook[atlas]'") from error
    build_facts.main()
