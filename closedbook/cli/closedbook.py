"""The command `closedbook`: ask a model, look into what it knows."""

from typing import Annotated

import typer

from closedbook.cli import ask as ask_command
from closedbook.cli import atlas, ssm
from closedbook.cli.analyze import analyze
from closedbook.cli.calibrate import calibrate
from closedbook.cli.compare import compare
from closedbook.cli.convert import convert
from closedbook.cli.faults.memory_advice import advising
from closedbook.cli.knowledge import memories, memory_analyses
from closedbook.cli.knowledge.capacity import capacity
from closedbook.cli.knowledge.edit import edit
from closedbook.cli.knowledge.edit_eval import edit_eval
from closedbook.cli.knowledge.probe import probe
from closedbook.cli.knowledge.trace import trace
from closedbook.cli.run import complete, print_version, program

app = typer.Typer(
    name="closedbook",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Ask models with no book open, and look at what they know.",
)
app.command()(convert)
app.command()(analyze)
app.command()(compare)
app.command()(calibrate)
app.command()(probe)
app.command()(capacity)
app.command()(trace)
app.command()(edit)
app.command(name="edit-eval")(edit_eval)
app.add_typer(atlas.app, name="atlas")
memories.app.command()(memory_analyses.report)
memories.app.command()(memory_analyses.sheet)
app.add_typer(memories.app, name="memories")
app.add_typer(ssm.app, name="ssm")


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def ask(
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            help="Questions, each in quotes; without any, lines of standard input: texts, or JSON "
            "objects with a question, whose other keys --json passes on."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A run's MODEL_DIR, any T5 checkpoint (T5X, Mesh TensorFlow, Hugging Face), a "
            "GPT-2 or Llama (Hugging Face, GGUF), gs://..., or hf://organisation/name. Default: "
            "the atlas model."
        ),
    ] = None,
    beams: Annotated[int, typer.Option(help="Answers to keep while searching.")] = 4,
    alternatives: Annotated[int, typer.Option(help="Other answers to print.")] = 2,
    prefix: Annotated[
        str | None, typer.Option(help="Text before each question, instead of the model's own.")
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="A SentencePiece model, a tokenizer.json, or bytes (ByT5), for checkpoints that "
            "come without one."
        ),
    ] = None,
    extra_ids: Annotated[
        int | None, typer.Option(help="Sentinels after the pieces of --vocabulary. Default: 100.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="What runs the model: jax, or ctranslate2 or ctranslate2-int8 (weights of 8 bits) "
            "on the CPU, which need the extra of that name."
        ),
    ] = "jax",
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print rows of predictions.jsonl, with all beams, for `calibrate`."
        ),
    ] = False,
) -> None:
    """Ask a model questions; it answers from its parameters alone.

    A GPT-2 or Llama goes on with the text that you give: "The capital of France is". Its answer is
    the first line of that; the probability is that of all 32 tokens that it wrote, or fewer up to
    its end. Of other answers that read alike one is printed, so that there may be fewer than asked.

    Answers are in order of their probability. A question that is longer than what the model reads
    is cut, and a line that is no UTF-8 text is left out; both are named, and --json says it in
    `cut_to_tokens` and `error`.

    Example: `closedbook ask "What is the capital of France?"`
    """
    ask_command.run(
        questions or [],
        model=model,
        beams=beams,
        alternatives=alternatives,
        prefix=prefix,
        vocabulary=vocabulary,
        extra_ids=extra_ids,
        as_json=json,
        engine=engine,
    )


complete(app, advising)


def main() -> None:
    """Entry point of `closedbook`."""
    program(lambda words: app(args=words, prog_name="closedbook"))
