"""The untimed passes after a cell's rounds, on a scratch network: soak and profile. No round changes by them."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from nets.measure import CellRun

# The article's schedule: one step waits, one warms up, three are recorded, twice over.
WAIT, WARM_UP, ACTIVE, REPEAT = 1, 1, 3, 2
N_PROFILED = (WAIT + WARM_UP + ACTIVE) * REPEAT

SOAK_S = 3.5
"""Above the driver's 3 s by more than its slowest sample may be late."""


def soak(run: CellRun, watch: AbstractContextManager[object], seconds: float = SOAK_S) -> int:
    """Repeat the cell's training step for at least `seconds`, watched; the number of steps."""
    done = 0

    def go_on(n_steps: int) -> bool:
        nonlocal done
        done = n_steps
        return perf_counter() < until

    with run.scratch() as trainer, watch:
        until = perf_counter() + seconds
        trainer.train(go_on)
        run.synchronise()
    return done


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile's trace files, one a repeat, and the training steps in a profiler step: more than one in a replay."""

    files: tuple[Path, ...]
    training_steps_per_step: float


def profiled(run: CellRun, folder: Path) -> Profile:
    """Profile training steps under the article's schedule; a gzipped trace in `folder` for each of its repeats.

    Neither shapes nor stacks are recorded, which the article's run did: they slow the host, not the GPU.
    """
    paths: list[Path] = []
    n_units = done = 0

    def export(profiler: torch.profiler.profile) -> None:
        paths.append(folder / f"{run.cell.id}-{run.pipeline.name}-{len(paths)}.json.gz")
        profiler.export_chrome_trace(str(paths[-1]))

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if run.device.type == "cuda" else [])]
    plan = schedule(wait=WAIT, warmup=WARM_UP, active=ACTIVE, repeat=REPEAT)
    with run.scratch() as trainer, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the profiler's own: that a cycle's events are cleared at its end
        with profile(activities=activities, schedule=plan, on_trace_ready=export) as profiler:

            def step(n_steps: int) -> bool:
                nonlocal n_units, done
                profiler.step()
                n_units, done = n_units + 1, n_steps
                return n_units < N_PROFILED

            trainer.train(step)
    return Profile(tuple(paths), training_steps_per_step=done / n_units if n_units else 1.0)
