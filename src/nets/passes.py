"""The untimed passes after a cell's rounds, on a scratch network: soak and profile. No round changes by them."""

from __future__ import annotations

import re
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from time import perf_counter

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from nets.training.run import CellRun

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
