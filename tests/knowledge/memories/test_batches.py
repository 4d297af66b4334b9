"""Batches hold every example once, whole, in as few rows of padding as shapes allow."""

import numpy as np
import pytest

from closedbook.knowledge.memories.batches import batches


@pytest.mark.parametrize("name", ["t5_1_0", "decoder_only"])
@pytest.mark.parametrize("tokens", [40, 200, 4096])
def test_every_example_is_in_one_row(tiny, random_texts, name: str, tokens: int) -> None:
    model = tiny(name)
    texts, stacks = random_texts(model), tuple(model.config.stacks)
    found = list(batches(model.module, iter(texts), stacks, tokens))
    numbers = np.concatenate([batch.number for batch in found])
    assert sorted(numbers[numbers >= 0].tolist()) == list(range(len(texts)))
    empty = 0
    for batch in found:
        empty += not (batch.number >= 0).any()
        for row, number in enumerate(batch.number.tolist()):
            if number < 0:
                assert all(not lengths[row] for lengths in batch.lengths.values())
                continue
            text = texts[number]
            many = len(text.targets)
            assert batch.lengths["decoder"][row] == many
            if model.config.continues_prompt:
                assert tuple(batch.read[row, :many]) == text.targets
            else:
                assert tuple(batch.targets[row, :many]) == text.targets
                assert tuple(batch.inputs[row, : len(text.inputs)]) == text.inputs
    assert not empty
    if tokens == 4096:  # all fit into rows of the longest
        assert len(found) == 1
