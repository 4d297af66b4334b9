"""What a benchmark's figures were measured on: it stands in each of their JSON files."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
from typing import Any

from closedbook.models import precision

_FEATURES = {"avx2", "avx512f", *precision.FAST_PRODUCTS}  # that the speed of products hangs on


def described(*packages: str) -> dict[str, Any]:
    """Date, processor, load and versions, JSON-able.

    Args:
        *packages: Whose versions matter.
    """
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "features": sorted(precision.processor_features() & _FEATURES),
        "load": [round(each, 1) for each in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def _processor() -> str:
    """The processor's name, where the system tells it."""
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
