"""Verdicts that readers correct in the page, and the labels that it saves of them."""

import dataclasses

from closedbook.eval.analysis import labels
from closedbook.eval.analysis.analysis import analyze
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.report import html


def test_corrected_verdicts_are_saved_as_labels_that_analyze_reads(
    open_report, make_analysis, make_example, tmp_path
):
    before = make_analysis([make_example(k) for k in range(10)])
    opened = open_report(html.render_html(before))
    assert opened.page.locator("#corrections").is_hidden()
    for row, label in ((4, "right, missing from the gold"), (1, "really wrong")):
        opened.page.evaluate("row => { location.hash = `#row=q${row}`; }", row)
        detail = opened.page.locator("dl.detail", has_text=f"#row=q{row}")
        detail.get_by_label("Your verdict").select_option(label)
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Save corrections").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    found = labels.read(saved)
    assert isinstance(found, labels.Corrections)
    assert found == {"q4": Kind.INCOMPLETE, "q1": Kind.TRUE_NEGATIVE}
    rows = [dataclasses.replace(each.row, id=each.id) for each in before.examples]
    after = analyze(rows, labels=found)
    assert [after.examples[row].verdict for row in (4, 1)] == ["incomplete?", "wrong"]
    # A correction is of the prediction that was seen, not of what another run answers.
    rows[4] = dataclasses.replace(rows[4], prediction="someone else")
    again = analyze(rows, labels=found)
    assert [again.examples[row].label for row in (4, 1)] == [None, Kind.TRUE_NEGATIVE]
    assert again.meta.notes == {"corrections of other predictions than these, set aside": 1}
    rows[4] = before.examples[4].row
    # The page of the new report begins with what has been said.
    opened = open_report(html.render_html(after))
    opened.page.evaluate("location.hash = '#row=q4'")
    assert opened.page.get_by_label("Your verdict").input_value() == "incomplete"
    assert opened.errors == []


def test_a_sample_of_labels_takes_no_row_that_a_reader_picks(
    open_report, make_analysis, make_example
):
    before = make_analysis([make_example(k) for k in range(10)])
    rows = [dataclasses.replace(each.row, id=each.id) for each in before.examples]
    opened = open_report(html.render_html(analyze(rows, labels={"q1": Kind.TRUE_NEGATIVE})))
    for row in (1, 4):
        opened.page.evaluate("row => { location.hash = `#row=q${row}`; }", row)
    picked = opened.page.locator("dl.detail", has_text="#row=q4")
    assert "not in the sample of labels" in picked.inner_text()
    assert opened.page.get_by_label("Your verdict").count() == 1
    assert opened.errors == []
