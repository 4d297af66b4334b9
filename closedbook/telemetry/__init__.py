"""What a run tells while it runs: metrics to files and services, progress to the terminal."""

from closedbook.telemetry.progress import Progress
from closedbook.telemetry.throughput import Throughput
from closedbook.telemetry.writers import MetricWriter, NoWriter, open_writer

__all__ = ["MetricWriter", "NoWriter", "Progress", "Throughput", "open_writer"]
