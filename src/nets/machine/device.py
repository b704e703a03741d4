"""The device that networks run on, as torch and the driver know it; versions; the random generators."""

from __future__ import annotations

import os
import pickle
import platform
import random
import re
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from nets.errors import NetsError
from nets.machine.cpu import cpu_name, wait_policy

if TYPE_CHECKING:
    import torch

    from nets.records.cell import Device


VISIBLE = "CUDA_VISIBLE_DEVICES"
DISTRIBUTION = "pytest-nets"
"""What the package `nets` is called where packages are installed from."""


def versions() -> dict[str, str | None]:
    """Versions of what decides a figure: Python, nets, torch, torchvision, NumPy; None where it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    others = ("torch", "torchvision", "numpy", "scikit-learn", "pytest", "pytest-benchmark", "nvidia-ml-py")
    for name in ("nets", *others):
        try:
            found[name] = version(DISTRIBUTION if name == "nets" else name)
        except PackageNotFoundError:
            found[name] = None
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has a type for the GPU's, while the CPU's allocator raises a plain RuntimeError."""
    import torch

    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def free_bytes(device: torch.device) -> int:
    """Memory that can be had on `device`: of a CPU, what the system can give without swapping."""
    if device.type == "cuda":
        import torch

        # what torch holds without using it can be had, too
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    import psutil

    return int(psutil.virtual_memory().available)


class PeakMemory:
    """Torch's peak of the memory that it allocated on a GPU, since it was begun or last read; nothing on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def begin(self) -> None:
        """Count from now on."""
        if self._device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)

    def read(self) -> tuple[int, ...]:
        """The peak in bytes, and begin anew; empty on a CPU."""
        if self._device.type != "cuda":
            return ()
        import torch

        peak = int(torch.cuda.max_memory_allocated(self._device))
        self.begin()
        return (peak,)


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
    """Why torch has no GPU to run on, where it has none: where it has, to ask would start CUDA."""
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA"
    visible = os.environ.get(VISIBLE)
    limits = "" if visible is None else f" ({VISIBLE} is {visible!r})"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).partition(". ")[0].strip() + limits
    return f"torch.cuda.is_available() is False{limits}"


def device_facts(device: torch.device) -> Device:
    """What `device` is, as CUDA and the driver say."""
    from nets.records.cell import Device

    if device.type == "cpu":
        return Device(type="cpu", name=cpu_name())
    import torch

    from nets.machine import nvml

    properties = torch.cuda.get_device_properties(device)
    uuid, driver, mig = f"GPU-{properties.uuid}", None, None
    with suppress(nvml.NoDriver, nvml.NvmlRefused):
        facts = nvml.with_patience(lambda: nvml.NvmlDevice(uuid).facts())
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


def tf32_in_force(device: Device, precisions: tuple[str, str] | None = None) -> tuple[bool, bool] | None:
    """Whether float32 matrix products, and convolutions, may round to TF32 on a GPU; None on a CPU.

    By torch's settings, as they are or as they were (`precisions`, of products and of convolutions);
    NVIDIA_TF32_OVERRIDE, which its libraries obey; and the GPU: there is no TF32 before Ampere.
    """
    if device.type == "cpu":
        return None
    from nets.machine.settings import in_force

    old = device.compute_capability is not None and float(device.compute_capability) < 8
    if old or os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return False, False
    products, convolutions = precisions or in_force().float32
    return products == "tf32", convolutions == "tf32"


def _cudnn(device: Device) -> int | None:
    """CuDNN's version; None where asking would start CUDA beside xdist's workers, whose device has no UUID here."""
    import torch

    if device.type == "cpu" or device.uuid is None:
        return None
    version: int | None = None
    with suppress(RuntimeError):  # of a version that does not know the GPU
        version = torch.backends.cudnn.version()
    return version


def machine_facts(device: Device, at_start: Mapping[str, str | None]) -> dict[str, object]:
    """What `machine_info` says of a run: device, CUDA, cuDNN, cores, and the versions, which are those at its start."""
    import torch

    return {
        "versions": {**at_start, "torch": torch.__version__},
        "cuda": torch.version.cuda,
        "cudnn": _cudnn(device),
        "device": device.model_dump(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "wait_policy": wait_policy(),
    }


def seed_generators(seed: int) -> None:
    """Seed the generators that everything draws from: torch's default ones, Python's and NumPy's."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def generator_states(device: torch.device) -> tuple[Hashable, ...]:
    """The state of each of them, torch's of the CPU and of `device`, to be compared with one taken before."""
    import numpy as np
    import torch

    found: list[Hashable] = [torch.get_rng_state().numpy().tobytes(), random.getstate()]
    found.append(pickle.dumps(np.random.get_state(legacy=False)))
    if device.type == "cuda":
        found.append(torch.cuda.get_rng_state(device).numpy().tobytes())
    return tuple(found)


@contextmanager
def preserved_rng(device: torch.device) -> Iterator[None]:
    """Leave those generators as they were."""
    import numpy as np
    import torch

    devices = [device] if device.type == "cuda" else []
    python, of_numpy = random.getstate(), np.random.get_state(legacy=False)
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)
