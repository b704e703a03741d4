"""What is measured of a cell beside its rounds: the GPU by its driver and by a profiler trace, and the CPU.

The untimed passes, soak and profile, run after a cell's rounds on a network of their own and change no round.
"""

from __future__ import annotations

import re
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from itertools import count, islice
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
from nets.training.cuda_graph import GraphTrainer
from nets.training.run import CellRun


@dataclass(frozen=True, slots=True)
class Captured:
    """The parts of a record that are not in its rounds; what is None has its reason."""

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
    """Run the untimed passes of a cell whose rounds are over.

    `keep_traces`: the folder where the trace's files are kept; on a CPU traces are taken only for it.
    `no_gpu_because`: None on a GPU. `spent`: a context manager that is entered around each pass, to time it.
    """
    cpu = run.cpu()  # before the passes, which don't count
    with spent("soak"):
        gpu = _gpu(run, monitor)
    with spent("trace"):
        traced, no_trace_because = _trace(run, keep_traces, no_gpu_because) if take_trace else (None, "--no-trace")
    return Captured(cpu, gpu, no_gpu_because, traced, no_trace_because)


def _gpu(run: CellRun, monitor: GpuMonitor | None) -> Gpu | None:
    """The monitor's record, with the memory peak of recording the CUDA graph if it was higher than the replays'."""
    if monitor is None:
        return None
    soaked: list[Window] = []
    n_steps, because = 0, None
    if monitor.needs_soak():
        try:
            n_steps = soak(run, monitor.watch(soaked))
        except RuntimeError as error:  # torch's, of which out of memory is one
            because = _first_line(error)
    gpu = monitor.use(soaked[0], n_steps) if soaked and n_steps else monitor.use(no_soak_because=because)
    if gpu.memory_peak_bytes is None:
        return gpu
    return gpu.replace(memory_peak_bytes=max(gpu.memory_peak_bytes, run.execution_log.recorded_peak_bytes))


def _trace(run: CellRun, keep_in: Path | None, no_gpu_because: str | None) -> tuple[Trace | None, str | None]:
    if no_gpu_because is not None and keep_in is None:
        return None, no_gpu_because
    try:
        with TemporaryDirectory() as temporary:
            profile = profiled(run, keep_in or Path(temporary))
            figures = trace_figures(
                [read_trace(file) for file in profile.files],
                device=run.device.index,
                training_steps_per_step=profile.training_steps_per_step,
            )
    except (NoKernels, Unreadable) as error:
        return None, no_gpu_because or str(error)
    except Exception as error:  # of many kinds; none may lose the finished rounds
        return None, f"the profiler failed: {_first_line(error)}"
    return figures, None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


# The article's schedule: one step waits, one warms up, three are recorded, and all of it twice.
WAIT, WARM_UP, ACTIVE, REPEAT = 1, 1, 3, 2
N_PROFILED = (WAIT + WARM_UP + ACTIVE) * REPEAT
SOAK_S = 3.5
"""More than the driver's 3 s, in case its last sample is late."""
IN_FLIGHT = 2


def soak(run: CellRun, watch: AbstractContextManager[object], seconds: float = SOAK_S) -> int:
    """Repeat the cell's training step for at least `seconds` inside of `watch`; returns the number of steps.

    The host runs at most `IN_FLIGHT` replays, or eager steps, ahead of the device: a queue of a thousand replays would
    go on for seconds after the time is up.
    """
    n_steps = 0
    queued: deque[torch.cuda.Event] = deque()
    with run.scratch() as trainer, watch:
        until = perf_counter() + seconds
        for n_steps in trainer.steps():  # noqa: B007  # the last number is returned
            if perf_counter() >= until:
                break
            if (mark := run.mark()) is not None:
                queued.append(mark)
            if len(queued) >= IN_FLIGHT:
                queued.popleft().synchronize()
        run.synchronise()
    return n_steps


@dataclass(frozen=True, slots=True)
class Profile:
    """Trace files, one a repeat, and the mean number of training steps in a profiler step: several in a replay."""

    files: tuple[Path, ...]
    training_steps_per_step: float


def profiled(run: CellRun, folder: Path) -> Profile:
    """Profile training steps under the article's schedule; a gzipped trace in `folder` for each of its repeats.

    Neither shapes nor stacks are recorded, as they were in the article's run: they slow the host, not the GPU. The
    device is waited for before the first recorded step, so that nothing is left over in it from steps before, and at
    the end of each replay: the ids that tie a graph's kernels to its launch are wrong in every session but the first
    under CUDA 13.0 (https://github.com/pytorch/kineto/issues/1165), so the step itself must enclose its kernels.
    """
    paths: list[Path] = []
    n_in_step: list[int] = []

    def export(profiler: torch.profiler.profile) -> None:
        paths.append(_new_file(folder, f"{run.cell.id}-{run.pipeline.name}"))
        profiler.export_chrome_trace(str(paths[-1]))

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if run.device.type == "cuda" else [])]
    plan = schedule(wait=WAIT, warmup=WARM_UP, active=ACTIVE, repeat=REPEAT)
    with run.scratch() as trainer, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.profiler warns that a cycle's events are cleared at its end
        with profile(activities=activities, schedule=plan, on_trace_ready=export) as profiler:
            n_before = 0
            for i, n_steps in enumerate(islice(trainer.steps(), N_PROFILED), start=1):
                n_in_step.append(n_steps - n_before)
                n_before = n_steps
                if isinstance(trainer, GraphTrainer) or i % (WAIT + WARM_UP + ACTIVE) == WAIT + WARM_UP:
                    run.synchronise()
                profiler.step()
    recorded = [n for i, n in enumerate(n_in_step) if i % (WAIT + WARM_UP + ACTIVE) >= WAIT + WARM_UP]
    return Profile(tuple(paths), training_steps_per_step=fmean(recorded) if recorded else 1.0)


def _new_file(folder: Path, name: str) -> Path:
    """An empty file for a trace, named as TensorBoard finds it; never one that is there already."""
    name = re.sub(r"[^\w-]", "_", name)  # the name of a folder's data set holds a path
    for i in count():
        path = folder / f"{name}-{i}.pt.trace.json.gz"
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise AssertionError("numbers don't end")
