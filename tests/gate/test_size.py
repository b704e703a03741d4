"""Many cells: the gate's work grows as their number does."""

from __future__ import annotations

import sys
from types import FrameType

from nets.gate.judge import judge_runs
from nets.gate.limits import Limits
from nets.report.gate import gate_lines, gate_markdown
from tests.support.gating import run
from tests.support.records import record


def n_calls(n_cells: int) -> int:
    """Calls of functions while two runs are judged: some cells in both, some missing, some that neither ran."""
    cells = [record(model=f"m{i}") for i in range(n_cells)]
    not_run = tuple((f"mnist-m{i}", f"because {i}") for i in range(2 * n_cells))
    base, head = run(*cells, not_run=not_run), run(*cells[::2], not_run=not_run)
    n = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal n
        n += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        found = judge_runs(base, head, Limits())
        gate_lines(found, width=80, color=False)
        gate_markdown(found)
    finally:
        sys.setprofile(None)
    return n


def test_work_is_linear() -> None:
    """Four times as many cells take about four times as many calls, not sixteen."""
    n_calls(2)  # what the first comparison imports
    assert 3.5 < n_calls(120) / n_calls(30) < 4.5
