"""Trace files: what is read, and what is refused by file, event and field."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
import torch

from nets.gpu.kineto import Cycle, Unreadable, read_trace
from nets.gpu.trace import NoKernels, trace_figures
from tests.support.traces import Event, call, copy, figures, kernel, step, traced, without


def test_reading(tmp_path: Path) -> None:
    """A file gives the same figures, gzipped or not."""
    whole = traced(step(3, 0, 100), call(1, 10), kernel(20, 40))
    (tmp_path / "t.json").write_text(json.dumps(whole))
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(json.dumps(whole).encode()))
    for name in ("t.json", "t.json.gz"):
        assert read_trace(tmp_path / name).kernels == Cycle.of(whole, "").kernels != []


TEXT = json.dumps(traced(step(3, 0, 100), kernel(20, 40)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", b"", "the file is empty"),
        ("t.json", b"\xff\xfe\x00", "not JSON"),
        ("t.json", TEXT[: len(TEXT) // 2].encode(), "not JSON, or cut short"),
        ("t.json.gz", gzip.compress(TEXT.encode(), mtime=0)[:-20], "end-of-stream"),
        ("t.json.gz", TEXT.encode(), "Not a gzipped file"),
        ("t.json.gz", gzip.compress(TEXT.encode(), mtime=0)[:10] + b"\xff" * 40, "Error -3"),
        ("t.json", b"[" * 100_000, "not JSON"),
        ("t.json", b"[]", "a list, not an object"),
        ("t.json", b"{}", "no list 'traceEvents'"),
        ("t.json", b'{"traceEvents": 1}', "no list 'traceEvents'"),
        ("t.json", b'{"traceEvents": [1]}', "event 0: a int"),
    ],
)
def test_files_that_are_no_trace(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """What isn't a whole trace is refused, naming the file and what is wrong."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unreadable, match=f"{name}: .*{message}"):
        read_trace(tmp_path / name)


def test_a_file_that_isn_t_there(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(Unreadable, match=r"t\.json"):
        read_trace(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "a NoneType, not an object"),
        (kernel(20, float("nan")), "field 'dur'"),
        (kernel(20, -1), "field 'dur'"),
        (kernel(float("inf"), 1), "field 'ts'"),
        (kernel(20, 40) | {"ts": "20"}, "field 'ts'"),
        (kernel(20, 40) | {"dur": True}, "field 'dur'"),
        (kernel(20, 40) | {"args": []}, "field 'args'"),
        (kernel(20, 40, grid=[1, 2]), r"field 'args\.grid'"),
        (kernel(20, 40, block=[0, 1, 1]), r"field 'args\.block\.0'"),
        (kernel(20, 40, correlation="x"), r"field 'args\.correlation'"),
        (kernel(20, 40, blocks_per_sm=float("nan")), r"field 'args\.blocks per SM'"),
        (without(kernel(20, 40), "device"), r"field 'args\.device' is missing"),
        (without(copy(20, 40), "device"), r"field 'args\.device' is missing"),
        ({"ph": "X", "cat": "kernel", "name": "k", "dur": 1}, "field 'ts'"),
        ({"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "ts": 1}, "field 'dur'"),
    ],
)
def test_an_event_that_makes_no_sense(event: Event, message: str) -> None:
    """A needed event with a field missing or mistyped costs itself: left out, counted, the reason by event and field.

    The figures are those of the other events; events that aren't needed may be anything.
    """
    good = step(3, 0, 100), call(1, 10), kernel(20, 40, name="good")
    others = {"ph": "X", "cat": "cpu_op"}, {"ph": "M", "cat": "kernel"}
    found, expected = figures([traced(*others, event, *good, event)]), figures([traced(*good)])
    assert found.left_out_because is not None
    assert re.match(f"trace 1 of 1: event 2: {message}", found.left_out_because)
    assert found.replace(events_left_out=0, left_out_because=None) == expected
    assert (found.events_left_out, expected.events_left_out) == (2, 0)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([step(3, 0, -1), kernel(20, 40)], "event 0: field 'dur': .*; else it has no ProfilerStep"),
        ([step(3, 0, 100), kernel(20, -1)], "event 1: field 'dur': .*; else no kernel ran on a GPU"),
        ([step(3, 0, 100), kernel(20, -1), kernel(120, 1)], "event 1: field 'dur': .*; else no kernel .* within"),
        ([None, step(3, 0, 100), kernel(120, 1)], "trace 1 of 1: no kernel ran on GPU 0 within"),
    ],
)
def test_nothing_left(events: list[Event], message: str) -> None:
    """Where no step, or no kernel, is left because those of the trace make no sense, that is the reason given."""
    with pytest.raises(NoKernels, match=message):
        figures([traced(*events)])


def test_the_categories_of_torch_1_8() -> None:
    """A trace with the old categories is refused for that reason, not for want of steps."""
    old = {"user_annotation": "Operator", "cuda_runtime": "Runtime", "kernel": "Kernel"}
    events = [event | {"cat": old[event["cat"]]} for event in (step(3, 0, 100), call(1, 10), kernel(20, 40))]
    with pytest.raises(NoKernels, match=r"event 0: category 'Operator' is torch 1\.8's, which is not read"):
        figures([traced(*events)])


@pytest.mark.filterwarnings("ignore")  # the profiler's own, which differ from version to version
def test_a_real_trace_of_the_cpu(tmp_path: Path) -> None:
    """torch.profiler's own file is read, and found to hold no GPU's kernel."""
    schedule = torch.profiler.schedule(wait=1, warmup=1, active=3, repeat=1)
    path = tmp_path / "t.json"
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU],
        schedule=schedule,
        on_trace_ready=lambda profiler: profiler.export_chrome_trace(str(path)),
    ) as profiler:
        for _ in range(5):
            torch.ones(2, 2) @ torch.ones(2, 2)
            profiler.step()
    found = read_trace(path)
    assert found.devices == ()
    with pytest.raises(NoKernels, match="no kernel ran on a GPU"):
        trace_figures([found])
