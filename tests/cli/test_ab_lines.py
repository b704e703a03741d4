"""What `nets ab` says while it measures."""

from __future__ import annotations

import io

import pytest

from nets.ab.reporter import CellSoFar, Progress
from nets.cli.ab_lines import AbLines, clock
from nets.stats.inference import Shift

SO_FAR = CellSoFar(
    stage="screen", sitting=6, cell="digits-lenet5", log_ratio=0.01, shift=Shift(0.02, -0.01, 0.05, 0.95),
    accuracy=-0.004, verdict="open",
)  # fmt: skip
PROGRESS = Progress(stage="screen", sitting=7, next_look=8, cell="digits-lenet5", n_pairs=2, left_s=75.0)


def test_a_line_a_sitting(capsys: pytest.CaptureFixture[str]) -> None:
    """Cell, sitting, effect so far with its interval, accuracy, the time gone and left, and the verdict of a look."""
    AbLines(None).sitting([SO_FAR], PROGRESS)
    out, err = capsys.readouterr()
    assert out == (
        "screen, sitting 6: digits-lenet5 +1.0 %, so far +2.0 % (-1.0 to +5.1), accuracy -0.40 points; 0:00 gone, "
        "1:15 to the look at 8: not decided\n"
    )
    assert err == ""


def test_the_line_that_lives(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal one more line is rewritten, no more than five times a second, within its width, and cleared."""
    moment = 0.0
    monkeypatch.setattr("nets.cli.ab_lines.time.monotonic", lambda: moment)
    terminal = io.StringIO()
    lines = AbLines(terminal, width=80)
    for _ in range(10):
        lines.progress(PROGRESS)
    assert terminal.getvalue() == ""
    moment = 1.0
    for _ in range(10):
        lines.progress(PROGRESS)
    lines.sitting([SO_FAR], PROGRESS)
    moment = 2.0
    lines.progress(PROGRESS)
    lines.clear()
    shown = terminal.getvalue().split("\r\x1b[K")
    assert shown[1] == "screen 7/8 digits-lenet5 pair 2; 0:01 gone, 1:15 left"
    assert shown[2] == ""  # before a sentence
    assert shown[3] == "screen 7/8 digits-lenet5 pair 2: +2.0 % (-1.0 to +5.1); 0:02 gone, 1:15 left"
    assert shown[4] == ""
    assert max(map(len, shown)) < 80
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_clock() -> None:
    """Minutes and seconds, rounded."""
    assert [clock(seconds) for seconds in (0.4, 59.6, 3_661)] == ["0:00", "1:00", "61:01"]
