"""`--cell-timeout`: a cell that takes longer ends with a sentence, and the others go on."""

from __future__ import annotations

import faulthandler
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from nets.plugin.session import cell_of

GRACE_S = 60.0
"""What hangs outside of Python hears no signal: so much later its process is ended."""


class CellTimeout:
    """Registered where cells are measured and a timeout was asked for.

    A signal interrupts the test, wherever it is in Python. A process that does not come back to Python (a driver that
    hangs) is ended by faulthandler's own thread, with the stack on stderr: xdist then starts another worker for the
    cells that are left, and without workers `--resume` goes on after the cells that the journal has.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Loading the data counts."""
        self._until[item.nodeid] = monotonic() + self._seconds
        with self._limited(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Rounds and soak do."""
        with self._limited(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """So does what frees the cell, for which there is some time even after a timeout."""
        with self._limited(item, at_least=GRACE_S):
            return (yield)

    @contextmanager
    def _limited(self, item: pytest.Item, at_least: float = 0.001) -> Iterator[None]:
        cell = cell_of(item)
        if cell is None:
            yield
            return
        left_s = max(at_least, self._until[item.nodeid] - monotonic())
        with limited(item.config, left_s, f"{cell.id}: it was not done after {self._seconds:g} s (--cell-timeout)"):
            yield


@contextmanager
def limited(config: pytest.Config, seconds: float, because: str) -> Iterator[None]:
    """Fail the block after so long. A timer of somebody else's that ends sooner is left to end it, and put back."""
    theirs_s, interval_s = signal.getitimer(signal.ITIMER_REAL)
    if threading.current_thread() is not threading.main_thread() or 0 < theirs_s <= seconds:
        yield
        return

    def end(_signal: int, _frame: FrameType | None) -> None:
        pytest.fail(because, pytrace=False)

    has_own_faulthandler = float(config.getini("faulthandler_timeout") or 0) > 0  # pytest's, of which there is one
    stderr = config.stash.get(fault_handler_stderr_fd_key, 2)  # pytest's copy, made before it captured
    started = monotonic()
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    if not has_own_faulthandler:
        faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True, file=stderr)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if theirs_s:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, theirs_s - (monotonic() - started)), interval_s)
        if not has_own_faulthandler:
            faulthandler.cancel_dump_traceback_later()
