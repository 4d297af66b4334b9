"""The main reason of a verdict, and the words that show it."""

from closedbook.eval.evidence.answer import Answer, Question
from closedbook.eval.evidence.features import Row
from closedbook.eval.evidence.pairs import Pair
from closedbook.eval.reasons import Reason

SHOWN = 60
"""Characters of an answer that evidence quotes."""


def explain(
    question: Question, gold: Answer, given: Answer, row: Row, equivalent: bool
) -> tuple[Reason, str]:
    """The strongest evidence on the side that the verdict took."""
    pair = row.pair
    if not given.words:
        return Reason.EMPTY, "the prediction has no words"
    if equivalent:
        return _for(gold, given, pair)
    return _against(question, gold, given, pair)


def _for(gold: Answer, given: Answer, pair: Pair) -> tuple[Reason, str]:
    a, b = quote(gold.plain), quote(given.plain)
    short = len(given.words) <= 12
    if gold.plain.replace(" ", "") == given.plain.replace(" ", ""):
        return Reason.SPELLING, f"{a} and {b} differ in accents, punctuation or spaces alone"
    if pair.date == 5:
        return Reason.DATE, f"date: {_spans(gold)} and {_spans(given)} name the same time"
    if pair.date == 4:
        return Reason.DATE_FINER, f"date: {_spans(given)} lies in {_spans(gold)}"
    if pair.contained == 3:
        if pair.comma == 1:
            return Reason.LOCATION, f"place: {b} adds where {a} lies"
        if pair.gold_name >= 0.5 and short and pair.surname == 2:
            return Reason.NAME, f"name: {a} stands in {b}"
        if short and pair.extra_words:
            return Reason.QUALIFIER_EXTRA, f"{b} adds words to {a}"
        return Reason.CONTAINED, f"{a} stands in the answer"
    if pair.number == 1 and pair.recall_exact < 1:
        return Reason.NUMBER, f"number: {_values(gold)} in both answers"
    if pair.date in (2, 3):
        return Reason.DATE_COARSER, f"date: {_spans(given)} holds or meets {_spans(gold)}"
    if pair.acronym:
        return Reason.ACRONYM, f"letters: {a} and {b} abbreviate one another"
    if pair.surname >= 1 and pair.forename >= 1:
        return Reason.NAME, f"name: surname and first name of {a} agree with {b}"
    if pair.bridges:
        return Reason.ALIAS, f"alias: words of {a} have another name in {b}"
    if pair.recall >= 0.85:
        if pair.fuzzy:
            if len(gold.words) == 1 == len(given.words) and pair.ratio < 0.97:
                similar = gold.stems == given.stems
                code = Reason.FORM if similar or pair.best_word else Reason.SPELLING
                return code, f"word form: {a} and {b}"
            return Reason.FORM, f"word form: the words of {a} stand in {b} in other forms"
        if pair.recall_exact == 1 and short and not pair.extra_words:
            same = sorted(gold.words) == sorted(given.words)
            code = Reason.ORDER if same or pair.contained == 1 else Reason.FORM
            return code, f"{a} and {b} have the same words"
        return Reason.CONTAINED, f"all words of weight in {a} stand in the answer"
    if pair.comma:
        return Reason.LOCATION, f"place: {b} is a part of {a}"
    if pair.within >= 2:
        if pair.surname == 2 and len(given.words) == 1:
            return Reason.NAME_PART, f"name: {b} is the surname in {a}"
        if len(gold.items) > 1:
            return Reason.LIST, f"list: {b} is an item of {a}"
        return Reason.QUALIFIER_MISSING, f"{b} is {a} without some words"
    if pair.surname == 2:
        return Reason.NAME_PART, f"name: the surname of {a} stands in {b}"
    if pair.ratio >= 0.8:
        return Reason.SPELLING, f"spelling: {a} and {b}"
    return Reason.OVERLAP, f"words: {pair.recall:.0%} of the weight of {a} is found in the answer"


def _against(question: Question, gold: Answer, given: Answer, pair: Pair) -> tuple[Reason, str]:
    a, b = quote(gold.plain), quote(given.plain)
    if given.refusal:
        return Reason.REFUSAL, f"{b} gives no answer"
    if 0 <= pair.date <= 3:
        return Reason.DATE_CONFLICT, f"date: {_spans(given)} is not {_spans(gold)}"
    if 0 <= pair.number < 1:
        return Reason.NUMBER_CONFLICT, f"number: {_values(given)} is not {_values(gold)}"
    if pair.negated and pair.recall > 0.5:
        return Reason.NEGATION, f"one of {a} and {b} is denied"
    if pair.other_forename or (pair.surname == 0 and pair.forename >= 2):
        return Reason.NAME_CONFLICT, f"name: {b} shares a part of {a}, but is another"
    if pair.recall >= 0.8 and pair.adds:
        return Reason.SECOND_ANSWER, f"{b} names more than {a}"
    if pair.recall <= 0.05 and pair.ratio < 0.6:
        return Reason.DIFFERENT, f"{a} and {b} have no words in common"
    if pair.best_word < 3:
        return Reason.TOO_VAGUE, f"{b} shares only common words or the question's with {a}"
    return Reason.HEAD_CONFLICT, f"the words that differ between {a} and {b} decide"


def quote(text: str) -> str:
    """The text in quotes, cut to what fits into a table.

    >>> quote("paris")
    "'paris'"
    """
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


def _spans(answer: Answer) -> str:
    spans = [" ".join(answer.words[date.start : date.end]) for date in answer.dates[:3]]
    return quote(", ".join(spans))


def _values(answer: Answer) -> str:
    spans = [" ".join(answer.words[n.start : n.end]) for n in answer.numbers[:3]]
    return quote(", ".join(spans))
