"""How long the monitor waits for a driver: a soak until it has enough, slow answers, and a driver that hangs."""

from __future__ import annotations

from pathlib import Path

import pytest

from nets.machine.nvml import PATIENCE_S
from tests.support.stub_driver import StubbedProcess
from tests.support.watching import because, seen, watched


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


def test_a_first_call_of_three_seconds(driver: StubbedProcess) -> None:
    """With the suite's own patience a driver that first takes three seconds is waited for, and costs no figure."""
    answer = driver.ask("first=nvmlDeviceGetSamples:3", watched, patience_s=PATIENCE_S)
    assert answer["start_s"] > 2.9
    assert answer["use"]["valid"], answer["use"]["reasons"]
    assert because(answer["use"]).keys() == {"energy_per_step_j"}


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
