"""The folder of results, the sheet for people and what is read back from it."""

import csv
import html
import json

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.memories.analyses import drawing, explained, labels, results, run, sheet
from closedbook.knowledge.memories.sources import Corpus

SETTINGS = run.Settings(positions=12, keys=2, triggers=2)


@pytest.fixture(scope="module")
def analysed(tiny, tmp_path_factory):
    made = tiny("t5")
    corpus = Corpus(name="held out", way="question", examples=lambda: iter(made.examples))
    kept = tmp_path_factory.mktemp("kept")
    return made, corpus, kept, run.analyse(made.model, made.index, corpus, SETTINGS, kept)


def test_report_has_every_table_and_figure_and_explains_it(analysed, tmp_path):
    made, corpus, _, tables = analysed
    assert set(tables) == {*explained.TABLES, run.CELLS}
    assert {name for each in explained.TABLES.values() for name in each.figures} == set(
        drawing.specs(tables)
    )
    result = results.of(tables, made.model, made.index, corpus, SETTINGS, {})
    out = results.write(result, tmp_path / "report")
    for name in explained.TABLES:
        rows = json.loads((out / "tables" / f"{name}.json").read_text())
        assert len(rows) == len(tables[name])
        with (out / "tables" / f"{name}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == len(rows)
    for name in drawing.specs(tables):
        assert (out / "figures" / f"{name}.svg").read_text().startswith("<svg")
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text()
    assert "layers read at positions of <b>held out</b>" in page
    for each in explained.TABLES.values():
        assert len(each.says.split(". ")) == 2
        assert each.title in html.unescape(page)
    lines = (out / "results.jsonl").read_text().splitlines()
    assert len(lines) == len(tables[run.CELLS]) > 0


def test_one_trigger_per_memory_agrees_with_nothing_and_is_no_fault(analysed, tmp_path):
    made, corpus, _, tables = analysed
    alone = [{**row, "mean": None, "low": None, "high": None} for row in tables["patterns"]]
    result = results.of({**tables, "patterns": alone}, made.model, made.index, corpus, SETTINGS, {})
    out = results.write(result, tmp_path / "report")
    assert not (out / "figures" / "patterns.svg").exists()
    assert json.loads((out / "tables" / "patterns.json").read_text())[0]["mean"] is None
    drawn = drawing.specs({**tables, "patterns": [*alone[:-1], tables["patterns"][-1]]})
    assert "patterns" in drawn  # where some agree


def test_shares_have_n_and_intervals_and_cases_add_up(analysed):
    _, _, _, tables = analysed
    for row in tables["residual_refinement"]:
        assert row["n"] == 12
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
    for reading in ("raw", "scaled"):
        for layer in (0, 1):
            parts = [
                row["mean"]
                for row in tables["prediction_cases"]
                if (row["reading"], row["layer"]) == (reading, layer)
            ]
            assert len(parts) == 4
            assert sum(parts) == pytest.approx(1)


def test_a_killed_report_goes_on_and_another_run_does_not_take_its_numbers(analysed):
    made, corpus, kept, tables = analysed
    (kept / "lens.json").write_text("{half")
    marked = json.loads((kept / "positions.json").read_text())
    marked["tables"]["composition"][0]["mean"] = -1.0
    (kept / "positions.json").write_text(json.dumps(marked))
    again = run.analyse(made.model, made.index, corpus, SETTINGS, kept)
    assert again["encoder_lens"] == tables["encoder_lens"]
    assert again["composition"][0]["mean"] == -1.0  # was not computed again
    other = run.Settings(positions=12, keys=2, triggers=2, seed=1)
    assert run._read(kept / "lens.json", run._identity(made.index, corpus, other)) is None


def test_index_of_another_model_is_refused(analysed, tiny):
    made, corpus, kept, _ = analysed
    with pytest.raises(UserError, match="another model"):
        run.analyse(tiny("relu").model, made.index, corpus, SETTINGS, kept)


@pytest.fixture(scope="module")
def drawn(tiny, tmp_path_factory):
    made = tiny("relu")
    found = sheet.draw(made.index, made.model.vocabulary, "decoder", keys=2, triggers=4)
    out = sheet.write(found, made.model, tmp_path_factory.mktemp("sheet") / "out", {})
    with (out / "tables" / "sheet.csv").open(newline="") as file:
        return made, out, found, list(csv.DictReader(file))


def test_sheet_has_the_strongest_triggers_of_memories_of_each_layer(drawn):
    made, out, found, rows = drawn
    assert len(rows) == len(found.rows)
    assert {row["memory"].split(".")[1] for row in rows} == {"0", "1", "2"}
    assert len({row["memory"] for row in rows}) == 6
    for row in found.rows:
        [trigger] = [
            t
            for n, t in enumerate(made.index.triggers(sheet.Cell.parse(row["memory"])), 1)
            if n == row["trigger"]
        ]
        assert row["coefficient"] == trigger.coefficient
        whole = row["before"] + row["marked"] + row["after"]
        assert whole.strip() == made.model.vocabulary.decode(trigger.read).strip() or (
            row["marked"].startswith("<")
        )
    page = (out / "report.html").read_text()
    assert page.count("<input data-row") == 2 * len(rows)


def test_labels_become_figure_2(drawn, tmp_path):
    made, _, _, rows = drawn
    names = list(dict.fromkeys(row["memory"] for row in rows))
    own = [[row for row in rows if row["memory"] == name] for name in names]
    for row in own[0][:3]:  # of four triggers three have one pattern
        row["shallow"] = "Ends  with x; rare" if row is own[0][0] else "ends with X"
    for row in own[0][1:]:  # and three another
        row["semantic"] = "towns"
    own[1][0]["semantic"] = "none"
    found, unlabelled = labels.read(_saved(rows, tmp_path))
    assert [each.cell.name for each in found] == names[:2]
    assert unlabelled == 4
    first = found[0]
    assert first.patterns("shallow") == {"ends with x"}
    assert first.patterns("semantic") == {"towns"}
    assert first.rare() == 1
    assert first.labels() == [
        *("shallow", "shallow and semantic", "shallow and semantic", "semantic")
    ]
    assert found[1].labels() == ["not covered"] * 4
    made_tables = labels.tables(found)
    shares = {row["label"]: row["mean"] for row in made_tables["labels"]}
    assert shares == {
        "shallow": 1 / 8,
        "shallow and semantic": 2 / 8,
        "semantic": 1 / 8,
        "not covered": 4 / 8,
    }
    assert made_tables["patterns_per_memory"][0]["with_a_pattern"] == 1
    out = labels.write(found, unlabelled, tmp_path / "out", sheet.meta(made.index, "decoder"), {})
    assert (out / "figures" / "labels.png").is_file()
    assert "ends with x" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("memory,shallow\n", "no column semantic"),
        ("memory,shallow,semantic\ndecoder.0.1,,\n", "no memory is labelled"),
        ("memory,shallow,semantic\ndecoder-0,a,\n", "labels.csv:2: 'decoder-0' names no cell"),
        ("memory,shallow,semantic\ndecoder.0.1,a,\nencoder.0.1,a,\n", "decoder and of the encoder"),
        ("memory,shallow,semantic\ndecoder.0.1,\udcfc,\n", "save it as CSV in UTF-8"),
    ],
)
def test_what_is_no_labelled_sheet_is_told(tmp_path, text, problem):
    path = tmp_path / "labels.csv"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=problem):
        labels.read(path)


def test_labels_are_read_as_a_european_spreadsheet_saves_them(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(
        "\ufeffmemory;before;shallow;semantic\r\n"
        'decoder.0.1;a,b;"x; y";\r\ndecoder.0.1;;x;\r\n;;;\r\n'
    )
    [found], unlabelled = labels.read(path)
    assert unlabelled == 0
    assert [each["shallow"] for each in found.triggers] == [{"x", "y"}, {"x"}]


def test_a_sheet_of_another_index_or_a_part_of_one_is_refused(drawn, tmp_path):
    made, _, _, rows = drawn
    rows = [{**row, "shallow": "none"} for row in rows]
    cell = rows[0]["memory"]
    own = [row for row in rows if row["memory"] == cell]

    def read(some):
        path = _saved(some, tmp_path)
        labels.check(labels.read(path)[0], made.index, path)

    read(rows)
    with pytest.raises(UserError, match=rf":{len(rows) + 2}: trigger 1 of {cell} stands in line 2"):
        read([*rows, rows[0]])
    with pytest.raises(UserError, match=rf"{len(own) - 1} of the {len(own)} triggers of {cell}"):
        read(rows[1:])
    with pytest.raises(UserError, match=rf"{cell} has no trigger '77'"):
        read([{**rows[0], "trigger": "77"}, *rows[1:]])


def _saved(rows, folder):
    path = folder / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_shares_of_hostile_texts_are_escaped(drawn):
    _, _, found, _ = drawn
    row = {**found.rows[0], "before": "<script>alert(1)</script>", "marked": "\u202e"}
    page = sheet.render(sheet.Sheet(rows=[row], meta=found.meta))
    assert "<script>alert" not in page.split('id="data"')[0]
    assert "\u202e" not in page


def test_what_is_written_on_the_page_of_a_sheet_is_saved_as_the_file_that_is_read(
    drawn, open_report, tmp_path
):
    _, _, found, rows = drawn
    opened = open_report(sheet.render(found))
    fields = opened.page.locator("input[data-row]")
    assert fields.count() == 2 * len(rows)
    for number, text in ((0, 'ends with, "x"; y'), (2, "y"), (3, "topic")):
        fields.nth(number).fill(text)
    with opened.page.expect_download() as waiting:
        opened.page.click("#save")
    waiting.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(newline="", encoding="utf-8") as file:
        saved = list(csv.DictReader(file))
    assert [row["shallow"] for row in saved[:3]] == ['ends with, "x"; y', "y", ""]
    assert [row["semantic"] for row in saved[:3]] == ["", "topic", ""]
    assert [row["memory"] for row in saved] == [row["memory"] for row in rows]
    read, _ = labels.read(tmp_path / "saved.csv")
    assert read[0].triggers[0]["shallow"] == {'ends with, "x"', "y"}
    assert opened.errors == []


def test_page_of_a_report_shows_its_memories(analysed, open_report):
    made, corpus, _, tables = analysed
    result = results.of(tables, made.model, made.index, corpus, SETTINGS, {})
    opened = open_report(results.render(result))
    assert opened.page.locator("#table tbody tr").count() > 1
    assert opened.page.locator("figure svg").count() == len(drawing.specs(tables))
    assert (opened.errors, opened.requests) == ([], [])


def test_bins_hold_as_many_each():
    found = run.tables.metrics.bins_of(np.arange(20)[::-1].astype(float), 4)
    assert np.bincount(found).tolist() == [5, 5, 5, 5]
