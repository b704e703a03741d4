"""What is seen of a cell beside its rounds: the GPU by its driver, by a trace, and the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nets import kineto, passes, trace
from nets.harness import Ledger
from nets.monitor import GpuMonitor
from nets.records.cell import Cpu
from nets.records.gpu import Gpu, Trace
from nets.training.run import CellRun
from nets.windows import Window


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of a record that no round holds; what is None has its reason."""

    cpu: Cpu
    gpu: Gpu | None
    gpu_missing_because: str | None
    trace: Trace | None
    trace_missing_because: str | None


def observe(
    run: CellRun,
    monitor: GpuMonitor | None,
    *,
    take_trace: bool,
    keep_traces: Path | None,
    no_gpu_because: str | None,
    ledger: Ledger | None = None,
) -> Observed:
    """Take the untimed passes of a cell whose rounds are over; `ledger` is told how long they took.

    `keep_traces`: the folder where the trace's files stay; on a CPU they are taken for that folder alone.
    `no_gpu_because`: None on a GPU.
    """
    ledger = ledger or Ledger()
    cpu = run.cpu()  # before the passes, which are not the cell's
    with ledger.spent("soak"):
        gpu = _gpu(run, monitor)
    with ledger.spent("trace"):
        traced, no_trace_because = _trace(run, keep_traces, no_gpu_because) if take_trace else (None, "--no-trace")
    return Observed(
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
        n_steps = passes.soak(run, monitor.watch(soaked))
    except RuntimeError as error:  # torch's, of which out of memory is one
        return monitor.use(no_soak_because=_line(error))
    return monitor.use(soaked[0], n_steps) if soaked and n_steps else monitor.use()


def _trace(run: CellRun, keep_in: Path | None, no_gpu_because: str | None) -> tuple[Trace | None, str | None]:
    if no_gpu_because is not None and keep_in is None:
        return None, no_gpu_because
    try:
        with TemporaryDirectory() as dropped:
            profile = passes.profiled(run, keep_in or Path(dropped))
            figures = trace.figures(
                [kineto.read(file) for file in profile.files],
                device=run.device.index,
                training_steps_per_step=profile.training_steps_per_step,
            )
    except (trace.NoKernels, kineto.Unreadable) as error:
        return None, no_gpu_because or str(error)
    except Exception as error:  # of many kinds, and the cell's rounds are done
        return None, f"the profiler failed: {_line(error)}"
    return figures, None


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
