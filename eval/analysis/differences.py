"""Why two protocols disagree about one prediction, found by construction.

A reason is never guessed from the text. It is an edit of the prediction and the answer, such as
"straighten curly quotes", after which the protocol that said wrong says right.
"""

import functools
import itertools
import re
import string
import unicodedata
from collections.abc import Callable, Sequence

from closedbook.eval import metrics, protocols, regexes

Edit = Callable[[str, str], tuple[str, str]]
"""From a prediction and an answer to both without what parts them."""

OTHER = "other"
UNREAD = "very long text"
SEVERAL = "cut at several signs"
LONG = 2_000  # characters of a prediction above which only a few edits are tried
MOST = 20_000  # characters of a prediction with its answers above which none is: a row takes ms


def explain(prediction: str, answers: Sequence[str], *, right: str, wrong: str) -> str:
    """The reason why one protocol calls a prediction right and another one wrong.

    The first edit that makes the second protocol agree is the reason, two edits where one does not
    suffice ("article and accent"), and "other" where no two do. Very long texts are not looked at.

    Args:
        prediction: The model's answer.
        answers: Every acceptable answer.
        right: The protocol that accepts it.
        wrong: The protocol that does not.

    >>> explain("St. Paul's", ["St. Paul’s"], right="trivia_qa", wrong="squad")
    'curly quotes'
    >>> explain("rock-and-roll", ["rock and roll"], right="trivia_qa", wrong="squad")
    'hyphen joined or split'
    >>> explain("US", ["U.S."], right="squad", wrong="trivia_qa")
    'full stop in an abbreviation'
    >>> explain("in Paris, France", ["Paris"], right="dpr", wrong="squad")
    'token subsequence'
    >>> explain("10,000", ["10,000"], right="squad", wrong="lm_eval")
    "cut at ','"
    """
    if len(prediction) + sum(map(len, answers)) > MOST:
        return UNREAD
    accepted = [a for a in answers if metrics.is_right(prediction, [a], right)] or list(answers)
    for answer in accepted:
        for count in (1, 2) if len(prediction) <= LONG else (1,):
            for edits in itertools.combinations(_edits(prediction, answer, right, wrong), count):
                if _agrees(prediction, answer, wrong, [edit for _, edit in edits]):
                    return " and ".join(dict.fromkeys(name for name, _ in edits))
    return OTHER


def _agrees(prediction: str, answer: str, protocol: str, edits: Sequence[Edit]) -> bool:
    for edit in edits:
        prediction, answer = edit(prediction, answer)
    return metrics.is_right(prediction, [answer], protocol)


def _edits(prediction: str, answer: str, right: str, wrong: str) -> list[tuple[str, Edit]]:
    """The edits worth trying, the most specific first."""
    special: list[tuple[str, Edit]] = []
    if "natural_questions" in (right, wrong):
        special.append(("set of answers", _without_prefix))
    if wrong == "lm_eval":
        special += [(f"cut at {stop!r}", _deletion(stop)) for stop in protocols.HARNESS_STOPS]
        special.append((SEVERAL, _both(lambda t: "".join(c for c in t if c not in _STOPS))))
    if right == "lm_eval":
        special += [(f"cut at {stop!r}", _cut_at(stop)) for stop in protocols.HARNESS_STOPS]
    if wrong == "curated_trec":
        special.append(("operator of regular expressions", lambda p, a: (p, re.escape(a))))
    if right == "curated_trec":
        special.append(("start of the prediction", _start))
        special.append(("regular expression", _matched))
    inside: list[tuple[str, Edit]] = []
    if right == "dpr" and len(protocols.tokens(answer)) < len(protocols.tokens(prediction)):
        inside.append(("token subsequence", lambda p, a: (a, a)))
    if len(prediction) > LONG:
        return special + inside
    # No edit of the text deletes a word, so where words are left over the other kind is first.
    if inside and _words(prediction) > _words(answer):
        return inside + special + list(_TEXT_EDITS)
    return special + list(_TEXT_EDITS) + inside


def _words(text: str) -> int:
    return sum(len(word) > 1 or word.isdigit() for word in re.findall(r"\w+", _no_article(text)))


def _without_prefix(prediction: str, answer: str) -> tuple[str, str]:
    return prediction.replace(protocols.ANSWER_PREFIX, " "), answer


def _deletion(part: str) -> Edit:
    return _both(lambda text: text.replace(part, ""))


def _cut_at(stop: str) -> Edit:
    return lambda p, a: (protocols.cut(p, [stop]), a)


def _start(prediction: str, answer: str) -> tuple[str, str]:
    literal = prediction[: len(answer)].lower() == answer.lower()
    return (answer, answer) if literal else (prediction, answer)


def _matched(prediction: str, answer: str) -> tuple[str, str]:
    return (answer, answer) if regexes.match(answer, prediction) else (prediction, answer)


def _both(function: Callable[[str], str]) -> Edit:
    def edit(text: str) -> str:
        edited = function(text)
        # What an edit leaves behind is not to be a second reason.
        return text if edited == text else " ".join(edited.split())

    return lambda p, a: (edit(p), edit(a))


def _no_article(text: str) -> str:
    return re.sub(r"\b(a|an|the)\b", " ", text, flags=re.IGNORECASE)


def _no_marks(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _swap(pattern: str, by: str) -> Callable[[str], str]:
    return functools.partial(re.compile(pattern).sub, by)


_STOPS = "".join(protocols.HARNESS_STOPS)
_PUNCTUATION = f"[{re.escape(string.punctuation)}‘’´]"
_CURLY = str.maketrans("‘’´`“”", "''''\"\"")

# Where a protocol deletes a sign and another puts a space in its place, both are tried.
_TEXT_EDITS: tuple[tuple[str, Edit], ...] = tuple(
    (name, _both(function))
    for name, function in (
        ("Unicode form", functools.partial(unicodedata.normalize, "NFC")),
        ("curly quotes", lambda text: text.translate(_CURLY)),
        ("hyphen joined or split", _swap("-", " ")),
        ("hyphen joined or split", _swap(" ?- ?", "")),
        ("comma or full stop in a number", _swap(r"(?<=\d) ?[.,] ?(?=\d)", "")),
        ("comma or full stop in a number", _swap(r"(?<=\d) ?[.,] ?(?=\d)", " ")),
        ("full stop in an abbreviation", _swap(r"(?<=\w)\.", "")),
        ("full stop in an abbreviation", _swap(r"(?<=\w)\.", " ")),
        ("apostrophe", _swap("['‘’´`]", "")),
        ("apostrophe", _swap("['‘’´`]", " ")),
        ("slash joined or split", _swap(" ?/ ?", "")),
        ("slash joined or split", _swap("/", " ")),
        ("comma", _swap(",", "")),
        ("comma", _swap(",", " ")),
        ("other punctuation", _swap(_PUNCTUATION, "")),
        ("other punctuation", _swap(_PUNCTUATION, " ")),
        ("article", _no_article),
        ("letter taken for an article", lambda t: _no_article(re.sub(_PUNCTUATION, " ", t))),
        ("accent", _no_marks),
        ("case", str.lower),
        ("white space", lambda text: " ".join(text.split())),
    )
)
