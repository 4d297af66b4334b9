"""All analyses of one model and index, in stages; what is done stays when it is killed."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import closedbook
from closedbook import whole_files
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses import agreement as agreements
from closedbook.knowledge.memories.analyses import layers, lens, patterns, places, removal, tables
from closedbook.knowledge.memories.analyses.places import Place
from closedbook.knowledge.memories.analyses.tables import Row
from closedbook.knowledge.memories.cells import Cell, Sign
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.sources import Corpus
from closedbook.knowledge.memories.values import READINGS, token_text
from closedbook.knowledge.progress import Count, Progress, silent
from closedbook.tasks.atlas import corpus as atlas

Tables = dict[str, list[Row]]
CELLS = "memories"  # the table of results.jsonl


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How much is looked at.

    Attributes:
        positions: Of the corpus; the paper takes 4,000.
        keys: Memories per layer whose triggers lose tokens; the paper takes 100.
        triggers: Of each of them; the paper takes 50.
        seed: Of what is drawn.
    """

    positions: int = 4000
    keys: int = 100
    triggers: int = 50
    seed: int = 0


def analyse(
    model: LoadedModel,
    index: Index,
    corpus: Corpus,
    settings: Settings,
    kept: pathlib.Path,
    progress: Progress = silent,
) -> Tables:
    """Runs the analyses, the quickest first.

    Args:
        model: The model.
        index: Of its triggers.
        corpus: Whose positions are looked at.
        settings: How much.
        kept: Gets a file per stage, and is read where it has one of the same run.
        progress: Is told the stage, how much of it is done, and of how much.

    Returns:
        Table -> its rows.

    Raises:
        UserError: The index is of another model.
    """
    index.check_model(model)
    what = _identity(index, corpus, settings)
    found: Tables = {}
    for name, stage in _stages(model, index, corpus, settings, progress):
        file = kept / f"{name}.json"
        done = _read(file, what)
        if done is None:
            progress(name, 0, 0)
            done = stage()
            kept.mkdir(parents=True, exist_ok=True)
            whole_files.write_text(file, json.dumps({"of": what, "tables": done}))
        for table, rows in done.items():
            found[table] = [*found.get(table, []), *rows]
    return found


def _identity(index: Index, corpus: Corpus, settings: Settings) -> str:
    """What the numbers depend on."""
    corpora = [corpus.name, corpus.place, corpus.way]
    made = [dict(index.manifest), corpora, dataclasses.asdict(settings)]
    text = json.dumps([made, closedbook.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(file: pathlib.Path, what: str) -> Tables | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return found["tables"] if found["of"] == what else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stages(
    model: LoadedModel, index: Index, corpus: Corpus, settings: Settings, progress: Progress
) -> Iterator[tuple[str, Callable[[], Tables]]]:
    """Names of the stages, and what they do."""
    relations = {fact.id: fact.relation for fact in atlas.facts()}
    begin = removal.task_tokens(model, index.manifest["corpus"]["made"])

    def drawn(stack: str) -> list[Place]:
        return places.draw(corpus.examples(), stack, settings.positions, settings.seed)

    @functools.cache
    def agreed() -> dict[Sign, agreements.Agreement]:
        return agreements.agreement(model, index)

    def told(name: str, total: int) -> Count:
        return lambda done: progress(name, done, total)

    def memories(stack: str) -> Tables:
        common = {
            sign: patterns.common(
                index,
                index.cells[stack],
                sign,
                relations.get,
                begin=begin.get("inputs" if stack == "encoder" else "targets", 0),
                seed=settings.seed,
            )
            for sign in index.cells[stack].signs
        }
        found = {"patterns": _of(stack, tables.patterns(common))}
        if stack != "decoder":
            return {**found, CELLS: _cells(model, index, stack, common, {})}
        agree = agreed()
        return {
            **found,
            "value_agreement": tables.agreements(agree),
            "next_token_rank": tables.ranks(agree),
            "agreement_by_probability": tables.by_probability(agree),
            "highest_probability": tables.highest(agree),
            CELLS: _cells(model, index, stack, common, agree),
        }

    def removed(stack: str) -> Tables:
        continues = model.config.continues_prompt
        sides = removal.sides(stack, continues=continues)
        found = removal.changes(
            model,
            index,
            index.cells[stack],
            keys=settings.keys,
            triggers=settings.triggers,
            seed=settings.seed,
            begin=begin,
            progress=lambda done, of: progress(f"removal_{stack}", done, of),
        )
        return {"token_removal": _of(stack, tables.removal(found, sides))}

    def active(stack: str) -> Tables:
        cells = index.cells[stack]
        some = drawn(stack)
        found = layers.activity(model, cells, some, told(f"active_{stack}", len(some)))
        return {"active_memories": _of(stack, tables.active(found, relu=len(cells.signs) == 1))}

    def positions() -> Tables:
        cells, some = index.cells["decoder"], drawn("decoder")
        tops = agreements.tops(agreed())
        found = layers.predictions(model, cells, some, tops, told("positions", len(some)))
        prefixes = np.array([place.position + model.config.continues_prompt for place in some])
        relu = len(cells.signs) == 1
        return {
            "active_memories": _of("decoder", tables.active(found, relu=relu)),
            "composition": tables.composition(found, prefixes),
            "residual_refinement": tables.refinement(found),
            "prediction_cases": tables.cases(found),
        }

    def looked() -> Tables:
        some = drawn("decoder")
        return {"encoder_lens": tables.lens(lens.look(model, some, told("lens", len(some))))}

    for stack in index.cells:
        yield f"memories_{stack}", functools.partial(memories, stack)
    if "decoder" in index.cells:
        yield "positions", positions
    if "encoder" in index.cells:
        yield "active_encoder", lambda: active("encoder")
        yield "lens", looked
    for stack in index.cells:
        yield f"removal_{stack}", functools.partial(removed, stack)


def _of(stack: str, rows: list[Row]) -> list[Row]:
    return [{"stack": stack, **row} for row in rows]


def _cells(
    model: LoadedModel, index: Index, stack: str, common: dict[Any, Any], agree: dict[Any, Any]
) -> list[Row]:
    """A row per memory and sign that has a trigger."""
    rows = []
    texts: dict[int, str | None] = {-1: None}

    def text(token: int) -> str | None:
        if token not in texts:
            texts[token] = token_text(model, token)
        return texts[token]

    for sign in index.cells[stack].signs:
        own = common[sign]
        for layer, number in zip(*np.nonzero(own.triggers), strict=True):
            at = int(layer), int(number)
            row: Row = {"memory": Cell(stack, *at).name, "sign": sign}
            row["triggers"] = int(own.triggers[at])
            for kind, shares in own.share.items():
                row[f"same {kind}"] = None if np.isnan(shares[at]) else float(shares[at])
            if agree:
                row["next"] = text(int(agree[sign].next[at]))
                for reading in READINGS:
                    found = agree[sign].found[reading]
                    row[reading] = {
                        "top": text(int(found.top[at])),
                        "probability": float(found.probability[at]),
                        "rank of next": int(found.rank[at]) or None,
                        "agrees": bool(agree[sign].agrees(reading)[at]),
                    }
            rows.append(row)
    return rows
