"""The GPU monitor over real nvidia-ml-py and a stub driver: what is measured, what is null, what is not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nets.machine.nvml import NoDriver, with_patience
from nets.records.gpu import DRIVER_FIGURES
from tests.support.stub_driver import StubbedProcess
from tests.support.watching import UUID, because, live_samples, seen


def test_a_healthy_gpu(driver: StubbedProcess) -> None:
    """Utilization, energy, power, clock and the hardware's counters are measured, and no GPM sample is left behind."""
    use = seen(driver, "", n_windows=2)
    assert (use["valid"], use["reasons"], use["window"]) == (True, [], "timed")
    assert use["utilization_pct"] == 40
    assert use["power_w"] == pytest.approx(100, rel=0.2)
    assert use["energy_j"] == pytest.approx(25, rel=0.3)
    assert (use["memory_peak_training_bytes"], use["memory_peak_evaluation_bytes"]) == (2_000, 3_000)
    assert use["memory_used_peak_bytes"] == 3 * 2**30
    assert use["sm_clock_mhz"] == 1_500
    counters = ("sm_utilization_pct", "sm_occupancy_pct", "tensor_pct", "dram_bandwidth_pct", "fp32_pct")
    assert [use[name] for name in counters] == [35.0, 12.5, 1.5, 20.0, 8.25]
    assert because(use) == {"energy_per_step_j": "the timed window holds the evaluation too: see energy_j"}
    assert driver.ask("", live_samples) == 0


def test_too_short_a_window(driver: StubbedProcess) -> None:
    """A window shorter than the driver's, without a soak, has no figure but memory, never 0, and says why."""
    use = seen(driver, "", seconds=0.05)
    assert not use["valid"]
    assert "and the driver's figures need" in use["reasons"][0]
    assert use["utilization_pct"] is use["energy_j"] is use["power_w"] is use["sm_utilization_pct"] is None
    assert use["memory_used_peak_bytes"] == 3 * 2**30


def test_an_old_gpu(driver: StubbedProcess) -> None:
    """Without energy, counters, samples or the newer call for throttling the rest is measured, and fit."""
    use = seen(driver, "name=Tesla_K80 cc=3.7 energy=0 gpm=0 samples=0 old=1")
    assert use["valid"]
    assert use["utilization_pct"] == 40
    assert because(use)["energy_j"] == because(use)["power_w"] == "NVML: Not Supported"
    assert because(use)["sm_utilization_pct"] == "NVML: this GPU has no GPM counters (Hopper and later have)"


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("mig=1", "MIG is on"),
        ("pids=own,4242", "another process is on the GPU"),
        ("pids=77,78", "another process is on the GPU"),
        ("pids_later=own,4242", "another process is on the GPU"),
        ("pids=77 pids_later=78", "another process came to the GPU or left it"),
        ("throttle=64", "the GPU's clocks were slowed: hardware thermal slowdown"),
        ("throttle=8 old=1", "the GPU's clocks were slowed: hardware slowdown"),
        ("lost_after=0.1", "GPU is lost"),
        ("lost_after=0", "GPU is lost"),
        ("fail=nvmlDeviceGetTotalEnergyConsumption:1", "Uninitialized"),
        ("throttle=32", "software thermal slowdown"),
        ("throttle=128", "power brake"),
    ],
)
def test_what_spoils_the_figures(driver: StubbedProcess, scenario: str, reason: str) -> None:
    """What makes figures unfit for comparison is named, and the record is not valid."""
    use = seen(driver, scenario)
    assert not use["valid"]
    assert any(reason in each for each in use["reasons"]), use["reasons"]
    assert driver.ask("", live_samples) == 0


def test_spoilt_figures_stay(driver: StubbedProcess) -> None:
    """A figure that another process spoils stays in the record."""
    assert seen(driver, "pids=own,4242")["utilization_pct"] == 40


@pytest.mark.parametrize("scenario", ["", "throttle=5", "pids=77", "pids="])
def test_what_does_not_spoil_them(driver: StubbedProcess, scenario: str) -> None:
    """Idle clocks, the power cap, and a container's view of our own process are normal."""
    assert seen(driver, scenario)["valid"]


FIGURES = {
    "nvmlDeviceGetTotalEnergyConsumption": {"energy_j", "energy_per_step_j", "power_w"},
    "nvmlDeviceGetSamples": set(),
    "nvmlDeviceGetMemoryInfo": {"memory_used_peak_bytes"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz"},
    "nvmlDeviceGetComputeRunningProcesses": set(),
    "nvmlDeviceGetCurrentClocksEventReasons": set(),
    "nvmlDeviceGetMigMode": set(),
    "nvmlGpmQueryDeviceSupport": {
        "sm_utilization_pct", "sm_occupancy_pct", "tensor_pct", "dram_bandwidth_pct", "fp32_pct",
    },
    "nvmlGpmSampleAlloc": {
        "sm_utilization_pct", "sm_occupancy_pct", "tensor_pct", "dram_bandwidth_pct", "fp32_pct",
    },
    "nvmlGpmSampleGet": {
        "sm_utilization_pct", "sm_occupancy_pct", "tensor_pct", "dram_bandwidth_pct", "fp32_pct",
    },
    "nvmlGpmMetricsGet": {
        "sm_utilization_pct", "sm_occupancy_pct", "tensor_pct", "dram_bandwidth_pct", "fp32_pct",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_each_call_refused_in_turn(driver: StubbedProcess, name: str) -> None:
    """A call that the driver refuses costs its own figures alone: they are null with its words."""
    use = seen(driver, f"refuse={name}")
    missing = because(use)
    assert set(missing) == FIGURES[name] | {"energy_per_step_j"}
    assert all(missing[figure] == "NVML: Not Supported" for figure in FIGURES[name])
    assert use["valid"]
    processes = ["other processes: NVML: Not Supported"] if name.endswith("RunningProcesses") else []
    assert use["unchecked"] == processes
    assert use["utilization_pct"] == 40
    assert driver.ask("", live_samples) == 0


def test_what_could_not_be_checked(driver: StubbedProcess) -> None:
    """What could spoil the figures and was not to be seen is named."""
    scenario = "refuse=nvmlDeviceGetCurrentClocksEventReasons refuse=nvmlDeviceGetCurrentClocksThrottleReasons"
    use = seen(driver, f"{scenario} fail=nvmlDeviceGetMigMode:999")
    assert use["unchecked"] == ["MIG: NVML: Unknown Error", "throttling: NVML: Not Supported"]


def test_no_utilization_at_all(driver: StubbedProcess) -> None:
    """Where neither samples nor rates are given, utilization is null with the reason, never 0."""
    use = seen(driver, "refuse=nvmlDeviceGetSamples refuse=nvmlDeviceGetUtilizationRates")
    assert use["utilization_pct"] is None
    assert because(use)["utilization_pct"] == "NVML: Not Supported"
    use = seen(driver, "samples_junk=1 refuse=nvmlDeviceGetUtilizationRates")
    assert because(use)["utilization_pct"] == "NVML: Not Supported"
    assert seen(driver, "samples_junk=1")["utilization_pct"] == 40


def test_counters_that_are_no_numbers(driver: StubbedProcess) -> None:
    """NaN from the counters is null."""
    assert because(seen(driver, "gpm_nan=1"))["sm_utilization_pct"] == "the driver gave no value"


@pytest.mark.parametrize("scenario", ["samples_end=0.1", "samples_wrap=1"])
def test_samples_that_stop(driver: StubbedProcess, scenario: str) -> None:
    """Samples that end, or whose times jump back, leave a hole, and the hole is named."""
    use = seen(driver, scenario, seconds=1.0, max_gap_s=0.4)
    assert not use["valid"]
    assert any("the driver gave no utilization for" in each for each in use["reasons"]), use["reasons"]


def test_energy_that_runs_backwards(driver: StubbedProcess) -> None:
    """A counter that fell gives no energy, rather than a negative or a huge one."""
    use = seen(driver, "energy_wraps=0.2")
    assert use["energy_j"] is use["power_w"] is None
    assert because(use)["energy_j"] == "the driver's energy counter ran backwards"


@pytest.mark.parametrize(
    ("scenario", "uuid", "reason"),
    [
        ("init=9", UUID, "NVML: Driver Not Loaded"),
        ("init=1", UUID, "NVML: Uninitialized"),
        ("", "GPU-99999999-0000-0000-0000-000000000000", "NVML: Not Found"),
    ],
)
def test_no_driver(driver: StubbedProcess, scenario: str, uuid: str, reason: str) -> None:
    """Without a driver that works, or with a UUID it doesn't know: torch's peak memory alone, and the reason."""
    only_torch_s(seen(driver, scenario, uuid=uuid), reason)


def only_torch_s(use: dict[str, Any], reason: str) -> None:
    """The record has torch's figure, no other, and the reason."""
    assert (use["valid"], use["reasons"], use["memory_peak_training_bytes"]) == (False, [reason], 2_000)
    assert because(use) == dict.fromkeys(DRIVER_FIGURES, reason)


def test_no_library(tmp_path: Path) -> None:
    """Without the library there is torch's peak memory alone, and the reason."""
    with StubbedProcess(tmp_path) as process:
        only_torch_s(seen(process, ""), "NVML: NVML Shared Library Not Found")


def facts() -> list[Any]:
    """In the child: what the driver says of each GPU."""
    from dataclasses import astuple

    from nets.machine import nvml

    return [astuple(nvml.NvmlDevice(uuid).facts()) for uuid in nvml.gpu_uuids()]


def test_facts(driver: StubbedProcess) -> None:
    """Name, memory, compute capability, driver and MIG of each GPU by its own UUID."""
    first, *_, last = driver.ask("gpus=4 mig=1", facts)
    assert first == [UUID, "Stub H100", 80 * 2**30, "9.0", "999.1", True]
    assert last[0].endswith("3")
    assert driver.ask("refuse=nvmlDeviceGetMigMode", facts)[0][-1] is False


def test_what_starts_the_driver_may_fail_in_any_way() -> None:
    """Whatever is raised while the driver is started means that there is none, and is not taken for one that hangs."""

    def fail() -> None:
        raise OSError("libnvidia-ml.so.1: invalid ELF header")

    with pytest.raises(NoDriver, match=r"OSError: libnvidia-ml\.so\.1: invalid ELF header"):
        with_patience(fail)
