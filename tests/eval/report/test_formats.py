"""Markdown, LaTeX, figures, and the page's text without a browser."""

import dataclasses
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

from closedbook.eval.report import figures, html, markdown

_SVG = "{http://www.w3.org/2000/svg}"


def _rows_of(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]


def test_markdown_tables_have_as_many_cells_in_every_row(analysis, make_analysis, make_example):
    hostile = "a | b ` \n # *c* <script> \\"
    rows = [make_example(2, question=hostile, prediction=hostile, id=hostile)]
    for made in (analysis, make_analysis(rows)):
        for part in markdown.render_markdown(made).split("\n\n"):
            assert len({len(row) for row in _rows_of(part)}) <= 1, part


def test_markdown_gives_percent_with_intervals(analysis):
    rendered = markdown.render_markdown(analysis)
    cells = _rows_of(rendered)
    assert ["Exact match", "36.6", "[34.6, 38.6]"] in cells
    assert ["Adjusted", "57.6", "[55.6, 59.7]"] in cells
    assert ["phrasing", "5", "13.3", "[8.3, 18.3]"] in cells
    assert ["incomplete", "not counted", "–", "8 candidates"] in cells
    assert "![Accuracy over confidence](figures/calibration.svg)" in rendered
    assert "](figures" not in markdown.render_markdown(analysis, figures=None)


def test_parts_without_data_are_left_out(analysis):
    bare = dataclasses.replace(
        analysis,
        disagreements=[],
        audit=[],
        answerability=[],
        slices=[],
        confidence=None,
        candidates=[],
    )
    rendered = markdown.render_markdown(bare)
    assert re.findall("^#+ (.*)", rendered, re.M) == [
        r"made\_up.jsonl",
        "What the errors are",
        "Under each protocol",
        "Correct, incorrect, not attempted",
    ]
    assert set(figures.specs(bare)) == {"errors", "protocols"}
    document = html.render_html(bare)
    for absent in ('id="confidence"', 'id="slices"', 'id="review"'):
        assert absent not in document


def test_scores_that_only_rank_have_no_calibration_plot(analysis):
    side = dataclasses.replace(
        analysis.confidence.strict, bins=None, bins_equal_width=None, ece=None, brier=None
    )
    ranked = dataclasses.replace(
        analysis,
        confidence=dataclasses.replace(analysis.confidence, strict=side, adjusted=side),
    )
    assert "calibration" not in figures.specs(ranked)
    assert "calibration.svg" not in markdown.render_markdown(ranked)
    assert "<figcaption>Calibration" not in html.render_html(ranked)


def test_figures_are_whole_files_in_plain_colours(analysis):
    files = figures.render_figures(analysis)
    names = {pathlib.Path(name).stem for name in files}
    assert names == {"errors", "protocols", "calibration", "risk_coverage"}
    for name, content in files.items():
        if name.endswith(".pdf"):
            assert content.startswith(b"%PDF-")
            continue
        drawn = content.decode()
        assert xml.etree.ElementTree.fromstring(drawn).tag == f"{_SVG}svg"
        assert "var(" not in drawn  # the page's variables mean nothing outside it


def test_figures_show_the_shares(analysis):
    drawn = xml.etree.ElementTree.fromstring(figures.render_figures(analysis)["errors.svg"])
    texts = {element.text for element in drawn.iter(f"{_SVG}text")}
    assert {"true negative", "phrasing", "unanswerable"} <= texts
    assert {"62.0%", "13.3%", "11.4%"} <= texts
    assert "incomplete" not in texts  # not counted without labels


def test_page_declares_a_policy_without_network(analysis):
    document = html.render_html(analysis)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', document)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]{44}'", rules["script-src"])
    assert "connect-src" not in rules  # as default-src says
    assert rules["img-src"] == "data:"


def test_page_needs_neither_pandas_nor_a_network_library(analysis, tmp_path):
    code = (
        "import sys; from closedbook.eval.report import html, markdown, latex, figures\n"
        "assert not {'jinja2', 'vl_convert', 'itables'} & set(sys.modules)\n"
        "html._datatables_script()\n"
        "assert not {'pandas', 'itables', 'jax', 'tensorflow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_same_analysis_same_bytes(analysis):
    assert html.render_html(analysis) == html.render_html(analysis)
