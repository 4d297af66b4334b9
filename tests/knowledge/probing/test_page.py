"""The page of a probe in a real browser: search, filters, rows, a narrow window, hostile text."""

import re

import pytest

from closedbook.knowledge.probing import results
from closedbook.knowledge.probing.candidates import first_facts
from closedbook.knowledge.probing.probe import Settings, probe
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.tasks.facts import Fact, read_facts
from closedbook.tasks.facts.form import gather

HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror='window.pwned=1'>",
    "\"'><b onmouseover=window.pwned=1>x</b>",
    "right\u202eto left",
)


def page_of(model, facts, **settings):
    prompting, chosen = Prompting.of(model), Settings(**settings)
    rows = probe(model, facts, prompting, chosen)
    result = results.of(
        rows, facts, model, prompting, chosen, ks=(1, 10), model_name="a model", arguments={}
    )
    return results.render(result), rows


@pytest.fixture(scope="module")
def document(atlas_ssm):
    """Two relations asked in all wordings and denied: 30 facts."""
    facts = first_facts(read_facts("atlas", relations=["state_capital", "country_continent"]), 15)
    return page_of(atlas_ssm, facts, paraphrases=True, negated=True)[0]


def info(opened):
    return opened.page.locator(".dt-info").inner_text()


def test_opens_searches_filters_and_shows_a_fact(open_report, document):
    opened = open_report(document)
    page = opened.page
    assert info(opened) == "1 to 25 of 30"
    for heading in ("The same facts in other words", "The same facts denied"):
        assert page.get_by_role("heading", name=heading).count() == 1
    page.get_by_role("searchbox").fill("Sacramento")
    page.locator(".dt-info", has_text="(of 30)").wait_for()
    assert info(opened) == "1 to 1 of 1 (of 30)"
    page.get_by_role("button", name="Details").first.click()
    detail = page.locator("dl.detail").inner_text()
    assert "The state capital of California is" in detail
    assert re.search(r"Rank\s+1 of 49", detail)
    assert detail.count("(right: rank 1)") >= 6, "five other wordings stand beside the first"
    assert "is not <extra_id_0>" in detail
    page.get_by_role("button", name="Clear filters").click()
    page.locator("#relations button.link", has_text="15").first.click()
    assert info(opened) == "1 to 15 of 15 (of 30)"
    assert page.locator("#picked").inner_text().startswith("Only: ")
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("button", name="held out, right").click()
    shown = page.locator("#table tbody tr").all_inner_texts()
    assert shown
    assert all("held out" in row for row in shown)
    assert (opened.errors, opened.requests) == ([], [])


def test_a_narrow_window_shows_all_without_scrolling_sideways(open_report, document):
    opened = open_report(document, viewport={"width": 390, "height": 800}, color_scheme="dark")
    wide = opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    opened.page.get_by_role("button", name="Details").first.click()
    assert opened.page.locator("dl.detail").count() == 1
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.errors == []


def test_hostile_names_are_text_everywhere(open_report, atlas_ssm):
    facts = [
        Fact(
            id=text,
            subject=text,
            relation=f"r {text}",
            object="Lima",
            prompt="The capital city of {} is [Y].",
            paraphrases=(f"{text} {{}} has [Y].",),
        )
        for text in HOSTILE
    ]
    document, rows = page_of(
        atlas_ssm, gather(facts, source=HOSTILE[0]), paraphrases=True, negated=True
    )
    assert len(rows) == len(HOSTILE)
    opened = open_report(document)
    page = opened.page
    for button in page.get_by_role("button", name="Details").all():
        button.click()
    assert page.locator("dl.detail").count() == len(HOSTILE)
    assert HOSTILE[1] in page.locator("#table").inner_text()
    assert "\u202e" not in page.locator("body").inner_text()
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main b[onmouseover]").count() == 0
    assert (opened.errors, opened.requests) == ([], [])
