"""The second moment C of a layer's keys over a corpus: mean of k k^T, uncentred.

Read once, streamed, float64; kept on the disk under a hash of model, place and corpus, so that the
next edit needs no pass. What a killed pass has done is kept too.
"""

import dataclasses
import functools
import hashlib
import io
import pathlib
import zipfile
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from closedbook import whole_files
from closedbook.cache_folders import cache_folder, writing
from closedbook.errors import UserError
from closedbook.knowledge.editing.keys import recorded
from closedbook.knowledge.editing.places import Place, has_encoder
from closedbook.knowledge.editing.rows import Row, pack
from closedbook.knowledge.loaded_model import LoadedModel, no_numbers
from closedbook.knowledge.progress import CountOf, silent

_ROWS = 64  # texts read at once
_SAVE_EVERY = 50  # batches
_LONGEST = 128  # tokens of a text; the rest of a longer one is not read


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts whose keys are the ones to be left alone.

    Attributes:
        name: For people.
        texts: As a model reads them, its prefix included.
        answers: Of the first texts, for the keys of an encoder-decoder's decoder, which reads no
            other text; empty where there are none.
    """

    name: str
    texts: tuple[str, ...]
    answers: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of all texts and answers, in hexadecimals."""
        digest = hashlib.sha256()
        for text in (*self.texts, "", *self.answers):
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Moment:
    """C of one place, and how many keys it is the mean over.

    Attributes:
        matrix: float64 [mlp, mlp].
        count: Keys (tokens).
    """

    matrix: np.ndarray
    count: int

    @functools.cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of C, ascending [mlp], and eigenvectors [mlp, mlp], a column for each."""
        values, vectors = np.linalg.eigh((self.matrix + self.matrix.T) / 2)
        return values, vectors

    def with_ridge(self, share: float) -> np.ndarray:
        """C with a share of its mean eigenvalue added to each eigenvalue."""
        mean = np.trace(self.matrix) / len(self.matrix)
        return self.matrix + share * mean * np.eye(len(self.matrix))


def second_moments(
    model: LoadedModel,
    places: Sequence[Place],
    corpus: Corpus,
    *,
    cache: pathlib.Path | None = None,
    progress: CountOf = silent,
) -> dict[Place, Moment]:
    """C of each place, from the cache where it was read before.

    Args:
        model: The stored original: C is never read from an edited model.
        places: All of one stack.
        corpus: What is read.
        cache: The folder that keeps them; default: `moments` in that of `cache_folders`.
        progress: Called with the texts read so far and their number.

    Raises:
        UserError: The corpus is empty or lacks answers that the decoder needs, the model gives
            no numbers, or the cache cannot be written.
    """
    folder = cache_folder() / "moments" if cache is None else cache
    name = f"{model.sha256[:16]}-{corpus.sha256[:16]}"
    files = {p: folder / f"{name}-{p.stack}-{p.layer}.npz" for p in places}
    found = {p: kept for p, file in files.items() if (kept := _read(file)) is not None}
    missing = [place for place in places if place not in found]
    if missing:
        partial = folder / f"{name}-{missing[0].stack}-{'-'.join(str(p.layer) for p in missing)}"
        fresh = _stream(model, missing, corpus, partial.with_suffix(".partial.npz"), progress)
        for place, moment in fresh.items():
            _write(files[place], {"matrix": moment.matrix, "count": np.array(moment.count)})
        partial.with_suffix(".partial.npz").unlink(missing_ok=True)
        found |= fresh
    return {place: found[place] for place in places}


def _stream(
    model: LoadedModel,
    places: Sequence[Place],
    corpus: Corpus,
    partial: pathlib.Path,
    progress: CountOf,
) -> dict[Place, Moment]:
    rows = _rows(model, places[0], corpus)
    sums = {p: np.zeros((model.config.mlp_dim,) * 2) for p in places}
    count, start = 0, 0
    before = _arrays(partial)
    if before is not None:
        start, count = int(before["texts"]), int(before["count"])
        sums = {place: before[f"sum_{place.layer}"] for place in places}
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i].prompt), i))
    for number in range(start, len(rows), _ROWS):
        chosen = [rows[i] for i in order[number : number + _ROWS]]
        padded = chosen + [chosen[0]] * (_ROWS - len(chosen))
        batch = pack(model, padded)
        told = np.asarray(batch.told) > 0
        if places[0].stack == next(iter(model.config.stacks)):
            lengths = np.array([len(row.prompt) for row in padded])
            told = np.arange(batch.tokens.shape[1]) < lengths[:, None]
        told[len(chosen) :] = False
        weight = jnp.asarray(told, jnp.float32)
        read = recorded(model.module, model.params, batch, tuple(p.key_site for p in places))
        for place in places:
            sums[place] += np.asarray(_product(read[place.key_site], weight), np.float64)
        count += int(told.sum())
        progress(min(number + _ROWS, len(rows)), len(rows))
        if (number // _ROWS) % _SAVE_EVERY == _SAVE_EVERY - 1:
            kept = {f"sum_{place.layer}": sums[place] for place in places}
            _write(partial, {**kept, "texts": np.array(number + _ROWS), "count": np.array(count)})
    for place in places:
        if not np.isfinite(sums[place]).all():
            raise no_numbers(f"the corpus at {place}")
    return {place: Moment(sums[place] / count, count) for place in places}


@jax.jit
def _product(keys: jax.Array, weight: jax.Array) -> jax.Array:
    """Sum of k k^T over keys [rows, length, mlp] with weights [rows, length]."""
    keys = keys.astype(jnp.float32)
    precise = jax.lax.Precision.HIGHEST
    return jnp.einsum("rlm,rl,rln->mn", keys, weight, keys, precision=precise)


def _rows(model: LoadedModel, place: Place, corpus: Corpus) -> list[Row]:
    if not corpus.texts:
        raise UserError(f"the corpus {corpus.name} holds no text; give one with --corpus FILE")
    answers: Sequence[Sequence[int]] = [()] * len(corpus.texts)
    if has_encoder(model.config) and place.stack == "decoder":
        if not corpus.answers:
            raise UserError(
                f"the corpus {corpus.name} has questions without answers, and the decoder's keys "
                'are those of answers; give JSON lines of {"question", "answers"}'
            )
        encoded = model.vocabulary.encode_batch(corpus.answers)
        answers = [[*ids, model.module.eos_id] for ids in encoded]
    read = corpus.texts[: len(answers)]  # what has no answer has no keys in a decoder
    texts = model.vocabulary.encode_batch(read)
    framed = [model.module.cut(model.module.framed(ids), _LONGEST) for ids in texts]
    return [
        Row(prompt=tuple(ids), subject=0, answer=tuple(answer))
        for ids, answer in zip(framed, answers, strict=True)
    ]


def _read(file: pathlib.Path) -> Moment | None:
    arrays = _arrays(file)
    return None if arrays is None else Moment(arrays["matrix"], int(arrays["count"]))


def _arrays(file: pathlib.Path) -> dict[str, np.ndarray] | None:
    """What a file of the cache holds; None where it is absent or damaged, so that it is remade."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError):
        return None


def _write(file: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_files.write_bytes(file, content.getvalue())
