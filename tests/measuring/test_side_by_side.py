"""The benchmarks that take turns: their records, their lines, what reads their files, and when they are left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from nets.cells.catalog import CELLS, protocol_for
from nets.cli.app import app
from nets.errors import Unusable
from nets.measuring import comparisons
from nets.measuring.comparisons import Block
from nets.records.run_file import read_run
from nets.training.pipelines import PIPELINES
from nets.training.run import CellRun
from tests.support.stub_driver import REPOSITORY, environment
from tests.support.suite import Suite

ARGUMENTS = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "2")


@pytest.fixture
def with_cost(suite: Suite) -> Suite:
    """A suite with the benchmark."""
    shutil.copy(REPOSITORY / "benchmarks" / "test_monitor_cost.py", suite.path / "benchmarks")
    return suite


def test_its_record(with_cost: Suite, stub_driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pairs of rounds give two seconds a side, their ratio in file and terminal, and `nets report` reads it."""
    for name, value in environment(stub_driver).items():
        monkeypatch.setenv(name, value)
    result = with_cost.run(*ARGUMENTS, "-m", "nets_monitor_cost", subprocess=True)
    result.assert_outcomes(passed=1, deselected=1)
    (record,) = read_run(with_cost.out).side_by_side
    assert [(side.name, len(side.seconds)) for side in record.sides] == [("watched", 2), ("not watched", 2)]
    assert record.ratio.n == 2
    watched, plain = (side.seconds for side in record.sides)
    assert sorted(a / b for a, b in zip(watched, plain, strict=True))[0] <= record.ratio.median
    of = "the timed region with the GPU monitor over that without"
    line = f"digits-snn500: {of}: {record.ratio.median:.4f} (too few pairs*"
    result.stdout.fnmatch_lines([line])
    told = CliRunner().invoke(app, ["report", str(with_cost.out)])
    assert (told.exit_code, line.rstrip("*") in told.stdout) == (0, True)


def test_left_out_unless_asked_for(with_cost: Suite) -> None:
    """A plain run leaves it out; asked for without any driver it is skipped, with the reason."""
    for expression in ("", "not slow"):
        with_cost.run(*ARGUMENTS, "-m", expression).assert_outcomes(passed=1, deselected=1)
    result = with_cost.run(*ARGUMENTS, "-m", "nets_monitor_cost", "-rs")
    result.assert_outcomes(skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["*no GPU to watch: NVML: NVML Shared Library Not Found*"])


# Raised as an error when the session ends, pytest-benchmark's warning would leave pytest's log file open: /dev/null
@pytest.mark.filterwarnings("ignore:Benchmarks are automatically disabled")
def test_not_under_xdist(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sides in turns on one of xdist's workers are refused."""
    shutil.copy(REPOSITORY / "benchmarks" / "test_side_by_side.py", suite.path / "benchmarks")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    result = suite.run(*ARGUMENTS, "-m", "nets_side_by_side")
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["what is compared is timed in turns in one process: run it without -n"])


def test_the_pipelines_side_by_side(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of steps of both pipelines in turns: each side says how it was executed, and its seconds are of a step."""
    monkeypatch.setattr(comparisons, "steps_of_a_block", lambda batch_size: 10)
    shutil.copy(REPOSITORY / "benchmarks" / "test_side_by_side.py", suite.path / "benchmarks")
    result = suite.run("--cells", "digits-snn500", "--rounds", "2", "--batch-size", "40", "-m", "nets_side_by_side")
    result.assert_outcomes(passed=1, deselected=1)
    (record,) = read_run(suite.out).side_by_side
    article, resident = record.sides
    assert (article.name, resident.name) == ("article", "resident")
    assert (article.per, resident.per, len(article.seconds)) == ("step", "step", 2)
    assert article.execution is not None
    assert resident.execution is not None
    assert (article.execution.memory_format, resident.execution.memory_format) == ("contiguous", "channels_last")
    assert article.execution.threads == resident.execution.threads
    assert max(*article.seconds, *resident.seconds) < 1
    result.stdout.fnmatch_lines(["digits-snn500: a step of the article's pipeline over one of the resident: *"])


def test_blocks_go_on_where_the_last_ended() -> None:
    """A block is at least its number of steps, and the next begins with the step after it."""
    steps = iter(range(1, 100))
    run = CellRun.__new__(CellRun)
    run.cell, run.device, run.protocol = CELLS[5], torch.device("cpu"), protocol_for("quick", "digits")
    run._maker = SimpleNamespace(pipeline=PIPELINES["resident"])  # type: ignore[assignment]
    turn = Block(run, steps, 4)
    turn.seconds()
    assert next(steps) == 5
    turn.seconds()
    assert next(steps) == 9


def test_files_that_are_no_comparison(tmp_path: Path) -> None:
    """A side-by-side record whose ratio is not that of its seconds, or that is none, is refused by name."""
    for extra_info, message in (
        ({"schema": 3, "kind": "side_by_side"}, "field 'of'"),
        (["schema"], ""),
        ("schema", ""),
    ):
        file = tmp_path / "f.json"
        file.write_text(
            json.dumps({"benchmarks": [{"extra_info": extra_info}], "machine_info": {"nets": {}}, "nets": {}})
        )
        if message:
            with pytest.raises(Unusable, match=message):
                read_run(file)
        else:
            assert read_run(file).side_by_side == ()
