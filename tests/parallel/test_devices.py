"""Peak and memory of devices, and the utilisation that is worked out from them."""

import types

import jax
import pytest

from closedbook.parallel.devices import device_kind
from closedbook.training import report


@pytest.mark.parametrize(
    ("name", "teraflops", "gib"),
    [
        ("TPU v3", 61.5, 16),  # a core; a chip has two: 123 TFLOP/s, 32 GiB
        ("TPU v4", 275, 32),
        ("TPU v5 lite", 197, 16),
        ("TPU v5", 459, 95),
        ("NVIDIA A100-SXM4-40GB", 312, 40),
        ("NVIDIA A100-SXM4-80GB", 312, 80),
        ("NVIDIA H100 80GB HBM3", 989, 79.65),
        ("NVIDIA H100 PCIe", 756, 80),
        ("NVIDIA H200", 989, 140.4),
    ],
)
def test_a_device_is_known_by_its_kind(name, teraflops, gib):
    kind = device_kind(name)
    assert kind.peak_flops == teraflops * 1e12
    assert kind.memory == pytest.approx(gib * 2**30, rel=1e-3)


@pytest.mark.parametrize("name", ["cpu", "", "NVIDIA H100", "TPU"])
def test_nothing_is_guessed_of_another_kind(name):
    assert device_kind(name) is None


def test_utilization_is_the_share_of_all_devices_peak(monkeypatch):
    kinds = [types.SimpleNamespace(device_kind="TPU v4")] * 4
    monkeypatch.setattr(jax, "devices", lambda: kinds)
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    # 2 steps per second of 275 TFLOP on four devices of 275 TFLOP/s: one half.
    rates = {"steps_per_second": 2.0, "tokens_per_second": 1.0}
    assert report.utilization(int(275e12), rates) == {"mfu": pytest.approx(0.5)}
    assert report.utilization(int(275e12), {}) == {}
    kinds[0] = types.SimpleNamespace(device_kind="cpu")
    assert report.utilization(int(275e12), rates) == {}
