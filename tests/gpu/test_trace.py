"""The profiler's figures: worked examples, invariants, what is refused, and NVIDIA's own occupancy calculator."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.gpu import trace
from nets.gpu.kineto import Cycle
from nets.gpu.trace import NoKernels
from nets.records.gpu import Trace

Event = dict[str, Any]

HOPPER = {
    "id": 0,
    "name": "NVIDIA H200",
    "totalGlobalMem": 150_000_000_000,
    "computeMajor": 9,
    "computeMinor": 0,
    "maxThreadsPerBlock": 1024,
    "maxThreadsPerMultiprocessor": 2048,
    "regsPerBlock": 65536,
    "warpSize": 32,
    "sharedMemPerBlock": 49152,
    "numSms": 132,
    "regsPerMultiprocessor": 65536,
    "sharedMemPerBlockOptin": 232448,
    "sharedMemPerMultiprocessor": 233472,
}


def step(n: int, ts: float, dur: float) -> Event:
    return {"ph": "X", "cat": "user_annotation", "name": f"ProfilerStep#{n}", "ts": ts, "dur": dur}


def call(correlation: int, ts: float, cat: str = "cuda_runtime") -> Event:
    args = {"cbid": 211, "correlation": correlation}
    return {"ph": "X", "cat": cat, "name": "cudaLaunchKernel", "ts": ts, "dur": 1.0, "args": args}


def kernel(
    ts: float,
    dur: float,
    *,
    name: str = "k",
    n_blocks: int = 132,
    registers: int = 32,
    shared_bytes: int = 0,
    blocks_per_sm: float = 1.0,
    rounded: float = 50,
    **args: Any,
) -> Event:
    """A kernel of one block of 1024 threads on each SM, so of occupancy 50 %, unless told otherwise."""
    plain = {
        "device": 0,
        "stream": 7,
        "correlation": 1,
        "registers per thread": registers,
        "shared memory": shared_bytes,
        "blocks per SM": blocks_per_sm,
        "grid": [n_blocks, 1, 1],
        "block": [1024, 1, 1],
        "est. achieved occupancy %": rounded,
    }
    return {"ph": "X", "cat": "kernel", "name": name, "ts": ts, "dur": dur, "args": plain | args}


def copy(ts: float, dur: float, correlation: int = 1, cat: str = "gpu_memcpy") -> Event:
    args = {"device": 0, "stream": 7, "correlation": correlation, "bytes": 4}
    return {"ph": "X", "cat": cat, "name": "Memcpy HtoD", "ts": ts, "dur": dur, "args": args}


def traced(*events: Event, **properties: Any) -> dict[str, Any]:
    """A trace of an H200, or of one whose properties differ."""
    return {"schemaVersion": 1, "deviceProperties": [HOPPER | properties], "traceEvents": list(events)}


def figures(traces: list[dict[str, Any]], **arguments: Any) -> Trace:
    """The figures of traces that were not written to a file."""
    cycles = [Cycle.of(whole, f"trace {i} of {len(traces)}") for i, whole in enumerate(traces, start=1)]
    return trace.trace_figures(cycles, **arguments)


def three(found: Trace) -> tuple[float | None, float | None, float | None]:
    return found.gpu_utilization_pct, found.sm_efficiency_pct, found.achieved_occupancy_pct


def times(found: Trace) -> dict[str, float]:
    return {long.name: long.total_s for long in found.longest_kernels}


def test_one_kernel() -> None:
    """A kernel on every other SM for 40 of 100 µs: utilization 40 %, efficiency 20 %, and half of its 50 % occupied."""
    found = figures([traced(step(3, 0, 100), call(1, 10), kernel(20, 40, n_blocks=66))])
    assert three(found) == pytest.approx((40, 20, 25))  # 66 of 132 SMs, 1024 of 2048 threads on each of them
    assert (found.steps, found.kernels_per_step, found.training_steps_per_step) == (1, 1, 1)
    assert found.window_s == pytest.approx(100e-6)
    (longest,) = found.longest_kernels
    assert (longest.name, longest.n, longest.share) == ("k", 1, 1)
    assert longest.total_s == pytest.approx(40e-6)
    assert found.occupancy_missing_because is found.sm_efficiency_missing_because is None


def test_overlapping_kernels() -> None:
    """Concurrent kernels count once for utilization, add up to at most 1 for efficiency, and weigh by their times.

    a: 10 to 50 on 99 SMs (0.75), b: 30 to 60 on 66 SMs (0.5); window 0 to 100.
    Union 10 to 60: 50 %. Efficiency: 20 · 0.75 + 20 · min(1.25, 1) + 10 · 0.5 = 40 %.
    Occupancies 0.375 and 0.25: (40 · 0.375 + 30 · 0.25) / 70.
    """
    a = kernel(10, 40, n_blocks=99, name="a", correlation=1)
    b = kernel(30, 30, n_blocks=66, name="b", correlation=2, stream=20)
    found = figures([traced(step(3, 0, 100), call(1, 5), call(2, 6), a, b)])
    assert three(found) == pytest.approx((50, 40, 100 * 22.5 / 70))
    assert times(found) == pytest.approx({"a": 40e-6, "b": 30e-6})
    assert found.longest_kernels[0].share == pytest.approx(4 / 7)


def test_a_kernel_longer_than_its_step() -> None:
    """The window lasts until the end of what its steps launched: 0 to 150, of which 50 to 150 is busy."""
    found = figures([traced(step(3, 0, 100), call(1, 10), kernel(50, 100))])
    assert three(found) == pytest.approx((100 * 100 / 150, 100 * 100 / 150, 50))


@pytest.mark.parametrize("cat", ["cuda_runtime", "cuda_driver"])
def test_a_kernel_that_starts_after_its_step(cat: str) -> None:
    """A kernel that the last step launched and that starts after it is counted whole: 40 of 160 µs."""
    found = figures([traced(step(3, 0, 50), step(4, 50, 50), call(1, 99, cat), kernel(120, 40))])
    assert found.gpu_utilization_pct == pytest.approx(25)
    assert found.kernels_per_step == 0.5


@pytest.mark.parametrize(
    ("cat", "device"), [("gpu_memcpy", "device"), ("gpu_memcpy", "inDevice"), ("gpu_memset", "device")]
)
def test_a_copy_extends_the_window_but_is_not_utilization(cat: str, device: str) -> None:
    """Copies, also between GPUs, and memsets extend the window and count for nothing else: 40 of 200 µs."""
    last = copy(150, 50, correlation=2, cat=cat)
    last["args"][device] = last["args"].pop("device")
    events = step(3, 0, 100), call(1, 10), call(2, 90), kernel(20, 40), last
    assert three(figures([traced(*events)])) == pytest.approx((20, 20, 50))


def test_kernels_from_outside_the_steps() -> None:
    """What began before the window counts from its start on; what others launched is cut at its end.

    Window 0 to 100: the first kernel's last 10 µs, the second's first 20. Both count as kernels of the step, as they
    count among the longest; the third, after the window, does not.
    """
    early, late, lost = kernel(-30, 40, correlation=1), kernel(80, 40, correlation=2), kernel(150, 50)
    del lost["args"]["correlation"]
    unknown = call(0, 50) | {"args": {"cbid": 211}}
    found = figures([traced(call(1, -40), step(3, 0, 100), early, late, call(2, 101), unknown, lost)])
    assert found.gpu_utilization_pct == pytest.approx(30)
    assert found.kernels_per_step == found.longest_kernels[0].n == 2


def test_a_cuda_graph() -> None:
    """One launch of a graph brings all of its kernels, counted by when they ran."""
    graph = [kernel(20 + 10 * i, 5, correlation=1) for i in range(6)]
    events = step(3, 0, 50), call(1, 10), *graph, kernel(-5, 5, correlation=8)
    found = figures([traced(*events)], training_steps_per_step=10)
    assert found.window_s == pytest.approx(75e-6)  # the graph's last kernel ends at 75
    assert (found.kernels_per_step, found.training_steps_per_step) == (6, 10)


def test_a_cuda_graph_with_wrong_ids() -> None:
    """CUDA 13.0 ties a graph's kernels to no launch, or to another: steps that enclose them give the same figures."""
    found = []
    for ids in ((1, 2), (77, 78), (2, 1)):
        kernels = [kernel(50 * k + 10 + 5 * i, 4, correlation=ids[k]) for k in range(2) for i in range(6)]
        events = step(3, 0, 50), step(4, 50, 50), call(1, 1), call(2, 51), *kernels
        found.append(figures([traced(*events)], training_steps_per_step=10))
    assert found[0] == found[1] == found[2]
    assert found[0].kernels_per_step == 6
    assert found[0].window_s == pytest.approx(100e-6)


def test_several_devices() -> None:
    """Each device has its own figures; without a choice both are named."""
    both = traced(step(3, 0, 100), call(1, 10), call(2, 11), kernel(20, 40), kernel(60, 20, device=1, correlation=2))
    both["deviceProperties"].append(HOPPER | {"id": 1, "numSms": 264})
    assert Cycle.of(both, "").devices == (0, 1)
    with pytest.raises(ValueError, match="GPUs 0, 1: choose"):
        figures([both])
    assert three(figures([both], device=0)) == pytest.approx((40, 40, 50))
    assert three(figures([both], device=1)) == pytest.approx((20, 10, 25))
    with pytest.raises(NoKernels, match="no kernel ran on GPU 2 within"):
        figures([both], device=2)


def test_two_cycles() -> None:
    """Cycles are summed, not averaged: 40 of 100 µs and 10 of 300 µs are 50 of 400."""
    first = traced(step(3, 0, 100), call(1, 10), kernel(20, 40))
    second = traced(step(8, 0, 150), step(9, 150, 150), call(1, 10), kernel(20, 10, n_blocks=66))
    found = figures([first, second])
    assert three(found) == pytest.approx((12.5, 100 * 45 / 400, 100 * (40 * 0.5 + 10 * 0.25) / 50))
    assert found.steps == 3
    assert found.kernels_per_step == pytest.approx(2 / 3)
    assert found.window_s == pytest.approx(400e-6)
    assert found.longest_kernels[0].n == 2


def test_a_tiny_grid_isn_t_rounded_to_nothing() -> None:
    """One block of 128 threads on 132 SMs: 0 in the trace's whole per cent, and 1/132 · 128/2048 in truth."""
    tiny = kernel(20, 40, n_blocks=1, block=[128, 1, 1], rounded=0)
    found = figures([traced(step(3, 0, 100), call(1, 10), tiny)])
    assert found.achieved_occupancy_rounded_pct == 0
    assert found.achieved_occupancy_pct == pytest.approx(100 / 132 * 128 / 2048)


def test_rounded_occupancy_is_weighted_by_duration() -> None:
    """30 % for 10 µs and 60 % for 20 µs are 50 %."""
    events = kernel(20, 10, rounded=30), kernel(30, 20, rounded=60)
    found = figures([traced(step(3, 0, 100), call(1, 10), *events)])
    assert found.achieved_occupancy_rounded_pct == pytest.approx(50)


def test_opting_in_to_shared_memory() -> None:
    """A kernel with 100 KiB a block ran, so two of its blocks of 512 threads were on an SM, where Kineto says 0."""
    large = kernel(20, 40, n_blocks=1320, block=[512, 1, 1], shared_bytes=100 * 1024, rounded=0)
    found = figures([traced(step(3, 0, 100), call(1, 10), large)])
    assert found.achieved_occupancy_pct == pytest.approx(50)  # 228 KiB hold two of 101 KiB


def without(event: Event, *names: str) -> Event:
    return event | {"args": {name: value for name, value in event["args"].items() if name not in names}}


@pytest.mark.parametrize(
    ("properties", "lacking", "reason"),
    [
        ({"regsPerMultiprocessor": None}, (), "'regsPerMultiprocessor' is None"),
        ({"warpSize": 64}, (), "warps of 64 threads"),
        ({"computeMajor": 13}, (), r"compute capability 13\.0"),
        ({"regsPerBlock": 1024}, (), "not one block fits"),
        ({}, ("registers per thread",), "'k' doesn't have all of"),
        ({"id": 1}, (), "deviceProperties have no 'computeMajor'"),
    ],
)
def test_occupancy_that_can_t_be_computed(properties: dict[str, Any], lacking: tuple[str, ...], reason: str) -> None:
    """Where a trace lacks what occupancy needs it is null, with the reason; the other figures stay."""
    events = step(3, 0, 100), call(1, 10), without(kernel(20, 40), *lacking)
    found = figures([traced(*events, **properties)])
    assert found.achieved_occupancy_pct is None
    assert found.occupancy_missing_because is not None
    assert re.search(reason, found.occupancy_missing_because)
    assert found.gpu_utilization_pct == pytest.approx(40)
    assert found.sm_efficiency_pct == pytest.approx(40)
    assert found.achieved_occupancy_rounded_pct == 50


def test_traces_without_kineto_s_estimates() -> None:
    """As from an AMD GPU: no blocks per SM and no occupancy is null with a reason, never 0."""
    bare = without(kernel(20, 40), "blocks per SM", "grid", "est. achieved occupancy %")
    found = figures([traced(step(3, 0, 100), call(1, 10), bare)])
    assert found.gpu_utilization_pct == pytest.approx(40)
    assert found.sm_efficiency_pct is found.achieved_occupancy_pct is found.achieved_occupancy_rounded_pct is None
    assert "neither 'grid' nor 'blocks per SM'" in (found.sm_efficiency_missing_because or "")
    assert "has no 'est. achieved occupancy %'" in (found.occupancy_missing_because or "")


@pytest.mark.parametrize("properties", [{}, {"numSms": None}, {"id": 1}])
def test_blocks_per_sm_as_the_trace_has_them(properties: dict[str, Any]) -> None:
    """Without a grid or the number of SMs, efficiency takes the trace's own blocks per SM, and sums them exactly.

    One kernel fills all SMs many times over from 10 to 30, one a quarter from 20 to 60: 20 · 1 + 30 · 0.25 of 100 µs.
    """
    kernels = kernel(10, 20, blocks_per_sm=1e17), kernel(20, 40, blocks_per_sm=0.25)
    events = step(3, 0, 100), call(1, 5), *(without(event, "grid") for event in kernels)
    assert figures([traced(*events, **properties)]).sm_efficiency_pct == pytest.approx(27.5)


@pytest.mark.parametrize("pct", [-99, 250])
def test_kineto_s_failed_estimate(pct: float) -> None:
    """A per cent below 0, by which Kineto says that it failed, or above 100 is no occupancy."""
    found = figures([traced(step(3, 0, 100), call(1, 10), kernel(20, 40, rounded=pct))])
    assert found.achieved_occupancy_rounded_pct is None
    assert found.achieved_occupancy_pct == pytest.approx(50)
    assert f"{pct} as" in (found.occupancy_missing_because or "")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([kernel(20, 40)], "no ProfilerStep"),
        ([step(3, 0, 100) | {"cat": "gpu_user_annotation"}, kernel(20, 40)], "no ProfilerStep"),
        ([step(3, 0, 100)], "no kernel ran on a GPU"),
        ([step(3, 0, 100), call(1, 10), copy(20, 40)], "no kernel ran on a GPU"),
        ([step(3, 0, 100), call(1, 200), kernel(210, 40)], "no kernel ran on GPU 0 within the ProfilerStep window"),
        ([step(3, 0, 0), call(1, 10), kernel(20, 40)], "no kernel ran on GPU 0 within"),
    ],
)
def test_no_kernels(events: list[Event], message: str) -> None:
    """A trace with nothing to measure is refused, saying what is missing, also beside one that has it."""
    with pytest.raises(NoKernels, match=f"trace 2 of 2: .*{message}"):
        figures([traced(step(3, 0, 100), call(1, 10), kernel(20, 40)), traced(*events)])


def test_nothing_to_combine() -> None:
    """No trace at all is the caller's mistake."""
    with pytest.raises(ValueError, match="no trace"):
        figures([])


# --- invariants


TIMES = st.integers(0, 400_000).map(lambda ns: ns / 1000)
KERNELS = st.builds(
    kernel,
    TIMES,
    TIMES,
    n_blocks=st.integers(1, 5_000),
    name=st.sampled_from("abc"),
    correlation=st.integers(1, 6),
    block=st.tuples(st.integers(1, 16), st.integers(1, 8), st.integers(1, 4)).map(list),
    registers=st.integers(0, 128),
    shared_bytes=st.integers(0, 60_000),
    blocks_per_sm=st.floats(0, 40),
    rounded=st.integers(0, 100),
)
BUSY = kernel(100, 50, correlation=1)
"""Launched by the first step, so that every trace has something to measure."""


@st.composite
def traces(draw: st.DrawFn) -> dict[str, Any]:
    """Three steps from 50 to 290 µs, launches in and around them, and kernels, some without a launch."""
    steps = [step(n, 50 + 80 * n, 79) for n in range(3)]
    calls = [call(1, 60), *(call(n, ts) for n, ts in enumerate(draw(st.lists(TIMES, max_size=4)), start=2))]
    return traced(*steps, *calls, BUSY, *draw(st.lists(KERNELS, max_size=12)))


def numbers(found: Trace) -> list[float | None]:
    return [*three(found), found.achieved_occupancy_rounded_pct, found.window_s]


@given(traces())
def test_figures_are_fractions_of_a_whole(whole: dict[str, Any]) -> None:
    """Every per cent lies in [0, 100], no SM works while no kernel runs, and the shares add up to 1."""
    found = figures([whole])
    assert all(pct is not None and 0 <= pct <= 100 for pct in numbers(found)[:4])
    assert found.sm_efficiency_pct is not None
    assert found.sm_efficiency_pct <= found.gpu_utilization_pct + 1e-9
    assert sum(long.share for long in found.longest_kernels) == pytest.approx(1)


@given(traces(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_events_changes_nothing(whole: dict[str, Any], rng: random.Random, known: bool) -> None:
    """To the last bit, also where the blocks per SM are the trace's own and where the figures are missing."""
    if not known:
        events = [without(event, "est. achieved occupancy %") for event in whole["traceEvents"] if "args" in event]
        whole = whole | {"traceEvents": [*events, step(1, 50, 239)], "deviceProperties": []}
    shuffled = whole | {"traceEvents": rng.sample(whole["traceEvents"], len(whole["traceEvents"]))}
    assert figures([shuffled]) == figures([whole])


@given(traces(), st.floats(0, 1), st.data())
def test_splitting_a_kernel_changes_only_counts(whole: dict[str, Any], at: float, data: st.DataObject) -> None:
    """Two halves of a kernel are worth the whole one."""
    kernels = [event for event in whole["traceEvents"] if event["cat"] == "kernel"]
    split = data.draw(st.sampled_from(kernels))
    end = split["ts"] + split["dur"]
    middle = split["ts"] + at * split["dur"]
    halves = [split | {"dur": middle - split["ts"]}, split | {"ts": middle, "dur": max(end - middle, 0)}]
    others = list(whole["traceEvents"])
    others.remove(split)
    found, expected = figures([traced(*others, *halves)]), figures([whole])
    assert numbers(found) == pytest.approx(numbers(expected), rel=1e-9)
    assert times(found) == pytest.approx(times(expected), rel=1e-9, abs=1e-15)


@given(traces(), st.integers(-(10**9), 10**9))
def test_the_clock_s_zero_changes_nothing(whole: dict[str, Any], shift: int) -> None:
    """All times later or earlier by the same amount are the same trace."""
    shifted = traced(*(event | {"ts": event["ts"] + shift} for event in whole["traceEvents"]))
    found, expected = figures([shifted]), figures([whole])
    assert numbers(found) == pytest.approx(numbers(expected), rel=1e-6, abs=1e-6)
    assert found.steps == expected.steps


@given(
    traces(), st.lists(st.builds(copy, TIMES, TIMES, st.integers(1, 6), st.sampled_from(["gpu_memcpy", "gpu_memset"])))
)
def test_copies_inside_the_window_change_nothing(whole: dict[str, Any], copies: list[Event]) -> None:
    """Copies and memsets that end within the window are no part of any figure."""
    inside = [event for event in copies if event["ts"] + event["dur"] <= 50 + 80 * 2 + 79]
    assert figures([traced(*whole["traceEvents"], *inside)]) == figures([whole])


@given(traces(), st.integers(2, 4))
def test_repeating_a_cycle_changes_no_ratio(whole: dict[str, Any], n: int) -> None:
    """The same cycle n times has the same figures, and n times the steps and the window."""
    found, once = figures([whole] * n), figures([whole])
    assert three(found) == pytest.approx(three(once))
    assert found.steps == n * once.steps
    assert found.window_s == pytest.approx(n * once.window_s)
    assert found.kernels_per_step == pytest.approx(once.kernels_per_step)
