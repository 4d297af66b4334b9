"""The comparison's page, Markdown and LaTeX."""

import re

import pytest

from closedbook.eval.analysis.comparison import compare
from closedbook.eval.analysis.comparison.results import Comparison
from closedbook.eval.predictions import Prediction
from closedbook.eval.report import figures, html, latex, markdown

_RIGHT = {"one": {0, 1, 2, 3}, "<b>two</b> & |": {0, 1, 4}, "three": {0}}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Three systems and eight questions; which ones each answers right is in `_RIGHT`."""
    systems = {
        name: [
            Prediction(
                id=f"q{number}",
                question=f"question {number}",
                answers=(f"answer {number}",),
                prediction=f"answer {number}" if number in right else f"=miss of {name[0]}",
            )
            for number in range(8)
        ]
        for name, right in _RIGHT.items()
    }
    return compare(systems, resamples=100)


def test_markdown_has_scores_and_pairs(comparison):
    rendered = markdown.render_comparison_markdown(comparison)
    assert rendered.startswith("# 3 systems on 8 questions\n")
    [exact] = re.findall(r"^## Exact match.*?^## ", rendered, re.M | re.S)
    [scores] = re.findall(r"^\| one \| ([\d.]+) ", exact, re.M)
    assert scores == "50.0"
    # Only the first system answers questions 2 and 3, only the second question 4.
    assert re.search(
        r"^\| one \| &lt;b&gt;two&lt;/b&gt; &amp; \\\| \| 2 \| 1 \| \+12\.5 ", rendered, re.M
    )
    assert "| three | 1 |" not in rendered


def test_adjusted_scores_and_slices_are_there(comparison):
    rendered = markdown.render_comparison_markdown(comparison)
    [adjusted] = re.findall(r"^## Adjusted scores.*?^## ", rendered, re.M | re.S)
    assert re.search(r"^\| one \| 50\.0 \[.*?\] \| 50\.0 \[", adjusted, re.M)
    assert "| question word | other | 8 | 50.0 → 50.0 [" in rendered


def test_latex_escapes_the_systems_names(comparison):
    rendered = latex.render_comparison_latex(comparison)
    assert r"\textless{}b\textgreater{}two" in rendered
    assert "<" not in rendered.replace("$<$", "")


def test_figure_has_every_system(comparison):
    drawn = figures.render_comparison_figures(comparison)["systems.svg"].decode()
    for name in ("one", "&lt;b&gt;two&lt;/b&gt; &amp; |", "three"):
        assert name in drawn


def test_page_leads_from_counts_to_examples(open_report, comparison):
    opened = open_report(html.render_comparison_html(comparison))
    info = opened.page.locator(".dt-info")
    assert info.inner_text() == "1 to 8 of 8"
    opened.page.locator("#pairs button.link").first.click()
    assert info.inner_text() == "1 to 2 of 2 (of 8)"
    ids = opened.page.locator("#table tbody td:first-child bdi").all_inner_texts()
    assert ids == ["q2", "q3"]
    opened.page.locator("#agreement button.link").first.click()  # none right
    assert info.inner_text() == "1 to 3 of 3 (of 8)"
    opened.page.get_by_role("button", name="Clear filters").click()
    opened.page.get_by_role("button", name="all right").click()
    assert info.inner_text() == "1 to 1 of 1 (of 8)"
    opened.page.get_by_role("button", name="Details").click()
    assert "one, right" in opened.page.locator("dl.detail").inner_text()
    assert opened.errors == []
    assert opened.requests == []


def test_many_systems_are_searched_and_exported(open_report, comparison):
    first = comparison.examples[0]
    many = {
        f"system {k}": [
            Prediction(question="q", answers=("a",), prediction="zebra" if k == 7 else "b"),
            Prediction(question=first.question, answers=("a",), prediction="a"),
        ]
        for k in range(10)
    }
    opened = open_report(html.render_comparison_html(compare(many, resamples=100)))
    opened.page.get_by_role("searchbox").fill("zebra")
    opened.page.locator(".dt-info", has_text="1 to 1 of 1 (of 2)").wait_for()
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Save as CSV").click()
    heading, row = download.value.path().read_text("utf-8-sig").splitlines()
    assert heading.count("system 7") == 2
    assert '"zebra"' in row
    assert opened.errors == []
