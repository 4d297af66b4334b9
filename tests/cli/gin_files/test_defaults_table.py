"""The table in docs/t5x.md of all defaults in which our own files and T5X's differ."""

import pathlib
from collections.abc import Sequence

import pytest

from closedbook.cli.gin_files.without_effect import WITHOUT_EFFECT

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "t5x.md"
BEGIN, END = "<!-- defaults: begin -->\n", "<!-- defaults: end -->\n"
RUNS = [
    ("fine-tune 1.1", "train", "models/t5_1_1_small.gin", "runs/finetune.gin"),
    ("fine-tune 11B", "train", "models/t5_11b.gin", "runs/finetune.gin"),
    ("pretrain", "train", "models/t5_1_1_small.gin", "runs/pretrain.gin"),
    ("eval", "eval", "models/t5_1_1_small.gin", "runs/eval.gin"),
    ("infer", "infer", "models/t5_1_1_small.gin", "runs/infer.gin"),
]
THEIRS = {
    "models/t5_1_1_small.gin": "t5x/examples/t5/t5_1_1/small.gin",
    "models/t5_11b.gin": "t5x/examples/t5/t5_1_0/11B.gin",
}
SAME = {"model_dir"}  # named after the first file


@pytest.fixture
def table(outside, resolved, required) -> str:
    """The differences as Markdown, those of one value in several runs in one row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for title, mode, model, run in RUNS:
        lines = [line for line in required[mode] if title != "pretrain" or "INITIAL" not in line]
        given = [*lines, "DROPOUT_RATE = 0.1"] if title == "pretrain" else lines
        ours = resolved(mode, [model, run], *lines)
        theirs = resolved(mode, [THEIRS[model], f"t5x/configs/{run}"], *given)
        for name, pair in _differences(ours, theirs).items():
            rows.setdefault((name, *pair), []).append(title)
    head = ["| value | our own files | T5X's names | runs |", "|---|---|---|---|"]
    body = [
        f"| `{name}` | {ours} | {theirs} | {', '.join(titles)} |"
        for (name, ours, theirs), titles in sorted(rows.items())
    ]
    return "\n".join([*head, *body]) + "\n"


def _differences(ours: dict[str, object], theirs: dict[str, object]) -> dict[str, tuple[str, str]]:
    """Values that differ; of an object that only one side has, that it has it."""
    objects = _objects(ours, theirs)
    found = {
        name: (_shown(ours.get(name)), _shown(theirs.get(name)))
        for name in ours | theirs
        if ours.get(name) != theirs.get(name)
        and name not in SAME
        and not any(name.startswith(f"{each}.") for each in objects)
    }
    found |= {
        name: ("none" if name in ours else "given", "none" if name in theirs else "given")
        for name in objects
    }
    return found


def _objects(ours: dict[str, object], theirs: dict[str, object]) -> set[str]:
    """Names of objects that one side has and the other has not."""
    return {
        name
        for one, other in ((ours, theirs), (theirs, ours))
        for name, value in one.items()
        if value is None and any(each.startswith(f"{name}.") for each in other)
    }


def _shown(value: object) -> str:
    return "none" if value is None else f"`{value}`"


def test_the_list_of_what_has_no_effect_is_the_one_that_is_read():
    rows = [
        f"| `{row.name}` | {row.why} | {_only(row.only)} |"
        for row in sorted(WITHOUT_EFFECT, key=lambda row: row.name)
    ]
    table = "\n".join(["| parameter | why | values |", "|---|---|---|", *rows]) + "\n"
    text = DOCS.read_text(encoding="utf-8")
    written = text.partition("<!-- no effect: begin -->\n")[2].partition("<!-- no effect: end -->")
    assert written[0] == table, f"write this between the two marks of {DOCS}:\n{table}"


def _only(values: Sequence[object] | None) -> str:
    return "any" if values is None else ", ".join(f"`{each}`" for each in values)


def test_the_table_of_the_page_is_what_the_files_say(table):
    text = DOCS.read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0]
    assert written == table, f"write this between the two marks of {DOCS}:\n{table}"
