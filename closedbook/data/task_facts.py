"""What is known of a task without reading its data: prefix, scoring, splits, rates.

The facts of this package's tasks need no SeqIO; another package's tasks are asked of SeqIO.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from closedbook.errors import UserError, unknown_name
from closedbook.tasks import specs

if TYPE_CHECKING:
    import seqio


class Scoring(TypedDict):
    """A metric by which a task is scored."""

    name: str  # a function of closedbook.eval.metrics
    options: Mapping[str, int]  # its keyword arguments


class Splits(NamedTuple):
    """The splits of a task."""

    names: Sequence[str]
    evaluated: bool  # whether the task has a metric


def question_prefix(task_or_mixture: str) -> str:
    """The text before each question: a task's, or that of a mixture's first task; "" if unknown."""
    task = specs.MIXTURES.get(task_or_mixture, (task_or_mixture,))[0]
    return specs.SPECS[task].prefix if task in specs.SPECS else ""


def scoring(task_name: str) -> list[Scoring]:
    """The metrics of one of this package's tasks; none for a task that is only trained on.

    Read from the task, not from its cache: another metric does not change the tokens.
    """
    spec = specs.SPECS[task_name]
    if spec.metric is None:
        return []
    options = {"non_null_threshold": spec.non_null} if spec.non_null else {}
    return [{"name": spec.metric, "options": options}]


def task_splits(name: str) -> Splits:
    """The splits of a task, packaged or of another package."""
    if name in specs.SPECS:
        spec = specs.SPECS[name]
        return Splits(spec.splits, spec.metric is not None)
    task = _seqio(name).TaskRegistry.get(name)
    return Splits(tuple(task.splits), is_evaluated(task))


def task_features(name: str) -> tuple[str, ...]:
    """The features of a task, packaged or of another package: "inputs", "targets"."""
    if name in specs.SPECS:
        return specs.SPECS[name].features
    return tuple(registered_task(name).output_features)


def is_evaluated(task: "seqio.Task") -> bool:
    """Whether a SeqIO task has a metric."""
    return bool(task.metric_fns or task.metric_objs)


def task_rates(task_or_mixture: str) -> dict[str, float | None]:
    """Task -> mixing rate, of a mixture's tasks or of one task alone.

    None stands for the number of the task's examples.

    Raises:
        UserError: The name is unknown; the message lists the nearest.
    """
    name = task_or_mixture
    if name in specs.SPECS or name in specs.MIXTURES:
        return specs.rates(name)
    seqio = _seqio(name)
    registered = {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}
    if name not in registered:
        raise unknown_name("task or mixture", name, {*specs.SPECS, *specs.MIXTURES, *registered})
    provider = seqio.get_mixture_or_task(name)
    if isinstance(provider, seqio.Task):
        return {name: None}
    try:
        return {task.name: float(provider.get_rate(task)) for task in provider.tasks}
    except (TypeError, ValueError) as error:  # a task's source does not say how many there are
        raise UserError(
            f"mixture {name} has a rate that cannot be worked out ({error}); give its tasks' "
            "sources num_input_examples, or its tasks rates that are numbers"
        ) from error


def registered_task(name: str) -> "seqio.Task":
    """The SeqIO task of this name, packaged or of another package; imports TensorFlow.

    Raises:
        UserError: The name is unknown.
    """
    seqio = _seqio(name)
    from closedbook.tasks import registry

    if name not in specs.SPECS and name not in seqio.TaskRegistry.names():
        raise unknown_name("task", name, {*specs.SPECS, *seqio.TaskRegistry.names()})
    return registry.task(name)


def _seqio(name: str) -> Any:
    """SeqIO's module."""
    try:
        import seqio
    except ImportError as error:
        raise UserError(
            f"{name} has no token cache yet, and building one needs SeqIO and TensorFlow, which "
            f"are not installed here ({error}); build it elsewhere and copy the cache folder"
        ) from error
    return seqio
