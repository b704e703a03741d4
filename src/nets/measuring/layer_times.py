"""What each layer of a network costs in a training step: a few steps under torch's profiler, read by module.

To be taken after all rounds: the profiler's library stays attached to the process (`nets.gpu.capture.traced`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice, repeat
from statistics import median
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.profiler import ProfilerActivity, profile, record_function

from nets.measuring.by_module import (
    BACKWARD,
    LOSS,
    MODULE,
    OPTIMIZER,
    STEP,
    Happened,
    Part,
    Phase,
    TimedStep,
    by_module,
    folded,
)
from nets.networks.build import UnfitNetwork
from nets.records.comparisons import LayerTimes, ModuleTime, PartOfStep
from nets.training.run import CellRun
from nets.training.trainer import Batch, Trainer

N_WARM_UP = 3
MIN_STEPS, MAX_STEPS = 3, 10
ENOUGH_S = 2.0
"""Of profiled steps: reading the events of one takes longer than the step."""


def layer_times(run: CellRun) -> tuple[LayerTimes | None, str | None]:
    """The times of a network of its own, or why there are none; nothing of it is a round's."""
    try:
        with run.scratch() as trainer:
            return _measured(run, trainer), None
    except UnfitNetwork as error:
        return None, str(error)
    except Exception as error:  # of many kinds; none may lose the finished rounds
        return None, f"the profiler failed: {str(error).partition(chr(10))[0] or type(error).__name__}"


def _measured(run: CellRun, trainer: Trainer) -> LayerTimes:
    on_device = run.device.type == "cuda"
    n = N_WARM_UP + MAX_STEPS
    batches = list(islice(chain.from_iterable(repeat(run.loaders.train, n)), n))
    model = trainer.model.train()
    step_s = [_seconds(run, trainer, batch) for batch in batches][N_WARM_UP:]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_device else [])]
    with _quiet(), _named_ranges(model), profile(activities=activities) as profiler:
        started = perf_counter()
        for i, batch in enumerate(batches[N_WARM_UP - 1 :]):  # one more: the profiler's first step is slower
            if i > MIN_STEPS and perf_counter() - started > ENOUGH_S:
                break
            with record_function(STEP):
                _step(trainer, *_placed(batch, run.device), named=True)
                run.synchronise()
    steps = by_module(_happened(profiler), on_device=on_device)[1:]
    return _record(model, steps, run, median(step_s))


def _seconds(run: CellRun, trainer: Trainer, batch: Batch) -> float:
    """Of a step without the profiler."""
    images, labels = _placed(batch, run.device)
    run.synchronise()
    started = perf_counter()
    _step(trainer, images, labels, named=False)
    run.synchronise()
    return perf_counter() - started


def _placed(batch: Batch, device: torch.device) -> Batch:
    return batch[0].to(device), batch[1].to(device)


def _step(trainer: Trainer, images: Tensor, labels: Tensor, *, named: bool) -> None:
    """A training step as the trainers have it, its parts as ranges where `named`."""
    outputs = trainer.model(images)
    with _range(LOSS, named):
        loss = F.cross_entropy(outputs, labels)
    trainer.optimizer.zero_grad()
    with _range(BACKWARD, named):
        loss.backward()
    with _range(OPTIMIZER, named):
        trainer.optimizer.step()


@contextmanager
def _range(name: str, named: bool) -> Iterator[None]:
    if not named:
        yield
        return
    with record_function(name):
        yield


@contextmanager
def _named_ranges(model: nn.Module) -> Iterator[None]:
    """Make each call of a module of the network a range.

    By hooks for all modules, which a compiled or scripted one has no part in: only what calls it has.
    """
    numbers = {id(module): i for i, module in enumerate(model.modules())}
    running: list[tuple[int, Any]] = []

    def begins(module: nn.Module, _given: Any) -> None:
        if id(module) in numbers and not torch.compiler.is_compiling():
            running.append((id(module), record_function(f"{MODULE}{numbers[id(module)]}")))
            running[-1][1].__enter__()

    def ends(module: nn.Module, _given: Any, _output: Any) -> None:
        if running and running[-1][0] == id(module) and not torch.compiler.is_compiling():
            running.pop()[1].__exit__(None, None, None)

    handles = [register_module_forward_pre_hook(begins), register_module_forward_hook(ends, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the profiler's library writes to standard error, as that there is no GPU, and torch's warnings."""
    before = os.environ.get("KINETO_LOG_LEVEL")
    os.environ["KINETO_LOG_LEVEL"] = before or "99"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del os.environ["KINETO_LOG_LEVEL"]


def _happened(profiler: profile) -> Iterator[Happened]:
    """The host's events; what marks a range on the GPU has its name, and is no kernel."""
    for event in profiler.events() or ():
        if event.device_type.name == "CPU" and not event.is_async:
            yield Happened(
                name=event.name,
                thread=event.thread,
                start_us=event.time_range.start,
                end_us=event.time_range.end,
                sequence=event.sequence_nr,
                forward_thread=event.fwd_thread or 0,
                device_us=sum(kernel.duration for kernel in event.kernels if kernel.name != event.name),
            )


def _record(model: nn.Module, steps: Sequence[TimedStep], run: CellRun, unprofiled_step_s: float) -> LayerTimes:
    names = dict(enumerate(name for name, _ in model.named_modules()))
    worked = set().union(*(step.worked for step in steps))
    seen = {part for step in steps for part, _ in step.by_place if isinstance(part, int)}
    times = [folded(step, names, worked | {0}) for step in steps]
    order = list(dict.fromkeys(part for step in times for part, _ in step if isinstance(part, int)))

    def seconds(part: Part, phase: Phase) -> float:
        return max(0.0, median(step.get((part, phase), 0.0) for step in times)) / 1e6

    def both(part: Part) -> dict[str, float]:
        return {"forward_s": seconds(part, "forward"), "backward_s": seconds(part, "backward")}

    modules = list(model.modules())
    return LayerTimes(
        n_steps=len(steps),
        batch_size=run.protocol.batch_size,
        clock="kernels" if run.device.type == "cuda" else "host",
        step_s=median(sum(step.values()) for step in times) / 1e6,
        unprofiled_step_s=unprofiled_step_s,
        modules=tuple(ModuleTime(name=names[i], kind=_kind(modules[i]), **both(i)) for i in order),
        loss=PartOfStep(**both("loss")),
        optimizer_s=seconds("optimizer", "forward"),
        rest=PartOfStep(**both("rest")),
        unseen=tuple(names[i] for i, module in enumerate(modules) if i not in seen and _has_weights(module)),
    )


def _kind(module: nn.Module) -> str:
    """Its class; of a scripted module that of the one it was made of."""
    return str(getattr(module, "original_name", type(module).__name__))


def _has_weights(module: nn.Module) -> bool:
    """Of its own."""
    return any(True for _ in module.parameters(recurse=False))
