"""Whether a file is unlike all that the judge was validated on, so that its score is a guess."""

import re
from collections.abc import Sequence

from closedbook.eval.adjusted.errors import JudgeErrors

# Words that most English questions have one of, and that are no words of the languages near it.
_ENGLISH = frozenset(
    "the what which who whom whose when where why how many does did this that with from were "
    "whats whos they their called played starred wrote".split()
)
_WORD = re.compile(r"[^\W\d_]+")
_LEAST = 0.5  # share of the questions with such a word; of English data sets over 0.9 have one
_FEW = 5  # questions of which no language can be told
_LONG = 0.2  # share of the answers that may be longer than those validated
_READ = 2000  # questions that are looked at, evenly spread


def english(questions: Sequence[str]) -> bool | None:
    """Whether questions are English; None where there is too little text to tell.

    Of a few questions it is told by letters too: none has an English word, and half or more have
    letters that English lacks.

    >>> english(["who wrote dracula", "capital of france", "when did the war end"] * 2)
    True
    >>> english(["wer schrieb dracula", "wann endete der krieg"] * 3), english(["who", ""])
    (False, None)
    >>> english(["Kdy bylo otevřeno planetárium?", "Který den, měsíc a rok?"])
    False
    """
    every = [_WORD.findall(text.lower()) for text in questions[:: 1 + len(questions) // _READ]]
    read = [words for words in every if len(words) > 2]
    known = sum(not _ENGLISH.isdisjoint(words) for words in read)
    if len(read) >= _FEW:
        return known >= _LEAST * len(read)
    plain = sum(all(word.isascii() for word in words) for words in every if words)
    return False if read and not known and plain <= len(read) / 2 else None


def doubts(
    questions: Sequence[str], predictions: Sequence[str], errors: JudgeErrors | None
) -> list[str]:
    """Why the judge's verdicts on a file cannot be trusted, in words; none where they can.

    Args:
        questions: One per row.
        predictions: One per row.
        errors: The judge's; None of a judge whose errors are not known, about which nothing can
            be said.
    """
    if errors is None:
        return []
    found = []
    if english(questions) is False:
        found.append("the questions are not English, and the judge was validated on English alone")
    if not any(text.strip() for text in questions):
        found.append("the rows have no questions, and the judge was validated with them")
    long = sum(len(text.split()) > errors.longest for text in predictions)
    if long > _LONG * len(predictions):
        found.append(
            f"{long:,} of {len(predictions):,} predictions have more than {errors.longest} words, "
            "and the judge was validated on shorter ones"
        )
    return found
