"""`closedbook capacity`: what it prints and writes, and mistakes."""

import functools
import json

import numpy as np
import pytest

_HOSTILE = "</script><script>window.pwned=1</script>"


@pytest.fixture
def capacity(run):
    """Runs `closedbook capacity`: (exit code, output, errors)."""
    return functools.partial(run, "capacity")


@pytest.fixture
def facts(tmp_path):
    """Makes a file of facts out of subjects and objects."""

    def made(*pairs, **more):
        rows = [
            {
                "subject": subject,
                "object": object_,
                "relation": "capital",
                "style": "question",
                "prompt": "What is the capital of {}?",
                **more,
            }
            for subject, object_ in pairs
        ]
        path = tmp_path / "facts.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        return path

    return made


def test_prints_bits_and_writes_the_folder(capacity, tmp_path):
    out = tmp_path / "out"
    words = ("--relations", "state_capital,country_continent", "--limit", 12, "--phrasings", 2)
    code, printed, errors = capacity(*words, "--out", out)
    assert (code, errors) == (0, "")
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert lines[0].endswith("24 facts, style question, 2 phrasings, prior marginal")
    # Nine that fine-tuning asked about and three held out: log2(9! 3!).
    assert any(line.startswith("state capital 12 21.1 21.0 [") for line in lines)
    assert any(line.startswith("in all 24 ") for line in lines)
    assert any(line.startswith("per parameter 0.00") for line in lines)
    summary = json.loads((out / "summary.json").read_text())
    whole = summary["all"]["best"]
    assert whole["bits"] == sum(row["best"]["bits"] for row in summary["relations"])
    assert whole["low"] <= whole["bits"] <= whole["high"] <= whole["entropy"]
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    assert np.isclose(sum(row["best"] for row in rows), whole["unclipped"], atol=1e-3)
    drawn = {path.name: path.read_bytes() for path in (out / "figures").iterdir()}
    ends = [f"{name}.{end}" for name in ("parts", "relations") for end in ("png", "svg")]
    assert sorted(drawn) == ends
    page = (out / "report.html").read_text()
    assert "default-src 'none'" in page
    assert "At least so many bits of these facts" in page
    assert len(json.loads((out / "command.json").read_text())["model"]["sha256"]) == 64
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing is left beside it"
    code, _, errors = capacity(*words, "--out", out)
    assert code == 2
    assert "holds a report already" in errors


def test_own_facts_are_measured_and_their_text_is_harmless(capacity, facts, tmp_path):
    pairs = [("Peru", "Lima"), ("Cuba", "Havana"), (_HOSTILE, "Paris"), ("France", "Oslo")]
    code, printed, _ = capacity("--data", facts(*pairs), "--out", tmp_path / "out")
    assert code == 0
    assert "4.6" in printed  # log2(4!)
    assert "<script>window.pwned" not in (tmp_path / "out" / "report.html").read_text()


def _no_numbers(*_):
    raise AssertionError("work was done before the mistake was told of")


@pytest.mark.parametrize(
    ("pairs", "more", "words", "told"),
    [
        ([("Peru", "Lima")], {}, (), "has one candidate, 'Lima': what can be answered in one"),
        ([("Peru", "Lima"), ("Cuba", " ")], {}, (), "the fact has no object"),
        ([("Peru", "New York"), ("Cuba", "New  York")], {}, (), "is spelled like 'New York'"),
        ([("Peru", "Lima"), ("Cuba", "Oslo")], {}, ("--prior", "flat"), "marginal"),
        ([("Peru", "Lima"), ("Cuba", "Oslo")], {}, ("--phrasings", "0"), "phrasings"),
        ([("Peru", "Lima"), ("Cuba", "Oslo")], {}, ("--style", "bare"), "asks by a question"),
    ],
)
def test_mistakes_get_one_message_before_any_work(
    capacity, facts, tmp_path, monkeypatch, pairs, more, words, told
):
    monkeypatch.setattr("closedbook.knowledge.capacity.asking.ask", _no_numbers)
    out = tmp_path / "out"
    code, printed, errors = capacity("--data", facts(*pairs, **more), "--out", out, *words)
    assert code == 2
    assert told in errors
    assert printed == ""
    assert "Traceback" not in errors
    assert not out.exists()
