"""Where each of several processes that measure at once runs: on a GPU of its own, or on a share of the cores.

It is told by the environment, which a process gets when it is started, before any code of it could start CUDA.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from nets.machine.cpu import cores, shares
from nets.machine.device import VISIBLE, DeviceError, choose_device
from nets.machine.visible import may_have_gpu, usable_gpus

CORES, DEVICE, N_HERE = "NETS_CORES", "NETS_DEVICE", "NETS_N_HERE"
"""The cores of a process, the device that was chosen for it, and how many measure on its machine, if not all do."""


class Machine(NamedTuple):
    """What a machine has for processes that measure at once: cores; GPUs, where those are measured on (else None)."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...] | None


def this_machine(wanted: str) -> Machine:
    """This one, for the device that is wanted."""
    on_cpu = wanted == "cpu" or not may_have_gpu() or choose_device(wanted).type == "cpu"
    return Machine(cores(), None if on_cpu else usable_gpus())


def places(n: int, wanted: str) -> list[dict[str, str]]:
    """The environment of each of `n` processes on this machine. Raises DeviceError where they have too few GPUs."""
    return dealt(n, wanted, this_machine(wanted), asked=f"-n {n}")


def dealt(n: int, wanted: str, machine: Machine, *, asked: str) -> list[dict[str, str]]:
    """The same on any machine; `asked`: the option that wants so many processes there."""
    if machine.gpus is None:
        return [{DEVICE: "cpu", CORES: ",".join(map(str, share))} for share in shares(n, machine.cores)]
    if because := refusal(n, wanted, machine.gpus, asked):
        raise DeviceError(because)
    device = {DEVICE: "cuda" if wanted == "auto" else wanted}
    return [device] * n if ":" in wanted else [{**device, VISIBLE: gpu} for gpu in machine.gpus[:n]]


def refusal(n: int, wanted: str, gpus: Sequence[str], asked: str) -> str | None:
    """Why so many processes can't measure cells on the GPUs that there are; None if they can."""
    if ":" in wanted and n > 1:
        return f"--device {wanted} names one GPU, and {asked} wants one for each worker"
    if n > len(gpus):
        known = f"{len(gpus)} GPU{'' if len(gpus) == 1 else 's'} ({', '.join(gpus)})"
        return f"{asked}: {n} workers, but {known}: each worker has one to itself"
    return None


def keep_to_cores() -> None:
    """Have this process, and what it starts, run on the cores that are its."""
    share = os.environ.get(CORES)
    if share and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in share.split(",")})
