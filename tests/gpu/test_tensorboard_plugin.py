"""The three figures against the article's source of them: torch-tb-profiler 0.4.3, TensorBoard's plug-in, its own code.

That version reads launches in the category `Runtime` alone, which torch has long called `cuda_runtime`, so here it is
given them under the old name. CI must have the plug-in; elsewhere these tests are skipped without it.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.traces import HOPPER, Event, call, copy, figures, kernel, step, three, traced

PLUGIN = "torch_tb_profiler.profiler.data"
if not os.environ.get("CI"):
    pytest.importorskip(PLUGIN)
plugin = importlib.import_module(PLUGIN)

Three = tuple[float | None, float | None, float | None]


def plugin_figures(whole: dict[str, Any], launches: str = "Runtime") -> Three:
    """The plug-in's figures of GPU 0 in per cent, its launches in this category: as in its `RunProfileData.process`."""
    events = [_as_kineto_writes(event, launches) for event in whole["traceEvents"]]
    run = plugin.RunProfileData("worker", "span", whole | {"traceEvents": events})
    steps = plugin.EventParser()
    steps.parse(run.events, run.forward_backward_events)
    found = plugin.GPUMetricsParser.parse_events(
        run.events, steps.global_start_ts, steps.global_end_ts, steps.steps[0][0], steps.steps[-1][1]
    )
    efficiency = found.avg_approximated_sm_efficiency_per_device[0]
    utilization = 100 * found.gpu_utilization[0]
    return utilization, None if efficiency is None else 100 * efficiency, found.avg_occupancy_per_device[0]


def _as_kineto_writes(event: Event, launches: str) -> Event:
    """With the process, thread and external id that the plug-in can't do without."""
    category = launches if event["cat"] == "cuda_runtime" else event["cat"]
    args = {"External id": 0, **event.get("args", {})}
    return event | {"cat": category, "pid": args.get("device", 1), "tid": 1, "args": args}


STEP = step(3, 0, 100)
OWN = kernel(50, 40)
MANY = [event for i in range(10) for event in (call(i, 5 + 5 * i), kernel(6 + 5 * i, 4, correlation=i))]
OPTED_IN = kernel(20, 40, block=[384, 1, 1], registers=168, shared_bytes=226 * 1024, rounded=0)


@pytest.mark.parametrize(
    ("events", "ours", "the_plugin_s"),
    [
        ([STEP, call(1, 10), OWN], (40, 40, 50), (40, 40, 50)),
        ([STEP, call(1, 10), kernel(0, 40, correlation=9), OWN], (80, 80, 50), (200 / 3, 200 / 3, 50)),
        ([STEP, step(4, 100, 100), *MANY, call(11, 110), kernel(120, 10, correlation=11)], (25, 25, 50), (40, 40, 50)),
        ([STEP, call(1, 10), OWN, call(2, 20), kernel(150, 50, device=1, correlation=2)], (40, 40, 50), (20, 20, 50)),
        ([STEP, call(1, 10, "cuda_driver"), kernel(150, 50)], (25, 25, 50), (0, None, None)),
        ([STEP, call(1, 10), OPTED_IN], (40, 40, 18.75), (40, 40, 0)),
    ],
    ids=["alike", "leftover", "tail step", "another GPU extends it", "driver launch", "opt-in shared memory"],
)
def test_both_figures(events: list[Event], ours: Three, the_plugin_s: Three) -> None:
    """Where the two differ, each has its own figures, so that a change in either is seen."""
    whole = traced(*events)
    assert three(figures([whole], device=0)) == pytest.approx(ours)
    assert plugin_figures(whole) == pytest.approx(the_plugin_s)


def test_the_plugin_reads_no_launch_of_today() -> None:
    """A kernel that ends after the last step extends our window, and the plug-in's only under the old category."""
    whole = traced(STEP, call(1, 10), kernel(150, 50))
    assert three(figures([whole])) == plugin_figures(whole) == pytest.approx((25, 25, 50))
    assert plugin_figures(whole, launches="cuda_runtime") == (0, None, None)


@st.composite
def alike(draw: st.DrawFn) -> dict[str, Any]:
    """A trace in which both take the same window: each step launches as much as the others, and nothing is left over.

    Kernels have blocks of 1024 threads, of which an SM holds two, and the estimates that Kineto would write for them.
    """
    some_ns = st.integers(1, 200_000)
    n_launches = draw(st.integers(1, 4))
    events: list[Event] = []
    start_ns, correlation = draw(some_ns), 0
    for n in range(draw(st.integers(1, 3))):
        to_last_call_ns = draw(some_ns)
        events.append(step(n, start_ns / 1000, to_last_call_ns / 1000 + 2))  # a call takes 1 µs
        for _ in range(n_launches):
            correlation += 1
            call_ns = start_ns + draw(st.integers(0, to_last_call_ns))
            events.append(call(correlation, call_ns / 1000))
            begin, duration = (call_ns + draw(some_ns)) / 1000, draw(some_ns) / 1000
            n_blocks, is_copy = draw(st.integers(1, 600)), correlation > 1 and draw(st.booleans())
            per_sm = n_blocks / HOPPER["numSms"]
            estimates: dict[str, Any] = {"blocks_per_sm": per_sm, "rounded": round(100 * min(per_sm, 2) / 2)}
            dispatched = kernel(begin, duration, n_blocks=n_blocks, correlation=correlation, **estimates)
            events.append(copy(begin, duration, correlation) if is_copy else dispatched)
        start_ns += to_last_call_ns + 2000 + draw(some_ns)
    return traced(*events)


@given(alike())
def test_equal_figures_over_the_same_window(whole: dict[str, Any]) -> None:
    """Over the same window all figures are the plug-in's, occupancy but for the whole per cent that it reads."""
    found = figures([whole])
    utilization, efficiency, occupancy = plugin_figures(whole)
    assert found.gpu_utilization_pct == pytest.approx(utilization)
    assert found.sm_efficiency_pct == pytest.approx(efficiency)
    assert found.achieved_occupancy_rounded_pct == pytest.approx(occupancy)
    assert found.achieved_occupancy_pct == pytest.approx(occupancy, abs=0.5 + 1e-9)
    assert found.leftover_share == 0
