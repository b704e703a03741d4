"""The CPU: its name, its cores, OpenMP's threads, and who else is using it."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_wait_policy = "unknown"
_set_here: frozenset[str] = frozenset()

SPINS = "4000"
"""Spins of a waiting OpenMP thread before it sleeps: some 10 µs, as long as it waits between two operations of a step.

Longer spinning is hardly faster, and ruinous beside another process (docs/performance.md).
"""


def choose_wait_policy() -> None:
    """Have OpenMP's threads spin for a moment, then sleep, unless the caller chose otherwise.

    It is read once, when libgomp is loaded, so this runs before torch's import.
    """
    global _wait_policy, _set_here
    asked = {name: os.environ[name].lower() for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ}
    if asked:
        _wait_policy = ", ".join(f"{name}={value}" for name, value in asked.items())
    elif "torch" in sys.modules:
        _wait_policy = "unknown: torch was imported before nets"
    else:
        os.environ["GOMP_SPINCOUNT"] = SPINS
        _set_here = frozenset({"GOMP_SPINCOUNT"})
        _wait_policy = f"GOMP_SPINCOUNT={SPINS}"


def callers_environment() -> dict[str, str]:
    """This process's environment without what `choose_wait_policy` put into it: a child may be another revision's."""
    return {name: value for name, value in os.environ.items() if name not in _set_here}


def wait_policy() -> str:
    """OpenMP's wait policy as this process runs under it: the variables that set it, or why it can't be told."""
    return _wait_policy


def cpu_name() -> str:
    """The CPU's model name as the operating system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True, slots=True)
class CpuUse:
    """CPU seconds so far: this process with its children, and all of the cores that it may use."""

    own_s: float
    machine_s: float | None

    def others_since(self, before: CpuUse) -> float | None:
        """CPU seconds that other processes used since `before`; None where the machine's total is not known."""
        if self.machine_s is None or before.machine_s is None:
            return None
        return max(0.0, (self.machine_s - before.machine_s) - (self.own_s - before.own_s))


def cpu_use() -> CpuUse:
    """Read the CPU clocks of this process and of its cores; what runs on other cores is no matter."""
    import psutil

    children = os.times()  # in ticks of 10 ms, where process_time has nanoseconds
    own_s = time.process_time() + children.children_user + children.children_system
    each = psutil.cpu_times(percpu=True)
    ours = [each[i] for i in cores() if i < len(each)] or each
    return CpuUse(own_s=own_s, machine_s=sum(_busy_s(core) for core in ours))


def _busy_s(core: Any) -> float:
    idle_s = core.idle + getattr(core, "iowait", 0.0) + getattr(core, "steal", 0.0)
    # guest time is counted in user and nice already (proc(5))
    guest_s = getattr(core, "guest", 0.0) + getattr(core, "guest_nice", 0.0)
    busy: float = sum(core) - idle_s - guest_s
    return busy


def cores() -> tuple[int, ...]:
    """The cores that this process may use, by number."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def shares(n_workers: int, of: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Deal the cores out in adjoining runs, no core twice; with more workers than cores each gets one, in turn."""
    if n_workers > len(of):
        return tuple((of[i % len(of)],) for i in range(n_workers))
    bounds = [i * len(of) // n_workers for i in range(n_workers + 1)]
    return tuple(tuple(of[bounds[i] : bounds[i + 1]]) for i in range(n_workers))


class RssPeak:
    """Peak resident memory since construction: the kernel's high-water mark, set back at the start.

    Linux only (`/proc/self/clear_refs`, see proc(5)); elsewhere `bytes()` is None and `missing_because` says why.
    """

    def __init__(self) -> None:
        self.missing_because: str | None = None
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError as error:
            self.missing_because = f"the kernel's high-water mark could not be set back: {error}"

    def bytes(self) -> int | None:
        """Bytes, or None with `missing_because`."""
        if self.missing_because is None:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
            self.missing_because = "/proc/self/status has no VmHWM"
        return None
