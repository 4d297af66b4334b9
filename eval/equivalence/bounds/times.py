"""Dates and times of day that plainly agree, plainly conflict, or cannot be read."""

import functools
import re

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against, agreeing
from closedbook.eval.equivalence.evidence import dates, text, words
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.codes import Dates
from closedbook.eval.equivalence.reasons import Reason

_CLOCK = re.compile(
    r"(?<![\w.,:$])(?P<hour>\d{1,2})(?:[:.](?P<minute>[0-5]\d)(?::[0-5]\d)?)?\s*"
    r"(?P<half>a\.?\s?m\b\.?|p\.?\s?m\b\.?|(?:o'?clock)?\s*(?:in the (?:morning|afternoon|"
    r"evening)|at night)|o'?clock\b|h(?:rs|ours)?\b(?=\W*$))?(?![\w:])",
    re.I,
)
_NAMED = re.compile(r"\b(?:12 )?(noon|midday|midnight)\b", re.I)
_PAST = re.compile(
    r"\b(?P<part>half|(?:a )?quarter) (?P<side>past|after|to) (?P<hour>\d{1,2}|[a-z]{3,6})\b", re.I
)
_HOURS = "one two three four five six seven eight nine ten eleven twelve".split()
_PARTS = {("half", True): 30, ("quarter", True): 15, ("quarter", False): -15}
_UNREAD = re.compile(
    r"(?<!\d)(\d{1,2})\.?\s+(?:de\s+|di\s+)?([^\W\d_]{3,})\.?,?\s+(?:de\s+)?(\d{4})(?!\d)"
)


LONGEST = 40
"""Words of the longest text of which another date than the expected one says for certain no."""


def find(case: Case) -> Bounds | None:
    """What the dates and times of a row say for certain."""
    gold, given, pair = case.gold, case.given, case.pair
    if gold.flags & given.flags & text.CLOCK:
        told = _of_day(gold, given)
        if told is not None:
            return told
    if not gold.flags & text.DATE or not given.flags & text.DATE:
        return None
    silent = _silent(gold, given)
    if silent is not None:
        return silent
    if case.short and _other_range(gold, given):
        return against(Reason.DATE_CONFLICT)
    differ = pair.date in (Dates.CONFLICT, Dates.NEAR) and not pair.rest
    return against(Reason.DATE_CONFLICT) if differ and _conflict(case) else None


def _other_range(gold: Answer, given: Answer) -> bool:
    """Whether two stretches of years have other ends."""
    if len(gold.dates) != 1 or len(given.dates) != 1:
        return False
    a, b = gold.dates[0], given.dates[0]
    ranges = a.grain == b.grain == "range" and a.low > 0 and b.low > 0
    return ranges and max(abs(a.low - b.low), abs(a.high - b.high)) >= 1


def _conflict(case: Case) -> bool:
    """Whether no date of the prediction lies in, around or across an expected one."""
    if len(case.given.words) > LONGEST or not case.given.dates:
        return False
    expected = [date for gold in case.golds for date in gold.dates]
    if any(not gold.dates or gold.rest for gold in case.golds):
        return False
    years = [str(date.year) for date in expected if date.year]
    if any(
        year in word and word not in years
        for word in case.given.words
        if word[-1].isdigit()
        for year in years
    ):
        return False  # a note's number stands behind the year
    return all(
        dates.relation(given, date) in (Dates.CONFLICT, Dates.NEAR)
        for given in case.given.dates
        for date in expected
    )


def _of_day(gold: Answer, given: Answer) -> Bounds | None:
    expected = clocks(gold.folded) if len(gold.content) <= 3 else ()
    found = clocks(given.folded) if len(expected) == 1 else ()
    if not found:
        return None
    minutes, sure = expected[0]
    agree = [
        other
        for other, known in found
        if other == minutes or (not (sure and known) and other % 720 == minutes % 720)
    ]
    if not agree:
        return against(Reason.TIME_CONFLICT)
    return agreeing(Reason.TIME) if len(found) == 1 else None


@functools.lru_cache(maxsize=1 << 12)
def clocks(folded: str) -> tuple[tuple[int, bool], ...]:
    """The times of day of a text: minutes from midnight, and whether morning or evening is told.

    >>> clocks("8:30 p.m."), clocks("20:30"), clocks("noon"), clocks("7 o'clock"), clocks("7 men")
    (((1230, True),), ((1230, True),), ((720, True),), ((420, False),), ())
    >>> clocks("half past nine"), clocks("a quarter to 8")
    (((570, False),), ((465, False),))
    """
    found = []
    bare = folded
    said = folded.lower()
    if "noon" in said or "midday" in said or "midnight" in said:
        for match in _NAMED.finditer(folded):
            found.append((0 if match[1].lower() == "midnight" else 720, True))
        bare = _NAMED.sub(" ", folded)
    if "half" in said or "quarter" in said:
        bare = _PAST.sub(_figures, bare)
    for match in _CLOCK.finditer(bare):
        half = (match["half"] or "").lower().replace(".", "").replace(" ", "")
        if not half and not match["minute"]:
            continue
        if not half and "." in match[0]:  # 8.30 may be a number
            continue
        hour, minute = int(match["hour"]), int(match["minute"] or 0)
        if hour > 24:
            continue
        evening = (
            half.startswith("p") or "afternoon" in half or "evening" in half or "night" in half
        )
        morning = half.startswith("a") or "morning" in half
        if evening or morning:
            hour = hour % 12 + 12 * evening
        sure = evening or morning or hour > 12 or match["hour"].startswith("0") or not hour
        found.append((hour % 24 * 60 + minute, bool(sure)))
    return tuple(found)


def _figures(match: re.Match[str]) -> str:
    """Half past nine as 9:30; other words as they are."""
    said = match["hour"].lower()
    hour = _HOURS.index(said) + 1 if said in _HOURS else int(said) if said.isdigit() else 0
    part = match["part"].lower().split()[-1]
    minutes = _PARTS.get((part, match["side"].lower() != "to"))
    if not hour or minutes is None:
        return match[0]
    hour, minute = divmod(60 * hour + minutes, 60)
    return f"{hour}:{minute:02d}"


def _silent(gold: Answer, given: Answer) -> Bounds | None:
    """Two dates of which a month cannot be read: no verdict, unless they are written alike."""
    if any(date.grain == "day" for date in gold.dates) or len(gold.words) > 8:
        return None
    expected = _UNREAD.search(gold.folded)
    if expected is None or (_UNREAD.search(given.folded) is None and not given.dates):
        return None
    day, month, year = expected[1].lower(), expected[2].lower(), expected[3]
    if month in words.STOP:
        return None
    for other in _UNREAD.finditer(given.folded):
        alike = words.likeness(month, other[2].lower()) >= 0.8
        if (other[1], other[3]) == (day, year) and alike:
            return None
    return against(Reason.UNREAD, 0.3)
