"""torch.profiler's traces -> GPU utilization, SM efficiency and achieved occupancy; pure.

Per device, with T the window from the start of the first `ProfilerStep#N` to the end of the last, a step's end
extended to the end of the last kernel, copy or memset on the device that the step launched:

- GPU utilization = |union of the kernels' intervals ∩ T| / T;
- SM efficiency = Σ over time of min(Σ over concurrent kernels of blocks per SM, 1) · dt / T;
- achieved occupancy = Σ(occupancy · duration) / Σ duration, over the kernels' parts inside T;
- left over = Σ duration of the kernels launched before the first step / Σ duration, over the same parts.

A kernel was launched before the first step if no call from that step's start on has its correlation id. Where a graph
was launched these ids may be wrong (CUDA 13.0, https://github.com/pytorch/kineto/issues/1165), and time decides:
nothing is left over if no kernel began before the first launch from that start on; else how much can't be told.

Several cycles of the profiler's schedule count as one: numerators and denominators are summed. All sums are exact
(whole nanoseconds, `math.fsum`, fractions), so that the order of a trace's events doesn't matter. The definitions are
those of torch-tb-profiler 0.4.3 (https://pypi.org/project/torch-tb-profiler/), but blocks per SM and occupancy are not
rounded, launches of today's category `cuda_runtime` and of the driver are read, another GPU's work doesn't extend T,
and T is not shortened: the plug-in starts it after work that is left over from earlier steps, and drops a last step
with under 80 % of the operations of the one before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import fsum
from typing import TypeVar

from nets.errors import NetsError
from nets.gpu.kineto import Cycle, Event
from nets.gpu.occupancy import Incomputable, SmLimits
from nets.records.gpu import LongKernel, Trace

N_LONGEST = 10
_N = TypeVar("_N", int, float, int | Fraction)


class NoKernels(NetsError):
    """A trace without a ProfilerStep window, or without a kernel inside it; the message says which."""


def trace_figures(cycles: Sequence[Cycle], *, device: int | None = None, training_steps_per_step: float = 1.0) -> Trace:
    """The figures of one device over all cycles, by torch's index; without `device`, of the only one that ran kernels.

    An AMD GPU's events have the id of an HSA agent in this index's place, so the only one that ran kernels is taken.
    Raises NoKernels, and ValueError where there is no trace or more than one device to choose from.
    """
    if not cycles:
        raise ValueError("no trace to take figures from")
    ran = sorted({found for cycle in cycles for found in cycle.devices})
    several = ", ".join(map(str, ran)) if len(ran) > 1 else None
    on_amd = any(cycle.on_amd for cycle in cycles)
    if on_amd and several:
        raise NoKernels(f"{cycles[0].source}: kernels ran on HSA agents {several}, and nothing tells which is the GPU")
    if device is None and several:
        raise ValueError(f"kernels ran on GPUs {several}: choose one device")
    in_events = device if device is not None and not on_amd else ran[0] if ran else 0
    windows = [_DeviceWindow.of(cycle, in_events, device if on_amd else in_events) for cycle in cycles]
    window_ns = sum(window.end_ns - window.start_ns for window in windows)
    kernels_ns = sum(part.ns for window in windows for part in window.parts)
    efficiency, no_efficiency = _share_or_reason(windows, _DeviceWindow.covered_ns, window_ns)
    occupancy, no_occupancy = _share_or_reason(windows, _DeviceWindow.occupied_ns, kernels_ns)
    rounded, no_rounded = _share_or_reason(windows, _DeviceWindow.occupied_rounded_ns, kernels_ns)
    leftover, no_leftover = _share_or_reason(windows, _DeviceWindow.leftover_ns, kernels_ns)
    n_steps = sum(len(cycle.steps) for cycle in cycles)
    return Trace(
        gpu_utilization_pct=100 * sum(ns for window in windows for ns in window.busy_ns()) / window_ns,
        sm_efficiency_pct=_pct(efficiency),
        sm_efficiency_missing_because=no_efficiency,
        achieved_occupancy_pct=_pct(occupancy),
        achieved_occupancy_rounded_pct=_pct(rounded),
        occupancy_missing_because="; ".join(filter(None, (no_occupancy, no_rounded))) or None,
        steps=n_steps,
        training_steps_per_step=training_steps_per_step,
        kernels_per_step=sum(len(window.parts) for window in windows) / n_steps,
        window_s=window_ns / 1e9,
        leftover_share=leftover,
        leftover_missing_because=no_leftover,
        events_left_out=sum(cycle.n_left_out for cycle in cycles),
        left_out_because=next((fault for cycle in cycles for fault in cycle.faults.values()), None),
        longest_kernels=_longest([part for window in windows for part in window.parts]),
    )


@dataclass(frozen=True, slots=True)
class _KernelPart:
    """The part of a kernel that lies inside the window."""

    kernel: Event
    start_ns: int
    end_ns: int

    @property
    def ns(self) -> int:
        """Its duration."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class _DeviceWindow:
    """The window of one cycle on one device."""

    cycle: Cycle
    start_ns: int
    end_ns: int
    parts: list[_KernelPart]
    properties: Mapping[str, object]

    @classmethod
    def of(cls, cycle: Cycle, device: int, index: int | None) -> _DeviceWindow:
        """Select what lies in the window of a cycle, by the events' device and torch's index. Raises NoKernels."""
        if not cycle.steps:
            raise NoKernels(
                cycle.lacks("step", "it has no ProfilerStep: give the profiler a schedule, call its step()")
            )
        if not cycle.kernels:
            raise NoKernels(cycle.lacks("kernel", "no kernel ran on a GPU"))
        in_step = cycle.launched_in_step()
        kernels = [kernel for kernel in cycle.kernels if kernel.args.device == device]
        copies = [copy for copy in cycle.copies if copy.args.device == device]
        start = min(step.start_ns for step in cycle.steps)
        extended = [op for op in (*kernels, *copies) if in_step.get(op.args.correlation)]
        end = max(event.end_ns for event in (*cycle.steps, *extended))
        parts = [_KernelPart(kernel, max(kernel.start_ns, start), min(kernel.end_ns, end)) for kernel in kernels]
        parts = [part for part in parts if part.ns > 0]
        if not parts:
            raise NoKernels(cycle.lacks("kernel", f"no kernel ran on GPU {device} within the ProfilerStep window"))
        known = cycle.properties if isinstance(cycle.properties, list) else []
        properties = (entry for entry in known if isinstance(entry, Mapping) and entry.get("id") == index)
        return cls(cycle, start, end, parts, next(properties, {}))

    def leftover_ns(self) -> list[float]:
        """Durations of the kernels that are left over from before the first step. Raises Incomputable."""
        if "launch" in self.cycle.faults:
            raise Incomputable(f"a launch was left out: {self.cycle.faults['launch']}")
        calls = [call for call in self.cycle.launches if call.start_ns >= self.start_ns]
        launches = [call for call in calls if "Launch" in call.name]
        if not launches:
            raise Incomputable("the trace has no launch from its first ProfilerStep on")
        if not any("GraphLaunch" in call.name for call in self.cycle.launches):
            ids = {call.args.correlation for call in calls}
            return [part.ns for part in self.parts if part.kernel.args.correlation not in ids]
        first = min(launch.start_ns for launch in launches)
        if any(part.kernel.start_ns < first for part in self.parts):
            raise Incomputable("a kernel began before the first launch, and the ids of a graph's kernels may be wrong")
        return []

    def busy_ns(self) -> list[int]:
        """Durations of the intervals in which at least one kernel ran."""
        edges = sorted(edge for part in self.parts for edge in ((part.start_ns, 1), (part.end_ns, -1)))
        return [ns for ns, running in _levels(edges) if running]

    def covered_ns(self) -> list[float]:
        """The same durations, each weighted with the fraction of the SMs that had a block. Raises Incomputable."""
        found = self.properties.get("numSms")
        n_sms = found if isinstance(found, int) and found > 0 else None
        calls = {call.args.correlation: call.name for call in self.cycle.launches} if self.cycle.on_amd else None
        pairs = _for_each(self.parts, lambda kernel: kernel.blocks(n_sms, calls))
        edges = sorted(edge for part, n in pairs for edge in ((part.start_ns, n), (part.end_ns, -n)))
        return [ns * min(float(n / (n_sms or 1)), 1.0) for ns, n in _levels(edges)]

    def occupied_ns(self) -> list[float]:
        """Each kernel's time, weighted with its occupancy. Raises Incomputable."""
        if self.cycle.on_amd:
            raise Incomputable("NVIDIA's rules of occupancy don't hold on an AMD GPU")
        gpu = SmLimits.of(self.properties)
        pairs = _for_each(self.parts, lambda kernel: gpu.occupancy(kernel.launch()))
        return [part.ns * occupancy for part, occupancy in pairs]

    def occupied_rounded_ns(self) -> list[float]:
        """The same, with the occupancy that the trace gives in whole per cent. Raises Incomputable."""
        return [part.ns * occupancy for part, occupancy in _for_each(self.parts, Event.rounded_occupancy)]


def _for_each(parts: Sequence[_KernelPart], compute: Callable[[Event], _N]) -> list[tuple[_KernelPart, _N]]:
    """Each part with a figure of its kernel. Raises Incomputable, for the same reason in whatever order."""
    values: list[tuple[_KernelPart, _N]] = []
    reasons: set[str] = set()
    for part in parts:
        try:
            values.append((part, compute(part.kernel)))
        except Incomputable as error:
            reasons.add(str(error))
    if reasons:
        raise Incomputable(min(reasons))
    return values


def _levels(edges: Sequence[tuple[int, _N]]) -> list[tuple[int, _N]]:
    """Sorted (time, change of a level) -> (duration, level) of each interval."""
    heights = accumulate(change for _, change in edges)
    return [(after[0] - before[0], height) for (before, after), height in zip(pairwise(edges), heights, strict=False)]


def _pct(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _share_or_reason(
    windows: Sequence[_DeviceWindow], weigh: Callable[[_DeviceWindow], list[float]], whole_ns: int
) -> tuple[float | None, str | None]:
    try:
        ns = fsum(ns for window in windows for ns in weigh(window))
    except Incomputable as error:
        return None, str(error)
    return min(ns / whole_ns, 1.0), None  # rounding must not make it 1.0000000000000002


def _longest(parts: Sequence[_KernelPart]) -> tuple[LongKernel, ...]:
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for part in parts:
        by_name[part.kernel.name].append(part.ns)
    all_ns = sum(part.ns for part in parts)
    longest = sorted((-sum(each), name) for name, each in by_name.items())[:N_LONGEST]
    return tuple(
        LongKernel(name=name, n=len(by_name[name]), total_s=-ns / 1e9, share=-ns / all_ns) for ns, name in longest
    )
