"""The papers' teacher-forced measures: the model reads the gold answer and is only scored on it.

| name | what |
|---|---|
| ES, PS | share of prompts (rephrasings) with nll(target) < nll(true), strictly |
| NS | share of neighbours with nll(true) < nll(target), strictly |
| EM, PM, NM | the mean of P(target) - P(true), for NM of P(true) - P(target) |
| S | harmonic mean of ES, PS and NS |
| token accuracy | share of target tokens that are the most probable one after the gold ones |

nll is the mean over the answer's tokens, P is exp(-nll) (Meng et al. 2022, section 3.2 and code).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.editing.requests import answer_ids
from closedbook.knowledge.editing.rows import Batch, Row, forward, pack
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.families import Network
from closedbook.models.parameters import Params
from closedbook.models.taps import Taps

_ROWS = 64  # at once


def scores(
    model: LoadedModel, params: Params, pairs: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean nll per token and share of tokens that are the most probable, of (text, answer) pairs.

    Args:
        model: The model.
        params: Its parameters, or edited ones.
        pairs: Texts without the model's prefix, and answers.

    Returns:
        Two float64 [pairs].
    """
    prefix = model.card.prefix
    texts = model.vocabulary.encode_batch([prefix + text for text, _ in pairs])
    rows = [
        Row(prompt=tuple(model.module.framed(ids)), subject=0, answer=answer_ids(model, answer))
        for ids, (_, answer) in zip(texts, pairs, strict=True)
    ]
    losses, hits = [], []
    for start in range(0, len(rows), _ROWS):
        chosen = rows[start : start + _ROWS]
        batch = pack(model, chosen)
        loss, hit = _scored(model.module, params, batch)
        losses.append(np.asarray(loss, np.float64)[: len(chosen)])
        hits.append(np.asarray(hit, np.float64)[: len(chosen)])
    return np.concatenate([*losses, np.zeros(0)]), np.concatenate([*hits, np.zeros(0)])


@functools.partial(jax.jit, static_argnames="module")
def _scored(module: Network, params: Params, batch: Batch) -> tuple[jax.Array, jax.Array]:
    logits, _ = forward(module, params, batch, Taps())
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.labels[..., None], -1)[..., 0]
    tokens = jnp.maximum(batch.told.sum(-1), 1)
    best = logits.argmax(-1) == batch.labels
    return -(chosen * batch.told).sum(-1) / tokens, (best * batch.told).sum(-1) / tokens


def harmonic(values: Sequence[float]) -> float:
    """The harmonic mean; 0 where one of them is.

    >>> harmonic([1.0, 0.5, 0.5])
    0.6
    """
    if min(values) <= 0:
        return 0.0
    return round(len(values) / sum(1 / value for value in values), 12)
