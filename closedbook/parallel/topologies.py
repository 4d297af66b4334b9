"""Devices by the name of their slice, attached or not, to compile programs for."""

import contextlib
import dataclasses
import importlib.util
import math
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax

from closedbook.errors import UserError, unknown_name
from closedbook.parallel.devices import DeviceKind, device_kind

# Axes of a slice, by its name in Google's own commands.
_TPUS = {"v2": 2, "v3": 2, "v4": 3, "v5e": 2, "v5p": 3, "v6e": 2}
_HOST = (2, 2, 1)  # chips of a host
_EXAMPLES = "v5p:4x4x4, v5e:16x16, v6e:4x4, v4:2x2x4 or cpu:64"
# What XLA has to know of a GPU; each file says where its numbers come from.
_DESCRIPTIONS = pathlib.Path(__file__).parent / "gpus"
_SOURCE = re.compile(r"^# Source: (?P<words>.+)$", re.MULTILINE)
_GPUS_OF_A_HOST = 8
# Kernels are chosen by timing them, which needs the device; products of matrices go to cuBLAS, as
# most do where they are timed.
_UNTIMED = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topology:
    """Devices that programs can be compiled for.

    Attributes:
        name: As it was asked for, for example "v5p:4x4x4".
        devices: Of JAX; those of a slice that is not attached run nothing.
        kind: What one of them can do and hold; None for CPU devices.
        told: What its programs are compiled by, for people.
        options: Of the compiler.
        reserved: The share of a device's memory that JAX takes where nothing else is asked for.
    """

    name: str
    devices: tuple[jax.Device, ...]
    kind: DeviceKind | None
    told: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reserved: float = 1.0


def gpus() -> dict[str, str]:
    """Where the description of each GPU comes from, by the name that `topology` takes."""
    found = {}
    for path in sorted(_DESCRIPTIONS.glob("*.txtpb")):
        source = _SOURCE.search(path.read_text(encoding="ascii"))
        assert source is not None, path
        found[path.stem] = source["words"]
    return found


def topology(name: str) -> Topology:
    """The devices of a slice of TPUs, some GPUs, or as many CPU devices.

    Args:
        name: "v5p:4x4x4", a generation of TPUs with the chips along each axis; "h200", "h200:8" or
            "8xh200", GPUs of one host, or of several with eight each; or "cpu:64", devices that
            this machine's processor stands in for.

    Raises:
        UserError: The name is none of these, there is no such slice, or a package is missing.
    """
    # Compilers alone are asked for: devices and what they run with (cuBLAS, cuDNN) may be absent.
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    family, colon, size = name.strip().lower().partition(":")
    known = gpus()
    if not colon and (match := re.fullmatch(r"(\d+)x([a-z]\w*)", family)):
        size, family = match[1], match[2]
    if family == "cpu":
        return _cpu(name, size or "1")
    if family in known:
        return _gpu(name, family, size or "1", known[family])
    if family not in _TPUS:
        raise unknown_name("topology", name, (*_TPUS, *known, "cpu"))
    return _tpu(name, family, size)


def _gpu(name: str, family: str, size: str, source: str) -> Topology:
    count = int(size) if re.fullmatch(r"[1-9]\d{0,4}", size) else 0
    hosts, odd = divmod(count, _GPUS_OF_A_HOST)
    if not count or (hosts and odd):  # no GPU, or a host that is not full
        raise UserError(
            f"--topology is {name!r}; give the number of GPUs, up to {_GPUS_OF_A_HOST} or a "
            f"multiple of it, as in {family}:8"
        )
    if importlib.util.find_spec("jax_cuda13_plugin") is None:
        raise UserError(
            f"--topology is {name!r}, and the compiler for NVIDIA's GPUs is not installed; install "
            f"closedbook[cuda-aot], or take fake devices, --topology=cpu:{count}"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _keep_no_programs()
    from jax.experimental import topologies

    found = topologies.get_topology_desc(
        name,
        platform="cuda",
        target_config=(_DESCRIPTIONS / f"{family}.txtpb").read_text(encoding="ascii"),
        topology=f"1x{hosts}x{_GPUS_OF_A_HOST}" if hosts else f"1x1x{count}",
    )
    devices: tuple[Any, ...] = tuple(found.devices)
    kind = devices[0].device_kind
    return Topology(
        name=name,
        devices=devices,
        kind=device_kind(kind),
        told=f"XLA for {kind}, its description {source}; nothing was run, and no kernel was chosen "
        "by timing it",
        options=_UNTIMED,
        reserved=0.75,
    )


def _keep_no_programs() -> None:
    """Turns the cache of programs off: those for absent devices cannot be read back from it."""
    jax.config.update("jax_enable_compilation_cache", False)


def _cpu(name: str, size: str) -> Topology:
    if not re.fullmatch(r"[1-9]\d{0,4}", size):
        raise UserError(f"--topology is {name!r}; give the number of devices, as in cpu:64")
    count = int(size)
    with contextlib.suppress(RuntimeError):  # JAX runs already; it may have as many
        jax.config.update("jax_num_cpu_devices", count)
    devices = tuple(jax.devices("cpu"))
    if len(devices) < count:
        raise UserError(
            f"--topology is {name!r}, and JAX runs with {len(devices)} CPU devices; run it in a "
            f"process of its own, or with XLA_FLAGS=--xla_force_host_platform_device_count={count}"
        )
    return Topology(
        name=name,
        devices=devices[:count],
        kind=None,
        told="XLA for this machine's processor, in place of an accelerator: arguments and FLOPs "
        "are those of any device, temporaries and exchanged bytes are larger than a TPU's, since "
        "the processor adds in float32",
    )


def _tpu(name: str, family: str, size: str) -> Topology:
    numbers = _TPUS[family]
    if not re.fullmatch(rf"[1-9]\d*(x[1-9]\d*){{{numbers - 1}}}", size):
        raise UserError(
            f"--topology is {name!r}; give the chips of a {family} slice along its {numbers} axes, "
            f"for example {_EXAMPLES}"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            f"--topology is {name!r}, and the compiler for TPUs is not installed; install "
            "closedbook[tpu-aot], or take fake devices, --topology=cpu:"
            f"{math.prod(int(n) for n in size.split('x'))}"
        )
    # The library looks for the machine that it is on, and says at length that it finds none.
    for variable, value in (
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1"),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
        ("TPU_ACCELERATOR_TYPE", f"{family}-8"),
        ("TPU_STDERR_LOG_LEVEL", "3"),
        ("TPU_MIN_LOG_LEVEL", "3"),
    ):
        os.environ.setdefault(variable, value)
    _keep_no_programs()
    from jax.experimental import topologies

    settings: dict[str, Any] = {}
    if math.prod(int(n) for n in size.split("x")) < math.prod(_HOST):
        settings["chips_per_host_bounds"] = (*map(int, size.split("x")), 1, 1)[:3]
    elif family == "v4":
        settings = {"chip_config_name": "megacore", "chips_per_host_bounds": _HOST}
    try:
        found = topologies.get_topology_desc(
            platform="tpu", topology_name=f"{family}:{size}", **settings
        )
    except Exception as error:  # of whatever the library raises, by version
        words = " ".join(str(error).split())[:300]
        raise UserError(
            f"--topology is {name!r}, which the compiler for TPUs does not know ({words}); give a "
            f"slice that exists, for example {_EXAMPLES}"
        ) from error
    devices: tuple[Any, ...] = tuple(found.devices)  # of a class without types
    return Topology(
        name=name,
        devices=devices,
        kind=device_kind(devices[0].device_kind),
        told=f"XLA for {devices[0].device_kind}, by libtpu; nothing was run",
    )
