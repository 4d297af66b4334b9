"""Which questions nobody could answer as they stand, without a date, a place or a page.

A closed-book model that answers "who is the president" with the one of its training year is not
wrong about the world; the question lacks a date. About one question in nine that exact match
calls wrong is of this kind (Roberts, Raffel, Shazeer 2020, section 3.2). A question gets
the first of these flags that fits it, or none:

- no_gold: nothing of the gold answers is left after normalisation, so every answer is wrong;
- ill_formed: not a question: no words, or symbols for the most part;
- needs_document: speaks of a passage, picture or list that is not there;
- false_presupposition: the gold answer itself says so ("has never won", "none");
- place_dependent, time_dependent: the answer is another one elsewhere, or another year.

The first four are rules. The last two are logistic regressions on what `question_features` sees,
with weights in `eval/answerability/weights/` that `closedbook.eval.answerability.learn` learns.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from closedbook.eval import normalize
from closedbook.eval.answerability import linear, question_features

FLAGS = (
    "no_gold",
    "ill_formed",
    "needs_document",
    "false_presupposition",
    "place_dependent",
    "time_dependent",
)
"""Every flag, in the order in which they are tried."""

_EVIDENCE = 4  # words named at most
_LOOKED_AT = 12  # features; the next ones weigh little
_ANSWER_CHARACTERS = 500  # of a gold answer that rules look at

_PAGE = (
    "passage|paragraph|text|excerpt|article|poem|table|chart|graph|diagram|figure|map|picture|image"
    "|photo|photograph|illustration|cartoon|quote|quotation|sentence|dialogue|sonnet|speaker"
    "|drawing|painting|video|clip|song|story|essay|document|scenario|worksheet"
)
_DOCUMENT = re.compile(
    rf"\b(?:in|from|to|on|by|of|does|did|is|sings|sang|wrote|was) (?:this|these) (?:{_PAGE})s?\b"
    rf"|\b(?:according to|based on|as stated in|mentioned in|described in|shown in|in|from) the"
    rf" (?:above |following |given |preceding )?(?:passage|paragraph|excerpt|text|diagram"
    r"|worksheet|author of the passage)\b"
    r"|\b(?:which|what|one|any|all|none|each|some|two|three) of the following\b"
    r"|^(?:which|what|how many) of these\b"
    r"|\bthe following (?!year|season|day|week|month|morning|century|decade)[a-z]+"
    rf"|\b(?:{_PAGE}|shown|listed|given|pictured|mentioned|described) (?:above|below)\b"
)
_NOBODY = re.compile(
    r"(?:none|never|nobody|no[ -]one|nowhere|n/?a|not applicable|neither)\.?", re.IGNORECASE
)
# In lower case: "You Are Not Forgotten" is a title.
_DENIAL = re.compile(
    r"(?:\b[hd]|^[HD])(?:as|ave|ad|id|oes)(?:n['’]t| not| never)\b"
    r"|\b(?:was|were|is|are)(?:n['’]t| not| never)\b"
    r"|\b[Tt]here (?:is|are|was|were|has been|have been) (?:currently )?no\b"
    r"|\bno longer (?:exists?|active|the|an?)\b|\bnot yet\b|^[Nn]o [a-z]+ (?:has|have) ever\b"
)
_SYMBOLS = re.compile(r"[\W_]")
_COUNTED = re.compile(r"\bhow (?:many|much|often)\b|\bnumber of\b")
_YEAR = re.compile(r"(?<!\d)(?:1\d|20)\d\d(?!\d)")
_PRESENT = frozenset("is are do does will".split())
_ASKED_SINCE = 2017  # Natural Questions, the oldest of the sets in wide use, was collected then
_LONG_AGO = 2010  # an answer older than this has stood for years
_DATED = 1.0  # log-odds
_ASKED = frozenset("who what when where which whom whose why how".split())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answerability:
    """Whether a question can be answered as it stands, and what shows that it cannot."""

    flag: str | None  # one of FLAGS, or None: nothing speaks against it
    probability: float  # that it cannot be answered as it stands, 0 to 1; 1 where a rule says so
    reason: str  # one sentence
    evidence: str  # the words that carried the decision; empty without a flag


class Asked(Protocol):
    """A question with its answers, for example a `Prediction`."""

    @property
    def question(self) -> str: ...
    @property
    def answers(self) -> Sequence[str]: ...


def assess(question: str, answers: Sequence[str] = ()) -> Answerability:
    """Judges whether a question can be answered without a date, a place or a page.

    Args:
        question: As it was asked.
        answers: The gold answers, if any are known; without them `no_gold` and
            `false_presupposition` cannot be seen.

    >>> found = assess("who is the prime minister of japan")
    >>> found.flag, found.probability > 0.8
    ('time_dependent', True)
    >>> assess("who wrote the opera carmen").flag is None
    True
    >>> assess("which of the following is not a mammal").evidence
    'which of the following'
    >>> assess("when did peru win the world cup", ["Peru has never won it"]).flag
    'false_presupposition'
    """
    answers = [answers] if isinstance(answers, str) else [str(answer) for answer in answers]
    question = str(question)
    ruled = _by_rule(question[: question_features.MAX_CHARACTERS], answers)
    if ruled is not None:
        return ruled
    tokens = question_features.words(question)
    features = question_features.features_of(tokens)
    place = linear.shipped("place_dependent")
    time = linear.shipped("time_dependent")
    in_place = place.probability(features, len(tokens))
    shift, dated = _dated(tokens, answers)
    in_time = time.probability(features, len(tokens), shift)
    if in_time >= time.threshold and (in_time >= in_place or in_place < place.threshold):
        return Answerability(
            flag="time_dependent",
            probability=in_time,
            reason="the answer changes with time, and the question names no date",
            evidence=_words(time, features, tokens) + dated,
        )
    if in_place >= place.threshold:
        return Answerability(
            flag="place_dependent",
            probability=in_place,
            reason="the answer depends on the place, and the question names none",
            evidence=_words(place, features, tokens),
        )
    return Answerability(
        flag=None,
        probability=in_time,
        reason="nothing speaks against the question as it stands",
        evidence="",
    )


def assess_all(rows: Iterable[Asked]) -> list[Answerability]:
    """`assess` for every row; equal questions with equal answers are judged once."""
    known: dict[tuple[str, tuple[str, ...]], Answerability] = {}
    found = []
    for row in rows:
        key = (row.question, tuple(row.answers))
        if key not in known:
            known[key] = assess(*key)
        found.append(known[key])
    return found


def _by_rule(question: str, answers: Sequence[str]) -> Answerability | None:
    if answers and not any(normalize.squad(answer[:_ANSWER_CHARACTERS]) for answer in answers):
        return _certain(
            "no_gold",
            "no gold answer is left after normalisation, so that none can be matched",
            " / ".join(repr(answer[:40]) for answer in answers[:_EVIDENCE]),
        )
    visible = "".join(question.split())
    letters = len(visible) - len(_SYMBOLS.findall(visible))
    if letters < 2 or 2 * letters < len(visible):
        return _certain("ill_formed", "this is not a question in words", question[:40].strip())
    lowered = " ".join(question.lower().split())
    document = _DOCUMENT.search(lowered)
    if document:
        return _certain(
            "needs_document",
            "the question speaks of a text, list or picture that is not given with it",
            document.group(),
        )
    if _ASKED.intersection(lowered.split()) and not _COUNTED.search(lowered):
        for answer in answers:
            denial = _NOBODY.fullmatch(answer.strip()) or (
                _DENIAL.search(answer[:_ANSWER_CHARACTERS]) if len(answer.split()) > 2 else None
            )
            if denial:
                return _certain(
                    "false_presupposition",
                    "the gold answer says that what the question takes for granted is not so",
                    answer[:80].strip(),
                )
    return None


def _dated(tokens: Sequence[str], answers: Sequence[str]) -> tuple[float, str]:
    """What the date of a gold answer adds to the score of time dependence, and how it reads.

    Set by hand: in SituatedQA nothing shows when a question was asked. "When does it start",
    answered with a year that lay ahead or just behind, was asked about a plan; "when did it last
    happen" with an old year will rarely change any more.
    """
    if tokens[:1] != ["when"]:
        return 0.0, ""
    years = [int(year) for answer in answers for year in _YEAR.findall(answer[:_ANSWER_CHARACTERS])]
    if not years:
        return 0.0, ""
    latest = max(years)
    if tokens[1:2] and tokens[1] in _PRESENT and latest >= _ASKED_SINCE - 2:
        return _DATED, f"; gold answer of {latest}"
    if "#year" not in tokens and latest >= _ASKED_SINCE:
        return _DATED / 2, f"; gold answer of {latest}"
    return (-_DATED, "") if latest < _LONG_AGO else (0.0, "")


def _certain(flag: str, reason: str, evidence: str) -> Answerability:
    return Answerability(flag=flag, probability=1.0, reason=reason, evidence=evidence)


def _words(model: linear.Linear, features: Sequence[str], tokens: Sequence[str]) -> str:
    """The words that speak most for the label, in the order of the question.

    A feature's weight is shared by the words that it is made of.
    """
    shares: dict[str, float] = {}
    for feature, weight in model.contributions(features)[:_LOOKED_AT]:
        carriers = question_features.carriers(feature, tokens)
        for token in carriers:
            shares[token] = shares.get(token, 0.0) + weight / len(carriers)
    strongest = sorted(shares, key=lambda token: (-shares[token], token))[:_EVIDENCE]
    return " ".join(token for token in dict.fromkeys(tokens) if token in strongest)
