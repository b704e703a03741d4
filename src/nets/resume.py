"""What `--resume` keeps of a run that was killed: the cells that passed and would be made again just so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nets.options import Options
from nets.records.cell import Result

if TYPE_CHECKING:
    from nets.measuring.cell import Setting


def is_kept(result: Result, options: Options, setting: Setting) -> bool:
    """Whether this session would make the same record again, but for chance."""
    cells = {cell.id: cell for cell in options.cells}
    return (
        result.outcome.status == "passed"
        and result.id in cells
        and result.protocol == options.protocol_of(cells[result.id])
        and result.pipeline == options.pipeline
        and _is_executed_alike(result, setting)
        and result.device.name == setting.device.name
    )


def _is_executed_alike(result: Result, setting: Setting) -> bool:
    """But for the mode, which only a run knows."""
    from nets.measuring.cell import executed
    from nets.training.pipelines import PIPELINES

    expected = executed(PIPELINES[result.pipeline], result.protocol, setting)
    known = {"mode": expected.mode, "fallback_because": expected.fallback_because}
    return result.execution.model_copy(update=known) == expected
