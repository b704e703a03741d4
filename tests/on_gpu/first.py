"""`.ci/gpu-checks first`: whether CUDA, the driver, capture, profiler and benchmark work at all on this machine.

Each question is put to a process of its own, so that one which hangs, dies or leaves CUDA in a bad state changes no
other answer. A line an answer: yes or no, and what was found or why not.
"""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from nets.errors import counted
from nets.machine import nvml
from nets.machine.device import choose_device, device_facts
from nets.records.run_file import read_run
from tests.on_gpu.runs import DIGITS, digits_run, trace_of

PATIENCE_S = 90.0


def cuda() -> str:
    """Whether a product on the GPU gives what it must."""
    device = choose_device("cuda")
    ones = torch.ones(1_000, 1_000, device=device)
    assert (ones @ ones == 1_000).all(), "a product of ones on the GPU is wrong"
    facts = device_facts(device)
    return (
        f"{facts.name}, compute capability {facts.compute_capability}, {facts.n_sms} SMs, driver {facts.driver}, "
        f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    )


def driver() -> str:
    """Whether NVML knows the GPU that CUDA means, and what it answers."""
    uuid = device_facts(choose_device("cuda")).uuid
    assert uuid is not None, "the GPU has no UUID"
    gpu = nvml.with_patience(lambda: nvml.NvmlDevice(uuid))
    readings: dict[str, Callable[[], object]] = {
        "MIG": gpu.mig,
        "processes": lambda: len(gpu.processes()),
        "utilization samples": lambda: len(gpu.samples(0)),
        "energy_j": gpu.energy_j,
        "SM clock, MHz": gpu.sm_clock_mhz,
        "memory used, bytes": gpu.memory_used_bytes,
        "slowed by": gpu.throttled,
        "GPM": lambda: counters(gpu),
    }
    answers, refusals = [], []
    for name, ask in readings.items():
        try:
            answers.append(f"{name}: {ask()}")
        except nvml.NvmlRefused as error:
            refusals.append(f"{name}: refused ({error})")
    assert answers, "; ".join(refusals)
    return "; ".join((*answers, *refusals))


def counters(gpu: nvml.NvmlDevice) -> dict[str, float]:
    """The hardware's counters over a tenth of a second. Raises NvmlRefused."""
    found = gpu.counters()
    time.sleep(0.1)
    return found.read()


def capture() -> str:
    """Whether a cell is captured, which it is only if a replay gives what the same steps give eagerly."""
    run = digits_run(DIGITS[0], choose_device("cuda"))
    accuracy = run.round().accuracy
    assert run.execution_log.mode == "graph", run.execution_log.fallback_because
    assert accuracy > 0.8, f"its accuracy is {accuracy:.3f}"
    return f"{run.cell}: {run.rounds[0].time_s:.3f} s a round, accuracy {accuracy:.3f}"


def trace() -> str:
    """Whether both cycles of a trace of the cell's steps have kernels."""
    with TemporaryDirectory() as folder:
        found = trace_of(digits_run(DIGITS[0], choose_device("cuda")), Path(folder))
    occupancy = found.achieved_occupancy_pct
    return (
        f"{found.kernels_per_step:.1f} kernels in {found.training_steps_per_step:.1f} training steps, "
        f"utilization {found.gpu_utilization_pct:.1f} %, occupancy "
        + (f"{occupancy:.1f} %" if occupancy is not None else f"missing: {found.occupancy_missing_because}")
    )


def benchmarks() -> str:
    """Whether embedded cells pass, captured, with a trace and with figures that are fit for comparison."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "out.json"
        command = ["pytest", "benchmarks/", "--require-gpu", "--cells", "digits-lenet5,shapes-cnn3l", "--rounds", "1"]
        done = subprocess.run(
            [sys.executable, "-m", *command, "--benchmark-json", str(file)], capture_output=True, text=True
        )
        assert file.is_file(), f"pytest ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}"
        results = read_run(file).cells
    faults = [f"{result.id}: {failure}" for result in results for failure in result.outcome.failures]
    faults += [f"{r.id}: {r.trace_missing_because}" for r in results if r.trace is None]
    faults += [f"{r.id}: {reason}" for r in results if r.gpu is not None for reason in r.gpu.reasons]
    faults += [
        f"{r.id}: {r.execution.mode} steps: {r.execution.fallback_because}"
        for r in results
        if r.execution.mode != "graph"
    ]
    assert not faults, "; ".join(faults)
    assert done.returncode == 0, f"pytest ended with {done.returncode}: {done.stdout.strip()[-500:]}"
    return f"{counted(len(results), 'cell')} passed"


QUESTIONS: dict[str, Callable[[], str]] = {each.__name__: each for each in (cuda, driver, capture, trace, benchmarks)}


def answer(name: str) -> tuple[bool, str, str]:
    """Put a question to a process of its own: whether it is so, what was found or why not, and all that it printed."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.on_gpu.first", name], capture_output=True, text=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer in {PATIENCE_S:g} s", ""
    lines = done.stdout.splitlines()
    return done.returncode == 0, lines[-1] if lines else f"its process ended with {done.returncode}", done.stderr


def main(names: list[str]) -> int:
    """Without a name: put every question; 1 if any answer is no. With one: answer it here."""
    if names:
        try:
            print(QUESTIONS[names[0]]())
        except Exception as error:  # of any kind: it is the answer
            traceback.print_exc()
            print(str(error).partition("\n")[0] or type(error).__name__)
            return 1
        return 0
    told = {}
    for name in QUESTIONS:
        started = time.perf_counter()
        is_so, because, printed = answer(name)
        print(f"{'yes' if is_so else 'no':<4}{name}: {because} ({time.perf_counter() - started:.1f} s)", flush=True)
        if not is_so:
            told[name] = printed
    for name, printed in told.items():
        print(f"\n{name}:\n{printed}")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
