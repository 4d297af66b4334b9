"""Predictions that may be right though no gold answer says so: "review these first".

Nothing here is asserted and nothing enters a score. A prediction is a candidate for an incomplete
annotation because of what stands elsewhere: other systems' answers, the gold itself, the training
set, or another data set's gold for the same question.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from closedbook.eval import normalize
from closedbook.eval.analysis.overlap import Met, TrainingSet
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction

_MOST_CHARACTERS = 400  # of a text that are looked at
_MOST_OF_QUESTION = 5000  # characters by which questions are matched

# What each finding adds to the rank; the order is the order in which a person should look. Another
# data set's gold is as good as a label; that systems agree is weak, since they learn alike.
_OTHER_GOLD = 0.9
_TRAINED = 0.6  # a training question that is much the same has this answer
_ALIAS = 0.4
_AGREEMENT = 0.5  # of all other systems; less if fewer agree
_LIST = 0.3
_ALIASES = 3  # answers of a training question above which they are a list of things

_LIST_QUESTION = re.compile(
    r"^(?:name|list)\b|\b(?:any|one|some|two|three|four|five|several|all) of the\b|"
    r"\bname (?:a|an|one|two|three|some|any)\b|\b(?:who|what|which) (?:are|were)\b|"
    r"\b(?:examples?|kinds?|types?|members|cast|judges|stars|countries|states|cities) "
    r"(?:of|in|on|that|are|were)\b|\bwho all\b|\bwho (?:else )?(?:starred|stars|played|plays) in\b"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A prediction that a person should look at."""

    index: int  # of the row
    score: float  # 0 to 1, for ranking only: not a probability
    reasons: tuple[str, ...]  # in words, strongest first


def incomplete(
    rows: Sequence[Prediction],
    wrong: Sequence[bool],
    *,
    also: Mapping[str, Sequence[Prediction]] | None = None,
    training: Sequence[Gold] | None = None,
    index: TrainingSet | None = None,
    other_gold: Sequence[Gold] | None = None,
) -> list[Candidate]:
    """Ranks the wrong predictions that may be right; those without any finding are left out.

    - Another data set has the prediction among its answers to the same question.
    - A training question much like this one has the prediction for an answer.
    - A training question lists the prediction beside a gold answer, so one may be an alias of the
      other. Questions that ask for lists are passed over: their answers are different things.
    - Other systems give the same answer, and it is not gold.
    - The question asks for several things or any of several; the gold may not hold all.

    The last counts only beside another finding, or where no `also`, `training` or `other_gold`
    could give one.

    Args:
        rows: One system's predictions.
        wrong: Which of them are to be looked at: not right, and not judged equivalent.
        also: Other systems' predictions, by name; rows are matched by question.
        training: Rows of the training set.
        index: The same, indexed, if it has been made already.
        other_gold: Another data set's questions with their answers.

    Returns:
        Best first; equal ones in the rows' order.
    """
    agreeing = _votes(also or {})
    aliases = _aliases(training or (), rows, wrong)
    others: dict[str, set[str]] = defaultdict(set)
    for gold in other_gold or ():
        others[question_key(gold.question)].update(map(_key, gold.answers))
    if training and index is None:
        index = TrainingSet(training)
    only_lists = not (also or training or other_gold)
    found = []
    for number, row in enumerate(rows):
        guess = _key(row.prediction)
        if not wrong[number] or not guess:
            continue
        question = question_key(row.question)
        findings = []
        if guess in others.get(question, ()):
            findings.append((_OTHER_GOLD, "another data set has it as gold for this question"))
        if index is not None:
            like = index.with_answer(row.question, [row.prediction[:_MOST_CHARACTERS]])
            if like.met == Met.QUESTION:
                shown = (like.nearest or "")[:100]
                findings.append((_TRAINED, f"the answer in training to: {shown}"))
        example = aliases.get(number)
        if example is not None:
            findings.append((_ALIAS, f"stands beside a gold answer in training: {example}"))
        names = agreeing.get(question, {}).get(guess, [])
        if names:
            share = len(names) / len(also or {})
            findings.append(
                (
                    _AGREEMENT * share,
                    f"{len(names)} of {len(also or {})} other systems agree: " + _named(names),
                )
            )
        if (findings or only_lists) and is_list_question(row.question, row.answers):
            findings.append((_LIST, "the question has several answers"))
        if findings:
            found.append(_candidate(number, findings))
    return sorted(found, key=lambda candidate: (-candidate.score, candidate.index))


def is_list_question(question: str, answers: Sequence[str]) -> bool:
    """Whether a question asks for several things, or for any of several.

    >>> is_list_question("name one of the five boroughs of new york", ["Queens"])
    True
    >>> is_list_question("who are the judges on the voice", ["Adam Levine", "Blake Shelton"])
    True
    >>> is_list_question("who is the king of spain", ["Felipe VI", "Felipe"])
    False
    """
    return bool(_LIST_QUESTION.search(question[:_MOST_CHARACTERS].lower())) or (
        len(_apart(answers)) >= 3
    )


def question_key(question: str) -> str:
    """What two data sets' spellings of one question have in common: letters and digits.

    >>> question_key("Who 's the king?") == question_key("who's the king")
    True
    """
    return "".join(filter(str.isalnum, question[:_MOST_OF_QUESTION].lower()))


def _apart(answers: Sequence[str]) -> list[frozenset[str]]:
    """Gold answers that share no word with one another: different things, not spellings."""
    kept: list[frozenset[str]] = []
    for answer in answers[:50]:
        words = frozenset(_key(answer).split())
        if words and not any(words & other for other in kept):
            kept.append(words)
    return kept


def _key(text: str) -> str:
    return normalize.squad(text[:_MOST_CHARACTERS])


def _votes(also: Mapping[str, Sequence[Prediction]]) -> dict[str, dict[str, list[str]]]:
    """By question and normalised answer, the systems that give it."""
    votes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, rows in also.items():
        for row in rows:
            names = votes[question_key(row.question)][_key(row.prediction)]
            if name not in names:
                names.append(name)
    return votes


def _aliases(
    training: Sequence[Gold], rows: Sequence[Prediction], wrong: Sequence[bool]
) -> dict[int, str]:
    """Rows whose prediction stands beside one of their golds in training, and its question."""
    wanted: dict[str, list[int]] = defaultdict(list)
    golds: dict[int, set[str]] = {}
    for index, row in enumerate(rows):
        guess = _key(row.prediction)
        if wrong[index] and guess:
            wanted[guess].append(index)
            golds[index] = {_key(answer) for answer in row.answers} - {"", guess}
    found: dict[int, str] = {}
    for gold in training:
        if not 2 <= len(gold.answers) <= _ALIASES or is_list_question(gold.question, gold.answers):
            continue
        keys = {_key(answer) for answer in gold.answers}
        for guess in keys & wanted.keys():
            for index in wanted[guess]:
                if golds[index] & keys:
                    found.setdefault(index, gold.question[:100])
    return found


def _candidate(index: int, findings: list[tuple[float, str]]) -> Candidate:
    """Findings add up as if independent: 1 - prod(1 - weight)."""
    missed = 1.0
    for weight, _ in findings:
        missed *= 1 - weight
    ordered = sorted(findings, key=lambda finding: -finding[0])
    return Candidate(
        index=index, score=round(1 - missed, 3), reasons=tuple(text for _, text in ordered)
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
