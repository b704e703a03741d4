"""What was measured on a GPU in one window of time, and the summary of a cell's windows in its `Gpu` record; pure.

A figure that could not be measured is None with its reason in `missing`, never 0. What makes a measured figure unfit
for comparison (another process, throttling, MIG, a window too short) is in `reasons`, and the figure stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from nets.records.gpu import DRIVER_FIGURES, GPU_FIGURES, Gpu, Missing

MIN_WINDOW_S = 3.0
"""NVML averages utilization over 1/6 to 1 s and updates energy every 0.1 s: shorter windows are inaccurate."""
ENOUGH_SAMPLES, ENOUGH_TICKS = 6, 3
"""A soak is as long as it takes the driver to give so many utilization samples and move its energy counter so often."""
MAX_GAP_S = 2.0
"""The longest time without a utilization sample; the driver gives at least one a second."""
COUNTERS = ("sm_utilization_pct", "sm_occupancy_pct", "dram_bandwidth_pct", "tensor_pct", "fp32_pct")


@dataclass(slots=True)
class Window:
    """One window of time. Sample times are seconds since its start, energy is that of the window, counters per cent.

    `ticks`: (seconds, joules) when the energy counter was seen to have moved; where they were looked for, in a soak,
    the mean power is that between the first and the last. `enough`: whether the driver had given all that a soak
    waits for. `refused`: figure -> why the driver gave none. `unchecked`: what could have spoilt the figures and
    could not be seen. `spoilt`: what did, so that the figures are not fit for comparison.
    """

    seconds: float = 0.0
    samples: list[tuple[float, float]] = field(default_factory=list)
    energy_j: float | None = None
    ticks: list[tuple[float, float]] = field(default_factory=list)
    enough: bool = False
    memory_used_bytes: list[int] = field(default_factory=list)
    sm_clock_mhz: list[float] = field(default_factory=list)
    counters: Mapping[str, float] = field(default_factory=dict)
    n_processes: int | None = None
    refused: dict[str, str] = field(default_factory=dict)
    unchecked: set[str] = field(default_factory=set)
    spoilt: set[str] = field(default_factory=set)

    @classmethod
    def unmeasured(cls, because: str) -> Window:
        """A window for which the driver gave nothing."""
        return cls(refused=dict.fromkeys(DRIVER_FIGURES, because), spoilt={because})

    @property
    def power_w(self) -> float | None:
        """Mean power over the window; of a soak, between two moves of the counter, which lags by up to a tenth."""
        if self.energy_j is None or not self.seconds:
            return None
        if len(self.ticks) < 2:
            return self.energy_j / self.seconds
        (began, before), *_, (ended, after) = self.ticks
        return (after - before) / (ended - began)


def too_short(windows: Iterable[Window], min_window_s: float = MIN_WINDOW_S) -> bool:
    """Whether any of the windows is too short for the driver, or there is none."""
    return min((math.inf if window.enough else window.seconds for window in windows), default=0.0) < min_window_s


def gpu_record(
    timed: Sequence[Window],
    soak: Window | None = None,
    n_steps: int | None = None,
    *,
    no_soak_because: str | None = None,
    min_window_s: float = MIN_WINDOW_S,
    max_gap_s: float = MAX_GAP_S,
    training_peak_bytes: int | None = None,
    evaluation_peak_bytes: int | None = None,
) -> Gpu:
    """The record of a cell's timed windows, and of its soak of `n_steps` training steps where there was one.

    Peaks are always those of the timed windows; torch's are handed in. What spoilt a timed window spoils the record,
    with a soak too.
    """
    used = timed if soak is None else [soak]
    watched = [*timed, *used]
    figures: dict[str, float | None] = {
        "memory_peak_training_bytes": training_peak_bytes,
        "memory_peak_evaluation_bytes": evaluation_peak_bytes,
        "memory_used_peak_bytes": max((used for w in timed for used in w.memory_used_bytes), default=None),
    }
    because = {name: text for window in watched for name, text in window.refused.items()}
    spoilt = {text for window in watched for text in window.spoilt}
    if too_short(used, min_window_s):
        shortest_s = min((window.seconds for window in used), default=0.0)
        short = f"a window lasted {shortest_s:.2f} s, and the driver's figures need {min_window_s:g} s"
        short += f"; no soak: {no_soak_because}" if no_soak_because is not None else ""
        spoilt.add(short)
        because = {name: short for name in GPU_FIGURES if name not in figures} | because
    else:
        spoilt |= {text for window in used if (text := _sampling_gap(window, max_gap_s)) is not None}
        figures |= _means(used) | _energy(used, n_steps if soak is not None else None)
        because |= {"energy_j": _SEE_STEP_ENERGY} if soak is not None else {"energy_per_step_j": _SEE_ROUND_ENERGY}
        if figures["power_w"] is None:
            refusal = because.get("power_w", "the driver gave no energy")
            because |= dict.fromkeys(("energy_j", "energy_per_step_j"), refusal)
    counted = [window.n_processes for window in watched if window.n_processes is not None]
    return Gpu.model_validate(
        {
            "window": "timed" if soak is None else "soak",
            "window_s": sum(window.seconds for window in used),
            "n_steps": n_steps if soak is not None else None,
            **figures,
            "n_processes": max(counted, default=None),
            "missing": tuple(
                Missing(figure=name, because=because.get(name, "the driver gave no value"))
                for name in GPU_FIGURES
                if figures.get(name) is None
            ),
            "unchecked": tuple(sorted({text for window in watched for text in window.unchecked})),
            "valid": not spoilt,
            "reasons": tuple(sorted(spoilt)),
        }
    )


_SEE_STEP_ENERGY = "a round is too short for the driver: see energy_per_step_j"
_SEE_ROUND_ENERGY = "the timed window holds the evaluation too: see energy_j"


def _energy(windows: Sequence[Window], n_steps: int | None) -> dict[str, float | None]:
    """Energy of a step of the soak, or of a round, and mean power; None where any window lacks it."""
    known = [power * window.seconds for window in windows if (power := window.power_w) is not None]
    if len(known) < len(windows):
        return {"power_w": None}
    each = {"energy_j": sum(known) / len(windows)} if n_steps is None else {"energy_per_step_j": sum(known) / n_steps}
    return {"power_w": sum(known) / sum(window.seconds for window in windows), **each}


def _means(windows: Sequence[Window]) -> dict[str, float | None]:
    """Means over the time of all windows; None where any window lacks the figure."""
    clocks = [clock for window in windows for clock in window.sm_clock_mhz]
    samples = [[pct for _, pct in window.samples[1:]] for window in windows]  # the first reaches back before the window
    return {
        "sm_clock_mhz": fmean(clocks) if clocks else None,
        "utilization_pct": _mean([fmean(pcts) if pcts else None for pcts in samples], windows),
        **{name: _mean([window.counters.get(name) for window in windows], windows) for name in COUNTERS},
    }


def _mean(values: Sequence[float | None], windows: Sequence[Window]) -> float | None:
    """The mean of the windows' percentages, weighted with their time; None if one has none."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return min(fmean(known, [window.seconds for window in windows]), 100.0)  # rounding must not lead beyond


def _sampling_gap(window: Window, max_gap_s: float) -> str | None:
    """A sentence on a window with a long time between samples; None where there is none, or there are no samples."""
    if not window.samples:
        return None
    at = [0.0, *(seconds for seconds, _ in window.samples), window.seconds]
    longest_s = max(later - earlier for earlier, later in pairwise(at))
    return f"the driver gave no utilization for {longest_s:.1f} s" if longest_s > max_gap_s else None
