"""The untimed passes after a cell's rounds, on a scratch network: soak and profile. No round changes by them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from nets.measure import CellRun
from nets.pipelines import Batch, Batches

# The article's schedule: one step waits, one warms up, three are recorded, twice over.
WAIT, WARM_UP, ACTIVE, REPEAT = 1, 1, 3, 2
N_PROFILED = (WAIT + WARM_UP + ACTIVE) * REPEAT

SOAK_S = 3.5
"""Above the driver's 3 s by more than its slowest sample may be late."""


class Repeated:
    """Batches over and over, as long as `go_on`, called after each step with the steps so far, says so."""

    def __init__(self, batches: Batches, go_on: Callable[[int], bool]) -> None:
        self.n_steps = 0
        self._batches = batches
        self._go_on = go_on

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        while len(self._batches):
            for batch in self._batches:
                yield batch
                self.n_steps += 1
                if not self._go_on(self.n_steps):
                    return


def soak(run: CellRun, watch: AbstractContextManager[object], seconds: float = SOAK_S) -> int:
    """Repeat the cell's training step for at least `seconds`, watched; the number of steps."""
    with run.scratch() as (model, optimizer):
        with watch:
            until = perf_counter() + seconds
            batches = Repeated(run.loaders.train, lambda _: perf_counter() < until)
            run.pipeline.train_epoch(model, batches, optimizer, run.device)
            run.synchronise()
        return batches.n_steps


def profiled(run: CellRun, folder: Path) -> list[Path]:
    """Profile training steps under the article's schedule; a gzipped trace in `folder` for each of its repeats.

    Neither shapes nor stacks are recorded, which the article's run did: they slow the host, not the GPU.
    """
    paths: list[Path] = []

    def export(profiler: torch.profiler.profile) -> None:
        paths.append(folder / f"{run.cell.id}-{run.pipeline.name}-{len(paths)}.json.gz")
        profiler.export_chrome_trace(str(paths[-1]))

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if run.device.type == "cuda" else [])]
    plan = schedule(wait=WAIT, warmup=WARM_UP, active=ACTIVE, repeat=REPEAT)
    with run.scratch() as (model, optimizer), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the profiler's own: that a cycle's events are cleared at its end
        with profile(activities=activities, schedule=plan, on_trace_ready=export) as profiler:

            def step(n_steps: int) -> bool:
                profiler.step()
                return n_steps < N_PROFILED

            run.pipeline.train_epoch(model, Repeated(run.loaders.train, step), optimizer, run.device)
    return paths
