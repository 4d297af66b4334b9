"""What a run tells while it runs: metrics to files and services, progress to the terminal."""

from closedbook.telemetry.opening import open_writer
from closedbook.telemetry.progress import Progress
from closedbook.telemetry.tensorboard import TensorBoardWriter
from closedbook.telemetry.throughput import Throughput
from closedbook.telemetry.writers import MetricWriter, NoWriter

__all__ = [
    "MetricWriter",
    "NoWriter",
    "Progress",
    "TensorBoardWriter",
    "Throughput",
    "open_writer",
]
