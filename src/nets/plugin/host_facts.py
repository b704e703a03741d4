"""What a host says of itself, asked before a worker starts on it: its means, and what it would measure of and with."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nets.machine.places import Machine, this_machine
from nets.plugin.resume import code_of, sha256_of
from nets.records.base import Record
from nets.records.cell import Device

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Question(Record):
    """What is wanted of a host: a device, and files of networks, by the names that they have in its folder."""

    device: str
    require_gpu: bool
    files: tuple[str, ...]


class HostFacts(Record):
    """One host's answer.

    `boot`: tells machines apart that have one name, where the system has such an id. `gpus`: null where cells run on
    the CPU. `machine_info`: as pytest-benchmark's JSON has it. `code`: commit, changes and our own files, and the
    SHA-256 of each file that was asked for.
    """

    name: str
    boot: str
    folder: str
    cores: tuple[int, ...]
    gpus: tuple[str, ...] | None
    device: Device
    gpu_missing_because: str | None
    wait_policy: str
    machine_info: dict[str, Any]
    code: dict[str, str | None]

    @property
    def machine(self) -> Machine:
        """What can be dealt out to its workers."""
        return Machine(self.cores, self.gpus)


def facts_here(question: Question, folder: Path) -> HostFacts:
    """Of this machine and this environment, for a checkout. Raises DeviceError where a GPU is wanted and none works."""
    from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info

    from nets.machine.cpu import wait_policy
    from nets.machine.device import choose_device, device_facts, machine_facts, versions
    from nets.machine.visible import first_gpu_facts
    from nets.measuring.cell import session_setting

    at_start = versions()
    chosen = choose_device("cuda" if question.require_gpu and question.device == "auto" else question.device)
    device = first_gpu_facts() if chosen.type == "cuda" else device_facts(chosen)
    setting = session_setting("resident", device, wanted=question.device)
    machine = this_machine(question.device)
    return HostFacts(
        name=platform.node(),
        boot=_BOOT.read_text().strip() if _BOOT.is_file() else "",
        folder=str(folder),
        cores=machine.cores,
        gpus=machine.gpus,
        device=device,
        gpu_missing_because=setting.gpu_missing_because,
        wait_policy=wait_policy(),
        machine_info={**pytest_benchmark_generate_machine_info(), "nets": machine_facts(device, at_start)},
        code={**code_of(folder), **contents(question.files, folder)},
    )


def contents(files: Sequence[str], folder: Path) -> dict[str, str | None]:
    """The SHA-256 of each file, by what it is called in a message; None where it is not there."""
    return {f"content of {file}": sha256_of([folder / file]) for file in files}


def tell(question: str) -> str:
    """The facts of this process's folder as a line of JSON, for a question that is one. Raises DeviceError."""
    return facts_here(Question.model_validate_json(question), Path.cwd()).model_dump_json()
