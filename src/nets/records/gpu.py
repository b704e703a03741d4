"""What a record says of the GPU: the driver's figures, and those of a profiler trace."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from nets.records.base import Record


class Missing(Record):
    """A figure that is null, by its field's name, and why."""

    figure: str
    because: str


TORCH_FIGURES = ("memory_peak_training_bytes", "memory_peak_evaluation_bytes")
DRIVER_FIGURES = (
    "utilization_pct",
    "memory_used_peak_bytes",
    "energy_j",
    "energy_per_step_j",
    "power_w",
    "sm_clock_mhz",
    "sm_utilization_pct",
    "sm_occupancy_pct",
    "dram_bandwidth_pct",
    "tensor_pct",
    "fp32_pct",
)
GPU_FIGURES = (*TORCH_FIGURES, *DRIVER_FIGURES)


class Gpu(Record):
    """What NVML and torch saw of the GPU, over the timed regions or, where those are too short, over a soak.

    `window_s`: how long was watched. `utilization_pct`: time in which any kernel ran. `memory_peak_training_bytes`,
    `memory_peak_evaluation_bytes`: torch's peaks over the rounds' two parts; `memory_used_peak_bytes`: the device's,
    every process in it. `energy_j`: of one round, `energy_per_step_j`: of one
    training step of the soak; idle power is in both. `sm_...`, `dram_...`, `tensor_...`, `fp32_...`: the hardware's own
    counters (GPM). `n_processes`: the most that computed on the GPU at once as the driver lists them (0: it lists none,
    not even ours). A null figure stands in `missing`; `reasons` says what makes the others unfit for comparison,
    and `unchecked` which of the things that could was not to be seen.
    """

    window: Literal["timed", "soak"]
    window_s: float = Field(ge=0)
    n_steps: int | None = Field(default=None, ge=1)
    utilization_pct: float | None = Field(default=None, ge=0, le=100)
    memory_peak_training_bytes: int | None = None
    memory_peak_evaluation_bytes: int | None = None
    memory_used_peak_bytes: int | None = None
    energy_j: float | None = Field(default=None, ge=0)
    energy_per_step_j: float | None = Field(default=None, ge=0)
    power_w: float | None = Field(default=None, ge=0)
    sm_clock_mhz: float | None = None
    sm_utilization_pct: float | None = Field(default=None, ge=0, le=100)
    sm_occupancy_pct: float | None = Field(default=None, ge=0, le=100)
    dram_bandwidth_pct: float | None = Field(default=None, ge=0, le=100)
    tensor_pct: float | None = Field(default=None, ge=0, le=100)
    fp32_pct: float | None = Field(default=None, ge=0, le=100)
    n_processes: int | None = Field(default=None, ge=0)
    missing: tuple[Missing, ...]
    unchecked: tuple[str, ...] = ()
    valid: bool
    reasons: tuple[str, ...]

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Gpu:
        named = {missing.figure for missing in self.missing}
        for figure in GPU_FIGURES:
            if (getattr(self, figure) is None) != (figure in named):
                raise ValueError(f"{figure} must be either measured or in 'missing', with the reason")
        if self.valid == bool(self.reasons):
            raise ValueError("'valid' contradicts 'reasons'")
        return self


class LongKernel(Record):
    """All kernels of one name: how many, their time inside the window, and its fraction of all kernels' time."""

    name: str
    n: int
    total_s: float
    share: float


class Trace(Record):
    """The profiler's figures of one GPU; null where one can't be computed, and the reason beside it.

    `achieved_occupancy_rounded_pct` is from the trace's own whole per cent. With a CUDA graph one profiler step is one
    replay of `training_steps_per_step` steps. `leftover_share`: of the kernels' time, the fraction of kernels
    launched before the first step, which are in the other figures too. `events_left_out` made no sense, the first of
    them because of `left_out_because`. `longest_kernels` are the ten names with the most time.
    """

    gpu_utilization_pct: float = Field(ge=0, le=100)
    sm_efficiency_pct: float | None = Field(ge=0, le=100)
    sm_efficiency_missing_because: str | None = None
    achieved_occupancy_pct: float | None = Field(ge=0, le=100)
    achieved_occupancy_rounded_pct: float | None = Field(ge=0, le=100)
    occupancy_missing_because: str | None = None
    steps: int = Field(ge=1)
    training_steps_per_step: float = Field(ge=1)
    kernels_per_step: float = Field(ge=0)
    window_s: float = Field(gt=0)
    leftover_share: float | None = Field(default=None, ge=0, le=1)
    leftover_missing_because: str | None = None
    events_left_out: int = Field(default=0, ge=0)
    left_out_because: str | None = None
    longest_kernels: tuple[LongKernel, ...]
