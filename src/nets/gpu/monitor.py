"""Watches one GPU while a block runs: a thread that asks `nets.machine.nvml` twice a second.

Every call to the driver is made by that thread, so that a driver that hangs can't hang the cell: the thread has a
second to begin and a second to end, then it is abandoned, and the record says so.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from nets.gpu.window import COUNTERS, Window, gpu_record, too_short
from nets.machine.nvml import PATIENCE_TO_START_S, Counters, NoDriver, NvmlRefused, with_patience
from nets.machine.nvml import NvmlDevice as Driver
from nets.records.cell import Device
from nets.records.gpu import Gpu

POLL_S = 0.5
PATIENCE_S = 1.0
IDLE_PEERS = "NETS_IDLE_PEERS"
"""Names the variable with the number of other processes that hold the GPU and wait: the other child of `nets ab`."""
T = TypeVar("T")


class GpuMonitor:
    """Watches the GPU with a UUID over the timed regions of a cell, and over its soak.

    Without NVML, or where the driver doesn't know the UUID, only torch's peak memory is measured, and the record says
    why. `peak_memory` and `reset_peak_memory` are torch's. `idle_peers`: other processes that hold the GPU and are
    known to wait.
    """

    def __init__(
        self,
        uuid: str,
        *,
        peak_memory: Callable[[], int] | None = None,
        reset_peak_memory: Callable[[], None] | None = None,
        poll_s: float = POLL_S,
        idle_peers: int = 0,
        patience_to_start_s: float = PATIENCE_TO_START_S,
    ) -> None:
        self.timed: list[Window] = []
        self._peak_memory = peak_memory
        self._reset_peak_memory = reset_peak_memory
        self._poll_s = poll_s
        self._idle_peers = idle_peers
        self._driver: Driver | None = None
        self._no_driver_because = ""
        try:
            self._driver = with_patience(lambda: Driver(uuid), patience_to_start_s)
        except (NoDriver, NvmlRefused) as error:
            self._no_driver_because = f"NVML: {error}"

    @contextmanager
    def watch(self, into: list[Window] | None = None) -> Iterator[None]:
        """Watch during the block, and add the window to `into`, or to the timed windows."""
        if self._reset_peak_memory is not None:
            self._reset_peak_memory()
        watcher = _Watcher(self._driver, self._poll_s, self._idle_peers) if self._driver is not None else None
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            window = watcher.end() if watcher is not None else Window.unmeasured(self._no_driver_because)
            if watcher is not None and watcher.abandoned:
                self._driver, self._no_driver_because = None, _NO_ANSWER
            window.seconds = seconds
            (self.timed if into is None else into).append(window)
            if self._peak_memory is not None:
                window.memory_peak_bytes = self._peak_memory()

    def needs_soak(self) -> bool:
        """Whether there is a driver, and the timed regions are too short for it."""
        return self._driver is not None and too_short(self.timed)

    def use(self, soak: Window | None = None, n_steps: int | None = None, *, no_soak_because: str | None = None) -> Gpu:
        """The record of all windows."""
        return gpu_record(self.timed, soak, n_steps, no_soak_because=no_soak_because)


_NO_ANSWER = f"the driver did not answer for {PATIENCE_S:g} s"


class _GpuLost(Exception):
    """The GPU no longer answers."""


class _Watcher:
    """The thread that fills one window, begun when this is made; `abandoned`: it did not answer in time."""

    def __init__(self, driver: Driver, poll_s: float, idle_peers: int) -> None:
        self._driver = driver
        self._poll_s = poll_s
        self._idle_peers = idle_peers
        self._window = Window()
        self._processes: list[frozenset[int]] = []
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nets-gpu", daemon=True)
        self._thread.start()
        self.abandoned = not self._ready.wait(PATIENCE_S)

    def end(self) -> Window:
        """Stop, wait for the last readings, and return the window; an empty one if the thread was abandoned."""
        self._stop.set()
        if not self.abandoned:
            self._thread.join(PATIENCE_S)
            self.abandoned = self._thread.is_alive()
        return Window.unmeasured(_NO_ANSWER) if self.abandoned else self._window

    def _run(self) -> None:
        counters: Counters | None = None
        try:
            if self._ask(self._driver.mig, check="MIG"):
                self._window.spoilt.add("MIG is on: the driver's figures are those of the whole GPU")
            counters = self._ask(self._driver.counters, COUNTERS)
            self._poll_processes()
            self._began = time.time()
            self._since_us = int(self._began * 1e6)
            energy_j = self._ask(self._driver.energy_j, ["power_w"])
            self._ready.set()
            stopped = False
            while not stopped:
                stopped = self._stop.wait(self._poll_s)
                self._poll()
            self._end(energy_j, counters)
        except _GpuLost as error:
            self._window.spoilt.add(str(error))
        except Exception as error:  # whatever it is, the figures are incomplete
            self._window.spoilt.add(f"the monitor failed: {error!r}")
        finally:
            self._ready.set()
            if counters is not None:
                counters.close()

    def _poll(self) -> None:
        window, driver = self._window, self._driver
        self._poll_utilization()
        if (used := self._ask(driver.memory_used_bytes, ["memory_used_peak_bytes"])) is not None:
            window.memory_used_bytes.append(used)
        if (clock := self._ask(driver.sm_clock_mhz, ["sm_clock_mhz"])) is not None:
            window.sm_clock_mhz.append(clock)
        for reason in self._ask(driver.throttled, check="throttling") or ():
            window.spoilt.add(f"the GPU's clocks were slowed: {reason}")
        self._poll_processes()

    def _poll_utilization(self) -> None:
        """Take the driver's own samples; where this GPU has none, its latest figure."""
        try:
            for sample in self._driver.samples(self._since_us):
                self._since_us = sample.at_us
                self._window.samples.append((sample.at_us / 1e6 - self._began, sample.pct))
        except NvmlRefused as refused:
            if refused.lost:
                raise _GpuLost(str(refused)) from None
            if (pct := self._ask(self._driver.utilization_pct, ["utilization_pct"])) is not None:
                self._window.samples.append((time.time() - self._began, pct))

    def _poll_processes(self) -> None:
        found = self._ask(self._driver.processes, check="other processes")
        if found is None:
            return
        window = self._window
        self._processes.append(found)
        window.n_processes = max(len(found), window.n_processes or 0)
        # by their number: in a container the driver lists other process ids
        if len(found) > 1 + self._idle_peers:
            window.spoilt.add("another process is on the GPU")
        elif found != self._processes[0]:
            window.spoilt.add("another process came to the GPU or left it")

    def _end(self, energy_j: float | None, counters: Counters | None) -> None:
        window = self._window
        after_j = self._ask(self._driver.energy_j, ["power_w"])
        if energy_j is not None and after_j is not None:
            if after_j > energy_j:
                window.energy_j = after_j - energy_j
            else:
                how = "stood still" if after_j == energy_j else "ran backwards"
                window.refused["power_w"] = f"the driver's energy counter {how}"
        if counters is not None:
            window.counters = self._ask(counters.read, COUNTERS) or {}

    def _ask(self, call: Callable[[], T], figures: Sequence[str] = (), *, check: str | None = None) -> T | None:
        """The driver's answer; None where it refuses, with the reason kept for the figures or the check."""
        try:
            return call()
        except NvmlRefused as refused:
            if refused.lost:
                raise _GpuLost(str(refused)) from None
            self._window.refused |= dict.fromkeys(figures, f"NVML: {refused}")
            if check is not None:
                self._window.unchecked.add(f"{check}: NVML: {refused}")
            return None


def monitor_of(device: Device, index: int | None) -> GpuMonitor | None:
    """A monitor for a torch device's GPU; None for a CPU."""
    if device.type != "cuda" or device.uuid is None:
        return None
    import torch

    return GpuMonitor(
        device.uuid,
        peak_memory=lambda: int(torch.cuda.max_memory_allocated(index)),
        reset_peak_memory=lambda: torch.cuda.reset_peak_memory_stats(index),
        idle_peers=int(os.environ.get(IDLE_PEERS, "0")),
    )
