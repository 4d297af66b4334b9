"""Exact match, F1 and recall of closed-book answers; values from 0 to 100, as in t5 0.9.4.

`score` compares one prediction under any protocol. The corpus metrics have SeqIO's form
`metric(targets, predictions) -> {name: value}`, so that a task can list them as they are. For a
score with its n and interval see `closedbook.eval.summary`.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import normalize, protocols
from closedbook.eval.protocols import split_answers as split_answers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One prediction's agreement with its best acceptable answer, each value from 0 to 100."""

    em: float  # 0 or 100
    f1: float | None  # over multisets of white-space tokens; None where the protocol has none


def score(prediction: str, answers: str | Sequence[str], protocol: str = "squad") -> Score:
    """Compares one prediction with every acceptable answer and takes the best of each metric.

    Args:
        prediction: The model's answer.
        answers: Every acceptable answer; a string is one answer. For "curated_trec" regular
            expressions; for "natural_questions" one annotator's answers each, as a collection or
            as text that is split at "answer:".
        protocol: One of `closedbook.eval.protocols.PROTOCOLS`.

    Raises:
        UserError: There are no answers, or the protocol is unknown.

    >>> score("the Eiffel Tower", ["Eiffel tower", "La tour Eiffel"])
    Score(em=100.0, f1=100.0)
    >>> score("St. Paul's", ["St. Paul’s"], "squad").em
    0.0
    >>> score("St. Paul's", ["St. Paul’s"], "trivia_qa").em
    100.0
    >>> score("The", "a", "squad")  # both are empty after normalisation
    Score(em=100.0, f1=0.0)
    >>> score("Paris, France", ["Paris"], "dpr")
    Score(em=100.0, f1=None)
    >>> score("14 feet", ["1[45] f(ee|oo)t"], "curated_trec").em
    100.0
    >>> score("Paris. It is", ["Paris"], "lm_eval").em
    100.0
    """
    right = _rule(protocol)
    if isinstance(answers, str):
        answers = (answers,)
    if not len(answers):
        raise _no_answers(f"prediction {_cut(prediction)}")
    if right is None:
        em, f1 = _fractions(prediction, answers, protocol)
        return _score(em * 100, f1 * 100)
    return _score(float(right(prediction, answers)) * 100, None)


@functools.lru_cache(maxsize=4096)  # equal scores of many rows are one object
def _score(em: float, f1: float | None) -> Score:
    return Score(em=em, f1=f1)


def is_right(prediction: str, answers: str | Sequence[str], protocol: str = "squad") -> bool:
    """Whether `score` gives full exact match; without F1, so in half its time.

    >>> is_right("Paris", ["paris"]), is_right("Paris", ["paris, france"])
    (True, False)
    """
    right = _rule(protocol)
    if isinstance(answers, str):
        answers = (answers,)
    if not len(answers):
        raise _no_answers(f"prediction {_cut(prediction)}")
    if right is not None:
        return right(prediction, answers)
    normalizer = normalize.normalizer(protocol)
    guess = normalizer(prediction)
    return any(normalizer(answer) == guess for answer in answers)


def _rule(protocol: str) -> Callable[[str, Sequence[str]], bool] | None:
    """What decides where strings after a normaliser do not; None where they do."""
    if protocol in protocols.JUDGED:
        raise UserError(
            f"the protocol {protocol} needs the question and the judge; use closedbook.eval.score, "
            "or closedbook analyze"
        )
    if protocol not in protocols.PROTOCOLS:
        protocols.check(protocol)
    return _RULES.get(protocol)


_RULES: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "natural_questions": protocols.same_set,
    "dpr": protocols.has_answer,
    "curated_trec": protocols.matches,
    "lm_eval": protocols.harness,
}


def squad(targets: Sequence[str | Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """Mean exact match and F1 after SQuAD's normaliser, best answer per question.

    Args:
        targets: Per question every acceptable answer; a string is one answer.
        predictions: Per question the model's answer.

    Returns:
        "em" and "f1", from 0 to 100.

    Raises:
        UserError: A question has no answers (the message names the row), or there are none at all.
        ValueError: The lengths differ.

    >>> squad([["Paris"], ["42", "forty-two"]], ["paris.", "forty two"])
    {'em': 50.0, 'f1': 50.0}
    """
    return _corpus(targets, predictions, "squad")


def trivia_qa(
    targets: Sequence[str | Sequence[str]], predictions: Sequence[str]
) -> dict[str, float]:
    """Mean exact match and F1 after TriviaQA's normaliser; arguments and errors as in `squad`.

    >>> trivia_qa([["Paris"], ["42", "forty-two"]], ["paris.", "forty two"])
    {'em': 100.0, 'f1': 100.0}
    """
    return _corpus(targets, predictions, "trivia_qa")


def nq_open(targets: Sequence[str | Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """Mean exact match and F1 after NQ-open's normaliser; arguments and errors as in `squad`.

    >>> nq_open([["Beyonc\\u00e9"]], ["Beyonce\\u0301"])
    {'em': 100.0, 'f1': 100.0}
    """
    return _corpus(targets, predictions, "nq_open")


def natural_questions(
    targets: Sequence[Sequence[Collection[str]]],
    predictions: Sequence[str | Collection[str]],
    *,
    non_null_threshold: int = 2,
    normalize_answers: bool = True,
) -> dict[str, float]:
    """Recall of whole answer sets, as the multi-answer Natural Questions task has it.

    A prediction is right if its set of answers equals the set of any one annotator. Questions
    with fewer annotations that are not null than the threshold are left out.
    Source: google-research/google-research, `t5_closed_book_qa/t5_cbqa/metrics.py`.

    Args:
        targets: Per question one set of answers for each annotator; an empty set is a null
            annotation, and yes or no is the set of that word.
        predictions: Per question the predicted set of answers, or the model's raw text, which is
            split at "answer:".
        non_null_threshold: Annotations that a question needs: 2 as in the official evaluation,
            1 for splits of the training set, where each question has one annotator.
        normalize_answers: Whether to normalise all answers as `squad` does.

    Returns:
        "recall" from 0 to 100, and "golden_answers", the number of questions that count.

    Raises:
        UserError: No question reaches the threshold.
        ValueError: The lengths differ.

    >>> annotators = [{"Ashley", "Mary-Kate"}, {"Ashley and Mary-Kate"}]
    >>> natural_questions([annotators], ["answer: mary-kate answer: Ashley"])
    {'recall': 100.0, 'golden_answers': 1}
    """
    _same_length(targets, predictions)
    counted = right = 0
    for annotators, prediction in zip(targets, predictions, strict=True):
        given = [_answer_set(answers, normalize_answers) for answers in annotators if answers]
        if len(given) < non_null_threshold:
            continue
        counted += 1
        answers = split_answers(prediction) if isinstance(prediction, str) else prediction
        right += _answer_set(answers, normalize_answers) in given
    if not counted:
        raise UserError(
            f"none of {len(targets)} questions has {non_null_threshold} annotations that are not "
            "null; lower non_null_threshold (1 for splits of the training set)"
        )
    return {"recall": right / counted * 100, "golden_answers": counted}


def _answer_set(answers: Collection[str], normalized: bool) -> frozenset[str]:
    return protocols.answer_set(answers) if normalized else frozenset(answers)


def _corpus(
    targets: Sequence[str | Sequence[str]], predictions: Sequence[str], protocol: str
) -> dict[str, float]:
    _same_length(targets, predictions)
    if not len(predictions):
        raise UserError("there are no predictions to score; give at least one")
    fractions = []
    for index, (answers, prediction) in enumerate(zip(targets, predictions, strict=True), start=1):
        answers = (answers,) if isinstance(answers, str) else answers
        if not len(answers):
            raise _no_answers(f"row {index} ({_cut(prediction)})")
        fractions.append(_fractions(prediction, answers, protocol))
    em, f1 = zip(*fractions, strict=True)
    return {"em": float(np.mean(em) * 100), "f1": float(np.mean(f1) * 100)}


def _fractions(prediction: str, answers: Sequence[str], protocol: str) -> tuple[float, float]:
    """Exact match and F1 from 0 to 1; means are taken of these, so as to round as t5 does."""
    normalizer = normalize.normalizer(protocol)
    guess = normalizer(prediction)
    golds = [normalizer(answer) for answer in answers]
    return float(guess in golds), max(_f1(guess.split(), gold.split()) for gold in golds)


def _no_answers(row: str) -> UserError:
    return UserError(f"{row} has no acceptable answers; give at least one, or leave it out")


def _cut(text: str) -> str:
    """The text as Python writes it, short enough for a message."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _f1(prediction: list[str], gold: list[str]) -> float:
    """F1 over multisets of tokens; without a common token 0, also when both are empty."""
    if set(prediction).isdisjoint(gold):
        return 0.0
    common = (Counter(prediction) & Counter(gold)).total()
    precision = common / len(prediction)
    recall = common / len(gold)
    return 2 * precision * recall / (precision + recall)


def _same_length(targets: Sequence[object], predictions: Sequence[object]) -> None:
    if len(targets) != len(predictions):
        raise ValueError(f"{len(targets)} targets but {len(predictions)} predictions")
