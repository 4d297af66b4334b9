"""The judge's plain rules: a probability from the evidence without any weights.

The first rule that fits decides. The numbers are rounded shares of right answers among the human
judgements to which each rule applies; they are written here by hand and are not fitted.
"""

from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.evidence.codes import Dates, Forename, Stands, Surname
from closedbook.eval.equivalence.evidence.features import Row

_DATES = {
    Dates.CONFLICT: 0.05,
    Dates.NEAR: 0.1,
    Dates.OVERLAP: 0.5,
    Dates.COARSER: 0.65,
    Dates.FINER: 0.9,
    Dates.SAME: 0.97,
}


def probability(question: Question, gold: Answer, given: Answer, row: Row) -> float:
    """How likely the prediction says the same as the expected answer that fits best."""
    pair = row.pair
    if row.values is None:
        return 0.05
    if given.refusal and pair.contained < Stands.STEMS:
        return 0.03
    if pair.negated and pair.recall < 1:
        return 0.1
    if gold.plain.replace(" ", "") == given.plain.replace(" ", ""):
        return 0.98
    if pair.date != Dates.NONE:
        return 0.93 if pair.contained >= Stands.STEMS else _DATES[pair.date]
    if pair.number == 0 and pair.contained < Stands.WORDS and pair.recall < 1:
        return 0.05
    if pair.other_forename and pair.surname and pair.contained < Stands.STEMS:
        return 0.1
    if pair.contained >= Stands.STEMS:
        return 0.92
    if pair.surname >= Surname.SPELLING and pair.forename >= Forename.SPELLING:
        return 0.9
    if pair.acronym or pair.recall >= 0.95:
        return 0.85
    if pair.within >= Stands.STEMS and pair.recall_new >= 0.4:
        return 0.7
    if pair.number == 1 and question.kind == "how many":
        return 0.8
    if pair.ratio >= 0.85:
        return 0.75
    weight = 0.7 * max(pair.recall_new, 0.0) + 0.3 * pair.token_set
    return min(0.9, 0.02 + weight * (0.6 + 0.4 * pair.precision) * 0.9)
