"""Many cells: the gate's work grows as their number does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest

from nets.gate.findings import Gate
from nets.gate.judge import judge_runs
from nets.gate.limits import Limits
from nets.records.run import Run
from nets.report.gate import gate_document, gate_markdown
from nets.report.terminal import terminal_lines
from tests.support.gating import run
from tests.support.records import record


def two_runs(n_cells: int) -> tuple[Run, Run]:
    """Some cells in both, some missing, some that neither ran."""
    cells = [record(model=f"m{i}") for i in range(n_cells)]
    not_run = tuple((f"mnist-m{i}", f"because {i}") for i in range(2 * n_cells))
    return run(*cells, not_run=not_run), run(*cells[::2], not_run=not_run)


def judged(n_cells: int) -> Gate:
    """What the gate says of them."""
    return judge_runs(*two_runs(n_cells), Limits())


def n_calls(work: Callable[[], object]) -> int:
    """How many functions are called in it."""
    n = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal n
        n += event in ("call", "c_call")

    work()  # imports, and what is kept for the next time
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return n


def lines(gate: Gate) -> list[str]:
    return terminal_lines(gate_document(gate), width=80, color=False)


PARTS: dict[str, Callable[[int], Callable[[], object]]] = {
    "judge": lambda n: partial(judge_runs, *two_runs(n), limits=Limits()),
    "lines": lambda n: partial(lines, judged(n)),
    "markdown": lambda n: partial(gate_markdown, judged(n)),
}


@pytest.mark.parametrize("part", PARTS)
def test_work_is_linear(part: str) -> None:
    """Four times as many cells take about four times as many calls, where a search in every search took 5.4 times."""
    assert 3.5 < n_calls(PARTS[part](120)) / n_calls(PARTS[part](30)) < 4.5


def test_a_line_of_the_table_is_cheap() -> None:
    """A row takes no more than 150 calls, where rich's own layout took 1,500."""
    few, many = judged(30), judged(130)
    of_many, of_few = (n_calls(partial(lines, found)) for found in (many, few))
    assert (of_many - of_few) / (len(many.findings) - len(few.findings)) < 150
