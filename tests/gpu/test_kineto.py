"""Trace files: what is read, and what is refused by file, event and field."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from nets.gpu.kineto import Cycle, Unreadable, read_trace
from nets.gpu.trace import NoKernels, trace_figures
from tests.support.traces import Event, call, kernel, step, traced, without


def test_reading(tmp_path: Path) -> None:
    """A file gives the same figures, gzipped or not."""
    whole = traced(step(3, 0, 100), call(1, 10), kernel(20, 40))
    (tmp_path / "t.json").write_text(json.dumps(whole))
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(json.dumps(whole).encode()))
    for name in ("t.json", "t.json.gz"):
        assert read_trace(tmp_path / name).ops == Cycle.of(whole, "").ops != []


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
        (kernel(20, float("nan")), "'dur'"),
        (kernel(20, -1), "'dur'"),
        (kernel(float("inf"), 1), "'ts'"),
        (kernel(20, 40) | {"ts": "20"}, "'ts'"),
        (kernel(20, 40) | {"dur": True}, "'dur'"),
        (kernel(20, 40) | {"args": []}, "'args'"),
        (kernel(20, 40, grid=[1, 2]), r"'args\.grid'"),
        (kernel(20, 40, block=[0, 1, 1]), r"'args\.block\.0'"),
        (kernel(20, 40, correlation="x"), r"'args\.correlation'"),
        (kernel(20, 40, blocks_per_sm=float("nan")), r"'args\.blocks per SM'"),
        (without(kernel(20, 40), "device"), r"'args\.device' is missing"),
        ({"ph": "X", "cat": "kernel", "name": "k", "dur": 1}, "'ts'"),
        ({"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "ts": 1}, "'dur'"),
    ],
)
def test_events_that_make_no_sense(tmp_path: Path, event: Event, message: str) -> None:
    """A needed event with a field missing or mistyped is refused by file, event and field; others may be anything."""
    path = tmp_path / "t.json"
    path.write_text(json.dumps(traced({"ph": "X", "cat": "cpu_op"}, {"ph": "M", "cat": "kernel"}, event)))
    with pytest.raises(Unreadable, match=rf"t\.json: event 2: field {message}"):
        read_trace(path)


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
