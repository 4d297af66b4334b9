"""Which test questions a model has met in training: the question, only the answer, or neither.

Source: Lewis, Stenetorp and Riedel 2020, Question and Answer Test-Train Overlap in Open-Domain
Question Answering Datasets. An answer overlaps if a gold answer equals a training answer after
SQuAD's normaliser: the paper's rule. A question overlaps if a training question with the same
answer asks the same thing, which the paper had people decide; here, if the words that carry it
are the same (see `TrainingSet.overlap`).
"""

import dataclasses
import enum
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from closedbook.eval import normalize
from closedbook.eval.files.gold import Gold

# On the paper's 996 judged NQ questions, with 57% of the training set at hand, any threshold from
# 0.35 to 0.45 agrees with 87% of the judgements; missing training rows are most of the rest.
_SAME_QUESTION = 0.4
_MOST_CHARACTERS = 1000  # of a question or an answer; hostile ones are longer
_WORD = re.compile(r"\w+")
_LIGHT = frozenset(
    _WORD.findall(
        "a an the of in on at to for and or with by from as is was were are am be been do does "
        "did has have had who whom whose what which when where why how that this these those it "
        "its s t me you your my name called known"
    )
)


class Met(enum.StrEnum):
    """What of a test question stands in the training set."""

    QUESTION = "question"  # asked there, in these or other words
    ANSWER = "answer"  # only the answer
    NONE = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overlap:
    """What a test question has in common with the training set."""

    met: Met
    nearest: str | None  # the training question most like it, of those with the same answer
    similarity: float  # of the nearest, from 0 to 1


class TrainingSet:
    """An index of training questions by answer."""

    def __init__(self, rows: Iterable[Gold]) -> None:
        self._questions: list[str] = []
        self._words: list[frozenset[str]] = []
        self._of_answer: dict[str, list[int]] = defaultdict(list)
        self._of_words: dict[frozenset[str], int] = {}
        counts: Counter[str] = Counter()
        for number, row in enumerate(rows):
            words = _content(row.question)
            self._questions.append(row.question)
            self._words.append(words)
            self._of_words.setdefault(words, number)
            counts.update(words)
            for answer in _keys(row.answers):
                self._of_answer[answer].append(number)
        # Squared inverse document frequency: a word of every question weighs nothing.
        total = len(self._questions) + 1
        self._weights = {word: math.log(total / (count + 1)) ** 2 for word, count in counts.items()}
        self._unseen = math.log(total) ** 2

    def overlap(self, question: str, answers: Sequence[str]) -> Overlap:
        """What of one test question stands in the training set.

        Questions are compared by the cosine of their content words' TF-IDF vectors; one with
        exactly the same content words counts as the same whatever its answer. A training set
        that is not whole hides overlaps and never invents them.
        """
        words = _content(question)
        if words and words in self._of_words:
            same = self._questions[self._of_words[words]]
            return Overlap(met=Met.QUESTION, nearest=same, similarity=1.0)
        return self.with_answer(question, answers)

    def with_answer(self, question: str, answers: Sequence[str]) -> Overlap:
        """As `overlap`, but looks only at training questions that have one of the answers."""
        words = _content(question)
        numbers = {
            number for answer in _keys(answers) for number in self._of_answer.get(answer, ())
        }
        own = self._weight(words)
        nearest, best = None, 0.0
        for number in sorted(numbers):
            common = words & self._words[number]
            if common:
                both = math.sqrt(own * self._weight(self._words[number]))
                similarity = min(1.0, self._weight(common) / both) if both else 0.0
                if similarity > best:
                    nearest, best = self._questions[number], similarity
        if best >= _SAME_QUESTION:
            return Overlap(met=Met.QUESTION, nearest=nearest, similarity=best)
        met = Met.ANSWER if numbers else Met.NONE
        return Overlap(met=met, nearest=nearest, similarity=best)

    def _weight(self, words: Iterable[str]) -> float:
        weights, unseen = self._weights, self._unseen
        return sum(weights.get(word, unseen) for word in words)


def _keys(answers: Iterable[str]) -> set[str]:
    return {normalize.squad(answer[:_MOST_CHARACTERS]) for answer in answers} - {""}


def _content(question: str) -> frozenset[str]:
    """The words that say what a question is about, without their endings.

    >>> sorted(_content("Who plays Taylor on the Bold and Beautiful"))
    ['beautiful', 'bold', 'play', 'taylor']
    """
    words = _WORD.findall(question[:_MOST_CHARACTERS].lower())
    return frozenset(_stem(word) for word in words if word not in _LIGHT)


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word
