"""`closedbook ssm`: corpora for salient span masking out of one's own text."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from closedbook.cli.run import byte_unit, shown_bytes

if TYPE_CHECKING:
    from closedbook.corpora.build import Built

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Salient span masking: build a corpus for pretraining from your own text.",
)


@app.callback()
def ssm() -> None:
    """Salient span masking: build a corpus for pretraining from your own text."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def build(
    context: typer.Context,
    input: Annotated[
        list[str],
        typer.Option(
            help="Text: a pattern in quotes (`text/*.jsonl`, `books/**/*.txt`, `gs://...`), a "
            "folder, or tfds:wikipedia/20230601.en. Give it several times for several."
        ),
    ],
    output: Annotated[str, typer.Option(help="The folder to write, local or gs://, s3://, ...")],
    tagger: Annotated[
        str,
        typer.Option(
            help="What marks the spans: dates (built in, needs no model: dates, numbers, "
            "capitalised names), spacy, spacy:MODEL, hf:MODEL (of Hugging Face, for token "
            "classification), or module:function of your own."
        ),
    ] = "dates",
    format: Annotated[
        str,
        typer.Option(
            help="Of the shards: array_record (compressed), tfrecord (not compressed, for TFDS's "
            "as_dataset), or tfrecord.gz."
        ),
    ] = "array_record",
    input_format: Annotated[
        str,
        typer.Option(
            help="text, jsonl (keys text, title, id) or parquet (columns likewise); auto goes by "
            "the files' names. .gz and .zst are unpacked."
        ),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(help="Processes on this machine. Default: one per core, if there is enough."),
    ] = None,
    shard_size: Annotated[
        float, typer.Option(help="MB of input per shard; a killed build loses no more.")
    ] = 16,
    min_characters: Annotated[int, typer.Option(help="Leave out shorter sentences.")] = 1,
    max_characters: Annotated[int, typer.Option(help="Leave out longer sentences.")] = 2000,
    runner: Annotated[
        str,
        typer.Option(
            help="An Apache Beam runner: DataflowRunner, FlinkRunner, SparkRunner, ... Default: "
            "this machine. Further options go to Beam as they are: --region=..., --project=..."
        ),
    ] = "",
    force: Annotated[
        bool,
        typer.Option("--force", help="Throw away a build with other settings in the folder."),
    ] = False,
) -> None:
    """Turn text into sentences with salient spans: names, dates and numbers to mask.

    The folder that comes out is what the tasks `ssm_from_files` and `span_corruption_from_files`
    train on, and TFDS reads it too. `manifest.json` in it says what it was made from and what was
    skipped. Run the same command again after an interruption, and it goes on.

    Examples:

    `closedbook ssm build --input 'text/*.jsonl' --output corpus`

    `closedbook ssm build --input wiki.parquet --output corpus --tagger spacy --workers 8`
    """
    from closedbook.corpora import build as building
    from closedbook.telemetry import Progress

    bar: Progress | None = None
    began = time.monotonic()
    first, size, unit = 0, 1, ""

    def progress(done: int, total: int) -> None:
        nonlocal bar, first, size, unit
        if bar is None:
            first, (size, unit) = done, byte_unit(total)
            bar = Progress(-(-total // size), done // size, description=f"{unit} of text")
            bar.__enter__()
        rate = (done - first) / size / max(time.monotonic() - began, 1e-9)
        # What is begun counts, so that the end is not before the end.
        bar.update(-(-done // size), {f"{unit}_per_second": rate})

    try:
        built = building.build(
            input,
            output,
            tagger=tagger,
            format=format,
            input_format=input_format,
            shard_mb=shard_size,
            min_characters=min_characters,
            max_characters=max_characters,
            workers=workers,
            runner=runner,
            pipeline_options=context.args,
            force=force,
            progress=progress,
        )
    finally:
        if bar is not None:
            bar.__exit__(None, None, None)
    print("\n".join(_summary(built, output)))


def _summary(built: "Built", output: str) -> list[str]:
    """What was built, in a few lines."""
    found = built.manifest
    lines = [
        f"{output}: {found['sentences']:,} sentences with {sum(found['spans'].values()):,} spans "
        f"out of {found['documents']:,} documents, {len(found['shards'])} shards, "
        f"{shown_bytes(sum(shard['file_bytes'] for shard in found['shards']))}"
    ]
    width = max((len(label) for label in found["spans"]), default=0)
    for label, count in found["spans"].items():
        share = count / max(found["sentences"], 1)
        lines.append(f"  {label:{width}}  {count:12,}  {share:5.2f} per sentence")
    left_out = [
        f"{found[key]:,} {words}"
        for key, words in (
            ("sentences_without_spans", "without a span"),
            ("sentences_too_long", "too long"),
            ("sentences_too_short", "too short"),
        )
        if found[key]
    ]
    if left_out:
        lines.append(f"sentences left out: {', '.join(left_out)}")
    if found["spans_dropped"]:
        reasons = ", ".join(f"{count:,} {why}" for why, count in found["spans_dropped"].items())
        lines.append(f"spans dropped: {reasons}")
    if found["documents_skipped"]:
        lines.append(
            f"documents skipped: {found['documents_skipped']:,} (listed in manifest.json), such as"
        )
        lines += [f"  {each['id']}: {each['reason']}" for each in found["skipped"][:5]]
    if not built.seconds:
        lines.append("finished before; nothing was done")
        return lines
    rate = (
        f"{shown_bytes(built.input_bytes)} of input in {built.seconds:.1f} s, "
        f"{shown_bytes(built.input_bytes / built.seconds)}/s"
    )
    before = f"; {built.shards_before} shards were there already" if built.shards_before else ""
    lines.append(rate + before)
    return lines
