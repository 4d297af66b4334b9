"""The page of how well estimated maps agree with exact ones."""

from benchmarks import tracing_estimates
from benchmarks.tracing_estimates import ATLAS, METHODS, Part


def row(subject, relation, pearson):
    agreed = {"pearson": pearson, "spearman": 0.5, "recall": None}
    kinds = {"encoder.mlp": agreed, "decoder.state": None if subject == "Peru" else agreed}
    return {
        "subject": subject,
        "relation": relation,
        "clean": 0.9,
        "corrupted": 0.1,
        "scores": {kind: [[0.2, 0.3]] for kind in kinds},
        "roles": {stack: {"last subject token": [0]} for stack in ("encoder", "decoder")},
        "agreement": dict.fromkeys(METHODS, kinds),
    }


def test_the_page_has_agreements_of_all_kinds_and_both_estimates(tmp_path):
    rows = [row("Kenya", "capital", 0.8), row("Peru", "capital", 0.6), row("Cuba", "flag", 0.7)]
    part = Part(ATLAS, len(rows), 5, "the atlas", rows, (3.4, 10))
    text = tracing_estimates.write([part], tmp_path / "studies" / "page.md").read_text()
    assert "3 facts of 2 relations, the first that the model answers right out of 5;" in text
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert [line.split(" | ")[0] for line in lines] == ["| `encoder.mlp`", "| `decoder.state`"]
    assert lines[0].count("70.0 [") == 2  # the mean of 0.8, 0.6 and 0.7, by both
    assert lines[1].count("75.0 [") == 2  # the map of one value is left out
    assert lines[0].count("| –") == 2  # no recall
