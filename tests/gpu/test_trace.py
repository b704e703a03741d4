"""The profiler's figures: worked examples, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nets.gpu.kineto import Cycle
from nets.gpu.trace import NoKernels
from tests.support.traces import HOPPER, Event, call, copy, figures, kernel, step, three, times, traced, without


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
    """CUDA 13.0 ties a graph's kernels to no launch, or to another: steps that enclose them give the same figures.

    Nothing is left over from before these steps, and no id makes it seem so.
    """
    found = []
    for ids in ((1, 2), (77, 78), (2, 1)):
        kernels = [kernel(50 * k + 10 + 5 * i, 4, correlation=ids[k]) for k in range(2) for i in range(6)]
        launches = call(1, 1, name="cudaGraphLaunch"), call(2, 51, name="cudaGraphLaunch")
        events = step(3, 0, 50), step(4, 50, 50), *launches, *kernels
        found.append(figures([traced(*events)], training_steps_per_step=10))
    assert found[0] == found[1] == found[2]
    assert found[0].kernels_per_step == 6
    assert found[0].window_s == pytest.approx(100e-6)
    assert found[0].leftover_share == 0


LEFTOVER = kernel(0, 40, correlation=900, name="leftover")
OWN = kernel(50, 40, name="own")


@pytest.mark.parametrize(
    ("events", "share"),
    [
        ([call(1, 10), OWN], 0),
        ([call(1, 10), LEFTOVER, OWN], 1 / 2),
        ([call(900, -9), call(1, 10), LEFTOVER, OWN], 1 / 2),
        ([call(1, 10), LEFTOVER | {"ts": -30}, OWN], 1 / 5),
        ([call(1, 10), LEFTOVER | {"ts": 20, "dur": 30}, OWN], 3 / 7),
        ([call(900, 1), call(1, 10), LEFTOVER, OWN], 0),
        ([call(1, 10), call(900, 101), LEFTOVER | {"ts": 110}, OWN | {"dur": 150}], 0),
        ([call(1, 10, name="cudaGraphLaunch"), LEFTOVER | {"ts": 11}, OWN], 0),
    ],
    ids=[
        "none",
        "launched before the trace",
        "launched before the step",
        "began before the step",
        "began after a launch",
        "launched in the step",
        "launched after the step",
        "a graph's kernel without a launch",
    ],
)
def test_kernels_left_over_from_before_the_first_step(events: list[Event], share: float) -> None:
    """The share of kernels launched before the first step is told, by launch, and in a graph's trace by time."""
    found = figures([traced(step(3, 0, 100), *events)])
    assert found.leftover_share == pytest.approx(share)
    assert found.leftover_missing_because is None


def test_a_cycle_with_kernels_left_over() -> None:
    """The share is one of all cycles' kernels: 40 of 120 µs."""
    events = step(3, 0, 100), call(1, 10), OWN
    found = figures([traced(*events, LEFTOVER), traced(*events)])
    assert found.leftover_share == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([call(1, 10, name="cudaGraphLaunch")], "a kernel began before the first launch, and the ids of a graph's"),
        (
            [call(900, -9, name="cudaGraphLaunch"), call(1, 10)],
            "a kernel began before the first launch, and the ids of",
        ),
        ([], "the trace has no launch from its first ProfilerStep on"),
        ([call(1, -9), call(1, 9, name="cudaStreamSynchronize")], "the trace has no launch from its first"),
        ([call(1, 10), call(2, 11) | {"dur": -1}], "a launch was left out: trace 2 of 2: event 4: field 'dur'"),
    ],
)
def test_a_leftover_share_that_can_t_be_told(events: list[Event], reason: str) -> None:
    """Where a trace doesn't tell what was launched before the first step, the share is null with the reason."""
    good = step(3, 0, 100), OWN, LEFTOVER
    found = figures([traced(call(1, 10), *good), traced(*good, *events)])
    assert found.leftover_share is None
    assert (found.leftover_missing_because or "").startswith(reason)
    assert found.gpu_utilization_pct == pytest.approx(80)


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
