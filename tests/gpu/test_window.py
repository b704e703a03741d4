"""Windows of time -> what a record says of the GPU."""

from __future__ import annotations

import pytest

from nets.gpu.window import Window, gpu_record


def test_what_is_summed() -> None:
    """Two timed windows: means weighted by their lengths, energy a round, power over both, peaks over all."""
    first = Window(seconds=4.0, energy_j=200.0, memory_used_bytes=[7, 9], sm_clock_mhz=[1_000])
    first.samples = [(0.5, 90.0), *[(i / 2, 50.0) for i in range(2, 9)]]
    second = Window(seconds=8.0, energy_j=1_000.0, memory_used_bytes=[8], sm_clock_mhz=[1_300])
    second.samples = [(i / 2, 80.0) for i in range(1, 17)]
    gpu = gpu_record([first, second])
    assert gpu.valid
    assert gpu.utilization_pct == pytest.approx((4 * 50 + 8 * 80) / 12)  # the first sample reaches back before
    assert (gpu.energy_j, gpu.power_w) == (600.0, 100.0)
    assert (gpu.memory_used_peak_bytes, gpu.sm_clock_mhz) == (9, 1_150)
    assert gpu.window_s == 12.0
    soaked = gpu_record([first, second], Window(seconds=4.0, memory_used_bytes=[99]), 7, training_peak_bytes=5)
    assert (soaked.memory_peak_training_bytes, soaked.memory_used_peak_bytes) == (5, 9)  # the cell's, not the soak's
    second.spoilt.add("another process is on the GPU")
    assert gpu_record([first, second], Window(seconds=4.0), 7).reasons == ("another process is on the GPU",)
    second.spoilt.clear()
    second.energy_j = None
    assert gpu_record([first, second]).energy_j is None
    second.samples = [sample for sample in second.samples if not 2 < sample[0] < 5]
    assert gpu_record([first, second]).reasons == ("the driver gave no utilization for 3.0 s",)
