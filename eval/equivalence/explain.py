"""The main reason of a verdict, and the words that show it."""

from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.codes import Comma, Dates, Forename, Stands, Surname
from closedbook.eval.equivalence.evidence.features import Row
from closedbook.eval.equivalence.evidence.pairs import Pair
from closedbook.eval.equivalence.reasons import Reason

SHOWN = 60
"""Characters of an answer that evidence quotes."""
SENTENCE = 12
"""Words from which an answer is spoken of as a text, not as a phrase."""

# {gold} and {given} are the answers, {spans} and {values} their dates and numbers.
_TEXTS = {
    Reason.SPELLING: "spelling: {given} is {gold}, written in another way",
    Reason.FORM: "word form: the words of {gold} stand in {given} in other forms",
    Reason.ORDER: "word order: {gold} and {given} have the same words",
    Reason.DATE: "date: {gold_spans} and {given_spans} name the same time",
    Reason.DATE_FINER: "date: {given_spans} lies in {gold_spans}",
    Reason.DATE_COARSER: "date: {given_spans} holds or meets {gold_spans}",
    Reason.NUMBER: "number: {gold_values} and {given_values} are the same",
    Reason.NAME: "name: surname and first name of {gold} agree with {given}",
    Reason.NAME_PART: "name: {given} shares the surname, or another part, with {gold}",
    Reason.ACRONYM: "first letters: {gold} and {given} abbreviate one another",
    Reason.ALIAS: "alias: a word of {gold} has another name in {given}",
    Reason.CONTAINED: "the words of {gold} stand in the answer",
    Reason.QUALIFIER_EXTRA: "{given} adds words to {gold}",
    Reason.QUALIFIER_MISSING: "{given} is {gold} without some words",
    Reason.LOCATION: "place: {given} and {gold} agree but for the larger place",
    Reason.LIST: "list: {given} is an item of {gold}, or holds it",
    Reason.OVERLAP: "words: {recall:.0%} of the weight of {gold} is found in the answer",
    Reason.DATE_CONFLICT: "date: {given_spans} is not {gold_spans}",
    Reason.NUMBER_CONFLICT: "number: {given_values} is not {gold_values}",
    Reason.NAME_CONFLICT: "name: {given} shares a part of {gold}, but is another",
    Reason.HEAD_CONFLICT: "the words that differ between {gold} and {given} decide",
    Reason.UNIT_CONFLICT: "unit: {given_values} is not {gold_values}",
    Reason.TIME: "time of day: {gold} and {given} are the same",
    Reason.TIME_CONFLICT: "time of day: {given} is not {gold}",
    Reason.SIGN_CONFLICT: "sign: {given_raw} is not {gold_raw}",
    Reason.OPPOSITE: "a word of {given} excludes {gold}",
    Reason.SAME_SIDE: "yes or no: {given} says the same as {gold}",
    Reason.OTHER_SIDE: "yes or no: {given} says the contrary of {gold}",
    Reason.NOT_ASSERTED: "{gold} stands in the text, but is not given as the answer",
    Reason.SEVERAL: "{given} names several answers and chooses none",
    Reason.UNREAD: "the month in {gold} or {given} cannot be read",
    Reason.NEGATION: "one of {gold} and {given} is denied",
    Reason.SECOND_ANSWER: "{given} names more than {gold}",
    Reason.TOO_VAGUE: "{given} shares only common words, or the question's, with {gold}",
    Reason.REFUSAL: "{given} gives no answer",
    Reason.EMPTY: "an answer has no words",
    Reason.DIFFERENT: "{given} has nothing in common with {gold}",
}


def explain(
    gold: Answer, given: Answer, row: Row, equivalent: bool, held: Reason | None = None
) -> tuple[Reason, str]:
    """The strongest evidence on the side that the verdict took.

    Args:
        gold: The expected answer that fits best.
        given: The prediction.
        row: The evidence.
        equivalent: The verdict.
        held: The reason of the bound that moved the probability, if one did.
    """
    pair = row.pair
    if held is not None:
        reason = held
    elif not given.words or not gold.words:
        reason = Reason.EMPTY
    elif equivalent:
        reason = _for(gold, given, pair)
    else:
        reason = _against(given, pair)
    return reason, _text(reason, gold, given, pair)


def quote(text: str) -> str:
    """The text in quotes, cut to what fits into a table.

    >>> quote("paris")
    "'paris'"
    """
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


def _text(reason: Reason, gold: Answer, given: Answer, pair: Pair) -> str:
    template = _TEXTS[reason]
    if "_spans" in template:
        return template.format(gold_spans=_spans(gold), given_spans=_spans(given))
    if "_values" in template:
        return template.format(gold_values=_values(gold), given_values=_values(given))
    return template.format(
        gold=quote(gold.plain),
        given=quote(given.plain),
        gold_raw=quote(gold.raw),
        given_raw=quote(given.raw),
        recall=pair.recall,
    )


def _for(gold: Answer, given: Answer, pair: Pair) -> Reason:
    short = len(given.words) <= SENTENCE
    if gold.plain.replace(" ", "") == given.plain.replace(" ", ""):
        return Reason.SPELLING
    if pair.date >= Dates.FINER:
        return Reason.DATE if pair.date == Dates.SAME else Reason.DATE_FINER
    if pair.contained == Stands.WORDS:
        if pair.comma == Comma.GOLD_BEFORE:
            return Reason.LOCATION
        named = pair.surname == Surname.SAME and pair.forename == Forename.SAME
        if pair.gold_name >= 0.5 and short and named:
            return Reason.NAME
        return Reason.QUALIFIER_EXTRA if short and pair.extra_words else Reason.CONTAINED
    if pair.recall_exact == 1 and sorted(gold.words) == sorted(given.words):
        return Reason.ORDER
    if pair.number == 1 and pair.recall_exact < 1:
        return Reason.NUMBER
    if pair.date in (Dates.OVERLAP, Dates.COARSER):
        return Reason.DATE_COARSER
    if pair.acronym:
        return Reason.ACRONYM
    if pair.item:
        return Reason.LIST
    named = pair.surname >= Surname.SPELLING and pair.forename >= Forename.SPELLING
    if pair.initials == 1 or named:
        return Reason.NAME
    if pair.bridges:
        return Reason.ALIAS
    if pair.surname == Surname.SAME and pair.within >= Stands.STEMS and len(given.person) == 1:
        return Reason.NAME_PART
    if pair.within and short and pair.missing > 0 and not pair.fuzzy:
        return Reason.LOCATION if pair.comma else Reason.QUALIFIER_MISSING
    if pair.recall >= 0.8:
        return _same_words(pair, short)
    if pair.comma:
        return Reason.LOCATION
    if pair.surname == Surname.SAME and len(gold.person) > 1:
        return Reason.NAME_PART
    return Reason.SPELLING if pair.ratio >= 0.8 else Reason.OVERLAP


def _same_words(pair: Pair, short: bool) -> Reason:
    if pair.recall_exact == 1:
        if pair.contained == Stands.SCATTERED and short and not pair.extra_words:
            return Reason.ORDER
        return Reason.FORM if pair.contained == Stands.STEMS and short else Reason.CONTAINED
    # A letter that differs inside a word is a spelling, other endings are forms.
    misspelt = pair.best_word and pair.like < 0.95 and pair.fuzzy
    return Reason.SPELLING if misspelt else Reason.FORM


def _against(given: Answer, pair: Pair) -> Reason:
    if given.refusal:
        return Reason.REFUSAL
    if Dates.CONFLICT <= pair.date <= Dates.COARSER:
        return Reason.DATE_CONFLICT
    if 0 <= pair.number < 1:
        return Reason.NUMBER_CONFLICT
    if pair.negated and pair.recall > 0.5:
        return Reason.NEGATION
    if pair.other_forename or (pair.surname == Surname.MISSING and pair.forename >= Forename.SHORT):
        return Reason.NAME_CONFLICT
    if pair.recall >= 0.8 and pair.adds:
        return Reason.SECOND_ANSWER
    if pair.recall <= 0.05 and pair.ratio < 0.6:
        return Reason.DIFFERENT
    return Reason.TOO_VAGUE if pair.best_word < 3 else Reason.HEAD_CONFLICT


def _spans(answer: Answer) -> str:
    spans = [" ".join(answer.words[date.start : date.end]) for date in answer.dates[:3]]
    return quote(", ".join(spans))


def _values(answer: Answer) -> str:
    spans = [" ".join(answer.words[n.start : n.after]) for n in answer.numbers[:3]]
    return quote(", ".join(spans))
