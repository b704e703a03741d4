"""What there is to measure with, and what would not work here and why: versions, GPU, driver, data, git, disk."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

from nets.errors import NetsError, counted
from nets.machine.cpu import cores, cpu_name
from nets.machine.device import choose_device, device_facts, no_gpu_because, versions
from nets.records.base import Record
from nets.records.git import git

NEEDED = ("nets", "torch", "torchvision", "numpy", "pytest", "pytest-benchmark")
STORED = ("mnist", "cifar10")
"""The article's data sets, which are downloaded once."""
LITTLE_DISK_BYTES = 2 * 2**30
"""Under this much the data sets, a trace and the result file may not fit."""


class Fact(Record):
    """What was found; `problem`: what would not work, and why; `is_needed`: whether nothing works without it."""

    name: str
    found: str | None
    problem: str | None = None
    is_needed: bool = False


def facts(data_dir: Path) -> tuple[Fact, ...]:
    """All that is found; a part that can't be looked at is a problem, and keeps no other from being told."""
    parts: tuple[tuple[str, Callable[[], Iterator[Fact]]], ...] = (
        ("versions", _versions),
        ("plug-ins", _plugins),
        ("machine", _machine),
        ("drawing of charts", _drawing),
        ("torch", _device),
        ("NVML", _driver),
        ("data", lambda: _data(data_dir)),
        ("git", _git),
        ("disk", _disk),
    )
    found: list[Fact] = []
    for name, part in parts:
        try:
            found += part()
        except Exception as error:  # a broken installation may raise anything, which is what is asked for
            because = f"{type(error).__name__}: {error}".partition("\n")[0]
            found.append(Fact(name=name, found=None, problem=because, is_needed=name == "torch"))
    return tuple(found)


def _versions() -> Iterator[Fact]:
    for name, version in versions().items():
        missing = version is None and name in NEEDED
        problem = "it is not installed: nothing can be measured" if missing else None
        if version is None and name == "nets":  # run from a checkout that was not installed
            missing, problem = False, "it is not installed, and runs from a folder: records have no version of it"
        yield Fact(name=name, found=version, problem=problem, is_needed=missing)


def _plugins() -> Iterator[Fact]:
    names = sorted({entry.dist.name for entry in entry_points(group="pytest11") if entry.dist is not None})
    lacks = None if "pytest-xdist" in names else "without pytest-xdist there is no -n"
    yield Fact(name="plug-ins of pytest", found=", ".join(names), problem=lacks)


def _drawing() -> Iterator[Fact]:
    try:
        import vl_convert
    except ImportError as error:
        yield Fact(name="drawing of charts", found=None, problem=f"no page and no chart of nets report: {error}")
    else:
        yield Fact(name="drawing of charts", found=f"vl-convert {getattr(vl_convert, '__version__', '')}".rstrip())


def _machine() -> Iterator[Fact]:
    yield Fact(name="system", found=platform.platform())
    yield Fact(name="CPU", found=f"{cpu_name()}; {counted(len(cores()), 'core')} for this process")


def _device() -> Iterator[Fact]:
    import torch

    yield Fact(name="CUDA of torch", found=torch.version.cuda)
    device = choose_device("auto")
    facts = device_facts(device)
    if device.type == "cpu":
        yield Fact(name="GPU", found=None, problem=f"no GPU works here, and the CPU is used: {no_gpu_because()}")
        return
    n = counted(torch.cuda.device_count(), "GPU")
    found = f"{n}, the first: {facts.name}, compute capability {facts.compute_capability}"
    mig = "it is cut into slices (MIG): its counters are of all slices" if facts.mig else None
    yield Fact(name="GPU", found=found, problem=mig)


def _driver() -> Iterator[Fact]:
    from nets.machine import nvml

    try:
        first = nvml.with_patience(lambda: [nvml.NvmlDevice(uuid).facts() for uuid in nvml.gpu_uuids()])
    except NetsError as error:
        yield Fact(name="NVML", found=None, problem=f"utilization, power and energy can't be read: {error}")
        return
    yield Fact(name="NVML", found="; ".join(f"{each.name}, driver {each.driver}" for each in first) or "no GPU")


def _data(data_dir: Path) -> Iterator[Fact]:
    from nets.datasets.torchvision_sets import absent_files

    for name in STORED:
        try:
            absent = absent_files(name, data_dir)
        except NetsError as error:
            yield Fact(name=name, found=None, problem=str(error))
            continue
        problem = f"{absent[0]} is not in {data_dir}: its cells download it, or are skipped" if absent else None
        yield Fact(name=name, found=None if absent else f"in {data_dir}", problem=problem)
    yield Fact(name="digits, shapes", found="embedded")


def _git() -> Iterator[Fact]:
    try:
        yield Fact(name="git", found=git("--version").removeprefix("git version "))
    except NetsError as error:
        yield Fact(name="git", found=None, problem=f"no nets ab, bisect or init: {error}")
        return
    try:
        found = git("rev-parse", "--show-toplevel")
        shallow = git("rev-parse", "--is-shallow-repository") == "true"
    except NetsError:
        yield Fact(name="repository", found=None, problem="this folder is in none: no nets ab, bisect or init")
        return
    yield Fact(
        name="repository", found=found, problem="a shallow clone: older commits are not here" if shallow else None
    )


def _disk() -> Iterator[Fact]:
    for name, folder in (("disk here", Path.cwd()), ("temporary disk", Path(os.environ.get("TMPDIR", "/tmp")))):
        free = shutil.disk_usage(folder).free
        problem = "little for data sets, worktrees and traces" if free < LITTLE_DISK_BYTES else None
        yield Fact(name=name, found=f"{free / 2**30:.1f} GiB free in {folder}", problem=problem)
