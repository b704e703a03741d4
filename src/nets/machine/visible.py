"""The GPUs that this process may use, told without starting CUDA."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nets.machine.device import VISIBLE, choose_device
from nets.records.cell import Device

if TYPE_CHECKING:
    from nets.machine.nvml import NvmlFacts


def visible_gpus(visible: str | None, known: Sequence[str]) -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA reads CUDA_VISIBLE_DEVICES: up to the first entry that is none.

    Without that variable all of the `known` UUIDs. An entry is handed on as it was written, index or UUID: CUDA's
    indices are not NVML's.
    """
    if visible is None:
        return tuple(known)
    entries: list[str] = []
    for entry in (part.strip() for part in visible.split(",")):
        if not entry or entry.startswith("-"):
            break
        if entry not in entries:
            entries.append(entry)
    return tuple(entries)


def may_have_gpu() -> bool:
    """Whether there is anything that torch could find a GPU by; False spares its import where no cell may be run."""
    from nets.machine import nvml

    try:
        return bool(nvml.with_patience(nvml.gpu_uuids))
    except (nvml.NoDriver, nvml.NvmlRefused):
        return sys.platform != "linux" or any(Path(file).exists() for file in _DEVICE_FILES)


_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Of NVIDIA's driver, of it under WSL, and of AMD's."""


def n_gpus(wanted: str) -> int | None:
    """How many workers the GPUs are good for, for `-n auto`; None where the cells run on a CPU."""
    if wanted == "cpu" or not may_have_gpu() or choose_device(wanted).type == "cpu":
        return None
    return 1 if ":" in wanted else len(usable_gpus()) or None


def first_gpu_facts() -> Device:
    """What the workers' GPUs are, as the driver says of the first: CUDA's start would add this process to those on it.

    Without a UUID, which differs from worker to worker. Where the driver can't say, the name is why.
    """
    from nets.machine import nvml

    try:
        facts = nvml.with_patience(_first_facts)
    except (nvml.NoDriver, nvml.NvmlRefused) as error:
        return Device(type="cuda", name=f"known to the workers alone ({error})")
    return Device(
        type="cuda",
        name=facts.name,
        memory_total_bytes=facts.memory_total_bytes,
        compute_capability=facts.compute_capability,
        driver=facts.driver,
        mig=facts.mig,
    )


def _first_facts() -> NvmlFacts:
    """Of the first usable GPU. Raises NoDriver, NvmlRefused."""
    from nets.machine import nvml

    first, known = next(iter(usable_gpus()), ""), nvml.gpu_uuids()
    if not first.isdigit():
        return nvml.NvmlDevice(full_uuid(first, known)).facts()
    every = [nvml.NvmlDevice(uuid).facts() for uuid in known]
    if int(first) < len(every) and (os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len(every) == 1):
        return every[int(first)]
    names = sorted({facts.name for facts in every})
    if len(names) != 1:  # CUDA counts from the fastest, the driver along the bus
        raise nvml.NoDriver(f"GPU {first} is one of {', '.join(names)}" if names else "the driver knows no GPU")
    return every[0]


def full_uuid(entry: str, known: Sequence[str]) -> str:
    """The one of the known UUIDs that an entry of CUDA_VISIBLE_DEVICES abbreviates, as CUDA allows; else the entry."""
    matching = [uuid for uuid in known if entry and uuid.lower().startswith(entry.lower())]
    return matching[0] if len(matching) == 1 else entry


def usable_gpus() -> tuple[str, ...]:
    """The GPUs of this process, by the entries of CUDA_VISIBLE_DEVICES or by UUID; CUDA is not started."""
    import torch

    from nets.machine import nvml

    visible = os.environ.get(VISIBLE)
    try:
        entries = visible_gpus(visible, nvml.with_patience(nvml.gpu_uuids) if visible is None else ())
    except (nvml.NoDriver, nvml.NvmlRefused):  # torch found a GPU all the same
        entries = tuple(str(i) for i in range(torch.cuda.device_count()))
    return entries[: torch.cuda.device_count()]  # CUDA ends its list at an entry that it doesn't know
