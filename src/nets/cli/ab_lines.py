"""How a comparison of two revisions goes on: a line a sitting and cell, and one that is rewritten on a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from nets.ab.looks import Verdict
from nets.ab.reporter import CellSoFar, Progress, Reporter
from nets.cli.common import say
from nets.report.screen import UNKNOWN_WIDTH, screen_of, writable
from nets.report.text import plain
from nets.stats.inference import Shift

EVERY_S = 0.2
VERDICT_TEXT: dict[Verdict, str] = {"the same": "the same within the limit", "open": "not decided"}
"""The wording of those verdicts that are not worded as they are named."""


class AbLines(Reporter):
    """Prints each sentence, and keeps one more line, rewritten several times a second, on a `live` terminal."""

    def __init__(self, live: TextIO | None, width: int = UNKNOWN_WIDTH) -> None:
        self._live, self._width = live, width
        self._began = self._written = time.monotonic()
        self._effects: dict[str, Shift] = {}

    def say(self, sentence: str) -> None:
        """A sentence, below those before."""
        self._rewrite("")
        say(sentence)

    def warn(self, sentence: str) -> None:
        """The same, on stderr."""
        self._rewrite("")
        say(sentence, to_stderr=True)

    def progress(self, progress: Progress) -> None:
        """Rewrite the live line."""
        if time.monotonic() - self._written < EVERY_S:
            return
        cell = progress.cell or ""
        shift = self._effects.get(cell)
        so_far = f": {shift_text(shift)}" if shift is not None else ""
        left = "" if progress.left_s is None else f", {clock(progress.left_s)} left"
        self._rewrite(
            f"{progress.stage} {progress.sitting}/{progress.next_look} {cell} pair {progress.n_pairs}{so_far}; "
            f"{clock(time.monotonic() - self._began)} gone{left}"
        )

    def sitting(self, cells: Sequence[CellSoFar], progress: Progress) -> None:
        """A line for each cell of the sitting."""
        if not cells:
            self.say(f"{progress.stage}, sitting {progress.sitting}: nothing that both sides finished")
        for cell in cells:
            self._effects[cell.cell] = cell.shift
            accuracy = "" if cell.accuracy is None else f", accuracy {100 * cell.accuracy:+.2f} points"
            verdict = "" if cell.verdict is None else f": {VERDICT_TEXT.get(cell.verdict, cell.verdict)}"
            self.say(
                f"{cell.stage}, sitting {cell.sitting}: {cell.cell} {_percent(cell.log_ratio)} %, so far "
                f"{shift_text(cell.shift)}{accuracy}; {self._times(progress)}{verdict}"
            )

    def clear(self) -> None:
        """Leave no line behind."""
        self._rewrite("")

    def _times(self, progress: Progress) -> str:
        gone = clock(time.monotonic() - self._began)
        if progress.left_s is None or progress.left_s <= 0:
            return f"{gone} gone"
        return f"{gone} gone, {clock(progress.left_s)} to the look at {progress.next_look}"

    def _rewrite(self, line: str) -> None:
        if self._live is not None:
            shown = writable(plain(line), self._live.encoding or "utf-8")
            self._live.write(f"\r\x1b[K{shown[: self._width - 1]}")
            self._live.flush()
            self._written = time.monotonic()


@contextmanager
def ab_lines() -> Iterator[AbLines]:
    """The lines of a command: live where a person sees what is written to stderr, a terminal that is not a CI's log."""
    screen = screen_of(sys.stderr)
    lines = AbLines(sys.stderr if screen.is_live else None, screen.width or UNKNOWN_WIDTH)
    try:
        yield lines
    finally:
        lines.clear()


def shift_text(shift: Shift) -> str:
    """An effect on a time, from the logarithm of the ratio, in per cent with its interval."""
    interval = ""
    if shift.low is not None and shift.high is not None:
        interval = f" ({_percent(shift.low)} to {_percent(shift.high)})"
    return f"{_percent(shift.point)} %{interval}"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f}"
