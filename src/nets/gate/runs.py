"""A run's JSON file -> a Run: its records, and the versions that the file keeps beside them."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from nets import resultfiles
from nets.gate.comparable import Pairing, Run, Versions
from nets.results import Unusable


class _Versions(BaseModel):
    torch: str | None = None
    python: str | None = None


class _Machine(BaseModel):
    """`machine_info.nets`, as `nets.machine.facts` makes it."""

    versions: _Versions = _Versions()
    cuda: str | None = None
    cudnn: int | None = None


class _MachineInfo(BaseModel):
    nets: _Machine


class _Block(BaseModel):
    pairing: Pairing | None = None


class _File(BaseModel):
    machine_info: _MachineInfo
    nets: _Block


def read(path: Path) -> Run:
    """Read what `pytest benchmarks/ --benchmark-json` wrote. Raises Unusable, naming the file and the field."""
    _demand_plain(path)
    found = resultfiles.read(path)
    beside = resultfiles.beside(path, _File)
    return Run(
        source=str(path).encode(errors="replace").decode(),  # a name need not be text
        results=found.results,
        unfinished=found.unfinished,
        not_run=found.not_run,
        versions=_versions(beside.machine_info.nets),
        pairing=beside.nets.pairing,
    )


def versions_of(facts: Mapping[str, object]) -> Versions:
    """Of what `nets.machine.facts` says of this process."""
    return _versions(_Machine.model_validate(facts))


def _versions(machine: _Machine) -> Versions:
    return Versions(
        torch=machine.versions.torch,
        cuda=machine.cuda,
        cudnn=None if machine.cudnn is None else str(machine.cudnn),
        python=machine.versions.python,
    )


def _demand_plain(path: Path) -> None:
    """Refuse a pipe or a device: it has no size to refuse it by, and may never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        raise Unusable(f"{path}: not a plain file")
