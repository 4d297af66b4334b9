"""`closedbook memories explain` and `ablate`: what they print and write, and mistakes."""

import json
import pathlib

import pytest

from closedbook.knowledge import load_model
from closedbook.knowledge.memories import build
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.sources import Corpus

KENYA = "What is the capital of Kenya?"


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> pathlib.Path:
    """An index of the packaged model over a few questions."""
    model = load_model()
    texts = []
    for name, answer in (("Peru", "Lima"), ("Kenya", "Nairobi"), ("Cuba", "Havana")):
        asked = f"{model.card.prefix}What is the capital of {name}?"
        inputs = (*model.vocabulary.encode(asked), 1)
        texts.append(Example(inputs=inputs, targets=(*model.vocabulary.encode(answer), 1), fact=""))
    made = Corpus(name="made", way="question", examples=lambda: iter(texts))
    out = tmp_path_factory.mktemp("explain") / "index"
    build.build(model, made, out, build.Settings(t=2), named={"name": "closedbook://atlas_qa"})
    return out


def test_prints_what_adds_up_and_writes_the_folder(memories, index, tmp_path):
    out = tmp_path / "out"
    words = ("explain", KENYA, "--index", index, "--top", 3, "--out", out)
    code, printed, errors = memories(*words)
    assert (code, errors) == (0, "")
    lines = printed.splitlines()
    assert lines[:2] == [KENYA, "Nairobi  (probability 0.997)"]
    sums = [number for number, line in enumerate(lines) if line.endswith("  sum")]
    for last, rows in zip(sums, (7, 5), strict=True):
        parts = [float(line.split()[0]) for line in lines[last - rows : last]]
        assert sum(parts) == pytest.approx(float(lines[last].split()[0]), abs=0.005)
    assert "'Kenya' +17.8" in printed
    strongest = printed[printed.index("memories of the decoder") :]
    assert "«" in strongest, "triggers are shown"
    assert strongest.count("promotes") == 6

    summary = json.loads((out / "summary.json").read_text())
    assert summary["answer"] == "Nairobi"
    assert summary["sum"] == pytest.approx(summary["logit"], rel=1e-4)
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    logit = sum(row["value"] for row in rows if row["of"] == "logit")
    assert logit == pytest.approx(summary["logit"], rel=1e-4)
    assert sorted(path.name for path in (out / "figures").iterdir()) == [
        f"{name}.{end}" for name in ("encoder", "parts", "reads") for end in ("png", "svg")
    ]
    table = json.loads((out / "tables" / "parts.json").read_text())
    assert sum(row["value"] for row in table) == pytest.approx(summary["logit"], rel=1e-4)
    page = (out / "report.html").read_text()
    assert "default-src 'none'" in page
    assert "<mark>" in page
    code, _, errors = memories(*words)
    assert code == 2
    assert "holds a report already" in errors


def test_json_and_a_page_of_hostile_text(memories, tmp_path):
    hostile = "</script><script>window.pwned=1</script>"
    options = ("--answer", "Paris", "--out", tmp_path / "out", "--json")
    code, printed, errors = memories("explain", hostile, *options)
    assert (code, errors) == (0, "")
    found = json.loads(printed)
    assert (found["question"], found["answer"], found["own_answer"]) == (hostile, "Paris", False)
    page = (tmp_path / "out" / "report.html").read_text()
    assert hostile not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain", " "], "an empty question"),
        (["explain", KENYA, "--layer", "2"], "the model has 2 layers, 0 to 1"),
        (["explain", KENYA, "--token", "7"], "has no token 7"),
        (["explain", KENYA, "--answer", "\udcff"], "is not UTF-8"),
        (["explain", KENYA, "--against", "Nairobi"], "have the same token 1"),
        (["explain", KENYA, "--index", "nowhere"], "no index of memories in nowhere"),
        (["ablate", "--stack", "middle", "--facts", "2"], "unknown stack of a T5 1.0 'middle'"),
        (["ablate", "--facts", "9999"], "fewer than 9,999"),
    ],
)
def test_mistakes_get_one_message(memories, tmp_path, words, message):
    code, _, errors = memories(*words)
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_an_index_of_another_model_is_refused(memories, index, tmp_path):
    asked = ("explain", KENYA, "--answer", "Nairobi", "--model", "closedbook://atlas_ssm")
    code, _, errors = memories(*asked, "--index", index)
    assert code == 2
    assert "is the index of another model, closedbook://atlas_qa" in errors
    (tmp_path / "memories").symlink_to(index)
    code, printed, errors = memories(*asked)
    assert code == 0
    assert "so that no triggers are shown" in errors
    assert "«" not in printed


def test_ablate_prints_falls_with_intervals_and_writes_the_folder(memories, tmp_path):
    words = ("ablate", "--facts", 8, "--draws", 1, "--stack", "decoder", "--out", "out")
    code, printed, errors = memories(*words)
    assert (code, errors) == (0, "")
    assert "8 facts" in printed
    assert len(printed.splitlines()) == 8
    out = tmp_path / "out"
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert {row["silenced"] for row in rows} == {20}
    summary = json.loads((out / "summary.json").read_text())
    mean = sum(row["top"] for row in rows) / 8
    assert summary["falls"]["top"]["mean"] == pytest.approx(mean)
    (first, *_) = json.loads((out / "tables" / "falls.json").read_text())
    assert (first["silenced"], first["mean"], first["n"]) == ("top", pytest.approx(mean), 8)
    assert f"{mean:.4f}" in (out / "report.html").read_text()
    assert {path.name for path in (out / "figures").iterdir()} == {"falls.svg", "falls.png"}
    assert json.loads((out / "command.json").read_text())["arguments"]["facts"] == 8
    code, _, errors = memories(*words)
    assert code == 2
    assert "holds a report already" in errors
