"""Weights & Biases and MLflow: extras, imported only when a run asks for them.

The run's id at the service is kept in the run's folder, so that a resumed run continues its own
curves. Metrics also stand in files, so a service that fails is a warning and never ends a run.
"""

import importlib
import logging
import pathlib
import time
import types
from collections.abc import Mapping
from typing import SupportsFloat

from closedbook import whole_files
from closedbook.buckets import is_bucket
from closedbook.errors import UserError
from closedbook.telemetry.writers import MetricWriter

_log = logging.getLogger(__name__)


class WandbWriter(MetricWriter):
    """Sends metrics to Weights & Biases (`pip install closedbook[wandb]`).

    The account and the mode are wandb's own settings, for example WANDB_MODE=offline.
    """

    def __init__(self, folder: pathlib.Path, *, project: str, name: str) -> None:
        wandb = _import("wandb", extra="wandb")
        folder.mkdir(parents=True, exist_ok=True)
        identity = folder / "wandb-run-id.txt"
        self._run = wandb.init(
            project=project,
            name=name,
            dir=None if is_bucket(folder) else str(folder),  # what it keeps until it is sent
            id=identity.read_text().strip() if identity.exists() else None,
            resume="allow",
        )
        whole_files.write_text(identity, f"{self._run.id}\n")
        # wandb's own step may not go back, as it does when a run resumes before where it stopped.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        try:
            self._run.log({"step": int(step), **values})
        except Exception as error:  # any failure of the service: see the module's docstring
            _log.warning("Weights & Biases did not take step %d: %s", step, error)

    def close(self) -> None:
        self._run.finish()


class MlflowWriter(MetricWriter):
    """Sends metrics to MLflow (`pip install closedbook[mlflow]`).

    Where to is MLflow's own setting, MLFLOW_TRACKING_URI.
    """

    def __init__(self, folder: pathlib.Path, *, project: str, name: str) -> None:
        mlflow = _import("mlflow", extra="mlflow")
        self._metric = mlflow.entities.Metric
        self._client = mlflow.MlflowClient()
        folder.mkdir(parents=True, exist_ok=True)
        identity = folder / "mlflow-run-id.txt"
        if identity.exists():
            self._run_id = identity.read_text().strip()
            self._client.update_run(self._run_id, status="RUNNING")
        else:
            experiment = self._client.get_experiment_by_name(project)
            experiment_id = (
                experiment.experiment_id if experiment else self._client.create_experiment(project)
            )
            run = self._client.create_run(experiment_id, run_name=name)
            self._run_id = run.info.run_id
            whole_files.write_text(identity, f"{self._run_id}\n")

    def write(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        milliseconds = int(time.time() * 1000)
        values = [
            self._metric(name, float(value), milliseconds, int(step))
            for name, value in metrics.items()
        ]
        try:
            self._client.log_batch(self._run_id, metrics=values)
        except Exception as error:  # any failure of the service: see the module's docstring
            _log.warning("MLflow did not take step %d: %s", step, error)

    def close(self) -> None:
        try:
            self._client.set_terminated(self._run_id)
        except Exception as error:  # any failure of the service: see the module's docstring
            _log.warning("MLflow did not take the end of run %s: %s", self._run_id, error)


def _import(module: str, *, extra: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"metrics are to go to {module}, which is not installed; "
            f"run: pip install 'closedbook[{extra}]'"
        ) from error
