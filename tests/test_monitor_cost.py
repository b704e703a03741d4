"""The benchmark of the monitor's cost: run with a stub driver, its record, its line, and what reads its file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nets import resultfiles
from nets.cli import app
from tests.stub_driver import REPOSITORY, environment
from tests.suite import Suite

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
    result = with_cost.run(*ARGUMENTS, "-m", "monitor_cost", subprocess=True)
    result.assert_outcomes(passed=1, deselected=1)
    (record,) = resultfiles.read(with_cost.out).side_by_side
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
    result = with_cost.run(*ARGUMENTS, "-m", "monitor_cost", "-rs")
    result.assert_outcomes(skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["*no GPU to watch: NVML: NVML Shared Library Not Found*"])


def test_not_under_xdist(with_cost: Suite, stub_driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sides in turns on several workers are refused."""
    for name, value in environment(stub_driver).items():
        monkeypatch.setenv(name, value)
    result = with_cost.run(*ARGUMENTS, "-m", "monitor_cost", "-n", "1", subprocess=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["two sides are timed in turns in one process: run it without -n"])
