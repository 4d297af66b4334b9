"""Why the judge of `closedbook.eval.equivalence` decided as it did."""

import enum


class Grade(enum.StrEnum):
    """What a prediction earns, in SimpleQA's three ways (Wei et al. 2024)."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NOT_ATTEMPTED = "not_attempted"


class Reason(enum.StrEnum):
    """The main reason of a verdict; the value is the code in files and reports."""

    # For.
    EXACT = "exact"
    SPELLING = "spelling"
    FORM = "word_form"
    ORDER = "word_order"
    DATE = "date"
    DATE_FINER = "date_finer"
    DATE_COARSER = "date_coarser"
    NUMBER = "number"
    NAME = "name"
    NAME_PART = "name_part"
    ACRONYM = "acronym"
    ALIAS = "alias"
    CONTAINED = "contained"
    QUALIFIER_EXTRA = "qualifier_extra"
    QUALIFIER_MISSING = "qualifier_missing"
    LOCATION = "location"
    LIST = "list"
    OVERLAP = "overlap"
    TIME = "time"
    SAME_SIDE = "yes_no"
    # Against.
    DATE_CONFLICT = "date_conflict"
    NUMBER_CONFLICT = "number_conflict"
    NAME_CONFLICT = "name_conflict"
    HEAD_CONFLICT = "head_conflict"
    UNIT_CONFLICT = "unit_conflict"
    TIME_CONFLICT = "time_conflict"
    SIGN_CONFLICT = "sign_conflict"
    OPPOSITE = "opposite"
    OTHER_SIDE = "yes_no_conflict"
    NEGATION = "negation"
    NOT_ASSERTED = "not_asserted"
    SEVERAL = "several_answers"
    SECOND_ANSWER = "second_answer"
    TOO_VAGUE = "too_vague"
    REFUSAL = "refusal"
    UNREAD = "unread"
    EMPTY = "empty"
    DIFFERENT = "different"
    # Either.
    JUDGE = "judge"

    @property
    def description(self) -> str:
        """One line for a reader of a report."""
        return DESCRIPTIONS[self]


DESCRIPTIONS = {
    Reason.EXACT: "the same after SQuAD's normaliser",
    Reason.SPELLING: "the same but for accents, punctuation, spaces or a letter (transliteration)",
    Reason.FORM: "the same words in other forms: plural, derived words, number of letters",
    Reason.ORDER: "the same words in another order",
    Reason.DATE: "the same date written in another way",
    Reason.DATE_FINER: "a date within the expected one: the day of an expected year",
    Reason.DATE_COARSER: "a date around the expected one: the year of an expected day",
    Reason.NUMBER: "the same number in digits, words, Roman numerals or another unit",
    Reason.NAME: "the same name with or without middle names, initials, titles, or a nickname",
    Reason.NAME_PART: "the surname, or another part of the expected name",
    Reason.ACRONYM: "an abbreviation made of the first letters of the other answer",
    Reason.ALIAS: "words that name the same: a country and its people, a state and its letters",
    Reason.CONTAINED: "the expected answer stands in a longer answer",
    Reason.QUALIFIER_EXTRA: "the expected answer with further words that narrow it",
    Reason.QUALIFIER_MISSING: "the expected answer without some of its qualifying words",
    Reason.LOCATION: "the same place with, or without, the larger place that holds it",
    Reason.LIST: "items of the expected list",
    Reason.OVERLAP: "enough words of weight are shared",
    Reason.TIME: "the same time of day written in another way",
    Reason.SAME_SIDE: "both say yes, or both say no",
    Reason.DATE_CONFLICT: "another date",
    Reason.NUMBER_CONFLICT: "another number",
    Reason.NAME_CONFLICT: "another name that shares a part: the same surname or first name",
    Reason.HEAD_CONFLICT: "shares words, but is another thing: the words that differ decide",
    Reason.UNIT_CONFLICT: "the same figure in another unit or currency",
    Reason.TIME_CONFLICT: "another time of day",
    Reason.SIGN_CONFLICT: "a sign that differs decides: -5 and 5, C++ and C#, 3-1 and 1-3",
    Reason.OPPOSITE: "a word that excludes the expected one: north for south, before for after",
    Reason.OTHER_SIDE: "one says yes and the other no",
    Reason.NEGATION: "one of the two answers is denied",
    Reason.NOT_ASSERTED: "the expected answer stands in the text, but not as the answer",
    Reason.SEVERAL: "several answers of which none is chosen",
    Reason.SECOND_ANSWER: "names a second answer beside the expected one",
    Reason.TOO_VAGUE: "shares only words of the question, or words that most answers have",
    Reason.REFUSAL: "gives no answer",
    Reason.UNREAD: "a date whose month cannot be read: no verdict",
    Reason.EMPTY: "no words are left to judge",
    Reason.DIFFERENT: "nothing in common",
    Reason.JUDGE: "another judge decided, which names no reason: a T5, a cross-encoder, a function",
}
