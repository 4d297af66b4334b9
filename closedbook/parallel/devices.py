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
    """

    peak_flops: float
    memory: int


# By the beginning of JAX's `device_kind`; the longest that fits counts. On TPU v2 and v3 JAX's
# device is one of a chip's two cores. A card that is sold with several memories has several lines.
_KINDS = {
    "TPU v2": DeviceKind(peak_flops=22.5e12, memory=8 * _GIB),
    "TPU v3": DeviceKind(peak_flops=61.5e12, memory=16 * _GIB),
    "TPU v4": DeviceKind(peak_flops=275e12, memory=32 * _GIB),
    "TPU v5 lite": DeviceKind(peak_flops=197e12, memory=16 * _GIB),
    "TPU v5": DeviceKind(peak_flops=459e12, memory=95 * _GIB),  # v5p
    "TPU v6 lite": DeviceKind(peak_flops=918e12, memory=32 * _GIB),
    "NVIDIA A100-SXM4-40GB": DeviceKind(peak_flops=312e12, memory=40 * _GIB),
    "NVIDIA A100-PCIE-40GB": DeviceKind(peak_flops=312e12, memory=40 * _GIB),
    "NVIDIA A100-SXM4-80GB": DeviceKind(peak_flops=312e12, memory=80 * _GIB),
    "NVIDIA A100 80GB PCIe": DeviceKind(peak_flops=312e12, memory=80 * _GIB),
    "NVIDIA H100 80GB HBM3": DeviceKind(peak_flops=989e12, memory=81_559 * _MIB),
    "NVIDIA H100 PCIe": DeviceKind(peak_flops=756e12, memory=80 * _GIB),
    "NVIDIA H100 NVL": DeviceKind(peak_flops=835e12, memory=94 * _GIB),
    "NVIDIA H200": DeviceKind(peak_flops=989e12, memory=143_771 * _MIB),
}


def device_kind(name: str) -> DeviceKind | None:
    """Peak FLOP/s and memory of a kind of device; None if it is not known.

    Args:
        name: JAX's `device.device_kind`, for example "NVIDIA H100 80GB HBM3".
    """
    fitting = [start for start in _KINDS if name.startswith(start)]
    return _KINDS[max(fitting, key=len)] if fitting else None
