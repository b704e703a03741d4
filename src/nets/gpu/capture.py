"""What is measured of a cell beside its rounds: the CPU, predictions, the GPU by its driver and by a profiler trace.

The untimed passes change no round: the soak goes on with the last round's network once its result is taken, and the
profile, taken after all cells, has a network of its own.
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
from nets.gpu.window import Window, gpu_record
from nets.records.cell import Cpu
from nets.records.gpu import Gpu, Trace
from nets.records.predictions import Predictions
from nets.records.run import Part
from nets.training.cuda_graph import GraphTrainer
from nets.training.predictions import predictions_of
from nets.training.run import CellRun


@dataclass(frozen=True, slots=True)
class Captured:
    """What is measured after a cell's rounds and before the next cell's; what is None has its reason."""

    cpu: Cpu
    gpu: Gpu | None
    gpu_missing_because: str | None
    predictions: Predictions | None
    predictions_missing_because: str | None


def capture(
    run: CellRun,
    monitor: GpuMonitor | None,
    *,
    no_gpu_because: str | None,
    no_predictions_because: str | None = None,
    spent: Callable[[Part], AbstractContextManager[object]] = nullcontext,
) -> Captured:
    """Ask the last network of a cell whose rounds are over, then soak it, where they were too short for the driver.

    `no_gpu_because`: None on a GPU; `no_predictions_because`: None where they are wanted. `spent`: a context manager
    that is entered around the soak, to time it.
    """
    cpu = run.cpu()  # before what doesn't count
    predictions, because = (None, no_predictions_because) if no_predictions_because else predictions_of(run)
    with spent("soak"):  # which trains the network further
        gpu = _gpu(run, monitor) if monitor is not None else None
    return Captured(cpu, gpu, no_gpu_because, predictions, because)


def _gpu(run: CellRun, monitor: GpuMonitor) -> Gpu:
    soaked: list[Window] = []
    n_steps, because = 0, None
    if monitor.needs_soak():
        try:
            n_steps = soak(run, monitor.soak(soaked))
        except Exception as error:  # of many kinds; none may lose the finished rounds
            because = _first_line(error)
    return gpu_record(
        monitor.timed,
        soaked[0] if soaked and n_steps else None,
        n_steps or None,
        no_soak_because=because,
        training_peak_bytes=run.training_peak_bytes,
        evaluation_peak_bytes=run.evaluation_peak_bytes,
    )


def traced(run: CellRun, keep_in: Path | None) -> tuple[Trace | None, str | None]:
    """The profiler's figures of a cell's training steps, or why there are none.

    To be taken after all rounds of all cells: the profiler's library stays attached to the process once it was used,
    and slows training by a tenth or more (https://github.com/pytorch/pytorch/issues/146604). `keep_in`: the folder
    where the traces stay.
    """
    try:
        with TemporaryDirectory() as temporary:
            profile = profiled(run, keep_in or Path(temporary))
            figures = trace_figures(
                [read_trace(file) for file in profile.files],
                device=run.device.index,
                training_steps_per_step=profile.training_steps_per_step,
            )
    except (NoKernels, Unreadable) as error:
        return None, str(error)
    except Exception as error:  # of many kinds; none may lose the finished rounds
        return None, f"the profiler failed: {_first_line(error)}"
    return figures, None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


# The article's schedule: one step waits, one warms up, three are recorded, and all of it twice.
WAIT, WARM_UP, ACTIVE, REPEAT = 1, 1, 3, 2
N_PROFILED = (WAIT + WARM_UP + ACTIVE) * REPEAT
SOAK_S = 3.5
"""The longest soak: more than the driver's 3 s, in case its last sample is late."""
IN_FLIGHT = 2


def soak(run: CellRun, watch: AbstractContextManager[Callable[[], bool]], seconds: float = SOAK_S) -> int:
    """Repeat the cell's training step inside of `watch` until what it gives says enough; the number of steps.

    At most for `seconds`. The last round's network goes on training, its result being taken. The host runs at most
    `IN_FLIGHT` replays, or eager steps, ahead of the device: a queue of a thousand replays would go on for seconds
    after the end.
    """
    n_steps = 0
    queued: deque[torch.cuda.Event] = deque()
    with run.trained() as trainer, watch as has_enough:
        until = perf_counter() + seconds
        for n_steps in trainer.steps():  # noqa: B007  # the last number is returned
            if perf_counter() >= until or has_enough():
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
