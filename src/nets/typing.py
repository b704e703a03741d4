"""The names that a benchmark file annotates its fixtures with.

    from nets.typing import CellRun, Result

    def test_train_eval(benchmark, cell_run: CellRun, judge: Callable[[CellRun], Result]) -> None: ...

A type checker sees the classes. At run time each name is `typing.Any`, so that collecting a benchmark doesn't import
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = [
    "Cell",
    "CellRun",
    "Data",
    "GpuMonitor",
    "Growth",
    "Ledger",
    "Loaders",
    "Options",
    "Pipeline",
    "Protocol",
    "Result",
    "SideBySide",
    "SizeSweep",
    "Turns",
]

if TYPE_CHECKING:
    from nets.cells.catalog import Cell
    from nets.datasets.data import Data
    from nets.gpu.monitor import GpuMonitor
    from nets.measuring.comparisons import SizeSweep, Turns
    from nets.plugin.options import Options
    from nets.plugin.session import Ledger
    from nets.records.cell import Protocol, Result
    from nets.records.comparisons import Growth, SideBySide
    from nets.training.pipelines import Pipeline
    from nets.training.run import CellRun
    from nets.training.trainer import Loaders
else:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return Any
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
