"""ROME against kmeng01/rome's own numbers on a tiny GPT-2."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.knowledge.editing import keys, updates, values
from closedbook.knowledge.editing.places import Place, kernel
from closedbook.knowledge.editing.rows import Row, pack

_PRINTED = re.compile(r"loss (\S+) = (\S+) \+ (\S+) \+ (\S+) avg prob of \[.*\] (\S+)")


@pytest.fixture(scope="module", params=["the whole prompt", "the subject alone"])
def found(gpt2, rome, request):
    told, _ = rome
    place = Place("decoder", told["edit_layer"])
    last = [len(ids) - 1 for ids in told["subject_template_tokens"]]
    target = tuple(told["target_tokens"])
    prompts = zip(told["rewrite_prompts_tokens"], last, strict=True)
    rows = [Row(prompt=tuple(ids), subject=at, answer=target) for ids, at in prompts]
    keep = Row(
        prompt=tuple(told["kl_prompt_tokens"]),
        subject=told["subject_range"][1] - 1,
        at_subject=True,
    )
    batch = pack(gpt2, rows, [keep])
    read = keys.at_places(gpt2, gpt2.params, batch, [place], len(rows))[place]
    gain = None
    if request.param == "the whole prompt":
        ones = np.zeros(batch.tokens.shape, np.float32)
        ones[np.arange(len(rows) + 1), [*last, keep.subject]] = 1
        gain = jnp.asarray(ones)
    settings = values.ValueSettings(stop=0.05)
    search = values.find(gpt2.module, gpt2.params, place, batch, gain, read[1][0], settings)
    return place, read, search


def test_every_step_of_the_search_has_romes_losses(found, rome):
    lines = [[float(each) for each in _PRINTED.search(line).groups()] for line in rome[0]["losses"]]
    printed = np.array(lines)
    search = found[2]
    assert search.losses.shape == (20, 4)
    # It prints three digits of each loss, and all digits of the probability.
    np.testing.assert_allclose(search.losses, printed[:, :4], atol=5e-4 + 1e-4)
    np.testing.assert_allclose(search.probability, printed[:, 4], rtol=1e-4)
    losses = -np.log(printed[:, 4])
    exact = search.losses[:, 1] - (search.losses[:, 1] + np.log(search.probability))
    np.testing.assert_allclose(exact, losses, atol=1e-4)


def test_the_change_is_romes(found, rome):
    _, (key, _), search = found
    weighing = updates.Weighing(rome[1]["C"].astype(np.float64))
    change = updates.rank_one(weighing, key.mean(0), search.delta, divisor=key[0])
    theirs = rome[1]["delta"]
    error = np.linalg.norm(change.matrix - theirs) / np.linalg.norm(theirs)
    assert error < 1e-4
    assert np.linalg.matrix_rank(change.matrix) == 1


def test_with_one_key_throughout_the_edited_layer_gives_the_value_exactly(gpt2, found, rome):
    place, (key, _), search = found
    weighing = updates.Weighing(rome[1]["C"].astype(np.float64))
    matrix = np.asarray(kernel(gpt2.params, place), np.float64)
    mean = key.mean(0)
    change = updates.rank_one(weighing, mean, search.delta)
    np.testing.assert_allclose(
        mean @ (matrix + change.matrix), mean @ matrix + search.delta, atol=1e-5
    )
    # The known fault: with the mean in u and the bare prompt in the divisor neither holds.
    mixed = updates.rank_one(weighing, mean, search.delta, divisor=key[0])
    assert np.abs(mean @ mixed.matrix - search.delta).max() > 1e-3
