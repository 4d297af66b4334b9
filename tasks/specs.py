"""What each packaged task is: data, prefix, splits, metric; needs no TensorFlow.

Names, prefixes, splits and metrics are those of Roberts, Raffel and Shazeer 2020
(google-research/google-research, `t5_closed_book_qa`). Two protocols, never to be mixed:
`*_open` tasks train on 90% of the training set and choose the checkpoint on the other 10%;
`*_test` tasks train on all of it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from closedbook.errors import unknown_name
from closedbook.tasks.spans.masking import Masking


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One task, without the code that runs it."""

    name: str
    dataset: str  # which preprocessor and which local files: a key of `local_files.DATASETS`
    prefix: str  # before every question
    metric: str | None  # a function of closedbook.eval.metrics; None: not evaluated
    tfds: str | None = None  # TFDS name and version; None: not in TFDS
    tfds_splits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # The same splits from local files, as parts of `local_files`; empty: TFDS only.
    local_splits: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    # Split -> a user's own file, or folder of sentences.
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    masking: Masking | None = None  # of sentences with salient spans; None: questions
    random_answer: bool = False  # train on a random acceptable answer each epoch
    non_null: int = 0  # annotators with an answer that a question needs (multi-answer NQ)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the packaged atlas
    version: int = 1  # raise it when the task's tokens change, so that caches are rebuilt

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.files or self.tfds_splits or self.local_splits or self.options)

    @property
    def postprocessor(self) -> str:
        """How a prediction's text becomes an answer: "plain", or "answer_sets" (multi-answer)."""
        return "answer_sets" if self.non_null else "plain"


_OPEN_LOCAL = {"train": ("fit",), "validation": ("held_out",), "test": ("test",)}
_WHOLE_LOCAL = {"train": ("fit", "held_out"), "validation": ("test",)}


def _natural_questions_open(name: str, *, whole: bool = False, random_answer: bool = False):
    return TaskSpec(
        name=name,
        dataset="natural_questions_open",
        prefix="nq question: ",
        metric="squad",
        tfds="natural_questions_open:1.0.0",
        tfds_splits={"train": "train", "validation": "validation"}
        if whole
        else {"train": "train[:79168]", "validation": "train[79168:]", "test": "validation"},
        local_splits=_WHOLE_LOCAL if whole else _OPEN_LOCAL,
        random_answer=random_answer,
    )


def _natural_questions_nocontext(name: str, *, splits: Mapping[str, str], non_null: int):
    return TaskSpec(
        name=name,
        dataset="natural_questions_nocontext",
        prefix="nq question: ",
        metric="natural_questions",
        tfds="natural_questions:0.0.2",  # TFDS 4.9 still reads it beside 0.1.0
        tfds_splits=splits,
        non_null=non_null,
    )


def _web_questions_open(name: str, *, whole: bool = False):
    return TaskSpec(
        name=name,
        dataset="web_questions_open",
        prefix="wq question: ",
        metric="squad",
        tfds="web_questions:1.0.0",
        tfds_splits={"train": "train", "validation": "test"}
        if whole
        else {"train": "train[:3417]", "validation": "train[3417:]", "test": "test"},
        local_splits=_WHOLE_LOCAL if whole else _OPEN_LOCAL,
    )


def _trivia_qa_open(name: str, *, whole: bool = False):
    return TaskSpec(
        name=name,
        dataset="trivia_qa_open",
        prefix="trivia_qa question: ",
        metric="trivia_qa",
        tfds="trivia_qa/unfiltered.nocontext:1.1.0",
        # The answers of the test set are hidden: its predictions go to the leaderboard.
        tfds_splits={"train": "train+validation", "test": "test"}
        if whole
        else {"train": "train[:78785]", "validation": "train[78785:]", "test": "validation"},
        local_splits={"train": ("fit", "held_out", "test"), "test": ("hidden",)}
        if whole
        else _OPEN_LOCAL,
    )


def _atlas(name: str, **splits: tuple[str, str]):
    return TaskSpec(
        name=name, dataset="atlas", prefix="atlas question: ", metric="squad", options=splits
    )


def _atlas_sentences(name: str, corruption: Literal["salient", "matched"]):
    return TaskSpec(
        name=name,
        dataset="atlas",
        prefix="",
        metric=None,
        options={"train": ("all", "sentences")},
        masking=Masking(corruption=corruption, style="sentinel_bare"),
    )


def _salient_span_wikipedia(name: str, masking: Masking):
    return TaskSpec(
        name=name,
        dataset="sentences",
        prefix="",
        metric=None,
        tfds="salient_span_wikipedia/sentences:1.0.0",
        tfds_splits={"train": "train"},
        masking=masking,
    )


_ENTITY_QUESTIONS = TaskSpec(
    name="entity_questions",
    dataset="entity_questions",
    prefix="eq question: ",
    metric="squad",
    local_splits={"train": ("fit",), "validation": ("held_out",), "test": ("test",)},
)

_ANSWER_EQUIVALENCE = TaskSpec(  # says "true" or "false"; see `answer_pairs`
    name="answer_equivalence",
    dataset="answer_equivalence",
    prefix="answer equivalence ",
    metric="squad",
    local_splits={"train": ("fit",), "validation": ("held_out",), "test": ("test",)},
)

# The bound 7830 is upstream's, and has the look of a slip: it holds out the first 9% instead of
# the last 10%. It is kept, since the published multi-answer numbers were taken so.
_NOCONTEXT_SPLITS = {
    "train": "train[7830:79168]",
    "validation": "train[:7830]",
    "test": "validation",
}

SPECS: dict[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        _natural_questions_open("natural_questions_open"),
        _natural_questions_open("natural_questions_open_randanswer", random_answer=True),
        _natural_questions_open("natural_questions_open_test", whole=True),
        _natural_questions_nocontext(
            "natural_questions_nocontext", splits=_NOCONTEXT_SPLITS, non_null=1
        ),
        _natural_questions_nocontext(
            "natural_questions_nocontext_test",
            splits={"train": "train", "validation": "validation"},
            non_null=2,
        ),
        _web_questions_open("web_questions_open"),
        _web_questions_open("web_questions_open_test", whole=True),
        _trivia_qa_open("trivia_qa_open"),
        _trivia_qa_open("trivia_qa_open_test", whole=True),
        _ENTITY_QUESTIONS,
        _ANSWER_EQUIVALENCE,
        _salient_span_wikipedia("salient_span_masked_wikipedia", Masking()),
        _salient_span_wikipedia("span_corrupted_wikipedia", Masking(corruption="t5")),
        _atlas_sentences("atlas_ssm", "salient"),
        _atlas_sentences("atlas_span_corruption", "matched"),
        # Of the atlas: the facts' split, and the phrasing of questions.
        _atlas("atlas_qa", train=("train", "seen"), validation=("validation", "seen")),
        _atlas("atlas_qa_seen", test=("test", "seen")),
        _atlas("atlas_qa_unseen", test=("test", "unseen")),
    )
}
"""Every task by name, the user's own (`own_files.qa_from_files`) included."""

MIXTURES: dict[str, tuple[str, ...]] = {
    "closed_book_qa": ("natural_questions_open", "trivia_qa_open", "web_questions_open"),
    "closed_book_qa_test": (
        "natural_questions_open_test",
        "trivia_qa_open_test",
        "web_questions_open_test",
    ),
    "atlas_qa_test": ("atlas_qa_seen", "atlas_qa_unseen"),  # to evaluate; neither is trained on
}
"""Mixtures by name, the user's own (`mixtures.mixture`) included."""

RATES: dict[str, dict[str, float]] = {}
"""Rates of the mixtures that give them; elsewhere a task's rate is its number of examples."""


def rates(task_or_mixture: str) -> dict[str, float | None]:
    """Task -> mixing rate; None stands for its number of training examples.

    Raises:
        UserError: As for `names`.
    """
    given = RATES.get(task_or_mixture, {})
    return {name: given.get(name) for name in names(task_or_mixture)}


def names(task_or_mixture: str) -> tuple[str, ...]:
    """The packaged tasks of a task or mixture.

    Raises:
        UserError: The name is unknown; the message lists the nearest.
    """
    if task_or_mixture in MIXTURES:
        return MIXTURES[task_or_mixture]
    if task_or_mixture in SPECS:
        return (task_or_mixture,)
    raise unknown_name("task or mixture", task_or_mixture, [*SPECS, *MIXTURES])
