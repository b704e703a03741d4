"""Where each of several processes that measure at once runs: on a GPU of its own, or on a share of the cores.

It is told by the environment, which a process gets when it is started, before any code of it could start CUDA.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from nets.machine.cpu import cores, shares
from nets.machine.device import VISIBLE, DeviceError, choose_device
from nets.machine.visible import may_have_gpu, usable_gpus

CORES, DEVICE = "NETS_CORES", "NETS_DEVICE"
"""The cores of a process, and the device that was chosen for it."""


def places(n: int, wanted: str) -> list[dict[str, str]]:
    """The environment of each of `n` processes on this machine. Raises DeviceError where they have too few GPUs."""
    if wanted == "cpu" or not may_have_gpu() or choose_device(wanted).type == "cpu":
        return [{DEVICE: "cpu", CORES: ",".join(map(str, share))} for share in shares(n, cores())]
    gpus = usable_gpus()
    if because := refusal(n, wanted, gpus):
        raise DeviceError(because)
    device = {DEVICE: "cuda" if wanted == "auto" else wanted}
    return [device] * n if ":" in wanted else [{**device, VISIBLE: gpu} for gpu in gpus[:n]]


def refusal(n: int, wanted: str, gpus: Sequence[str]) -> str | None:
    """Why so many processes can't measure cells on the GPUs that there are; None if they can."""
    if ":" in wanted and n > 1:
        return f"--device {wanted} names one GPU, and -n {n} wants one for each worker"
    if n > len(gpus):
        known = f"{len(gpus)} GPU{'' if len(gpus) == 1 else 's'} ({', '.join(gpus)})"
        return f"-n {n}: {n} workers, but {known}: each worker has one to itself"
    return None


def keep_to_cores() -> None:
    """Have this process, and what it starts, run on the cores that are its."""
    share = os.environ.get(CORES)
    if share and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in share.split(",")})
