"""What each packaged task is: data, prefix, splits, metric; needs no TensorFlow.

Names, prefixes, splits and metrics are those of Roberts, Raffel and Shazeer 2020
(google-research/google-research, `t5_closed_book_qa`). Two protocols, never to be mixed:
`*_open` tasks train on 90% of the training set and choose the checkpoint on the other 10%;
`*_test` tasks train on all of it.

A user's own tasks and mixtures join the packaged ones by `add_task` and `add_mixture`.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Literal

from closedbook.errors import UserError, unknown_name
from closedbook.tasks.sources import (
    Atlas,
    AtlasSentences,
    Folder,
    Sentences,
    Source,
    Texts,
    Tfds,
)
from closedbook.tasks.spans.masking import Masking


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One task, without the code that runs it."""

    name: str
    source: Source  # where the examples come from; it has the splits
    prefix: str = ""  # before every question
    metric: str | None = None  # a function of closedbook.eval.metrics; None: not evaluated
    masking: Masking | None = None  # of sentences with salient spans; None: questions
    random_answer: bool = False  # train on a random acceptable answer each epoch
    non_null: int = 0  # annotators with an answer that a question needs (multi-answer NQ)
    version: int = 1  # raise it when the task's tokens change, so that caches are rebuilt

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.source.splits)

    @property
    def features(self) -> tuple[str, ...]:
        """What an example has: a text to go on with is targets alone."""
        return ("targets",) if isinstance(self.source, Texts) else ("inputs", "targets")

    @property
    def postprocessor(self) -> Literal["plain", "answer_sets"]:
        """How a prediction's text becomes an answer: "answer_sets" for multi-answer tasks."""
        return "answer_sets" if self.non_null else "plain"


_OPEN_PARTS = {"train": ("fit",), "validation": ("held_out",), "test": ("test",)}
_WHOLE_PARTS = {"train": ("fit", "held_out"), "validation": ("test",)}


def _natural_questions_open(
    name: str, *, whole: bool = False, random_answer: bool = False
) -> TaskSpec:
    return TaskSpec(
        name=name,
        source=Tfds(
            name="natural_questions_open:1.0.0",
            splits={"train": "train", "validation": "validation"}
            if whole
            else {"train": "train[:79168]", "validation": "train[79168:]", "test": "validation"},
            folder=Folder(
                dataset="natural_questions_open", splits=_WHOLE_PARTS if whole else _OPEN_PARTS
            ),
        ),
        prefix="nq question: ",
        metric="squad",
        random_answer=random_answer,
    )


def _natural_questions_nocontext(
    name: str, *, splits: Mapping[str, str], non_null: int
) -> TaskSpec:
    return TaskSpec(
        name=name,
        # TFDS 4.9 still reads this version beside 0.1.0.
        source=Tfds(name="natural_questions:0.0.2", splits=splits),
        prefix="nq question: ",
        metric="natural_questions",
        non_null=non_null,
    )


def _web_questions_open(name: str, *, whole: bool = False) -> TaskSpec:
    return TaskSpec(
        name=name,
        source=Tfds(
            name="web_questions:1.0.0",
            splits={"train": "train", "validation": "test"}
            if whole
            else {"train": "train[:3417]", "validation": "train[3417:]", "test": "test"},
            folder=Folder(
                dataset="web_questions_open", splits=_WHOLE_PARTS if whole else _OPEN_PARTS
            ),
        ),
        prefix="wq question: ",
        metric="squad",
        version=2,  # since 2, quotes inside an answer of the official files are read
    )


def _trivia_qa_open(name: str, *, whole: bool = False) -> TaskSpec:
    # The answers of the test set are hidden: its predictions go to the leaderboard.
    whole_parts = {"train": ("fit", "held_out", "test"), "test": ("hidden",)}
    return TaskSpec(
        name=name,
        source=Tfds(
            name="trivia_qa/unfiltered.nocontext:1.1.0",
            splits={"train": "train+validation", "test": "test"}
            if whole
            else {"train": "train[:78785]", "validation": "train[78785:]", "test": "validation"},
            folder=Folder(dataset="trivia_qa_open", splits=whole_parts if whole else _OPEN_PARTS),
        ),
        prefix="trivia_qa question: ",
        metric="trivia_qa",
    )


def _atlas(name: str, **splits: tuple[str, Literal["seen", "unseen"]]) -> TaskSpec:
    return TaskSpec(
        name=name, source=Atlas(splits=splits), prefix="atlas question: ", metric="squad"
    )


def _atlas_sentences(name: str, corruption: Literal["salient", "matched"]) -> TaskSpec:
    masking = Masking(corruption=corruption, style="sentinel_bare")
    return TaskSpec(name=name, source=AtlasSentences(), masking=masking)


def _salient_span_wikipedia(name: str, masking: Masking) -> TaskSpec:
    source = Tfds(
        name="salient_span_wikipedia/sentences:1.0.0",
        splits={"train": "train"},
        folder=Sentences(),
    )
    return TaskSpec(name=name, source=source, masking=masking)


_ENTITY_QUESTIONS = TaskSpec(
    name="entity_questions",
    source=Folder(dataset="entity_questions", splits=_OPEN_PARTS),
    prefix="eq question: ",
    metric="squad",
)

_ANSWER_EQUIVALENCE = TaskSpec(  # says "true" or "false"; see `answer_pairs`
    name="answer_equivalence",
    source=Folder(dataset="answer_equivalence", splits=_OPEN_PARTS),
    prefix="answer equivalence ",
    metric="squad",
)

# The bounds are those of upstream's last version; earlier ones trained on `train[7830:]`. They cut
# TFDS's raw rows, of which there are 307,373, before questions without an answer are left out.
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
"""Every task by name, the user's own included."""

MIXTURES: dict[str, tuple[str, ...]] = {
    "closed_book_qa": ("natural_questions_open", "trivia_qa_open", "web_questions_open"),
    "closed_book_qa_test": (
        "natural_questions_open_test",
        "trivia_qa_open_test",
        "web_questions_open_test",
    ),
    "atlas_qa_test": ("atlas_qa_seen", "atlas_qa_unseen"),  # to evaluate; neither is trained on
}
"""Mixtures by name, the user's own included."""

RATES: dict[str, dict[str, float]] = {}
"""Rates of the mixtures that give them; elsewhere a task's rate is its number of examples."""

_PACKAGED = frozenset((*SPECS, *MIXTURES))
_subscribers: list[Callable[[str], None]] = []


def add_task(spec: TaskSpec) -> None:
    """Makes a user's own task known; it replaces an own one of the same name.

    Raises:
        UserError: The name is that of a packaged task, or of a mixture, or cannot be one.
    """
    if spec.name in _PACKAGED or spec.name in MIXTURES:
        raise UserError(
            f"{spec.name!r} is a packaged task or a mixture; give your own another name"
        )
    _check_name(spec.name)
    SPECS[spec.name] = spec
    _tell(spec.name)


def add_mixture(name: str, rates: Mapping[str, float]) -> None:
    """Makes a user's own mixture known; it replaces an own one of the same name.

    Args:
        name: Of the mixture.
        rates: Task -> rate, above 0; only their proportion matters.

    Raises:
        UserError: The name is that of a task, or of a packaged mixture, or cannot be one.
    """
    if name in _PACKAGED or name in SPECS:
        raise UserError(f"{name!r} is a task or a packaged mixture; give yours another name")
    _check_name(name)
    MIXTURES[name] = tuple(rates)
    RATES[name] = dict(rates)
    _tell(name)


def _check_name(name: str) -> None:
    """Refuses a name that no file could begin with: files of answers and scores do."""
    if not re.fullmatch(r"\w[\w.:-]*", name):
        raise UserError(
            f"{name!r} cannot be the name of a task; use letters, digits, _ and -, such as my_quiz"
        )


def subscribe(hear: Callable[[str], None]) -> None:
    """Calls `hear` with the name of every task and mixture that is added from now on.

    So SeqIO's registry, which needs TensorFlow, hears of them without being imported from here.
    """
    _subscribers.append(hear)


def _tell(name: str) -> None:
    for hear in _subscribers:
        hear(name)


def rates(task_or_mixture: str) -> dict[str, float | None]:
    """Task -> mixing rate; None stands for its number of training examples.

    Raises:
        UserError: As for `names`.
    """
    given = RATES.get(task_or_mixture, {})
    return {name: given.get(name) for name in names(task_or_mixture)}


def names(task_or_mixture: str) -> tuple[str, ...]:
    """The tasks of a mixture, or the task itself, packaged or a user's own.

    Raises:
        UserError: The name is unknown; the message lists the nearest.
    """
    if task_or_mixture in MIXTURES:
        return MIXTURES[task_or_mixture]
    if task_or_mixture in SPECS:
        return (task_or_mixture,)
    raise unknown_name("task or mixture", task_or_mixture, [*SPECS, *MIXTURES])
