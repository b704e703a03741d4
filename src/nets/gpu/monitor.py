"""Watches one GPU while a block runs: a thread that asks `nets.machine.nvml` twice a second.

Every call to the driver is made by that thread, so that a driver that hangs can't hang the cell: the thread has ten
seconds to begin and ten to end, then it is abandoned, and the record says so.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from nets.gpu.window import COUNTERS, ENOUGH_SAMPLES, ENOUGH_TICKS, Window, too_short
from nets.machine.nvml import PATIENCE_S, Counters, NoDriver, NvmlRefused, with_patience
from nets.machine.nvml import NvmlDevice as Driver
from nets.records.cell import Device

POLL_S = 0.5
TICK_S = 0.02
"""How often a soak looks at the energy counter, to see when it moves."""
IDLE_PEERS = "NETS_IDLE_PEERS"
"""Names the variable with the number of other processes that hold the GPU and wait: the other child of `nets ab`."""
T = TypeVar("T")


class GpuMonitor:
    """Watches the GPU with a UUID over the timed regions of a cell, and over its soak.

    Without NVML, or where the driver doesn't know the UUID, a window has the reason alone. `idle_peers`: other
    processes that hold the GPU and are known to wait. `patience_s`: how long the driver may take to answer.
    """

    def __init__(
        self, uuid: str, *, poll_s: float = POLL_S, idle_peers: int = 0, patience_s: float = PATIENCE_S
    ) -> None:
        self.timed: list[Window] = []
        self._poll_s = poll_s
        self._idle_peers = idle_peers
        self._patience_s = patience_s
        self._driver: Driver | None = None
        self._no_driver_because = ""

        def started() -> Driver:
            driver = Driver(uuid)
            driver.wake()
            return driver

        try:
            self._driver = with_patience(started, patience_s)
        except (NoDriver, NvmlRefused) as error:
            self._no_driver_because = f"NVML: {error}"

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch during the block, and add the window to the timed ones."""
        with self._watched(self.timed):
            yield

    @contextmanager
    def soak(self, into: list[Window]) -> Iterator[Callable[[], bool]]:
        """Watch during the block, and add the window to `into`; what is given says whether it has lasted enough."""
        with self._watched(into, TICK_S) as watcher:
            yield lambda: watcher is not None and watcher.has_enough

    @contextmanager
    def _watched(self, into: list[Window], tick_s: float | None = None) -> Iterator[_Watcher | None]:
        watcher = None
        if self._driver is not None:
            watcher = _Watcher(self._driver, self._poll_s, tick_s, self._idle_peers, self._patience_s)
        started = time.perf_counter()
        try:
            yield watcher
        finally:
            seconds = time.perf_counter() - started
            window = watcher.end() if watcher is not None else Window.unmeasured(self._no_driver_because)
            if watcher is not None and watcher.abandoned:
                self._driver, self._no_driver_because = None, watcher.no_answer
            window.seconds = seconds
            into.append(window)

    def needs_soak(self) -> bool:
        """Whether there is a driver, and the timed regions are too short for it."""
        return self._driver is not None and too_short(self.timed)


class _GpuLost(Exception):
    """The GPU no longer answers."""


class _Watcher:
    """The thread that fills one window, begun when this is made; `abandoned`: it did not answer in time.

    With `tick_s` it looks at the energy counter so often, and at the driver's samples as often.
    """

    def __init__(self, driver: Driver, poll_s: float, tick_s: float | None, idle_peers: int, patience_s: float) -> None:
        self._driver = driver
        self._poll_s = poll_s
        self._tick_s = tick_s
        self._idle_peers = idle_peers
        self._patience_s = patience_s
        self.no_answer = f"the driver did not answer for {patience_s:g} s"
        self._window = Window()
        self._polled: list[tuple[float, float]] = []
        self._processes: list[frozenset[int]] = []
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nets-gpu", daemon=True)
        self._thread.start()
        self.abandoned = not self._ready.wait(patience_s)

    @property
    def has_enough(self) -> bool:
        """Whether the driver has given as much as a soak waits for, or won't."""
        return self._window.enough

    def end(self) -> Window:
        """Stop, wait for the last readings, and return the window; an empty one if the thread was abandoned."""
        self._stop.set()
        if not self.abandoned:
            self._thread.join(self._patience_s)
            self.abandoned = self._thread.is_alive()
        return Window.unmeasured(self.no_answer) if self.abandoned else self._window

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
            next_poll = self._began + self._poll_s
            while not self._stop.wait(min(self._tick_s or self._poll_s, max(0.0, next_poll - time.time()))):
                if self._tick_s is not None:
                    self._look_for_ticks(energy_j)
                if time.time() >= next_poll:
                    next_poll += self._poll_s
                    self._poll()
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

    def _look_for_ticks(self, at_first_j: float | None) -> None:
        """Note when the energy counter moved, and the driver's samples, until there is enough of both."""
        window = self._window
        joules = None if at_first_j is None else self._ask(self._driver.energy_j, ["power_w"])
        if joules is not None and joules > (window.ticks[-1][1] if window.ticks else at_first_j or 0.0):
            window.ticks.append((time.time() - self._began, joules))
        self._take_samples()
        has_ticks = len(window.ticks) >= ENOUGH_TICKS or "power_w" in window.refused
        window.enough |= has_ticks and len(window.samples) >= ENOUGH_SAMPLES

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
        """Take the driver's own samples; as long as there are none, its latest figure."""
        self._take_samples()
        if not self._window.samples:
            pct = self._ask(self._driver.utilization_pct, ["utilization_pct"])
            if pct is not None:
                self._polled.append((time.time() - self._began, pct))

    def _take_samples(self) -> None:
        try:
            for sample in self._driver.samples(self._since_us):
                self._since_us = sample.at_us
                self._window.samples.append((sample.at_us / 1e6 - self._began, sample.pct))
        except NvmlRefused as refused:
            if refused.lost:
                raise _GpuLost(str(refused)) from None

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
        window.samples = window.samples or self._polled
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


def monitor_of(device: Device) -> GpuMonitor | None:
    """A monitor for a torch device's GPU; None for a CPU."""
    if device.type != "cuda" or device.uuid is None:
        return None
    return GpuMonitor(device.uuid, idle_peers=int(os.environ.get(IDLE_PEERS, "0")))
