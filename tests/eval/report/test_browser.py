"""The report in a real browser: filters, search, sorting, export, and nothing hostile runs."""

import csv
import dataclasses
import io
import itertools
import pathlib
from typing import Any

from closedbook.eval.analysis import labels
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.slices import SliceScore
from closedbook.eval.intervals import UNKNOWN
from closedbook.eval.predictions import Alternative
from closedbook.eval.report import examples, html

_HOSTILE = (
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    "</style><script>window.pwned=1</script>",
    "<!--<script>window.pwned=1//",
    "<img src=x onerror='window.pwned=1'>",
    "&lt;img src=x onerror=window.pwned=1&gt; & <img src=x onerror=window.pwned=1>",
    "<svg/onload=window.pwned=1>",
    "\"'><b onmouseover=window.pwned=1>x</b>",
    "{{ 7*7 }} ${window.pwned=1} {% for x in y %}",
    "javascript:window.pwned=1",
    "line\u2028separator\u2029paragraph\x00null",
    "right\u202eto left\u2066 isolate",
    "\ud800 half a pair",
)


def _rows(opened: Any) -> list[str]:
    """The predictions on the table's page."""
    # The small triangle's cell, question, gold answers, then the prediction.
    return opened.page.locator("#table tbody tr td:nth-child(4)").all_inner_texts()


def _info(opened: Any) -> str:
    return opened.page.locator(".dt-info").inner_text()


def _export(opened: Any) -> list[dict[str, str]]:
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Save as CSV").click()
    content = pathlib.Path(download.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(content)))


def test_opens_without_an_error_or_a_request(open_report, document):
    opened = open_report(document)
    assert _info(opened) == "1 to 25 of 40"
    assert opened.errors == []
    assert opened.requests == []


def test_verdict_buttons_filter_one_or_several(open_report, document):
    opened = open_report(document)
    groups = opened.page.locator("#groups")
    phrasing = groups.get_by_role("button", name="phrasing")
    phrasing.click()
    assert _info(opened) == "1 to 8 of 8 (of 40)"
    assert set(opened.page.locator("#table .verdict").all_inner_texts()) == {"phrasing"}
    groups.get_by_role("button", name="unanswerable").click()
    assert _info(opened) == "1 to 16 of 16 (of 40)"
    phrasing.click()
    assert set(opened.page.locator("#table .verdict").all_inner_texts()) == {"unanswerable"}
    opened.page.get_by_role("button", name="Clear filters").click()
    assert _info(opened) == "1 to 25 of 40"
    assert opened.errors == []


def test_reasons_filter_from_the_columns_list(open_report, document):
    opened = open_report(document)
    heading = opened.page.locator("#table th", has_text="Reason")
    heading.locator(".dtcc-button_dropdown").click()
    opened.page.locator(".dtcc-dropdown button", has_text="name").click()
    assert _info(opened) == "1 to 8 of 8 (of 40)"
    opened.page.keyboard.press("Escape")
    opened.page.get_by_role("button", name="Clear filters").click()
    assert _info(opened) == "1 to 25 of 40"
    assert opened.errors == []


def test_search_finds_words_in_question_answer_and_prediction(open_report, document):
    opened = open_report(document)
    box = opened.page.get_by_role("searchbox")
    box.fill("island 17 admiral")
    opened.page.locator(".dt-info", has_text="(of 40)").wait_for()
    assert _rows(opened) == ["Admiral 17"]
    box.fill("no such words")
    opened.page.wait_for_selector("td.dt-empty")
    assert opened.errors == []


def test_sorting_is_by_number_where_it_is_one(open_report, document):
    opened = open_report(document)
    heading = opened.page.locator("#table th", has_text="Log-prob.")
    heading.locator(".dt-column-title").click()  # ascending: the lowest first
    opened.page.wait_for_selector("#table th[aria-sort=ascending]")
    assert _rows(opened)[:2] == ["Admiral 39", "Admiral 38"]
    heading.locator(".dt-column-title").click()
    opened.page.wait_for_selector("#table th[aria-sort=descending]")
    assert _rows(opened)[:2] == ["Captain 0", "Admiral 1"]


def test_rows_open_by_keyboard_and_show_their_evidence(open_report, document):
    opened = open_report(document)
    opener = opened.page.get_by_role("button", name="Details").first
    opener.focus()
    opened.page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    detail = opened.page.locator("dl.detail").inner_text()
    assert "evidence of row 0" in detail
    assert "question word: who" in detail
    assert "squad 1 · nq_open 1" in detail
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("dl.detail").count() == 0


def test_numbers_elsewhere_lead_to_their_examples(open_report, document):
    opened = open_report(document)
    opened.page.locator("#story button.link", has_text="same in other words").click()
    assert _info(opened) == "1 to 8 of 8 (of 40)"
    opened.page.locator("#protocols button.link").first.click()
    assert _info(opened) == "1 to 4 of 4 (of 40)"
    assert opened.page.locator("#picked").inner_text() == "Only: squad / nq_open: case"
    opened.page.locator("#errors button.link", has_text="time dependent").click()
    assert _info(opened) == "1 to 8 of 8 (of 40)"
    opened.page.locator("#slices button.link", has_text="who").click()
    assert _info(opened) == "1 to 25 of 40"
    assert opened.errors == []


def test_a_row_has_an_address_that_opens_it(open_report, make_analysis, make_example):
    rows = [make_example(k, id=f"q/{k} ü&'\"") for k in range(40)]
    opened = open_report(html.render_html(make_analysis(rows)))
    link = opened.page.locator("#review td a").nth(6)  # of row 32, on the second page of the table
    link.click()
    detail = opened.page.locator("dl.detail")
    assert detail.locator("dd").first.inner_text() == "q/32 ü&'\""
    assert opened.page.evaluate("document.activeElement.className") == "opener"
    address = opened.page.url
    link.click()  # once more, from elsewhere in the page
    assert opened.page.evaluate("document.activeElement.className") == "opener"
    opened.page.goto("about:blank")
    opened.page.goto(address)
    opened.page.wait_for_selector("html[data-ready]")
    assert detail.locator("dd").first.inner_text() == "q/32 ü&'\""
    opened.page.goto(address.split("#")[0] + "#row=gone")
    assert "Row gone is not in this page" in opened.page.locator("#picked").inner_text()
    assert opened.errors == []


def test_ids_that_cannot_be_shown_as_they_stand_are_linked_and_saved_as_they_stand(
    open_report, make_analysis, make_example, tmp_path
):
    strange = ["\u202eabc", "x" * 5000, "constructor", "__proto__"]
    made = make_analysis([make_example(5 * k + 4, id=name) for k, name in enumerate(strange)])
    why = [dataclasses.replace(each, ids=strange) for each in made.disagreements[0].why]
    differing = dataclasses.replace(made.disagreements[0], why=why)
    opened = open_report(html.render_html(dataclasses.replace(made, disagreements=[differing])))
    opened.page.locator("#protocols button.link").first.click()
    assert _info(opened) == "1 to 4 of 4"
    selects = opened.page.get_by_label("Your verdict")
    for place, name in enumerate(strange):
        opened.page.goto(opened.page.url.split("#")[0] + html.address(name))
        selects.nth(place).wait_for()
    for place in range(len(strange)):
        assert selects.nth(place).input_value() == ""
        selects.nth(place).select_option("phrasing")
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Save corrections").click()
    download.value.save_as(tmp_path / "labels.jsonl")
    assert labels.read(tmp_path / "labels.jsonl") == dict.fromkeys(strange, Kind.PHRASING)
    assert opened.errors == []


def test_a_count_of_the_first_screen_leads_to_as_many_examples(
    open_report, make_analysis, make_example
):
    rows = [
        *(make_example(5 * k + 4, candidate=0.0) for k in range(6)),  # wrong
        *(make_example(5 * k + 2, candidate=0.9) for k in range(3)),  # "incomplete?"
        make_example(1, candidate=0.2),  # phrasing, and listed for review
    ]
    opened = open_report(html.render_html(make_analysis(rows)))
    kinds = opened.page.locator("#story .kinds button.link")
    kinds.get_by_text("really wrong").click()
    assert _info(opened) == "1 to 9 of 9 (of 10)"  # what is only listed for review counts as wrong
    kinds.get_by_text("missing from the gold").click()
    assert _info(opened) == "1 to 4 of 4 (of 10)"


def test_a_link_that_shows_the_first_of_many_examples_says_so(
    open_report, make_analysis, make_example
):
    made = make_analysis([make_example(k) for k in range(10)])
    opened = open_report(html.render_html(made))
    opened.page.locator("#protocols table button.link", has_text="show").click()
    assert opened.page.locator("#picked").inner_text() == (
        "Only: stop at a comma (the first 2 of 12)"
    )


def test_slices_lead_to_their_examples_whatever_spaces_their_names_have(
    open_report, make_analysis, make_example
):
    rows = [make_example(k, slices={"a  b\u202e": "v"}) for k in range(3)]
    made = make_analysis(rows)
    named = dataclasses.replace(made.slices[0], slice="a  b\u202e", value="v")
    opened = open_report(html.render_html(dataclasses.replace(made, slices=[named])))
    opened.page.locator("#slices button.link").click()
    assert _info(opened) == "1 to 3 of 3"


def test_the_picker_shows_one_slice(open_report, make_analysis, make_example):
    made = make_analysis([make_example(k) for k in range(10)])
    others = [dataclasses.replace(made.slices[0], slice="task", value=text) for text in ("a", "b")]
    opened = open_report(
        html.render_html(dataclasses.replace(made, slices=[*made.slices, *others]))
    )
    bodies = opened.page.locator("#slice-table tbody")
    assert [bodies.nth(k).is_visible() for k in (0, 1)] == [True, True]
    opened.page.get_by_label("Slice", exact=True).select_option("task")
    assert [bodies.nth(k).is_visible() for k in (0, 1)] == [False, True]


def test_a_page_holds_so_many_rows_that_it_opens_and_says_which(
    open_report, make_analysis, make_example, monkeypatch
):
    monkeypatch.setattr(examples, "MOST_ROWS", 20)
    made = make_analysis([make_example(k) for k in range(60)])
    opened = open_report(html.render_html(made))
    assert _info(opened) == "1 to 20 of 20"
    said = opened.page.locator("#examples").inner_text()
    assert "20 of 60 rows are in this page" in said
    # What the page leads to is there.
    opened.page.locator("#review td a").nth(8).click()
    assert opened.page.locator("dl.detail").count() == 1
    assert opened.errors == []


def test_export_holds_the_rows_that_the_filters_leave(open_report, document):
    opened = open_report(document)
    assert len(_export(opened)) == 40
    opened.page.get_by_role("button", name="phrasing").click()
    rows = _export(opened)
    assert [row["Id"] for row in rows] == [f"q{number}" for number in range(1, 40, 5)]
    first = rows[0]
    assert first["Question"] == "who discovered island number 1"
    assert first["Gold answers"] == "Captain 1 / Captain J. 1"
    assert first["Reason"] == "name"
    assert first["Log-prob."] == "-0.01"
    assert first["em squad"] == "0"
    assert first["evidence"] == "evidence of row 1"
    assert first["answer type"] == "person"


def test_export_disarms_formulas(open_report, make_analysis, make_example):
    texts = ["=1+1", "+1", "-1 degree", "@SUM(A1)", "\t=1", ' =cmd|"x"', 'plain, "quoted"']
    rows = [make_example(k, prediction=text, evidence=text) for k, text in enumerate(texts)]
    exported = _export(open_report(html.render_html(make_analysis(rows))))
    expected = ["'" + text for text in texts[:-1]] + [texts[-1]]
    assert [row["Prediction"] for row in exported] == expected
    assert [row["evidence"] for row in exported] == expected
    assert exported[1]["Log-prob."] == "-0.01"


def test_hostile_text_is_shown_and_never_run(open_report, make_analysis, make_example):
    rows = [
        make_example(
            5 * k + 2,  # candidates for review: their text stands in the page too
            id=f"{text}{k}",
            question=text,
            answers=[text, text],
            prediction=text,
            evidence=text,
            reason=text,
            flag=text,
            alternatives=[Alternative(text=text)],
            slices={text: text},
        )
        for k, text in enumerate(_HOSTILE)
    ]
    made = make_analysis(
        rows,
        slices=[
            SliceScore(slice=text, value=text, n=1, em=UNKNOWN, adjusted=UNKNOWN)
            for text in _HOSTILE
        ],
    )
    [line] = made.disagreements
    why = dataclasses.replace(line.why[0], reason=_HOSTILE[4])
    made = dataclasses.replace(
        made,
        meta=dataclasses.replace(made.meta, source=_HOSTILE[1], task=_HOSTILE[4]),
        disagreements=[dataclasses.replace(line, why=[why])],
    )
    opened = open_report(html.render_html(made))
    shown = _rows(opened)
    assert shown[:10] == list(_HOSTILE[:10])
    assert shown[10] == r"line\u2028separator\u2029paragraph\x00null"
    assert shown[11] == r"right\u202eto left\u2066 isolate"
    for opener in opened.page.get_by_role("button", name="Details").all():
        opener.click()
    opened.page.locator("#table th", has_text="Reason").locator(".dtcc-button_dropdown").click()
    opened.page.keyboard.press("Escape")
    opened.page.get_by_role("searchbox").fill("<img src=x onerror='window.pwned=1'>")
    opened.page.locator(".dt-info", has_text="(of 13)").wait_for()
    assert len(_rows(opened)) == 1
    opened.page.locator("#review td a").first.click()
    assert opened.page.locator("dl.detail dd").first.inner_text() == f"{_HOSTILE[0]}0"
    _export(opened)
    assert opened.page.evaluate("window.pwned") is None
    assert opened.errors == []
    assert opened.requests == []


def test_a_megabyte_of_text_is_cut_and_shown_on_request(open_report, make_analysis, make_example):
    long = "word " * 200_000
    rows = [make_example(k, prediction=long, question=long) for k in range(20)]
    opened = open_report(html.render_html(make_analysis(rows)))
    cell = opened.page.locator("#table tbody tr td:nth-child(4)").first
    assert len(cell.inner_text()) < 200
    cell.get_by_role("button", name="show all").click()
    assert cell.inner_text().endswith("… (996,000 more characters)")
    assert opened.errors == []


def test_ten_thousand_rows_open_quickly(open_report, make_analysis, make_example, capsys):
    many = html.render_html(make_analysis([make_example(k) for k in range(10_000)]))
    opened = open_report(
        many,
        script="new MutationObserver(() => { if (document.documentElement.dataset.ready)"
        " window.usable ??= performance.now(); }).observe(document,"
        " {attributes: true, subtree: true, attributeFilter: ['data-ready']});",
    )
    took = opened.page.evaluate("window.usable") / 1000
    with capsys.disabled():
        print(f"\n10,000 rows, {len(many) / 1e6:.1f} MB: table usable after {took:.2f} s")
    assert took < 15  # generous: what it takes on a quiet machine is in benchmarks/
    assert _info(opened) == "1 to 25 of 10,000"


def test_charts_describe_themselves(open_report, document):
    opened = open_report(document)
    assert opened.page.locator("figure svg[role=img][aria-label]").count() == 3
    ids = opened.page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    levels = opened.page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3')].map((e) => +e.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_fits_a_telephone_and_follows_the_dark_scheme(open_report, document):
    opened = open_report(document, viewport={"width": 390, "height": 800}, color_scheme="dark")
    assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    colours = opened.page.evaluate(
        "(({backgroundColor}, {color}) => [backgroundColor, color])"
        "(getComputedStyle(document.documentElement), getComputedStyle(document.body))"
    )
    background, ink = (sum(int(part) for part in colour[4:-1].split(",")) for colour in colours)
    assert background < 200 < 500 < ink
