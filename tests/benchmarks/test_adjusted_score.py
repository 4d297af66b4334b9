"""Predictions that know nothing, and systems made weak, are what the study says that they are."""

import types

import numpy as np

from benchmarks.evaluator import adjusted_score
from closedbook.eval.files.gold import Gold

GOLDS = [Gold(question=f"who was number {n}", answers=(f"Ann {n}",)) for n in range(200)]


def test_junk_holds_no_gold_answer_but_by_denying_it():
    for name, texts in adjusted_score.junk(GOLDS).items():
        assert len(texts) == len(GOLDS), name
        right = sum(text == gold.answers[0] for text, gold in zip(texts, GOLDS, strict=True))
        assert right <= 3, name
    denied = adjusted_score.junk(GOLDS)['"It is not", and the gold answer']
    assert denied[7] == "It is not Ann 7."


def test_a_system_made_weak_keeps_its_wrong_answers_and_has_the_share_that_is_asked():
    right = np.arange(1000) % 5 > 0  # 80%
    data = types.SimpleNamespace(right=right)
    rows = np.arange(500)
    for share in adjusted_score.WEAK:
        kept = adjusted_score.made_weak(data, rows, share)
        assert set(kept) <= set(rows)
        assert (~right[kept]).sum() == 100
        assert abs(right[kept].mean() - share) < 0.01
