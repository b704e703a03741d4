"""Runs of the digits on the GPU, and how what is seen of them is taken: the one place that knows that."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import nn

from nets.cells.catalog import CELLS, Cell, protocol_for
from nets.datasets.load import load_data
from nets.gpu import capture
from nets.gpu.kineto import read_trace
from nets.gpu.monitor import GpuMonitor
from nets.gpu.trace import trace_figures
from nets.records.cell import Protocol
from nets.records.gpu import Gpu, Trace
from nets.training.eager import ResidentTrainer
from nets.training.pipelines import PIPELINES, Pipeline, ResidentPipeline
from nets.training.run import CellRun
from nets.training.trainer import Loaders

DIGITS = [cell for cell in CELLS if cell.dataset == "digits"]  # the article's three MNIST networks, no file needed
RESIDENT = PIPELINES["resident"]


class EagerPipeline(ResidentPipeline):
    """The resident pipeline without CUDA graphs."""

    def trainer(self, model: nn.Module, loaders: Loaders, protocol: Protocol, device: torch.device) -> ResidentTrainer:
        """One that runs each step operation by operation."""
        return ResidentTrainer(model, loaders, protocol, device)


def digits_run(
    cell: Cell,
    device: torch.device,
    *,
    pipeline: Pipeline = RESIDENT,
    watch: Callable[[], AbstractContextManager[object]] = nullcontext,
    batch_size: int | None = None,
) -> CellRun:
    """A run of a cell on the digits under `quick`, or at another batch size; no round is done yet."""
    data, protocol = load_data("digits", Path()), protocol_for("quick", "digits").changed(batch_size=batch_size)
    return CellRun(cell, protocol, pipeline, data, pipeline.loaders(data, protocol, device), device, watch=watch)


def trace_of(run: CellRun, folder: Path) -> Trace:
    """The figures of a profile of scratch steps, whose files are kept. Raises NoKernels, Unreadable."""
    profile = capture.profiled(run, folder)
    return trace_figures(
        [read_trace(file) for file in profile.files],
        device=run.device.index,
        training_steps_per_step=profile.training_steps_per_step,
    )


def gpu_of(run: CellRun, monitor: GpuMonitor) -> Gpu:
    """What the driver saw of a run whose rounds are over, with a soak where they were too short."""
    seen = capture.capture(run, monitor, no_gpu_because=None).gpu
    assert seen is not None
    return seen
