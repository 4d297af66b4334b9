"""What every harness gets for one answer: the official protocols, the judge, the flag."""

import dataclasses
from collections.abc import Sequence

from closedbook.eval import metrics
from closedbook.eval.answerability import assessment
from closedbook.eval.answerability.assessment import Answerability
from closedbook.eval.equivalence import verdicts
from closedbook.eval.equivalence.verdicts import Verdict

PROTOCOLS = ("squad", "nq_open", "trivia_qa", "lm_eval")
"""Those that apply to any short answer, the headline first; all of them: `closedbook analyze`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """One answer; shares from 0 to 1."""

    exact_match: dict[str, float]  # by protocol
    f1: float  # of SQuAD's words
    verdict: Verdict
    answerability: Answerability

    @property
    def right(self) -> float:
        """1 if the answer is right by SQuAD's exact match or in the judge's verdict."""
        return float(self.exact_match["squad"] > 0 or self.verdict.equivalent)

    @property
    def answerable(self) -> float:
        """1 if nothing says that the question cannot be answered as it stands."""
        return float(self.answerability.flag is None)


def score(question: str, answers: Sequence[str], prediction: str) -> Scored:
    """Scores one answer.

    Args:
        question: As it was asked, without the words of a prompt.
        answers: Every acceptable answer, at least one.
        prediction: The model's answer.

    Raises:
        UserError: There are no answers.

    >>> found = score("when does it end", ["April 15"], "April 15th")
    >>> found.exact_match["squad"], found.right, found.answerable
    (0.0, 1.0, 1.0)
    """
    by_protocol = {name: metrics.score(prediction, answers, name) for name in PROTOCOLS}
    return Scored(
        exact_match={name: each.em / 100 for name, each in by_protocol.items()},
        f1=(by_protocol["squad"].f1 or 0.0) / 100,
        verdict=verdicts.judge(question, answers, prediction),
        answerability=assessment.assess(question, answers),
    )


def values(found: Scored) -> dict[str, float]:
    """The scores of one answer by the names that both harnesses show.

    >>> values(score("when does it end", ["April 15"], "April 15th"))["judged_right"]
    1.0
    """
    others = {f"exact_match_{name}": found.exact_match[name] for name in PROTOCOLS[1:]}
    return {
        "exact_match": found.exact_match[PROTOCOLS[0]],
        "f1": found.f1,
        **others,
        "judged_right": found.right,
        "answerable": found.answerable,
    }


def adjusted(rights: Sequence[float], answerables: Sequence[float]) -> float:
    """The share of right answers among the questions that can be answered; NaN of none.

    >>> adjusted([1, 0, 0], [1, 1, 0])
    0.5
    """
    counted = [right for right, can in zip(rights, answerables, strict=True) if can]
    return sum(counted) / len(counted) if counted else float("nan")
