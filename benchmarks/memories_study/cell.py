"""Indexes one model and analyses its memories; what is done stays when it is killed."""

import dataclasses
import pathlib
import time
from typing import Any

from benchmarks import smollm2
from benchmarks.memories_study import language_model, perplexity, texts
from benchmarks.memories_study.plan import RELU, SMOLLM2, Cell, Plan
from closedbook import whole_files
from closedbook.knowledge import load_model, result_folders
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories import build, sources
from closedbook.knowledge.memories.analyses import results, run
from closedbook.knowledge.memories.index import MANIFEST, Index
from closedbook.tasks.texts import read

T = 50  # triggers per memory, as in the paper


def analyse(
    cell: Cell, plan: Plan, wikitext: pathlib.Path | None, out: pathlib.Path
) -> dict[str, Any]:
    """Runs a cell.

    Args:
        cell: What to run.
        plan: How much.
        wikitext: WikiText-2, a tar or a folder; the atlas's models need none.
        out: The study's folder.

    Returns:
        What the page needs, as JSON has it.
    """
    folder = out / "cells" / cell.name
    files = texts.prepare(wikitext, out / "wikitext-2") if wikitext else {}
    started = time.monotonic()
    seconds: dict[str, float] = {}

    def took(what: str) -> None:
        seconds[what] = round(time.monotonic() - started - sum(seconds.values()), 1)

    path = _model(cell, plan, files, out)
    model = load_model(path)
    took("training" if cell.model == RELU else "loading")
    measured: dict[str, Any] = {}
    if cell.model == RELU:
        for split in ("validation", "test"):
            found = perplexity.measure(model, files[split], language_model.LENGTH)
            measured[split] = dataclasses.asdict(found)
        took("perplexity")
    of_triggers, of_positions = _corpora(cell, plan, files, out)
    index = _index(model, path, of_triggers, folder / "index")
    took("index")
    settings = run.Settings(positions=cell.positions, keys=cell.keys, triggers=cell.triggers)
    report = folder / "report"
    with result_folders.unfinished(report) as kept:
        corpus = sources.open_corpus(model, of_positions)
        tables = run.analyse(model, index, corpus, settings, kept)
        made = results.of(tables, model, index, corpus, settings, {"cell": cell.name})
        results.write(made, report, force=True)
    took("analyses")
    tables = {name: rows for name, rows in tables.items() if name != run.CELLS}
    return {
        "model": cell.model,
        "title": model.config.title,
        "stacks": made.meta["stacks"],
        "settings": dataclasses.asdict(settings),
        "corpus": dict(index.manifest["corpus"]),
        "tokens": {name: index.positions(name) for name in index.cells},
        "vocabulary": model.vocabulary.vocab_size,
        "step": model.step,
        "perplexity": measured,
        "seconds": seconds,
        "tables": tables,
    }


def _model(cell: Cell, plan: Plan, files: dict[str, pathlib.Path], out: pathlib.Path) -> str:
    """Where the model lies; the ReLU language model is trained if it is not there."""
    if cell.model == SMOLLM2:
        return str(smollm2.place())
    if cell.model != RELU:
        return cell.model
    words = language_model.vocabulary(files["train"], out / "wikitext-2" / "words.model")
    folder = out / "relu_lm"
    return str(language_model.train(files, words, folder, layers=plan.layers, steps=plan.steps))


def _corpora(
    cell: Cell, plan: Plan, files: dict[str, pathlib.Path], out: pathlib.Path
) -> tuple[str, str]:
    """The texts of triggers and of positions.

    The paper takes triggers from the training text and positions from the validation set. SmolLM2
    has not been trained on WikiText-2, and reads its validation set in ordinary spelling.
    """
    if cell.model == RELU:
        some = out / "wikitext-2" / f"train_{plan.every}.txt"
        if not some.exists():
            articles = [each.text for each in read(files["train"])][:: plan.every]
            whole_files.write_text(some, "\n\n".join(map(paragraphs, articles)) + "\n")
        held_out = out / "wikitext-2" / "validation_paragraphs.txt"
        if not held_out.exists():
            whole_files.write_text(held_out, paragraphs(files["validation"].read_text("utf-8")))
        return str(some), str(held_out)
    if cell.model == SMOLLM2:
        name = "all" if plan.sentences is None else str(plan.sentences)
        own = out / "wikitext-2" / f"plain_{name}.txt"
        if not own.exists():
            text = paragraphs(texts.plain(files["validation"].read_text("utf-8")))
            if plan.sentences is not None:
                text = "\n\n".join(text.split("\n\n")[: plan.sentences])
            whole_files.write_text(own, text + "\n")
        return str(own), str(own)
    return sources.ATLAS, sources.ATLAS


def paragraphs(text: str) -> str:
    """WikiText's paragraphs with blank lines between them, headings left out."""
    lines = (line.strip() for line in text.splitlines())
    return "\n\n".join(line for line in lines if line and not line.startswith("="))


def _index(model: LoadedModel, path: str, corpus: str, folder: pathlib.Path) -> Index:
    if (folder / MANIFEST).is_file():
        index = Index.open(folder)
        index.check_model(model)
        return index
    texts_ = sources.open_corpus(model, corpus)
    return build.build(model, texts_, folder, build.Settings(t=T), named={"name": path})
