"""A GPU that the monitor watches: a stub driver's, in a process of its own, under a scenario of nvml_stub.c."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Any

from nets.gpu.monitor import GpuMonitor
from nets.gpu.window import MAX_GAP_S, Window, gpu_record
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


def seen(driver: StubbedProcess, scenario: str, **arguments: Any) -> dict[str, Any]:
    """The record under a scenario; no thread is left."""
    answer = driver.ask(scenario, watched, **arguments)
    assert answer["threads"] == []
    use: dict[str, Any] = answer["use"]
    return use


def because(use: dict[str, Any]) -> dict[str, str]:
    """Each missing figure's reason."""
    return {each["figure"]: each["because"] for each in use["missing"]}
