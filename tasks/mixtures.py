"""A user's own mixtures of tasks, by rate; needs no TensorFlow."""

import math
from collections.abc import Mapping

from closedbook.errors import UserError, unknown_name
from closedbook.tasks import specs


def mixture(rates: Mapping[str, Mapping[str, float]] | None = None) -> tuple[str, ...]:
    """Makes a mixture of every named set of tasks.

    In a gin file: `tasks.mixture.rates = {"my_mix": {"my_ssm": 0.7, "my_questions": 0.3}}`, and
    `MIXTURE_OR_TASK_NAME = "my_mix"`. Of ten training examples seven are then of `my_ssm`,
    whatever the sizes of the two; the smaller one is gone through more often.

    Args:
        rates: Mixture -> task -> rate. Only their proportion matters.

    Returns:
        The names of the mixtures.

    Raises:
        UserError: A task is unknown, a rate is not positive, or a name is taken.
    """
    for name, of_task in (rates or {}).items():
        if not of_task:
            raise UserError(f'mixture {name!r} has no tasks; give {{"my_ssm": 0.7, "my_qa": 0.3}}')
        for task, rate in of_task.items():
            if task not in specs.SPECS:
                raise UserError(f"mixture {name!r}: {unknown_name('task', task, specs.SPECS)}")
            if not isinstance(rate, int | float) or not 0 < rate < math.inf:
                raise UserError(
                    f"mixture {name!r}: the rate of {task} is {rate!r}; give a positive number"
                )
        specs.add_mixture(name, {task: float(rate) for task, rate in of_task.items()})
    return tuple(rates or {})
