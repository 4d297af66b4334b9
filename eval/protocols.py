"""The official rules of what counts as a right answer, side by side.

Three compare strings after a normaliser (`closedbook.eval.normalize`); the others are here: a
search for the answer's tokens (DPR), answer sets (multi-answer Natural Questions), regular
expressions (CuratedTREC) and lm-evaluation-harness's cut at stop strings.
"""

import dataclasses
import re
import string
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from closedbook.errors import unknown_name
from closedbook.eval import normalize, regexes

ANSWER_PREFIX = "answer:"
"""Stands before each answer of a multi-answer Natural Questions target."""

HARNESS_STOPS = ("\n", ".", ",")
"""Where lm-evaluation-harness 0.4.13 cuts answers to nq_open (version 4) and triviaqa (3)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """What a protocol is, for tables and for `--help`."""

    name: str
    rule: str  # in one line
    source: str
    has_f1: bool = False


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol(
                name="squad",
                rule="equal after deleting ASCII punctuation and articles, in lower case",
                source="Rajpurkar et al. 2016, evaluate-v1.1.py; t5, DPR and KILT score like it",
                has_f1=True,
            ),
            Protocol(
                name="nq_open",
                rule="Unicode NFD, then as squad",
                source="Lee et al. 2019, orqa/utils/eval_utils.py; EfficientQA",
                has_f1=True,
            ),
            Protocol(
                name="trivia_qa",
                rule="as squad, but punctuation and curly quotes become a space",
                source="Joshi et al. 2017, triviaqa_evaluation.py",
                has_f1=True,
            ),
            Protocol(
                name="natural_questions",
                rule="the set of predicted answers equals one annotator's whole set, as squad",
                source="Roberts et al. 2020, t5_cbqa/metrics.py",
            ),
            Protocol(
                name="dpr",
                rule="the tokens of an answer stand in the prediction, in order and adjacent",
                source="Karpukhin et al. 2020, dpr/data/qa_validation.py, has_answer",
            ),
            Protocol(
                name="curated_trec",
                rule="an answer matches the start of the prediction as a regular expression",
                source="Lee et al. 2019, orqa/utils/eval_utils.py, regex_match_score",
            ),
            Protocol(
                name="lm_eval",
                rule="cut at the first newline, full stop or comma; then equal without case, "
                "ASCII punctuation and articles before a space",
                source="EleutherAI, lm-evaluation-harness 0.4.13, nq_open version 4",
            ),
        )
    }
)
"""Every protocol that compares strings, by its name."""

JUDGED: Mapping[str, Protocol] = MappingProxyType(
    {
        "simpleqa": Protocol(
            name="simpleqa",
            rule="the judge calls the asserted answer the same; a refusal is not attempted",
            source="Wei et al. 2024, simple-evals, simpleqa_eval.py; there a model grades",
        )
    }
)
"""Protocols that need the question and the judge (`closedbook.eval.equivalence.simpleqa`)."""


def check(name: str) -> None:
    """Refuses a name that no protocol has.

    Raises:
        UserError: There is no such protocol.
    """
    if name not in PROTOCOLS and name not in JUDGED:
        raise unknown_name("protocol", name, (*PROTOCOLS, *JUDGED))


def applying(rows: Iterable[tuple[str, Collection[str]]]) -> list[str]:
    r"""The protocols that say something of a file; the others would only repeat one of these.

    Answer sets need texts with "answer:" before each answer, regular expressions operators that no
    name or number has: either in a twentieth of the rows.

    Args:
        rows: Each row's prediction and answers.

    >>> applying([("Paris", ["Paris", "paris (France)"])])
    ['squad', 'nq_open', 'trivia_qa', 'dpr', 'lm_eval']
    >>> applying([("1999", [r"(19)?99", r"in\s+1999"])])
    ['squad', 'nq_open', 'trivia_qa', 'dpr', 'curated_trec', 'lm_eval']
    >>> applying([("answer: Ashley", ["Ashley"])])
    ['squad', 'nq_open', 'trivia_qa', 'natural_questions', 'dpr', 'lm_eval']
    """
    count = 0
    signs = {"natural_questions": 0, "curated_trec": 0}
    for prediction, answers in rows:
        count += 1
        signs["natural_questions"] += any(ANSWER_PREFIX in text for text in (prediction, *answers))
        signs["curated_trec"] += any(_OPERATOR.search(answer[:_LOOKED_AT]) for answer in answers)
    return [name for name in PROTOCOLS if signs.get(name, count) >= max(count / 20, 1)]


_LOOKED_AT = 1000  # characters of an answer
_OPERATOR = re.compile(r"\\[dDsSwWb.?()]|\.[*+]|[)\]]\?|\[[^\]]+\][*+?]|\(\?:|\([^()]*\|[^()]*\)")


def split_answers(text: str) -> tuple[str, ...]:
    """The answers of a multi-answer prediction; what stands before the first prefix is dropped.

    >>> split_answers("answer: Ashley answer: Mary-Kate")
    ('Ashley', 'Mary-Kate')
    >>> split_answers("Ashley")
    ()
    """
    return tuple(answer.strip() for answer in text.split(ANSWER_PREFIX)[1:])


def same_set(
    prediction: str | Collection[str], annotators: Iterable[str | Collection[str]]
) -> bool:
    """Whether the predicted set of answers is the whole set of any one annotator.

    Text is split at "answer:". Where no annotator's text has the prefix, the file holds single
    answers, and a text is a set of one; elsewhere a prediction without it predicts nothing.

    >>> same_set("answer: mary-kate answer: Ashley", ["answer: Ashley answer: Mary-Kate"])
    True
    >>> same_set("Ashley", [("Ashley", "Mary-Kate")]), same_set("ashley", ["Ashley"])
    (False, True)
    """
    annotators = list(annotators)
    plain = all(isinstance(one, str) and ANSWER_PREFIX not in one for one in annotators)
    if isinstance(prediction, str):
        single = plain and ANSWER_PREFIX not in prediction
        prediction = (prediction,) if single else split_answers(prediction)
    guess = answer_set(prediction)
    return any(
        guess == answer_set(one if not isinstance(one, str) else split_answers(one) or (one,))
        for one in annotators
    )


def answer_set(answers: Collection[str]) -> frozenset[str]:
    """Answers after SQuAD's normaliser, in no order."""
    return frozenset(map(normalize.squad, answers))


def has_answer(text: str, answers: Iterable[str]) -> bool:
    """DPR's `has_answer`: whether the tokens of any answer stand in the text, in order, adjacent.

    An answer without tokens stands in every text, as there.

    >>> has_answer("It was Paris, France.", ["paris"]), has_answer("Parisian", ["Paris"])
    (True, False)
    >>> has_answer("rock and roll", ["rock-and-roll"])
    False
    """
    # Tokens hold no control characters, so a zero between them keeps their borders, and Python's
    # search for one string in another takes linear time.
    words = _joined(tokens(text))
    return any(_joined(tokens(answer)) in words for answer in answers)


def tokens(text: str) -> list[str]:
    """DrQA's `SimpleTokenizer` after Unicode NFD, in lower case: runs of letters, digits and marks,
    and every other character by itself; separators and control characters part tokens.

    >>> tokens("St. Paul's (1710)")
    ['st', '.', 'paul', "'", 's', '(', '1710', ')']
    >>> tokens("Beyoncé") == tokens("BEYONCE\\u0301")
    True
    """
    text = unicodedata.normalize("NFD", text)
    if text.isascii():
        return _TOKEN.findall(text.lower())
    # The same pattern finds the borders once characters beyond ASCII stand for their kinds.
    kinds = {ord(c): _KINDS.get(unicodedata.category(c)[0], "!") for c in set(text) if c > "\x7f"}
    return [text[m.start() : m.end()].lower() for m in _TOKEN.finditer(text.translate(kinds))]


_TOKEN = re.compile(r"[a-zA-Z0-9]+|[!-~]")
_KINDS = {"L": "a", "N": "a", "M": "a", "Z": " ", "C": " "}


def _joined(words: Sequence[str]) -> str:
    return "\0" + "".join(f"{word}\0" for word in words)


def matches(prediction: str, answers: Iterable[str]) -> bool:
    """Whether any answer, a regular expression, matches at the start of the prediction.

    >>> matches("1,234 feet", ["12[0-9]+", "1,?2"]), matches("over 1234", ["1,?2"])
    (True, False)
    """
    return any(regexes.match(answer, prediction) for answer in answers)


def cut(text: str, stops: Iterable[str] = HARNESS_STOPS) -> str:
    """The text up to the first stop string, without white space at its ends.

    >>> cut("St. Paul, Minnesota"), cut("St. Paul, Minnesota", [","])
    ('St', 'St. Paul')
    """
    for stop in stops:
        text = text.split(stop, 1)[0]
    return text.strip()


def harness(
    prediction: str,
    answers: Iterable[str],
    *,
    articles: bool = True,
) -> bool:
    """lm-evaluation-harness's exact match of one generation, cut as its models cut it.

    Read in version 0.4.13: `nq_open.yaml`, `triviaqa/default.yaml`, `exact_match_hf_evaluate` of
    `api/metrics.py`, `postprocess_generated_text` of `models/utils.py`. Answers are not cut, and
    white space inside is not collapsed.

    Args:
        prediction: The text that a model would have generated had nothing stopped it.
        answers: Every acceptable answer.
        articles: Whether articles before a space go, as in nq_open; in triviaqa they stay.

    >>> harness("The Paris. And more", ["paris"]), harness("St. Paul", ["St. Paul"])
    (True, False)
    """
    guess = _harness_normalized(cut(prediction, HARNESS_STOPS), articles)
    return any(_harness_normalized(answer, articles) == guess for answer in answers)


_HARNESS_ARTICLES = re.compile(r"\b(?:The |the |An |A |a |an )")
_DELETED = str.maketrans("", "", string.punctuation)


def _harness_normalized(text: str, articles: bool) -> str:
    if articles:
        text = _HARNESS_ARTICLES.sub("", text)
    return text.lower().translate(_DELETED)
