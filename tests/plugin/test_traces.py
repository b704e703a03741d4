"""The profiler's traces: taken after the last cell, put into the records of all, with workers and without."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.suite import Suite

CELLS = ("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1")
ON_A_GPU = """
from dataclasses import replace
from pathlib import Path
import pytest
import nets.gpu.capture as capture
import nets.measuring.cell as cell
from nets.records.gpu import Trace
from nets.training.run import CellRun

PATCH = pytest.MonkeyPatch()
def pytest_unconfigure():
    PATCH.undo()
looked = cell.session_setting
as_if_on_one = lambda *args, **more: replace(looked(*args, **more), gpu_missing_because=None)
PATCH.setattr(cell, "session_setting", as_if_on_one)
ROUND = CellRun.timed
def noted(run):
    with Path("order.txt").open("a") as file:
        file.write(f"round {run.cell.id}\\n")
    ROUND(run)
PATCH.setattr(CellRun, "timed", noted)
def traced(run, keep_in):
    with Path("order.txt").open("a") as file:
        file.write(f"trace {run.cell.id}\\n")
    if run.cell.id == "digits-lenet5":
        return None, "the profiler failed: no reason"
    return Trace(
        gpu_utilization_pct=50.0, sm_efficiency_pct=40.0, achieved_occupancy_pct=30.0,
        achieved_occupancy_rounded_pct=30.0, steps=6, training_steps_per_step=1.0, kernels_per_step=3.0,
        window_s=0.1, longest_kernels=(),
    ), None
PATCH.setattr(capture, "traced", traced)
"""


def traces(suite: Suite) -> dict[str, tuple[Any, Any]]:
    """The trace of each cell in the file, and why there is none."""
    content = suite.content()
    records = [b["extra_info"] for b in content["benchmarks"]] + content["nets"]["unfinished"]
    return {record["cell"]["model"]: (record["trace"], record["trace_missing_because"]) for record in records}


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_after_all_cells(suite: Suite, workers: tuple[str, ...]) -> None:
    """Every cell's rounds come before the first trace, and each record has its own trace, or why it failed."""
    suite.conftest(ON_A_GPU)
    suite.run(*CELLS, *workers).assert_outcomes(passed=2)
    assert (suite.path / "order.txt").read_text().splitlines() == [
        "round digits-snn500", "round digits-lenet5", "trace digits-lenet5", "trace digits-snn500",
    ]  # fmt: skip
    found = traces(suite)
    assert found["snn500"][0]["gpu_utilization_pct"] == 50
    assert found["snn500"][1] is None
    assert found["lenet5"] == (None, "the profiler failed: no reason")


INTERRUPTED = """
def interrupted(run):
    if run.cell.id == "digits-lenet5":
        raise KeyboardInterrupt
    noted(run)
PATCH.setattr(CellRun, "timed", interrupted)
"""


def test_a_run_that_ends_before_them(suite: Suite) -> None:
    """Ctrl-C leaves finished records without a trace, and the reason."""
    suite.conftest(ON_A_GPU + INTERRUPTED)
    suite.run(*CELLS)
    assert traces(suite) == {"snn500": (None, "the run ended before its trace was taken")}


def test_a_run_that_ends_amid_them(suite: Suite) -> None:
    """Ctrl-C while traces are taken keeps the records, and the traces so far."""
    amid = 'def traced(run, keep_in, before=traced):\n    if run.cell.id == "digits-snn500":\n'
    suite.conftest(ON_A_GPU + amid + "        raise KeyboardInterrupt\n    return before(run, keep_in)\n"
                   'PATCH.setattr(capture, "traced", traced)\n')  # fmt: skip
    suite.run(*CELLS)
    assert traces(suite) == {
        "snn500": (None, "the run ended before its trace was taken"),
        "lenet5": (None, "the profiler failed: no reason"),
    }


def test_data_that_changed_meanwhile(suite: Suite) -> None:
    """A cell whose data, loaded again, is not what it was trained on has no trace, and the reason."""
    suite.conftest(ON_A_GPU + "@pytest.fixture\ndef data(data):\n    return replace(data, sha256='of my own')\n")
    suite.run(*CELLS).assert_outcomes(passed=2)
    because = "its trace could not be taken: its data set, loaded again, is not what it was trained on"
    assert traces(suite)["snn500"] == (None, because)


def test_a_cell_that_can_t_be_made_anew(suite: Suite) -> None:
    """Memory that runs out when the cell is made anew costs its trace, not the records."""
    suite.conftest(
        ON_A_GPU
        + "from nets.plugin.traces import Traces\ndef full(*_):\n    raise RuntimeError('CUDA out of memory')\n"
        "PATCH.setattr(Traces, '_run_of', full)\n"
    )
    suite.run(*CELLS).assert_outcomes(passed=2)
    because = "its trace could not be taken: CUDA out of memory"
    assert traces(suite) == {"snn500": (None, because), "lenet5": (None, because)}


def test_keep_traces(suite: Suite) -> None:
    """--keep-traces leaves a gzipped trace a cycle, on a CPU too, where the record says why it has no figures."""
    arguments = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1", "--keep-traces", "a/b")
    suite.run(*arguments).assert_outcomes(passed=1)
    assert [path.suffixes for path in (suite.path / "a" / "b").iterdir()] == [[".pt", ".trace", ".json", ".gz"]] * 2
    (benchmark,) = suite.content()["benchmarks"]
    record = benchmark["extra_info"]
    assert record["trace"] is record["gpu"] is None
    assert record["trace_missing_because"] == record["gpu_missing_because"]
    assert record["gpu_missing_because"].startswith("ran on the CPU: ")
    json.dumps(record, allow_nan=False)


def test_no_trace(suite: Suite) -> None:
    """--no-trace takes none and says so, and contradicts --keep-traces; a folder that can't be one is refused."""
    arguments = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1", "--no-trace")
    suite.run(*arguments).assert_outcomes(passed=1)
    (benchmark,) = suite.content()["benchmarks"]
    assert benchmark["extra_info"]["trace_missing_because"] == "--no-trace"
    result = suite.run(*arguments, "--keep-traces", "here")
    result.stderr.fnmatch_lines(["ERROR: --keep-traces contradicts --no-trace"])
    result = suite.run("--keep-traces", "benchmarks/test_train_eval.py")
    result.stderr.fnmatch_lines(["ERROR: --keep-traces: *test_train_eval.py can't be written to: *"])
