"""`--cell-timeout`: a cell that hangs ends by name, wherever it hangs."""

from __future__ import annotations

import signal

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


def test_a_cell_that_hangs_outside_of_python(suite: Suite) -> None:
    """Its process ends, a minute after its time was up, with the stack; the journal keeps the cells before it."""
    suite.conftest(NATIVE)
    result = suite.run(*ARGUMENTS, subprocess=True)
    assert result.ret == 1
    result.stderr.fnmatch_lines(["Timeout (0:00:00.200000)!", "*in setup*"])
    assert [entry.result.id for entry in read_journal(suite.path / "out.json.journal")[0]] == ["digits-snn500"]


@pytest.mark.parametrize("given", ["0", "-1", "inf", "nan", "soon"])
def test_a_timeout_that_is_none(suite: Suite, given: str) -> None:
    """A timeout that is no positive number of seconds is refused."""
    result = suite.run("--cell-timeout", given)
    result.stderr.fnmatch_lines(["*--cell-timeout*is not a number above 0 and at most 1000000*"])
