"""The profiler's figures: what holds of every trace."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.records.gpu import Trace
from tests.support.traces import Event, call, copy, figures, kernel, step, three, times, traced, without

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


@given(traces(), st.data())
def test_splitting_a_kernel_changes_only_counts(whole: dict[str, Any], data: st.DataObject) -> None:
    """Two parts of a kernel are worth the whole one; they meet at a whole nanosecond, to which times are rounded."""
    kernels = [event for event in whole["traceEvents"] if event["cat"] == "kernel"]
    split = data.draw(st.sampled_from(kernels))
    start_ns, long_ns = round(1_000 * split["ts"]), round(1_000 * split["dur"])
    first_ns = data.draw(st.integers(0, long_ns))
    halves = [
        split | {"dur": first_ns / 1_000},
        split | {"ts": (start_ns + first_ns) / 1_000, "dur": (long_ns - first_ns) / 1_000},
    ]
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


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(-(10**400)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["device", "grid", "x"]), inner),
)


@given(traces(), st.sampled_from([step(4, 300, 10), call(2, 55), BUSY, copy(60, 5)]), st.data(), ANYTHING)
def test_whatever_an_event_holds_it_costs_at_most_itself(
    whole: dict[str, Any], event: Event, data: st.DataObject, value: Any
) -> None:
    """An event with anything in a field's place is taken, or left out: then the figures are those without it."""
    odd = value if data.draw(st.booleans(), "all of it") else changed(event, data, value)
    found = figures([traced(*whole["traceEvents"], odd)], device=0)
    if found.events_left_out:
        uncounted = {"events_left_out": 0, "left_out_because": None}
        untold = {"leftover_share": None, "leftover_missing_because": None}  # without a launch it may be
        assert found.replace(**uncounted, **untold) == figures([whole], device=0).replace(**untold)


def changed(event: Event, data: st.DataObject, value: Any) -> Event:
    """An event with another value in one of its fields, or of its args."""
    if data.draw(st.booleans(), "in args") and "args" in event:
        return event | {"args": event["args"] | {data.draw(st.sampled_from(sorted(event["args"]))): value}}
    return event | {data.draw(st.sampled_from(sorted(event))): value}
