"""What a comparison says while it goes on, to whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nets.ab.looks import Verdict
from nets.gate.levels import Stage
from nets.stats.inference import Shift


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage has come: in which cell and pair of rounds (None between two), of which sitting, from 1.

    `left_s`: how long it takes to the next look, None before the first sitting is over.
    """

    stage: Stage
    sitting: int
    next_look: int
    cell: str | None
    n_pairs: int
    left_s: float | None


@dataclass(frozen=True, slots=True)
class CellSoFar:
    """What a cell has shown after a sitting: its own ratio in it, the effect of all, and how the accuracies differ.

    `verdict`: where this was a look; `accuracy`: the mean of head less base over all pairs, None where there is none.
    """

    stage: Stage
    sitting: int
    cell: str
    log_ratio: float
    shift: Shift
    accuracy: float | None
    verdict: Verdict | None


class Reporter:
    """Is told how a comparison goes on; this one says nothing."""

    def say(self, sentence: str) -> None:
        """A sentence about all of it."""

    def warn(self, sentence: str) -> None:
        """A sentence that a person should not miss."""

    def progress(self, progress: Progress) -> None:
        """Called at each step, of which there are several a second."""

    def sitting(self, cells: Sequence[CellSoFar], progress: Progress) -> None:
        """Called after each sitting."""
