"""The scorer `closedbook/closed_book` and the task `closedbook/atlas` for inspect_ai.

inspect_ai loads this module by the entry point group `inspect_ai`.
"""

import math

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import (
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    mean,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate, system_message

from closedbook.tasks.harnesses import scoring

_ASK = "Answer the question with a name, a number or a few words, and nothing else."


@metric
def adjusted() -> Metric:
    """The share of right answers among the questions that can be answered."""

    def over(scores: list[SampleScore]) -> float:
        values = [each.score.as_dict() for each in scores]
        rights = [float(value["judged_right"] or 0) for value in values]
        answerables = [float(value["answerable"] or 0) for value in values]
        found = scoring.adjusted(rights, answerables)
        return 0.0 if math.isnan(found) else found

    return over


@scorer(metrics=[{"*": [mean(), stderr()]}, adjusted()])
def closed_book() -> Scorer:
    """The official protocols, the judge's verdict and the answerability flag of each answer.

    A score's value has `exact_match`, `f1`, `exact_match_nq_open`, `exact_match_trivia_qa`,
    `exact_match_lm_eval`, `judged_right` and `answerable`, each from 0 to 1; its explanation is the
    judge's, and its metadata says why.
    """

    async def score(state: TaskState, target: Target) -> Score:
        prediction = state.output.completion.strip()
        found = scoring.score(state.input_text, list(target), prediction)
        return Score(
            value={**scoring.values(found)},
            answer=prediction,
            explanation=found.verdict.evidence,
            metadata={
                "probability": found.verdict.probability,
                "reason": found.verdict.reason,
                "flag": found.answerability.flag,
                "flag_reason": found.answerability.reason,
            },
        )

    return score


@task
def atlas(split: str = "test", phrasing: str = "seen") -> Task:
    """The packaged facts as questions; needs no network.

    Args:
        split: "train", "validation" or "test".
        phrasing: "seen" or "unseen" in fine-tuning.
    """
    from closedbook.tasks.atlas import corpus

    samples = [
        Sample(id=row["id"], input=row["question"], target=list(row["answers"]))
        for row in corpus.questions(split, "unseen" if phrasing == "unseen" else "seen")
    ]
    return Task(
        dataset=MemoryDataset(samples),
        solver=[system_message(_ASK), generate()],
        scorer=closed_book(),
    )
