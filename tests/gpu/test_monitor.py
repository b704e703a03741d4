"""The GPU monitor over real nvidia-ml-py and a stub driver: what is measured, what is null, what is not fit."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nets.gpu.monitor import GpuMonitor
from nets.gpu.window import MAX_GAP_S, Window, gpu_record
from nets.machine.nvml import PATIENCE_S, NoDriver, with_patience
from nets.records.gpu import DRIVER_FIGURES
from tests.support.stub_driver import StubbedProcess

UUID = "GPU-00000000-0000-0000-0000-000000000000"


def watched(
    uuid: str = UUID,
    seconds: float = 0.25,
    n_windows: int = 1,
    soak_s: float = 0,
    patience_s: float = 5.0,
    min_window_s: float = 0.2,
    max_gap_s: float = MAX_GAP_S,
) -> dict[str, Any]:
    """In the child: watch some stretches, and say what came of it, with a window and a poll short enough for a test."""
    started = time.perf_counter()
    monitor = GpuMonitor(uuid, poll_s=0.02, patience_s=patience_s)
    start_s = time.perf_counter() - started
    took_s = []
    for _ in range(n_windows):
        started = time.perf_counter()
        with monitor.watch():
            time.sleep(seconds)
        took_s.append(time.perf_counter() - started - seconds)
    soaked: list[Window] = []
    if soak_s:
        with monitor.soak(soaked) as has_enough:
            until = time.perf_counter() + soak_s
            while time.perf_counter() < until and not has_enough():
                time.sleep(0.005)
    use = gpu_record(
        monitor.timed, soaked[0] if soaked else None, 100 if soaked else None,
        min_window_s=min_window_s, max_gap_s=max_gap_s, training_peak_bytes=2_000, evaluation_peak_bytes=3_000,
    )  # fmt: skip
    return {
        "start_s": start_s,
        "n_samples": [len(window.samples) for window in soaked],
        "n_ticks": [len(window.ticks) for window in soaked],
        "use": use.model_dump(),
        "took_s": took_s,
        "threads": [thread.name for thread in threading.enumerate() if thread.name == "nets-gpu"],
    }


def live_samples() -> int:
    """In the child: GPM samples that were never freed."""
    return int(ctypes.CDLL("libnvidia-ml.so.1").nvml_stub_live_samples())


@pytest.fixture(scope="module")
def driver(stub_driver: Path) -> Iterator[StubbedProcess]:
    """A process with the stub driver."""
    with StubbedProcess(stub_driver) as process:
        yield process


def seen(driver: StubbedProcess, scenario: str, **arguments: Any) -> dict[str, Any]:
    """The record under a scenario; no thread is left."""
    answer = driver.ask(scenario, watched, **arguments)
    assert answer["threads"] == []
    use: dict[str, Any] = answer["use"]
    return use


def because(use: dict[str, Any]) -> dict[str, str]:
    """Each missing figure's reason."""
    return {each["figure"]: each["because"] for each in use["missing"]}


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


def test_a_soak(driver: StubbedProcess) -> None:
    """A soak ends when the driver gave six samples, a Hopper's five a second, and its energy ticked three times.

    Its figures stand in the record, with joules a step. The mean power is that between ticks, which a window of a
    second that begins and ends anywhere would miss by up to a tenth.
    """
    answer = driver.ask("sample_every=0.2 energy_tick=0.1", watched, seconds=0.05, soak_s=3.0, min_window_s=3.0)
    use = answer["use"]
    assert (use["window"], use["n_steps"], use["valid"]) == ("soak", 100, True), use["reasons"]
    assert 1.0 < use["window_s"] < 2.0
    assert answer["n_samples"][0] >= 6
    assert answer["n_ticks"][0] >= 3
    assert use["utilization_pct"] == 40
    assert use["power_w"] == pytest.approx(100, rel=0.06)
    assert use["energy_per_step_j"] == pytest.approx(use["power_w"] * use["window_s"] / 100)
    assert because(use) == {"energy_j": "a round is too short for the driver: see energy_per_step_j"}


@pytest.mark.parametrize("scenario", ["samples_none=1", "samples=0", "energy_tick=10"])
def test_a_soak_that_never_has_enough(driver: StubbedProcess, scenario: str) -> None:
    """Without the driver's own samples, or with an energy that doesn't move, a soak takes all the time it is given."""
    answer = driver.ask(scenario, watched, seconds=0.05, soak_s=0.4, min_window_s=0.3)
    assert answer["use"]["window_s"] >= 0.4
    assert answer["use"]["utilization_pct"] == 40


def test_a_soak_without_an_energy_counter(driver: StubbedProcess) -> None:
    """Where the driver refuses energy, six samples are enough."""
    answer = driver.ask("energy=0 sample_every=0.05", watched, seconds=0.05, soak_s=5.0, min_window_s=3.0)
    assert answer["use"]["window_s"] < 2.0
    assert answer["use"]["valid"]
    assert answer["use"]["energy_per_step_j"] is None


def test_samples_are_never_found(driver: StubbedProcess) -> None:
    """A driver that answers every request for samples with "not found" is polled for its latest figure instead."""
    use = seen(driver, "samples_none=1")
    assert use["valid"]
    assert use["utilization_pct"] == 40


@pytest.mark.parametrize(
    "name",
    [
        "nvmlInit",
        "nvmlDeviceGetMigMode",
        "nvmlGpmSampleGet",
        "nvmlGpmMetricsGet",
        "nvmlDeviceGetSamples",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetComputeRunningProcesses",
    ],
)
def test_a_first_call_that_takes_long(driver: StubbedProcess, name: str) -> None:
    """A driver whose first answer takes longer than all the rest of the window costs no figure."""
    answer = driver.ask(f"first={name}:0.4", watched)
    assert answer["start_s"] > 0.35
    assert max(answer["took_s"]) < 0.35
    assert answer["use"]["valid"], answer["use"]["reasons"]
    assert because(answer["use"]).keys() == {"energy_per_step_j"}


def test_the_driver_has_ten_seconds_to_begin() -> None:
    """A driver whose first answer takes three seconds is waited for."""
    assert PATIENCE_S > 3 * 3


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


@pytest.mark.parametrize(
    "name",
    [
        "nvmlInit",
        "nvmlDeviceGetHandleByUUID",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetSamples",
        "nvmlGpmSampleGet",
    ],
)
def test_a_driver_that_hangs(stub_driver: Path, name: str) -> None:
    """A driver that doesn't answer costs a cell the time that it is waited for, and the record says so."""
    with StubbedProcess(stub_driver) as process:
        answer = process.ask(f"hang={name}:0.8", watched, seconds=0.05, patience_s=0.2)
    assert answer["start_s"] + max(answer["took_s"]) < 0.7
    assert not answer["use"]["valid"]
    assert any("the driver did not answer for 0.2 s" in reason for reason in answer["use"]["reasons"])


@pytest.mark.parametrize("name", ["nvmlDeviceGetSamples", "nvmlDeviceGetTotalEnergyConsumption"])
def test_a_driver_that_hangs_later(stub_driver: Path, name: str) -> None:
    """One that stops answering while a round is watched is left behind at its end, and not asked in the next."""
    with StubbedProcess(stub_driver) as process:
        answer = process.ask(f"later={name}:0.8", watched, seconds=0.2, n_windows=2, patience_s=0.3)
    assert 0.2 < answer["took_s"][0] < 0.7
    assert answer["took_s"][1] < 0.1
    assert answer["use"]["reasons"] == ["the driver did not answer for 0.3 s"]


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
