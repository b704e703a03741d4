"""The machine a result was measured on: OpenMP's settings, versions, names, and who else is using the CPU."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nets.errors import NetsError

if TYPE_CHECKING:
    import torch

    from nets.records.cell import Device

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


def versions() -> dict[str, str | None]:
    """Versions of what decides a figure: Python, nets, torch, torchvision, NumPy; None where it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("nets", "torch", "torchvision", "numpy", "scikit-learn", "pytest", "pytest-benchmark", "nvidia-ml-py"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


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


def free_bytes(device: torch.device) -> int:
    """Memory that can be had on `device`: of a CPU, what the system can give without swapping."""
    if device.type == "cuda":
        import torch

        # what torch holds without using it can be had, too
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    import psutil

    return int(psutil.virtual_memory().available)


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


THREADED_BATCH = 32
"""From this batch size on a step is worth sharing out among threads (docs/performance.md)."""


def threads(batch_size: int) -> int:
    """Torch's threads for the resident pipeline on a CPU: all cores for large batches, one for small ones."""
    return len(cores()) if batch_size >= THREADED_BATCH else 1


@contextmanager
def threaded(device: torch.device, n: int) -> Iterator[None]:
    """Use `n` threads on a CPU, and the caller's number again after it."""
    import torch

    if device.type != "cpu":
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class DeviceError(NetsError):
    """A device that was asked for and does not work here; the message says why."""


def choose_device(wanted: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> a device that works. Raises DeviceError."""
    import torch

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", wanted):
        raise DeviceError(f"unknown device {wanted!r}; known: auto, cpu, cuda, cuda:N")
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    # a count of devices proves nothing: with a broken driver it can be positive
    if not torch.cuda.is_available():
        raise DeviceError(f"--device {wanted}: no GPU works here: {no_gpu_because()}")
    device = torch.device("cuda", int(wanted.partition(":")[2] or 0))
    if device.index >= torch.cuda.device_count():
        raise DeviceError(f"--device {wanted}: there is no such GPU; found {torch.cuda.device_count()}, from cuda:0 on")
    return device


def no_gpu_because() -> str:
    """Why torch has no GPU to run on."""
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).partition(". ")[0].strip()
    return "torch.cuda.is_available() is False"


def device_facts(device: torch.device) -> Device:
    """What `device` is, as CUDA and the driver say."""
    from nets.records.cell import Device

    if device.type == "cpu":
        return Device(type="cpu", name=cpu_name())
    import torch

    from nets import gpu

    properties = torch.cuda.get_device_properties(device)
    uuid, driver, mig = f"GPU-{properties.uuid}", None, None
    with suppress(gpu.NoDriver, gpu.Refused):
        facts = gpu.patiently(lambda: gpu.Gpu(uuid).facts())
        uuid, driver, mig = facts.uuid, facts.driver, facts.mig
    return Device(
        type="cuda",
        name=properties.name,
        uuid=uuid,
        memory_total_bytes=properties.total_memory,
        compute_capability=f"{properties.major}.{properties.minor}",
        n_sms=properties.multi_processor_count,
        driver=driver,
        mig=mig,
    )


def _cudnn(device: Device) -> int | None:
    """CuDNN's version; None where asking would start CUDA beside xdist's workers, whose device has no UUID here."""
    import torch

    if device.type == "cpu" or device.uuid is None:
        return None
    version: int | None = None
    with suppress(RuntimeError):  # of a version that does not know the GPU
        version = torch.backends.cudnn.version()
    return version


def facts(device: Device) -> dict[str, object]:
    """What `machine_info` says of a run: versions, device, CUDA, cuDNN, cores."""
    import torch

    return {
        "versions": {**versions(), "torch": torch.__version__},
        "cuda": torch.version.cuda,
        "cudnn": _cudnn(device),
        "device": device.model_dump(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "wait_policy": wait_policy(),
    }


@contextmanager
def preserved_rng(device: torch.device) -> Iterator[None]:
    """Leave torch's default generators as they were."""
    import torch

    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
