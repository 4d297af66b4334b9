"""The task to evaluate of a cache of questions.

This package's tasks are scored without TensorFlow; those of other packages by their own functions,
as SeqIO's evaluator would (`seqio_evaluation`).
"""

from typing import Any, ClassVar

from closedbook.data.cache import TokenCache
from closedbook.data.evaluation import PREDICTION, EvaluationTask, Outputs, Question, Scored
from closedbook.data.seqio_evaluation import SeqioTask
from closedbook.data.task_facts import scoring
from closedbook.eval import metrics as metric_functions
from closedbook.vocabulary.protocol import AnyVocabulary


class PackagedTask(EvaluationTask):
    """A task of this package, scored by `closedbook.eval.metrics`."""

    needs: ClassVar[frozenset[str]] = frozenset({PREDICTION})  # type: ignore[misc]

    def __init__(self, cache: TokenCache, num_examples: int | None = None) -> None:
        super().__init__(cache, num_examples)
        self.questions = [
            Question(
                id=line["id"],
                given_id=line["given_id"],
                text=line["question"],
                answers=tuple(line["answers"]),
                target=line["target"],
                features=line["features"],
            )
            for line in self._lines()
        ]

    def score(self, outputs: Outputs) -> Scored:
        """As `EvaluationTask` has it."""
        targets = [question.target for question in self.questions]
        sets = self.cache.manifest["postprocessor"] == "answer_sets"
        texts = list(outputs.texts)
        processed: list[Any] = [metric_functions.split_answers(t) for t in texts] if sets else texts
        scores: dict[str, float] = {}
        for metric in scoring(self.name):
            function = getattr(metric_functions, metric["name"])
            scores |= function(targets, processed, **metric["options"])
        columns = {"output": texts, "prediction": processed}
        return Scored(scores=scores, values=scores, targets=targets, columns=columns)


def evaluation_task(
    cache: TokenCache, vocabulary: AnyVocabulary, num_examples: int | None = None
) -> EvaluationTask:
    """The task of a cache; of another package's it imports TensorFlow.

    Args:
        cache: Of the split.
        vocabulary: The model's.
        num_examples: First questions only; None for all.

    Raises:
        UserError: The task asks for what no model here gives.
    """
    if cache.manifest["postprocessor"] != "task":
        return PackagedTask(cache, num_examples)
    return SeqioTask(cache, vocabulary, num_examples)
