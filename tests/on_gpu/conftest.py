"""The GPU, what it is, and its monitor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nets.gpu.monitor import GpuMonitor, monitor_of
from nets.machine import nvml
from nets.machine.device import choose_device, device_facts
from nets.records.cell import Device
from nets.records.gpu import Gpu


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU. Raises DeviceError where none works."""
    return choose_device("cuda")


@pytest.fixture(scope="session")
def facts(device: torch.device) -> Device:
    """What it is."""
    return device_facts(device)


@pytest.fixture
def monitor(facts: Device) -> GpuMonitor:
    """Its monitor."""
    found = monitor_of(facts)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def demand_fit(facts: Device) -> Callable[[Gpu], None]:
    """Asserts that figures are fit for comparison, but for what is known beforehand: MIG, other processes."""
    assert facts.uuid is not None
    known = ["MIG is on"] if facts.mig else []
    if len(nvml.NvmlDevice(facts.uuid).processes()) > 1:
        known.append("another process")

    def demand(seen: Gpu) -> None:
        assert [reason for reason in seen.reasons if not reason.startswith(tuple(known))] == []

    return demand
