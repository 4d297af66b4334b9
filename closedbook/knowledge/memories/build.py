"""Makes an index of triggers: one pass over a corpus, in memory that does not grow with it.

Each batch goes through the model once; its coefficients give each cell's largest ones, which are
merged with those so far, all in one compiled program. What is done is saved from time to time, so
that a run that was killed goes on and ends with the same bits.
"""

import collections
import dataclasses
import functools
import itertools
import json
import pathlib
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import closedbook
from closedbook import digests, whole_files
from closedbook.errors import UserError
from closedbook.eval.report import numbers
from closedbook.knowledge import result_folders
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories import index as indexes
from closedbook.knowledge.memories import top as tops
from closedbook.knowledge.memories.batches import TOKENS, batches
from closedbook.knowledge.memories.cells import Cells, cells_of
from closedbook.knowledge.memories.coefficients import coefficients
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.sources import Corpus, in_words
from closedbook.knowledge.memories.texts import TextWriter
from closedbook.knowledge.memories.top import Convention, Top, merge
from closedbook.knowledge.memories.triggers import KINDS, kind_of
from closedbook.knowledge.progress import Progress, silent
from closedbook.models.families import Network
from closedbook.models.parameters import Params, unboxed

_STATE = "state.npz"
_SAVE_AFTER = 60.0  # seconds
_AHEAD = 2  # batches that are on their way to the device at once
_DRAIN_AFTER = 1 << 30  # positions after which counts leave their int32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How an index is made.

    Attributes:
        t: Triggers per cell and sign; the paper annotates 25 and computes with 50.
        stacks: Which stacks; all that the model has if None.
        convention: "text": one trigger per text and cell, as the paper's code; "position": any
            number.
        tokens: Of a batch, padding included.
    """

    t: int = 50
    stacks: tuple[str, ...] | None = None
    convention: Convention = "text"
    tokens: int = TOKENS


def build(
    model: LoadedModel,
    corpus: Corpus,
    out: pathlib.Path,
    settings: Settings | None = None,
    *,
    named: Mapping[str, Any] | None = None,
    force: bool = False,
    save_after: float = _SAVE_AFTER,
    progress: Progress = silent,
) -> Index:
    """Makes an index of a corpus.

    Args:
        model: The model.
        corpus: The examples.
        out: The folder to make; what is done before it is whole stays in `OUT.unfinished`.
        settings: How.
        named: How commands find the model again: its "name", and "vocabulary" and "extra_ids"
            where it needs them.
        force: Whether to replace an index that is there.
        save_after: Seconds of work after which it is saved.
        progress: Is told the step, how many texts are done, and of how many (0: not known).

    Returns:
        The index, opened.

    Raises:
        UserError: The corpus has fewer than t texts, a stack has no memories, `out` must not be
            written, or what was left unfinished there is of another model or corpus.
    """
    settings = settings or Settings()
    indexes.check_target(out, force=force)
    _check(settings)
    cells = cells_of(model.config, settings.stacks)
    _check_size(corpus, settings.t)
    with result_folders.unfinished(out) as kept:
        run = _Run(model, corpus, cells, settings, kept)
        try:
            run.work(save_after, progress)
            progress("writing", 1, 1)
            if problem := run.problem():
                shutil.rmtree(kept, ignore_errors=True)
                raise problem
            with whole_files.folder(out, replace=force) as folder:
                run.write(folder, named or {})
        finally:
            run.close()
    return Index.open(out)


def _check(settings: Settings) -> None:
    if settings.t < 1:
        raise UserError(f"t is {settings.t}; give how many triggers to keep per cell, from 1")
    if settings.convention not in tops.CONVENTIONS:
        raise UserError(
            f"the convention is {settings.convention!r}; use {' or '.join(tops.CONVENTIONS)}"
        )


def _check_size(corpus: Corpus, t: int) -> None:
    """Looks whether a corpus has at least t texts, before any work is done."""
    found = sum(1 for _ in itertools.islice(corpus.examples(), t))
    if found < t:
        raise UserError(
            f"the corpus {corpus.name} has {numbers.counted(found, 'text')}, fewer than t = {t}; "
            "give more text, or "
            "a smaller --t"
        )


class _Run:
    """One pass over the corpus."""

    def __init__(
        self,
        model: LoadedModel,
        corpus: Corpus,
        cells: Mapping[str, Cells],
        settings: Settings,
        kept: pathlib.Path,
    ) -> None:
        self._model, self._corpus, self._cells = model, corpus, cells
        self._settings, self._kept = settings, kept
        self._what = _identity(model, corpus, cells, settings)
        self._tops = {name: Top.empty(each, settings.t) for name, each in cells.items()}
        self._active = {
            name: np.zeros(top.active.shape, np.int64) for name, top in self._tops.items()
        }
        self._positions = dict.fromkeys(cells, 0)
        self._undrained = 0  # positions that the tops have counted themselves
        self._done, self._texts = 0, ""  # batches, and the hash of the texts read for them
        self._restore()
        self._writer = TextWriter(kept / "texts")

    def work(self, save_after: float, progress: Progress) -> None:
        """All batches that are not done yet."""
        step = _compiled(self._model.module, self._settings.convention)
        before, number = self._done, 0
        params, saved = unboxed(self._model.params), time.monotonic()
        on_their_way: collections.deque[jax.Array] = collections.deque()
        stacks, module = tuple(self._cells), self._model.module
        made = batches(module, self._examples(), stacks, self._settings.tokens)
        for number, batch in enumerate(made, 1):
            if number <= before:
                if number == before and self._writer.sha256 != self._texts:
                    raise self._changed()
                continue
            lengths = {name: batch.lengths[name] for name in stacks}
            sides = batch.number, batch.inputs, batch.read
            self._tops, ticket = step(params, self._tops, *sides, lengths)
            on_their_way.append(ticket)
            if len(on_their_way) > _AHEAD:
                on_their_way.popleft().block_until_ready()
            self._done = number
            self._count(lengths)
            read = self._writer.count
            progress("indexing", read, self._corpus.total(read))
            if time.monotonic() - saved >= save_after:
                self._save()
                saved = time.monotonic()
        if number < before:
            raise self._changed()
        self._drain()

    def _examples(self) -> Iterator[Example]:
        for example in self._corpus.examples():
            self._writer.add(example)
            yield example

    def _count(self, lengths: Mapping[str, np.ndarray]) -> None:
        for name, of_stack in lengths.items():
            self._positions[name] += int(of_stack.sum())
            self._undrained += int(of_stack.sum())
        if self._undrained > _DRAIN_AFTER:
            self._drain()

    def _drain(self) -> None:
        for name, top in self._tops.items():
            self._tops[name], counts = top.drained()
            self._active[name] += counts
        self._undrained = 0

    def _save(self) -> None:
        """Everything but the texts, which the run that goes on reads again."""
        self._drain()
        arrays: dict[str, Any] = {f"active/{name}": counts for name, counts in self._active.items()}
        for name, top in self._tops.items():
            for part in ("size", "text", "position"):
                arrays[f"{part}/{name}"] = np.asarray(getattr(top, part))
        self._texts = self._writer.sha256
        state = {
            "what": self._what,
            "done": self._done,
            "texts": self._texts,
            "positions": self._positions,
        }
        with whole_files.opened(self._kept / _STATE) as file:
            np.savez(file, state=np.array(json.dumps(state)), **arrays)

    def _restore(self) -> None:
        """Takes up what an earlier run has saved."""
        file = self._kept / _STATE
        if not file.is_file():
            return
        try:
            with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
                state = json.loads(str(arrays["state"]))
                if state["what"] != self._what:
                    raise self._other(state["what"])
                self._done, self._texts = state["done"], state["texts"]
                self._positions = state["positions"]
                for name, top in self._tops.items():
                    parts = {
                        part: jnp.asarray(arrays[f"{part}/{name}"])
                        for part in ("size", "text", "position")
                    }
                    self._tops[name] = top.replace(**parts)
                    self._active[name] = arrays[f"active/{name}"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{file} is damaged ({error}); remove {self._kept} to begin anew"
            ) from error

    def _other(self, what: Mapping[str, Any]) -> UserError:
        differs = [name for name in self._what if what.get(name) != self._what[name]]
        name = differs[0] if differs else "what"
        return UserError(
            f"{self._kept} holds the beginning of another index: its {name} is "
            f"{what.get(name)}, now it is {self._what.get(name)}; give another --out, or remove "
            "that folder"
        )

    def _changed(self) -> UserError:
        return UserError(
            f"the corpus {self._corpus.name} has changed since {self._kept} was begun; remove "
            "that folder to begin anew"
        )

    def problem(self) -> UserError | None:
        """What is wrong with the result, if anything is."""
        for name, top in self._tops.items():
            if not bool(jnp.isfinite(top.size).all()):
                return UserError(
                    f"the model gives coefficients in its {name} that are no numbers (NaN or "
                    "infinite), so nothing is its strongest; look at the checkpoint's parameters"
                )
        return None

    def write(self, folder: pathlib.Path, named: Mapping[str, Any]) -> None:
        """The files of the index."""
        texts = {name: np.asarray(top.text) for name, top in self._tops.items()}
        chosen = np.unique(np.concatenate([np.unique(each) for each in texts.values()]))
        chosen = chosen[chosen >= 0]
        (folder / indexes.TEXTS).mkdir()
        self._writer.keep(chosen, folder / indexes.TEXTS)
        for name, top in self._tops.items():
            (folder / name).mkdir()
            size, position = np.asarray(top.size), np.asarray(top.position)
            text = np.where(texts[name] < 0, -1, np.searchsorted(chosen, texts[name]))
            for place, sign in enumerate(self._cells[name].signs):
                signed = size[place] if sign == "positive" else -size[place]
                parts = {"coefficient": signed, "text": text[place], "position": position[place]}
                for part, dtype in indexes.PARTS.items():
                    path = folder / name / f"{sign}.{part}.npy"
                    np.save(path, np.ascontiguousarray(parts[part], dtype))
                np.save(folder / name / f"{sign}.active.npy", self._active[name][place])
        written = (path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in written]
        content = self._manifest(named, len(chosen))
        content["digests"] = digests.as_json(digests.taken(folder, names))
        text_of_manifest = json.dumps(digests.sealed(content), indent=1)
        whole_files.write_text(folder / indexes.MANIFEST, f"{text_of_manifest}\n")

    def _manifest(self, named: Mapping[str, Any], kept: int) -> dict[str, Any]:
        settings, continues = self._settings, self._model.config.continues_prompt
        return {
            "format": indexes.FORMAT,
            "closedbook": closedbook.__version__,
            "model": {
                **{key: _absolute(value) for key, value in ({"name": ""} | dict(named)).items()},
                "title": self._model.config.title,
                "step": self._model.step,
                "sha256": self._model.sha256,
            },
            "corpus": {
                "name": self._corpus.name,
                "place": self._corpus.place,
                "tagger": self._corpus.tagger,
                "made": self._corpus.way,
                "in_words": in_words(self._corpus.way, continues=continues),
                "sha256": self._writer.sha256,
                "texts": self._writer.count,
                "texts_kept": kept,
            },
            "t": settings.t,
            "convention": settings.convention,
            "in_words": tops.IN_WORDS[settings.convention],
            "stacks": {
                name: {
                    "layers": each.layers,
                    "cells": each.width,
                    "signs": list(each.signs),
                    "kind": (kind := kind_of(name, continues=continues)),
                    "trigger": KINDS[kind],
                    "positions": self._positions[name],
                }
                for name, each in self._cells.items()
            },
        }

    def close(self) -> None:
        """Closes files."""
        self._writer.close()


def _absolute(value: Any) -> Any:
    """A path of this machine as it is named from everywhere; anything else as it is."""
    if isinstance(value, str) and value and pathlib.Path(value).expanduser().exists():
        return str(pathlib.Path(value).expanduser().absolute())
    return value


def _identity(
    model: LoadedModel, corpus: Corpus, cells: Mapping[str, Cells], settings: Settings
) -> dict[str, Any]:
    """What the numbers of a run depend on, beside the texts themselves."""
    return {
        "model": model.sha256,
        "corpus": corpus.name,
        "style": corpus.way,
        "tagger": corpus.tagger,
        "stacks": sorted(cells),
        "t": settings.t,
        "convention": settings.convention,
        "batch": f"{settings.tokens} tokens, the last ones filled up",
        "version": closedbook.__version__,
    }


@functools.lru_cache(maxsize=8)
def _compiled(module: Network, convention: Convention) -> "jax.stages.Wrapped":
    """The step of one network, which keeps its programs; the triggers so far are given up."""
    return jax.jit(functools.partial(_step, module, convention), donate_argnums=1)


def _step(
    module: Network,
    convention: Convention,
    params: Params,
    tops: Mapping[str, Top],
    number: jax.Array,
    inputs: jax.Array,
    read: jax.Array,
    lengths: Mapping[str, jax.Array],
) -> tuple[dict[str, Top], jax.Array]:
    """The triggers after one more batch, and a number that is there when they are."""
    found = coefficients(module, params, inputs, read, tuple(tops))
    merged = {
        name: merge(top, found[name], number, lengths[name], convention)
        for name, top in tops.items()
    }
    return merged, jnp.stack([top.active.sum() for top in merged.values()])
