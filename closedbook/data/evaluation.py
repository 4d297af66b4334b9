"""What a task asks of a model, what the model gives, and what the metrics make of it."""

import abc
import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.data.cache import EXAMPLES, TOKEN_FEATURES, TokenCache
from closedbook.data.example_features import decoded

PREDICTION, SCORE = "prediction", "score"  # what a metric may need of a model
PREDICTION_WITH_AUX = "prediction_with_aux"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """One example of an evaluation.

    Attributes:
        id: Unique in the split.
        given_id: The example's own, where it has one and that stands at several rows.
        text: What is asked, without the task's prefix.
        answers: Every acceptable one, as text; empty where the example has none.
        target: What the metrics compare with, of any type.
        features: Of SeqIO's example, as NumPy values; tokens are ids of the model's vocabulary.
    """

    id: str
    given_id: str | None = None
    text: str
    answers: tuple[str, ...]
    target: Any
    features: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a model gave to the questions, in their order; empty where no metric needs it.

    Attributes:
        texts: The predictions.
        tokens: The same as ids, int32 [questions, length]; ended by EOS, then padding.
        prediction_scores: Log-probability of each prediction, divided by its brevity penalty.
        target_scores: Log-probability of each target.
    """

    texts: Sequence[str] = ()
    tokens: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.int32))
    prediction_scores: Sequence[float] = ()
    target_scores: Sequence[float] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """What a task's metrics make of a model's outputs.

    Attributes:
        scores: The numbers, by the metrics' names.
        values: All that JSON has, by the same names: numbers, texts, tensors as lists.
        summaries: What is more than a number, as serialised `tensorboard.Summary.Value`s whose
            tags are "eval/<name>".
        targets: What the metrics compared with.
        columns: What a file of results has for each question beside its input and target:
            "output", "prediction", "score", "aux_<name>".
    """

    scores: Mapping[str, float]
    values: Mapping[str, Any]
    summaries: Sequence[bytes] = ()
    targets: Sequence[Any]
    columns: Mapping[str, Sequence[Any]]


class EvaluationTask(abc.ABC):
    """The questions of a split, and how a model is scored by them.

    Args:
        cache: Of the split.
        num_examples: First questions only; None for all.

    Attributes:
        questions: In the split's order.
        needs: Which outputs of a model the metrics take.
    """

    needs: frozenset[str]
    questions: Sequence[Question]

    def __init__(self, cache: TokenCache, num_examples: int | None = None) -> None:
        self.cache = cache
        count = len(cache) if num_examples is None else min(num_examples, len(cache))
        self._count = count

    @property
    def name(self) -> str:
        """The task's."""
        return self.cache.name

    @property
    def split(self) -> str:
        """The split's name."""
        return self.cache.split

    def inputs(self) -> list[list[int]]:
        """Ids of each question as the model reads it."""
        return [self.cache.inputs(i).tolist() for i in range(self._count)]

    def targets(self, longest: int | None = None) -> list[list[int]]:
        """Ids of each target, cut to `longest` as SeqIO's feature converter does."""
        return [self.cache.targets(i)[:longest].tolist() for i in range(self._count)]

    def notes(self) -> list[str]:
        """What is to be said of the questions before a model is asked."""
        told = []
        if without := sum(not question.answers for question in self.questions):
            told.append(
                f"{without:,} of {self._count:,} rows of {self.name} {self.split} have no "
                "answer; the task's metrics score them, predictions.jsonl leaves them out"
            )
        repeated = dict.fromkeys(q.given_id for q in self.questions if q.given_id is not None)
        if repeated:
            shown = ", ".join(repr(each) for each in list(repeated)[:3])
            told.append(
                f"{len(repeated):,} ids of {self.name} {self.split} stand at several rows "
                f"(for example {shown}); predictions.jsonl numbers these rows instead"
            )
        return told

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Lines of the cache; an id that stands at several rows becomes their "given_id"."""
        found = list(lines(self.cache, self._count))
        counts = collections.Counter(line["id"] for line in found)
        for index, line in enumerate(found):
            own: dict[str, Any] = {"given_id": None}
            if counts[line["id"]] > 1:
                own = {"id": f"{self.split}-{index}", "given_id": line["id"]}
            yield line | own

    @abc.abstractmethod
    def score(self, outputs: Outputs) -> Scored:
        """The metrics of a model's outputs."""


def lines(cache: TokenCache, count: int | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a cache's examples, with all their features as NumPy values.

    Args:
        cache: Of a split; of a task that is only trained on the tokens are all there is.
        count: First lines only; None for all.
    """
    written: Iterable[dict[str, Any]] = cache.examples()
    if EXAMPLES not in cache.manifest["files"]:
        written = ({"id": f"{cache.split}-{index}"} for index in range(len(cache)))
    kept = [name for name in TOKEN_FEATURES if name in cache.manifest["features"]]
    ids = {"inputs": cache.inputs, "targets": cache.targets}
    for index, line in enumerate(itertools.islice(written, count)):
        features = {name: decoded(each) for name, each in line.get("features", {}).items()}
        if not features and "question" in line:  # of a cache of an earlier version
            features = {"inputs_pretokenized": cache.manifest["prefix"] + line["question"]}
        tokens = {name: np.array(ids[name](index)) for name in kept}
        yield line | {"features": tokens | features}
