"""Which kernels took the GPU's time, for each cell that has a trace; pure."""

from __future__ import annotations

from collections.abc import Sequence

from nets.records.cell import Result
from nets.records.gpu import LongKernel
from nets.report.charts.marks import bars, heads, text
from nets.report.charts.panels import INNER, MARGIN, Axis, Panel, chart, pixels
from nets.report.charts.style import INK, linear_ticks, looks, slug
from nets.report.document import Cell, Chart, Table, table
from nets.report.text import plain

ROW, NAME, BAR = 36, 9, (18, 28)
MAX_KERNELS = 10
MAX_NAME = 1_000


def kernel_charts(results: Sequence[Result]) -> list[Chart]:
    """A chart for each cell with a trace of kernels: the names with the most time, and their share of it."""
    look = looks(result.cell.model for result in results)
    return [
        _chart(result, result.trace.longest_kernels[:MAX_KERNELS], look[result.cell.model].colour)
        for result in results
        if result.trace is not None and result.trace.longest_kernels
    ]


def _chart(result: Result, kernels: Sequence[LongKernel], colour: str) -> Chart:
    most = max(kernel.share for kernel in kernels)
    high = max(most * 1.02, 0.01)
    axis = Axis(
        0, high, linear_ticks(0, high, 6), ".2~%", title="share of all kernels' time", has_grid=False, end=INNER - 4
    )
    tops = [ROW * i for i in range(len(kernels))]
    height = ROW * len(kernels)
    shown = [
        {
            "x": 0, "x2": kernel.share, "y": top + BAR[0], "y2": top + BAR[1], "colour": colour, "opacity": 1,
            "title": f"{plain(kernel.name)}: {_time(kernel)} in {kernel.n:,} launches, {kernel.share:.1%}",
        }
        for kernel, top in zip(kernels, tops, strict=True)
    ]  # fmt: skip
    names = [text(kernel.name, y=top + NAME) for kernel, top in zip(kernels, tops, strict=True)]
    shares = [text(f"{kernel.share:.1%}", INK, y=name["y"]) for kernel, name in zip(kernels, names, strict=True)]
    main = Panel(INNER, height, axis, pixels(height), (bars(shown), *heads(names, shares, INNER, is_bold=False)))
    total = sum(kernel.share for kernel in kernels)
    first = f"{plain(kernels[0].name, 80)} took {kernels[0].share:.1%} of all kernels' time"
    says = f"{first}; these {len(kernels)} took {total:.1%}."
    title = f"The longest kernels: {plain(result.id)}"
    return chart(slug("kernels", result.id), title, says, _table(result, kernels), [main], top=MARGIN, bottom=46)


def _time(kernel: LongKernel) -> str:
    return f"{1e3 * kernel.total_s:.4g} ms"


def _table(result: Result, kernels: Sequence[LongKernel]) -> Table:
    headings = ("kernel", "launches", "time (ms)", "share")
    rows = [
        (
            plain(kernel.name, MAX_NAME),
            Cell(f"{kernel.n:,}", value=kernel.n),
            Cell(f"{1e3 * kernel.total_s:.4g}", value=kernel.total_s),
            Cell(f"{kernel.share:.2%}", value=kernel.share),
        )
        for kernel in kernels
    ]
    return table(headings, rows, right=headings[1:], caption=f"The longest kernels of {plain(result.id)}")
