"""Tasks that other packages registered, scored as SeqIO's evaluator scores them.

Source: seqio 0.0.20, `Evaluator._compute_clu_metrics` and `loggers.py`. This module needs SeqIO and
TensorFlow.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from closedbook.data.build import over_vocabulary
from closedbook.data.cache import TokenCache
from closedbook.data.evaluation import (
    PREDICTION,
    PREDICTION_WITH_AUX,
    SCORE,
    EvaluationTask,
    Outputs,
    Question,
    Scored,
)
from closedbook.data.example_features import plain
from closedbook.data.examples import text_of, texts_in
from closedbook.data.metric_summaries import summaries
from closedbook.errors import UserError
from closedbook.vocabulary.protocol import AnyVocabulary

if TYPE_CHECKING:
    import seqio

# By the names of seqio.metrics.ModelOutputType.
_NEEDS = {
    "PREDICTION": PREDICTION,
    "SCORE": SCORE,
    "PREDICTION_WITH_AUX": PREDICTION_WITH_AUX,
}


class SeqioTask(EvaluationTask):
    """A split of a task of another package.

    Args:
        cache: Of the split.
        vocabulary: The model's: what predictions are decoded with.
        num_examples: First questions only; None for all.

    Raises:
        UserError: A metric needs what no model here gives.
    """

    def __init__(
        self, cache: TokenCache, vocabulary: AnyVocabulary, num_examples: int | None = None
    ) -> None:
        super().__init__(cache, num_examples)
        self._task = over_vocabulary(cache.name, vocabulary)
        self._metrics = list(self._task.metric_objs)
        needs = set()
        for metric in self._metrics:
            kind = metric.model_output_type
            if kind.name not in _NEEDS:
                raise UserError(
                    f"task {cache.name}: the metric {_name(metric)} needs "
                    f"{kind.name.lower()}, which the evaluation does not give; it gives "
                    f"{', '.join(_NEEDS.values())}"
                )
            needs.add(_NEEDS[kind.name])
        self.needs = frozenset(needs)
        self.questions = [self._question(line, vocabulary) for line in self._lines()]
        # As SeqIO: all metrics of functions are given the targets that were made once.
        made_by_functions = len(self._task.metric_fns) == len(self._metrics)
        self._targets = [q.target for q in self.questions] if made_by_functions else []

    def score(self, outputs: Outputs) -> Scored:
        """As `EvaluationTask` has it.

        Raises:
            UserError: Two metrics give a value of the same name.
        """
        try:
            return self._scored(outputs)
        except Exception as error:
            error.add_note(f"while the metrics of task {self.name} scored split {self.split}")
            raise

    def _question(self, line: Mapping[str, Any], vocabulary: AnyVocabulary) -> Question:
        features = line["features"]
        text = text_of(features, "targets", vocabulary)
        try:
            target = self._task.postprocess_fn(text, example=features, is_target=True)
        except Exception as error:
            error.add_note(f"while task {self.name} postprocessed the target of row {line['id']}")
            raise
        return Question(
            id=line["id"],
            given_id=line["given_id"],
            text=line["question"],
            answers=tuple(_answers(target, features, text)),
            target=target,
            features=features,
        )

    def _scored(self, outputs: Outputs) -> Scored:
        import seqio

        tokens, features = outputs.tokens, self._task.output_features
        of_kind = {
            PREDICTION: tokens,
            SCORE: np.array(outputs.target_scores),
            PREDICTION_WITH_AUX: (tokens, {"scores": np.array(outputs.prediction_scores)}),
        }
        examples = [dict(question.features) for question in self.questions]
        found: dict[str, Any] = {}
        inferences: dict[str, Any] = {}
        targets: Sequence[Any] = [question.target for question in self.questions]
        for metric in self._metrics:
            given_by_model = of_kind[_NEEDS[metric.model_output_type.name]]
            made = metric.from_model_output(examples, given_by_model, features, "targets")
            if isinstance(made, seqio.metrics.CollectingMetric):
                values, given = made.actual_compute(examples, features, "targets", self._targets)
                self._targets = given["targets"]
            else:
                values, given = made.compute(), getattr(made, "targets_and_inferences", None)
            for name, value in values.items():
                if name in found:
                    raise UserError(
                        f"two metrics of task {self.name} give a value named {name!r}; name one "
                        "of them otherwise"
                    )
                found[name] = value
            if given:
                targets = given["targets"]
                inferences |= {name: each for name, each in given.items() if name != "targets"}
        aux = inferences.pop("aux_value", {})
        columns = inferences | {f"aux_{name}": each for name, each in aux.items()}
        numbers, written, others = _told(self.name, found)
        return Scored(
            scores=numbers,
            values=written,
            summaries=summaries(others),
            targets=targets,
            columns=columns,
        )


def _told(
    task: str, found: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, Any], dict[str, "seqio.metrics.MetricValue"]]:
    """Metric values that are numbers; those that JSON has; and those that are no numbers.

    Raises:
        UserError: A value is neither a number nor one of SeqIO's.
    """
    from seqio import metrics

    numbers: dict[str, float] = {}
    written: dict[str, Any] = {}
    others: dict[str, metrics.MetricValue] = {}
    for name, value in found.items():
        if isinstance(value, metrics.Scalar) or not isinstance(value, metrics.MetricValue):
            inner = value.value if isinstance(value, metrics.Scalar) else value
            try:
                numbers[name] = written[name] = float(np.asarray(inner))
            except (TypeError, ValueError) as error:
                raise UserError(
                    f"the metric {name!r} of task {task} is {inner!r:.80}; give a number, or one "
                    "of seqio.metrics: Scalar, Text, Histogram, Image, Audio, Generic"
                ) from error
            continue
        others[name] = value
        if isinstance(value, metrics.Text):
            written[name] = plain(value.textdata)
        elif isinstance(value, metrics.Generic):
            written[name] = plain(np.asarray(value.tensor))
    return numbers, written, others


def _answers(target: Any, features: Mapping[str, Any], text: str) -> list[str]:
    """Every acceptable answer as text.

    Those of the target where it is text or lists of texts; else the example's "answers"; else the
    text of the target before it was postprocessed. A target that is an empty list has none.
    """
    if isinstance(target, list | tuple | set | frozenset | np.ndarray) and not len(target):
        return []
    return texts_in(target) or texts_in(features.get("answers")) or ([text] if text else [])


def _name(metric: Any) -> str:
    return metric.__name__ if isinstance(metric, type) else type(metric).__name__
