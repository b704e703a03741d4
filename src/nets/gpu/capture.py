"""What is captured of a cell beside its rounds: the GPU by its driver and by a trace, and the CPU.

The untimed passes, soak and profile, run after a cell's rounds on a network of their own. No round changes by them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from nets.gpu.kineto import Unreadable, read_trace
from nets.gpu.monitor import GpuMonitor
from nets.gpu.trace import NoKernels, trace_figures
from nets.gpu.window import Window
from nets.records.cell import Cpu
from nets.records.gpu import Gpu, Trace
from nets.records.run import Part
from nets.training.run import CellRun


@dataclass(frozen=True, slots=True)
class Captured:
    """The parts of a record that no round holds; what is None has its reason."""

    cpu: Cpu
    gpu: Gpu | None
    gpu_missing_because: str | None
    trace: Trace | None
    trace_missing_because: str | None


def capture(
    run: CellRun,
    monitor: GpuMonitor | None,
    *,
    take_trace: bool,
    keep_traces: Path | None,
    no_gpu_because: str | None,
    spent: Callable[[Part], AbstractContextManager[object]] = nullcontext,
) -> Captured:
    """Take the untimed passes of a cell whose rounds are over; `spent` is entered for the time that each takes.

    `keep_traces`: the folder where the trace's files stay; on a CPU they are taken for that folder alone.
    `no_gpu_because`: None on a GPU.
    """
    cpu = run.cpu()  # before the passes, which are not the cell's
    with spent("soak"):
        gpu = _gpu(run, monitor)
    with spent("trace"):
        traced, no_trace_because = _trace(run, keep_traces, no_gpu_because) if take_trace else (None, "--no-trace")
    return Captured(
        cpu=cpu,
        gpu=gpu,
        gpu_missing_because=no_gpu_because,
        trace=traced,
        trace_missing_because=no_trace_because,
    )


def _gpu(run: CellRun, monitor: GpuMonitor | None) -> Gpu | None:
    """What was seen; its peak of memory is the recording's where that was higher, since replays allocate nothing."""
    if monitor is None:
        return None
    seen = _seen(run, monitor)
    if seen.memory_peak_bytes is None:
        return seen
    return seen.model_copy(
        update={"memory_peak_bytes": max(seen.memory_peak_bytes, run.execution_log.recorded_peak_bytes)}
    )


def _seen(run: CellRun, monitor: GpuMonitor) -> Gpu:
    if not monitor.needs_soak():
        return monitor.use()
    soaked: list[Window] = []
    try:
        n_steps = soak(run, monitor.watch(soaked))
    except RuntimeError as error:  # torch's, of which out of memory is one
        return monitor.use(no_soak_because=_line(error))
    return monitor.use(soaked[0], n_steps) if soaked and n_steps else monitor.use()


def _trace(run: CellRun, keep_in: Path | None, no_gpu_because: str | None) -> tuple[Trace | None, str | None]:
    if no_gpu_because is not None and keep_in is None:
        return None, no_gpu_because
    try:
        with TemporaryDirectory() as dropped:
            profile = profiled(run, keep_in or Path(dropped))
            figures = trace_figures(
                [read_trace(file) for file in profile.files],
                device=run.device.index,
                training_steps_per_step=profile.training_steps_per_step,
            )
    except (NoKernels, Unreadable) as error:
        return None, no_gpu_because or str(error)
    except Exception as error:  # of many kinds, and the cell's rounds are done
        return None, f"the profiler failed: {_line(error)}"
    return figures, None


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


# The article's schedule: one step waits, one warms up, three are recorded, twice over.
WAIT, WARM_UP, ACTIVE, REPEAT = 1, 1, 3, 2
N_PROFILED = (WAIT + WARM_UP + ACTIVE) * REPEAT
SOAK_S = 3.5
"""Above the driver's 3 s by more than its slowest sample may be late."""


def soak(run: CellRun, watch: AbstractContextManager[object], seconds: float = SOAK_S) -> int:
    """Repeat the cell's training step for at least `seconds`, watched; the number of steps."""
    n_steps = 0
    with run.scratch() as trainer, watch:
        until = perf_counter() + seconds
        for n_steps in trainer.steps():  # noqa: B007  # the last is wanted
            if perf_counter() >= until:
                break
        run.synchronise()
    return n_steps


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile's trace files, one a repeat, and the mean of training steps in a recorded step: more in a replay."""

    files: tuple[Path, ...]
    training_steps_per_step: float


def profiled(run: CellRun, folder: Path) -> Profile:
    """Profile training steps under the article's schedule; a gzipped trace in `folder` for each of its repeats.

    Neither shapes nor stacks are recorded, which the article's run did: they slow the host, not the GPU.
    """
    paths: list[Path] = []
    in_units: list[int] = []

    def export(profiler: torch.profiler.profile) -> None:
        name = re.sub(r"[^\w-]", "_", run.cell.id)  # a folder's cell has a path in its name
        paths.append(folder / f"{name}-{run.pipeline.name}-{len(paths)}.json.gz")
        profiler.export_chrome_trace(str(paths[-1]))

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if run.device.type == "cuda" else [])]
    plan = schedule(wait=WAIT, warmup=WARM_UP, active=ACTIVE, repeat=REPEAT)
    with run.scratch() as trainer, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the profiler's own: that a cycle's events are cleared at its end
        with profile(activities=activities, schedule=plan, on_trace_ready=export) as profiler:
            n_before = 0
            for n_steps in islice(trainer.steps(), N_PROFILED):
                in_units.append(n_steps - n_before)
                n_before = n_steps
                profiler.step()
    recorded = [n for i, n in enumerate(in_units) if i % (WAIT + WARM_UP + ACTIVE) >= WAIT + WARM_UP]
    return Profile(tuple(paths), training_steps_per_step=fmean(recorded) if recorded else 1.0)
