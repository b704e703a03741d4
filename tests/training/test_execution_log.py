"""What a record says of rounds that were not all executed alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nets.training.trainer import ExecutionLog


def trainer(mode: str, because: str | None = None, peak: int = 0) -> Any:
    """As much of a trainer as counts here."""
    return SimpleNamespace(mode=mode, fallback_because=because, recorded_peak_bytes=peak)


def test_scratch_networks_count_without_a_round() -> None:
    """Before a round a scratch network says how; after one it changes nothing, its memory neither."""
    executions = ExecutionLog()
    executions.note(trainer("eager", "why"), is_round=False)
    assert (executions.mode, executions.fallback_because) == ("eager", "why")
    executions.note(trainer("graph", peak=7), is_round=True)
    executions.note(trainer("eager", "why", peak=9), is_round=False)
    assert (executions.mode, executions.fallback_because, executions.recorded_peak_bytes) == ("graph", None, 7)


def test_a_round_that_fell_back() -> None:
    """One eager round among graphs makes the cell's mode eager, and the reason says in how many rounds."""
    executions = ExecutionLog()
    executions.note(trainer("graph", peak=5), is_round=True)
    executions.note(trainer("eager", "no memory"), is_round=True)
    assert (executions.mode, executions.fallback_because) == ("eager", "in 1 of 2 rounds: no memory")
    assert executions.recorded_peak_bytes == 5
    alone = ExecutionLog()
    alone.note(trainer("eager", "no memory"), is_round=True)
    assert alone.fallback_because == "no memory"
