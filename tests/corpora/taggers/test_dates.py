"""Dates that the built-in tagger finds, and words and numbers that it leaves alone."""

import pytest

from closedbook.corpora.taggers import load

TAGGER = load("dates")


def found(text: str, label: str = "DATE") -> list[str]:
    (spans,) = TAGGER.tag([text])
    return [text[span.start : span.limit] for span in spans if span.label == label]


@pytest.mark.parametrize(
    "date",
    [
        *("12 June 2007", "12 June , 2007", "June 12, 2007", "June 12 , 2007", "12th of June"),
        *("June 2007", "June , 2007", "3 June", "June 3rd", "Sept. 5, 1901", "12 Dec 1999"),
        *("12–15 June 2007", "12 – 15 June 2007", "June 12 – 15 , 2007", "1st to 3rd May 1920"),
        *("2007-06-12", "12/06/2007", "6/12/07", "12.06.2007", "12 / 06 / 2007"),
        *("1847", "2024", "1990s", "1590s", "1980s–1990s", "1981–82", "1981 – 82", "1968 @-@ 69"),
        *("1914 to 1918", "1914–1918", "1914 @–@ 1918", "1968/69"),
        *("5th century BC", "21st century", "18th @-@ century", "18th-century", "9th century AD"),
        *(
            "nineteenth century",
            "twenty-first century",
            "3rd millennium BC",
            "2nd to 4th centuries",
        ),
        *("44 BC", "300–200 BCE", "AD 70", "A.D. 410", "1066 AD"),
        *("June", "May", "March", "Monday", "Sundays", "Tuesday , 12 June 2007"),
        *("summer 1990", "winter of 1941", "spring of 1941–42", "July – August 1990"),
    ],
)
def test_form_of_a_date_is_one_span(date):
    assert found(f"It was built in {date} .") == [date]
    assert found(f"It was built in {date}, and it stood.") == [date]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("The '90s and the 60s were loud.", ["90s", "60s"]),
        ("In May they may march in March.", ["May", "March"]),
        ("Between 1627 and 1644 he wrote.", ["1627", "1644"]),
        ("From April and August on", ["April", "August"]),
        ("In 1066 he came with 1500 soldiers.", ["1066"]),
        ("In June Australia won.", ["June"]),
        ("on the night of 11 August .", ["11 August"]),
        ("the 18th and nineteenth centuries", ["nineteenth centuries"]),
    ],
)
def test_dates_of_a_sentence(text, dates):
    assert found(text) == dates


@pytest.mark.parametrize(
    "text",
    [
        *("They may march.", "May I go?", "March on, he said.", "The March on Rome failed."),
        *(
            "Theresa May spoke.",
            "Friday Night Lights won.",
            "June Carter sang.",
            "Willie Mays ran.",
        ),
        *("It weighs 1900 kg.", "about 1200 soldiers", "1 @,@ 950 ships", "2000.5", "12,1990"),
        *("No. 1950", "more than 1000 burials", "in his 20s", "B1990", "1990x", "3000", "9 / 11"),
        *("a score of 13 – 4", "sixty days", "the next day", "1900 people", "1999%"),
    ],
)
def test_what_is_no_date(text):
    assert found(text) == []


def test_name_beside_a_month_stays_a_name():
    assert found("In June Australia won.", "NAME") == ["Australia"]
    assert found("He saw June Carter there.", "NAME") == ["June Carter"]
    assert found("Then Theresa May spoke.", "NAME") == ["Theresa May"]
