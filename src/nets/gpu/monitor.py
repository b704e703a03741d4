"""Watches one GPU while a block runs: a thread that asks `nets.machine.nvml` twice a second.

Every call to the driver is made by that thread, so that a driver that hangs can't hang the cell: it is given a second
to begin and a second to end, then it is left behind, and the record says so.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
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
"""How many other processes hold the GPU and wait while this one measures: the other side of `nets ab`."""
T = TypeVar("T")


class GpuMonitor:
    """Watches the GPU with a UUID over the timed regions of a cell, and over its soak.

    Without NVML, or where the driver doesn't know the UUID, torch's peak memory is all that is measured, and the record
    says why. `peak_memory` and `reset_peak_memory` are torch's. `idle_peers`: other processes that hold the GPU and are
    known to wait meanwhile.
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
        """Watch from here to the end of the block; the window is added to `into`, else to the timed ones."""
        if self._reset_peak_memory is not None:
            self._reset_peak_memory()
        watcher = _Watcher(self._driver, self._poll_s, self._idle_peers) if self._driver is not None else None
        if watcher is not None:
            watcher.begin()
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            window = watcher.end() if watcher is not None else Window.unseen(self._no_driver_because)
            if watcher is not None and watcher.left_behind:
                self._driver, self._no_driver_because = None, _NO_ANSWER
            window.seconds = seconds
            (self.timed if into is None else into).append(window)
            if self._peak_memory is not None:
                window.memory_peak_bytes = self._peak_memory()

    def needs_soak(self) -> bool:
        """Whether the timed regions are too short for a driver that answers."""
        return self._driver is not None and too_short(self.timed)

    def use(self, soak: Window | None = None, n_steps: int | None = None, *, no_soak_because: str | None = None) -> Gpu:
        """What was seen, summed up."""
        return gpu_record(self.timed, soak, n_steps, no_soak_because=no_soak_because)


_NO_ANSWER = f"the driver did not answer for {PATIENCE_S:g} s"


class _Lost(Exception):
    """The GPU answers nothing any more."""


class _Watcher:
    """The thread of one window, which it fills; `end` hands it out."""

    def __init__(self, driver: Driver, poll_s: float, idle_peers: int) -> None:
        self._idle_peers = idle_peers
        self.left_behind = False
        self._driver = driver
        self._poll_s = poll_s
        self._window = Window()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nets-gpu", daemon=True)
        self._processes: list[frozenset[int]] = []

    def begin(self) -> None:
        """Start, and wait for the first readings."""
        self._thread.start()
        self.left_behind = not self._ready.wait(PATIENCE_S)

    def end(self) -> Window:
        """Stop, wait for the last readings, and give the window; an empty one from a thread that was left behind."""
        self._stop.set()
        if not self.left_behind:
            self._thread.join(PATIENCE_S)
            self.left_behind = self._thread.is_alive()
        if self.left_behind:
            return Window.unseen(_NO_ANSWER)
        return self._window

    def _run(self) -> None:
        counters: Counters | None = None
        try:
            if self._checked("MIG", self._driver.mig):
                self._window.spoilt.add("MIG is on: the driver's figures are those of the whole GPU")
            counters = self._asked(COUNTERS, self._driver.counters)
            self._look_at_processes()
            self._began = time.time()
            self._since_us = int(self._began * 1e6)
            energy_j = self._asked(("power_w",), self._driver.energy_j)
            self._ready.set()
            stopped = False
            while not stopped:
                stopped = self._stop.wait(self._poll_s)
                self._look()
            self._end(energy_j, counters)
        except _Lost as error:
            self._window.spoilt.add(str(error))
        except Exception as error:  # whatever it is, the figures are not whole
            self._window.spoilt.add(f"the monitor failed: {error!r}")
        finally:
            self._ready.set()
            if counters is not None:
                counters.close()

    def _look(self) -> None:
        """One poll."""
        window, driver = self._window, self._driver
        self._look_at_utilization()
        if (used := self._asked(("memory_used_peak_bytes",), driver.memory_used_bytes)) is not None:
            window.memory_used_bytes.append(used)
        if (clock := self._asked(("sm_clock_mhz",), driver.sm_clock_mhz)) is not None:
            window.sm_clock_mhz.append(clock)
        for reason in self._checked("throttling", driver.throttled) or ():
            window.spoilt.add(f"the GPU's clocks were slowed: {reason}")
        self._look_at_processes()

    def _look_at_utilization(self) -> None:
        """The driver's own samples; where there are none on this GPU, its latest figure."""
        try:
            for sample in self._driver.samples(self._since_us):
                self._since_us = sample.at_us
                self._window.samples.append((sample.at_us / 1e6 - self._began, sample.pct))
        except NvmlRefused as refused:
            if refused.lost:
                raise _Lost(str(refused)) from None
            if (pct := self._asked(("utilization_pct",), self._driver.utilization_pct)) is not None:
                self._window.samples.append((time.time() - self._began, pct))

    def _look_at_processes(self) -> None:
        found = self._checked("other processes", self._driver.processes)
        if found is None:
            return
        window = self._window
        self._processes.append(found)
        window.n_processes = max(len(found), window.n_processes or 0)
        # by number: in a container the ids are not ours
        if len(found) > 1 + self._idle_peers:
            window.spoilt.add("another process is on the GPU")
        elif found != self._processes[0]:
            window.spoilt.add("another process came to the GPU or left it")

    def _end(self, energy_j: float | None, counters: Counters | None) -> None:
        window = self._window
        after_j = self._asked(("power_w",), self._driver.energy_j)
        if energy_j is not None and after_j is not None:
            if after_j > energy_j:
                window.energy_j = after_j - energy_j
            else:
                how = "stood still" if after_j == energy_j else "ran backwards"
                window.refused["power_w"] = f"the driver's energy counter {how}"
        if counters is not None:
            window.counters = self._asked(COUNTERS, counters.read) or {}

    def _checked(self, what: str, call: Callable[[], T]) -> T | None:
        """The driver's answer to what could spoil the figures; None where it refuses, noted as unchecked."""
        try:
            return call()
        except NvmlRefused as refused:
            if refused.lost:
                raise _Lost(str(refused)) from None
            self._window.unchecked.add(f"{what}: NVML: {refused}")
            return None

    def _asked(self, figures: tuple[str, ...], call: Callable[[], T]) -> T | None:
        """The driver's answer; None where it refuses, noted for the figures that want it."""
        try:
            return call()
        except NvmlRefused as refused:
            if refused.lost:
                raise _Lost(str(refused)) from None
            self._window.refused |= dict.fromkeys(figures, f"NVML: {refused}")
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
