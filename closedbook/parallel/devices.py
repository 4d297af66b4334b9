"""What a device can do and hold, by its kind, from the makers' data sheets."""

import dataclasses

_MIB, _GIB = 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceKind:
    """A kind of device.

    Attributes:
        peak_flops: Dense bfloat16 FLOP/s; what the sheets give with sparsity is halved.
        memory: Bytes of the device's own memory: of a TPU as its sheet has it (its "GB" are of
            2**30 bytes), of a GPU as its driver gives it, which is less than the sheet's.
        bandwidth: Bytes/s of that memory.
        links: Bytes/s by which it exchanges with its neighbours, both directions together.
    """

    peak_flops: float
    memory: int
    bandwidth: float
    links: float


def _kind(peak_flops: float, memory: int, bandwidth: float, links: float) -> DeviceKind:
    return DeviceKind(peak_flops=peak_flops, memory=memory, bandwidth=bandwidth, links=links)


# By the beginning of JAX's `device_kind`; the longest that fits counts. On TPU v2 and v3 JAX's
# device is one of a chip's two cores. A card that is sold with several memories has several lines.
_KINDS = {
    "TPU v2": _kind(22.5e12, 8 * _GIB, 350e9, 62e9),
    "TPU v3": _kind(61.5e12, 16 * _GIB, 450e9, 82e9),
    "TPU v4": _kind(275e12, 32 * _GIB, 1228e9, 300e9),
    "TPU v5 lite": _kind(197e12, 16 * _GIB, 819e9, 200e9),
    "TPU v5": _kind(459e12, 95 * _GIB, 2765e9, 600e9),  # v5p
    "TPU v6 lite": _kind(918e12, 32 * _GIB, 1640e9, 448e9),
    "NVIDIA A100-SXM4-40GB": _kind(312e12, 40 * _GIB, 1555e9, 600e9),
    "NVIDIA A100-PCIE-40GB": _kind(312e12, 40 * _GIB, 1555e9, 64e9),
    "NVIDIA A100-SXM4-80GB": _kind(312e12, 80 * _GIB, 2039e9, 600e9),
    "NVIDIA A100 80GB PCIe": _kind(312e12, 80 * _GIB, 1935e9, 64e9),
    "NVIDIA H100 80GB HBM3": _kind(989e12, 81_559 * _MIB, 3350e9, 900e9),
    "NVIDIA H100 PCIe": _kind(756e12, 80 * _GIB, 2000e9, 128e9),
    "NVIDIA H100 NVL": _kind(835e12, 94 * _GIB, 3900e9, 600e9),
    "NVIDIA H200": _kind(989e12, 143_771 * _MIB, 4800e9, 900e9),
}


def device_kind(name: str) -> DeviceKind | None:
    """Peak FLOP/s and memory of a kind of device; None if it is not known.

    Args:
        name: JAX's `device.device_kind`, for example "NVIDIA H100 80GB HBM3".
    """
    fitting = [start for start in _KINDS if name.startswith(start)]
    return _KINDS[max(fitting, key=len)] if fitting else None
