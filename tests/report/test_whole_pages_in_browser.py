"""Whole pages as a browser shows them: of every kind of run, and of a long history."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from nets.gate.limits import Limits
from nets.history.records import History
from nets.records.cell import Outcome, Result
from nets.records.run import CommitInfo, Harness, Run
from nets.report.document import Chart
from nets.report.drawing import svg
from nets.report.html import html_text
from nets.report.pages.page import page
from tests.report.test_pages import Found
from tests.support.browser import DARK, FEW_VIEWS, LIGHT, PAPER, demand_well_rendered, opened, show
from tests.support.drawn import (
    HOSTILE,
    confused,
    diverged,
    history_of,
    line_of,
    renamed,
    ten_cells,
    thirty_cells,
    unfinished,
)
from tests.support.gating import VERSIONS, run
from tests.support.pages import png
from tests.support.records import GROWTH, SIDE_BY_SIDE

Draw = Callable[[Chart], str]
MAX_BYTES = 1_000_000
"""Of a run's page."""
MAX_BYTES_OF_A_YEAR = 3_000_000
HARNESS = Harness(wall_s=60, timed_s=40, import_s=5, data_s=2, setup_s=3, soak_s=0, trace_s=0, other_s=10)
CHANGED_AT = 200
N_COMMITS = 400


def whole_run(*results: Result, **changes: Any) -> Run:
    return run(*results, **{"harness": HARNESS, "ran": "2026-11-30T10:00:00+00:00", "arguments": ("x",), **changes})


def written(path: Path, draw: Draw, *runs: Run, histories: tuple[History, ...] = ()) -> Path:
    """The page of the runs and histories, with an image for each place."""
    named = [(f"results {i}", found) for i, found in enumerate(histories)]
    images = {place: png() for place in range(100)}
    made = page(runs, b"{}" * 10_000, named, lambda _: Found(images, images), Limits())
    path.write_text(html_text(made, draw), encoding="utf-8")
    return path


def a_year() -> History:
    """Two lines of ten cells each, over 400 commits, three of them with a step."""
    rng = random.Random(5)
    lines = []
    for i, result in enumerate(ten_cells()):
        changes_at = (CHANGED_AT,) if i < 3 else ()
        times = [2.0 * (1.2 if changes_at and n >= CHANGED_AT else 1) * rng.gauss(1, 0.01) for n in range(N_COMMITS)]
        lines.append(line_of(result.id, "total_s", times, changes_at=changes_at))
        lines.append(line_of(result.id, "accuracy", [rng.gauss(0.95, 0.003) for _ in range(N_COMMITS)]))
    return history_of(*lines)


def test_ten_cells(browser: Browser, draw: Draw, tmp_path: Path) -> None:
    """The suite's own run, with everything that a CPU's record can have, is a page of under a megabyte."""
    results = [each.replace(predictions=confused(10)) for each in ten_cells()]
    whole = whole_run(*results, side_by_side=(SIDE_BY_SIDE,), growth=(GROWTH,))
    path = written(tmp_path / "ten.html", draw, whole)
    assert path.stat().st_size < MAX_BYTES
    with opened(browser, path) as watched:
        demand_well_rendered(watched, looks=(LIGHT, PAPER))
        show(watched.page, 1440, "light")
        drawn = watched.page.locator("figure svg")
        sizes = [drawn.nth(i).bounding_box() for i in range(drawn.count())]
    assert len(sizes) > 10
    assert all(size is not None and size["width"] > 100 and size["height"] > 20 for size in sizes)


KINDS: dict[str, tuple[Run, ...]] = {
    "one cell": (whole_run(ten_cells()[0]),),
    "one round": (whole_run(*ten_cells(n_rounds=1)),),
    "a GPU, under the article's protocol": (whole_run(*ten_cells(protocol="article", gpu=True)),),
    "failures, interrupted": (
        whole_run(
            *unfinished(),
            diverged(ten_cells()[5]),
            ten_cells()[6].replace(outcome=Outcome(status="failed", failures=("word " * 300, "x" * 2_000))),
            interrupted=True,
            not_run=(("a-b", "no data"),),
        ),
    ),
    "hostile names": (whole_run(*renamed(ten_cells(), HOSTILE), source="</script><script>alert(1)</script>"),),
    "thirty cells": (whole_run(*thirty_cells()),),
    "ten files": tuple(
        whole_run(*ten_cells()[:3], source=f"{i}.json", commit=CommitInfo(id=f"{i}" * 40)) for i in range(10)
    ),
    "a CPU's and a GPU's": (
        whole_run(*ten_cells(), source="cpu.json"),
        whole_run(*ten_cells(gpu=True), source="gpu.json", versions=VERSIONS),
    ),
    "no cell": (whole_run(not_run=(("a-b", "no data"),)),),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of(browser: Browser, draw: Draw, tmp_path: Path, kind: str) -> None:
    """It is drawn whole, and nothing in it is obeyed, asked for, cut off or overlapping."""
    path = written(tmp_path / "page.html", draw, *KINDS[kind])
    assert path.stat().st_size < MAX_BYTES
    looks = {"a GPU, under the article's protocol": [DARK], "ten files": [LIGHT]}.get(kind, [])
    with opened(browser, path) as watched:
        demand_well_rendered(watched, views=FEW_VIEWS, looks=looks)


def test_a_history_of_400_commits(browser: Browser, draw: Draw, tmp_path: Path) -> None:
    """It is a page of under three megabytes, whose changes come first."""
    path = written(tmp_path / "year.html", draw, histories=(a_year(),))
    assert path.stat().st_size < MAX_BYTES_OF_A_YEAR
    with opened(browser, path) as watched:
        demand_well_rendered(watched, views=FEW_VIEWS, looks=[DARK])
        show(watched.page, 1440, "light")
        assert "Changes, the newest first" in watched.page.inner_text("main")[:400]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    """A page, its charts in it, depends on what it shows alone."""
    first, second = (written(tmp_path / name, svg, whole_run(ten_cells()[0])) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()
