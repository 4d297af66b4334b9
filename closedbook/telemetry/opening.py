"""Opens the metrics of a run: JSON lines and TensorBoard always, services on request.

with open_writer(model_dir / "train", start_step=step) as writer:
    writer.write(step, {"loss": 2.5, "learning_rate": 1e-3})
"""

import os
from collections.abc import Mapping, Sequence
from typing import SupportsFloat

from closedbook.buckets import path_at
from closedbook.errors import UserError, unknown_name
from closedbook.telemetry.jsonl import JsonlWriter
from closedbook.telemetry.services import MlflowWriter, WandbWriter
from closedbook.telemetry.tensorboard import TensorBoardWriter
from closedbook.telemetry.writers import MetricWriter, NoWriter

SERVICES = {"wandb": WandbWriter, "mlflow": MlflowWriter}


class _Writers(MetricWriter):
    """Writes to each of several writers in turn."""

    def __init__(self, writers: Sequence[MetricWriter]) -> None:
        self._writers = writers

    def write(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        for writer in self._writers:
            writer.write(step, metrics)

    def write_summaries(self, step: int, values: Sequence[bytes]) -> None:
        for writer in self._writers:
            writer.write_summaries(step, values)

    def secure(self) -> None:
        for writer in self._writers:
            writer.secure()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def check_services(services: Sequence[str]) -> None:
    """Checks the names of services.

    Raises:
        UserError: One is not one of `SERVICES`.
    """
    for name in services:
        if name not in SERVICES:
            raise unknown_name("metric service", name, SERVICES)


def open_writer(
    folder: str | os.PathLike[str],
    *,
    start_step: int = 0,
    resumed: bool | None = None,
    process_index: int = 0,
    services: Sequence[str] = (),
    project: str = "closedbook",
    run_name: str | None = None,
) -> MetricWriter:
    """Opens the metrics of one run part: `metrics.jsonl` and TensorBoard event files in a folder.

    A resumed run continues both as one clean curve: what an earlier process wrote of steps
    beyond the checkpoint is superseded by what this one writes.

    Args:
        folder: For example `MODEL_DIR/train`; made if missing.
        start_step: Step of the checkpoint that training starts from.
        resumed: Whether that is one of this run's own, be it of step 0, so that the folder's
            metrics are its own too; if None, where it is of a later step.
        process_index: `jax.process_index()`; only process 0 writes.
        services: Which of "wandb" and "mlflow" get the metrics too; each is an extra to install.
        project: Project at Weights & Biases, experiment at MLflow.
        run_name: Name of the run there; the folder's path if None.

    Raises:
        UserError: A service is unknown, not installed or does not start, or the folder cannot be
            written.
    """
    for service in services:
        if service not in SERVICES:
            raise unknown_name("metric service", service, SERVICES)
    if process_index:
        return NoWriter()

    folder = path_at(folder)
    own = start_step > 0 if resumed is None else resumed
    name = run_name or str(folder)
    # Services first: one that is not installed must stop the run before files change.
    writers: list[MetricWriter] = []
    for service in services:
        try:
            writers.append(SERVICES[service](folder, project=project, name=name))
        except UserError:
            raise
        except Exception as error:  # the services have many errors, without a common kind
            raise UserError(
                f"{service} did not start: {error}; mend its settings, or leave {service} out of "
                "the metric services"
            ) from error
    return _Writers(
        [
            JsonlWriter(folder / "metrics.jsonl", start_step=start_step, resumed=own),
            TensorBoardWriter(folder, start_step=start_step),
            *writers,
        ]
    )
