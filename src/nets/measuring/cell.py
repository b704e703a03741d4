"""A cell's rounds, its network's structure and what was watched -> one `Result`."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from nets.cells.catalog import Cell
from nets.gpu.capture import Captured
from nets.machine.cpu import cores, wait_policy
from nets.machine.device import no_gpu_because, tf32_in_force
from nets.machine.places import N_HERE
from nets.records.cell import Accuracy, CellFacts, Device, Execution, Outcome, Protocol, Result, Where
from nets.training.pipelines import PIPELINES, Pipeline
from nets.training.run import CellRun
from nets.verdicts.bands import Bands, band_of
from nets.verdicts.depth import classical_depth

if TYPE_CHECKING:
    from nets.datasets.data import Data


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every cell of a process."""

    pipeline: str
    device: Device
    where: Where
    gpu_missing_because: str | None


def session_setting(pipeline: str, device: Device, *, wanted: str = "auto") -> Setting:
    """Look at the process that works on the device; `wanted`: what was asked for, as of `choose_device`."""
    on_cpu = device.type == "cpu"
    because = f"ran on the CPU: {'--device cpu' if wanted == 'cpu' else no_gpu_because()}" if on_cpu else None
    return Setting(
        pipeline=pipeline,
        device=device,
        where=Where(
            host=platform.node(),
            worker=os.environ.get("PYTEST_XDIST_WORKER"),
            n_workers=int(os.environ.get(N_HERE) or os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
            n_cores=len(cores()),
        ),
        gpu_missing_because=because,
    )


def execution(run: CellRun, setting: Setting) -> Execution:
    """How a cell's steps are executed."""
    how = executed(run.pipeline, run.protocol, setting)
    log = run.execution_log
    size = getattr(run.loaders.test, "batch_size", None) or how.evaluation_batch_size
    products, convolutions = tf32_in_force(setting.device, run.in_force.float32) or (None, None)
    return how.replace(
        mode=log.mode,
        fallback_because=log.fallback_because,
        tf32_products=products,
        tf32_convolutions=convolutions,
        evaluation_batch_size=size,
        threads=run.in_force.threads,
    )


def executed(pipeline: Pipeline, protocol: Protocol, setting: Setting) -> Execution:
    """How steps are executed, as far as that is known before a network is seen."""
    on_cpu = setting.device.type == "cpu"
    products, convolutions = tf32_in_force(setting.device) or (None, None)
    return Execution(
        mode="eager",
        memory_format=pipeline.memory_format,
        tf32_products=products,
        tf32_convolutions=convolutions,
        evaluation_batch_size=pipeline.evaluation_batch(protocol.batch_size, setting.device.type),
        threads=pipeline.threads(protocol.batch_size) if on_cpu else torch.get_num_threads(),
        wait_policy=wait_policy(),
    )


def unfinished_result(
    cell: Cell, protocol: Protocol, setting: Setting, run: CellRun | None, *, because: str, data: Data | None = None
) -> Result:
    """The record of a cell that broke off: what is known of it, and why there is no more."""
    rounds = tuple(run.rounds) if run is not None else ()
    data = run.data if run is not None else data
    how = execution(run, setting) if run is not None and rounds else None
    return Result(
        cell=cell_facts(cell, data),
        protocol=protocol,
        pipeline=setting.pipeline,  # type: ignore[arg-type]  # checked by the record
        execution=how or executed(PIPELINES[setting.pipeline], protocol, setting),
        device=setting.device,
        where=setting.where,
        network=run.counted if run is not None else None,
        rounds=rounds,
        accuracy=Accuracy.of(r.accuracy for r in rounds) if rounds else None,
        band=None,
        band_missing_because="the cell was not finished",
        gpu=None,
        gpu_missing_because=setting.gpu_missing_because or "the cell was not finished",
        trace=None,
        trace_missing_because=setting.gpu_missing_because or "the cell was not finished",
        predictions=None,
        predictions_missing_because="the cell was not finished",
        cpu=run.cpu() if run is not None else None,
        depth=None,
        outcome=Outcome(status="error", failures=(because,)),
    )


def finished_result(
    run: CellRun, rounds: int, setting: Setting, observed: Captured, bands: Bands | str, *, no_trace_because: str
) -> Result:
    """The record of a cell whose first `rounds` rounds are done; not judged yet, so `passed`.

    `bands` is the bands file, or the reason why there is none. The trace is still to come.
    """
    finished = tuple(run.rounds[:rounds])
    protocol = run.protocol.repeated(rounds=len(finished))
    accuracy = Accuracy.of(r.accuracy for r in finished)
    diverged = any(r.diverged for r in finished)
    band, band_missing = band_of(run.cell.id, protocol, accuracy, diverged=diverged, bands=bands)
    return Result(
        cell=cell_facts(run.cell, run.data),
        protocol=protocol,
        pipeline=setting.pipeline,  # type: ignore[arg-type]  # checked by the record
        execution=execution(run, setting),
        device=setting.device,
        where=setting.where,
        network=run.network,
        rounds=finished,
        accuracy=accuracy,
        band=band,
        band_missing_because=band_missing,
        gpu=observed.gpu,
        gpu_missing_because=observed.gpu_missing_because,
        trace=None,
        trace_missing_because=no_trace_because,
        predictions=observed.predictions,
        predictions_missing_because=observed.predictions_missing_because,
        cpu=observed.cpu,
        depth=classical_depth(run.network),
        outcome=Outcome(status="passed"),
    )


def cell_facts(cell: Cell, data: Data | None) -> CellFacts:
    """Which cell, and which bytes; without `data` the latter are not known."""
    return CellFacts(
        model=cell.model,
        dataset=cell.dataset,
        n_train=len(data.train) if data is not None else None,
        n_test=len(data.test) if data is not None else None,
        data_sha256=data.sha256 if data is not None else None,
    )
