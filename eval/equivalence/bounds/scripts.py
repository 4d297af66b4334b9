"""Answers in scripts that put no blanks between words."""

import re
import unicodedata

from closedbook.eval.equivalence.bounds.case import Bounds, against, agreeing
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.reading.alternatives import Alternatives
from closedbook.eval.equivalence.reasons import Reason

# Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese.
_JOINED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)
_DENIED_BEFORE = re.compile("(?:不是|不在|不叫|并非|並非|而非|非|没有|不|ไม่ใช่|ไม่)\\s*$")
_DENIED_BEHIND = re.compile(
    "^[^,,。、.!?]{0,4}?(?:ではな|じゃな|では無|でない|ではありません|じゃありません|"
    "이 아니|가 아니|은 아니|는 아니|아니|아닙|不是|并不)"
)
_LISTED = re.compile("[,,、/;;]|或者|还是|または|또는")


def find(gold: Answer, given: Answer, alternatives: Alternatives) -> Bounds | None:
    """Whether the expected answer stands in the prediction, and is not denied there."""
    if gold.raw.isascii() or not _JOINED.search(gold.raw):
        return None
    expected = _plain(gold.raw)
    found = _plain(given.raw)
    if not expected or expected == found:
        return None
    affirmed = denied = False
    place = found.find(expected)
    while place >= 0:
        before, behind = found[:place], found[place + len(expected) :]
        if _DENIED_BEFORE.search(before[-6:]) or _DENIED_BEHIND.match(behind):
            denied = True
        else:
            affirmed = True
        place = found.find(expected, place + 1)
    if denied and not affirmed:
        return against(Reason.NEGATION)
    if not affirmed:
        return None
    listed = len(found) <= 40 and len(_LISTED.findall(given.raw)) > 1
    if listed or (alternatives.offered and len(alternatives.items) > 1):
        return against(Reason.SEVERAL)
    return agreeing(Reason.CONTAINED) if len(expected) > 1 else None


def _plain(text: str) -> str:
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKC", text).lower()
        if letter.isalnum() or unicodedata.category(letter)[0] == "M" or letter in ",。、.!? "
    ).strip(",。、.!? ")
