"""The texts of an index: those that are kept come back as they were."""

import numpy as np
import pytest

from closedbook.knowledge.memories import texts
from closedbook.knowledge.memories.examples import Example


@pytest.mark.parametrize("at_once", [1, 3, 7, 1 << 16])
def test_kept_texts_come_back(tmp_path, monkeypatch, at_once: int) -> None:
    monkeypatch.setattr(texts, "_AT_ONCE", at_once)
    rng = np.random.default_rng(at_once)

    def ids() -> tuple[int, ...]:
        return tuple(rng.integers(0, 99, rng.integers(0, 5)).tolist())

    facts = ["", "f0", "f1"]
    made = [Example(inputs=ids(), targets=ids(), fact=facts[n % 3]) for n in range(21)]
    writer = texts.TextWriter(tmp_path / "all")
    for example in made:
        writer.add(example)
    for chosen in ([0, 3, 4, 6, 7, 20], [], list(range(21))):
        folder = tmp_path / f"kept{len(chosen)}"
        folder.mkdir()
        writer.keep(np.array(chosen, int), folder)
        kept = texts.Texts(folder)
        assert [kept[number] for number in range(len(kept))] == [made[place] for place in chosen]
        with pytest.raises(IndexError):
            kept[len(chosen)]
