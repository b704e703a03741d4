"""`--cell-timeout`: a cell that hangs ends by name, wherever it hangs."""

from __future__ import annotations

import ast
import signal
from pathlib import Path

import pytest

from nets.records.durable import read_journal
from tests.support.suite import Suite

ARGUMENTS = ("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1", "--cell-timeout", "90")
HANGS = """
import os, signal, time
import pytest
from nets.training.run import CellRun

PATCH = pytest.MonkeyPatch()
def pytest_unconfigure():
    PATCH.undo()
TIMED = CellRun.timed
def timed(run):
    if run.cell.id != "digits-snn500":
        return TIMED(run)
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 90
    try:
        os.kill(os.getpid(), signal.SIGALRM)  # as the timer would
        time.sleep(60)
    except Exception:
        time.sleep(60)
PATCH.setattr(CellRun, "timed", timed)
"""


def test_a_cell_that_hangs(suite: Suite) -> None:
    """It ends with a sentence that names it, though it catches exceptions; the other one is measured."""
    suite.conftest(HANGS)
    suite.run(*ARGUMENTS).assert_outcomes(failed=1, passed=1)
    assert suite.outcomes() == {
        "digits-snn500": ("error", ["digits-snn500: it was not done after 90 s (--cell-timeout)"]),
        "digits-lenet5": ("passed", []),
    }
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_data_that_hang(suite: Suite) -> None:
    """Loading the data counts: a cell whose data never come ends, when its time is up."""
    suite.conftest("import time, pytest\n@pytest.fixture\ndef data():\n    time.sleep(60)\n")
    suite.run("--cells", "digits-snn500", "--cell-timeout", "0.5").assert_outcomes(errors=1)
    assert suite.outcomes()["digits-snn500"][0] == "error"


NATIVE = """
import ctypes, faulthandler
from nets.training.run import CellRun

LATER, SETUP = faulthandler.dump_traceback_later, CellRun.setup
def pytest_runtest_setup(item):
    if "lenet5" in item.nodeid:
        def soon(seconds, **others):
            assert 90 < seconds < 150
            LATER(0.2, **others)
        faulthandler.dump_traceback_later = soon
def setup(run):
    if run.cell.id == "digits-lenet5":
        ctypes.PyDLL(None).sleep(60)  # which keeps the interpreter's lock, so that no Python runs meanwhile
    SETUP(run)
CellRun.setup = setup
"""


@pytest.mark.usefixtures("forked")
def test_a_cell_that_hangs_outside_of_python(suite: Suite) -> None:
    """Its process ends, a minute after its time was up, with the stack; the journal keeps the cells before it."""
    suite.conftest(NATIVE)
    result = suite.run(*ARGUMENTS, subprocess=True)
    assert result.ret == 1
    result.stderr.fnmatch_lines(["Timeout (0:00:00.200000)!", "*in setup*"])
    assert [entry.result.id for entry in read_journal(suite.path / "out.json.journal")[0]] == ["digits-snn500"]


TEARDOWN = """
import os, signal, time
import pytest

@pytest.fixture
def cell_run(cell_run):
    yield cell_run
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 90
    os.kill(os.getpid(), signal.SIGALRM)  # as the timer would
    time.sleep(60)
"""


def test_a_teardown_that_hangs(suite: Suite) -> None:
    """What frees the cell is limited, too; the record stands."""
    suite.conftest(TEARDOWN)
    arguments = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1", "--cell-timeout", "90")
    suite.run(*arguments).assert_outcomes(passed=1, errors=1)
    assert len(suite.content()["benchmarks"]) == 1


def test_a_trace_that_hangs(suite: Suite, tmp_path: Path) -> None:
    """A trace is limited as a cell is, and costs itself."""
    suite.conftest(
        "import time\nimport nets.gpu.capture as capture\n"
        "TRACED = capture.traced\n"
        "def pytest_configure(): capture.traced = lambda *_: time.sleep(60)\n"
        "def pytest_unconfigure(): capture.traced = TRACED\n"
    )
    arguments = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1", "--cell-timeout", "3")
    suite.run(*arguments, "--keep-traces", str(tmp_path)).assert_outcomes(passed=1)
    assert len(suite.content()["benchmarks"]) == 1


def test_timers_of_others(suite: Suite) -> None:
    """A timer that was set before, as pytest-timeout's is, goes on; one that ends sooner is left to end the cell."""
    suite.conftest(
        "import pytest, signal\n"
        "LEFT = []\n"
        "def pytest_configure():\n"
        "    signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "    signal.setitimer(signal.ITIMER_REAL, 300)\n"
        "@pytest.fixture\n"
        "def cell_run(cell_run):\n"
        "    LEFT.append(signal.getitimer(signal.ITIMER_REAL)[0])\n"
        "    return cell_run\n"
        "def pytest_unconfigure():\n"
        "    LEFT.append(signal.getitimer(signal.ITIMER_REAL)[0])\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    signal.signal(signal.SIGALRM, signal.SIG_DFL)\n"
        "    open('left', 'w').write(repr(LEFT))\n"
    )
    once = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    for timeout, in_the_cell in (("90", 90), ("600", 300)):
        suite.run(*once, "--cell-timeout", timeout).assert_outcomes(passed=1)
        during, after = ast.literal_eval((suite.path / "left").read_text())
        assert in_the_cell - 60 < during <= in_the_cell
        assert 240 < after < 300


@pytest.mark.parametrize("given", ["0", "-1", "inf", "nan", "soon"])
def test_a_timeout_that_is_none(suite: Suite, given: str) -> None:
    """A timeout that is no positive number of seconds is refused."""
    result = suite.run("--cell-timeout", given)
    result.stderr.fnmatch_lines(["*--cell-timeout*is not a number above 0 and at most 1000000*"])
