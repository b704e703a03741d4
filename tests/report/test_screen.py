"""What a stream can show."""

from __future__ import annotations

import io
import os
import pty
import termios

import pytest

from nets.report.screen import MIN_WIDTH, STAND_INS, UNKNOWN_WIDTH, Screen, screen_of, writable, write_stand_ins
from nets.report.trend import BLOCKS


def terminal(columns: int, **environment: str) -> Screen:
    """A terminal with so many columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    try:
        with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123  # a descriptor
            return screen_of(stream, environment)
    finally:
        os.close(ours)


def pipe(**environment: str) -> Screen:
    """Something that is no terminal."""
    return screen_of(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), environment)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_the_terminal_s_width(columns: int) -> None:
    """It is the terminal's own, or COLUMNS where that is a number; an unknown one is 80, and none is below 20."""
    assert terminal(columns).width == columns
    assert terminal(columns, COLUMNS="93").width == 93
    for nonsense in ("", "0", "-3", "wide", "²", "9" * 99):
        assert terminal(columns, COLUMNS=nonsense).width == columns
    assert terminal(0).width == UNKNOWN_WIDTH == 80
    assert terminal(7).width == terminal(columns, COLUMNS="7").width == MIN_WIDTH


def test_a_pipe_has_no_width() -> None:
    """What goes to a file is not broken, but where COLUMNS says how wide it is."""
    assert pipe().width is None
    assert pipe(COLUMNS="100").width == 100


@pytest.mark.parametrize(
    ("environment", "on_terminal", "in_pipe"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, True, True),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_color(environment: dict[str, str], on_terminal: bool, in_pipe: bool) -> None:
    """A terminal that is not dumb has colour; FORCE_COLOR gives it to anything, NO_COLOR takes it from all."""
    assert terminal(80, **environment).color == on_terminal
    assert pipe(**environment).color == in_pipe


def test_where_a_line_can_be_rewritten() -> None:
    """On a terminal that a person watches, and that can move its cursor; colour has nothing to do with it."""
    assert terminal(80).is_live
    assert terminal(80, NO_COLOR="1").is_live
    assert not terminal(80, TERM="dumb", FORCE_COLOR="1").is_live
    assert not terminal(80, CI="true").is_live
    assert not pipe(FORCE_COLOR="1").is_live


@pytest.mark.parametrize(
    ("text", "latin_1", "ascii_"),
    [
        ("0.98 ± 0.01", "0.98 ± 0.01", "0.98 +/- 0.01"),
        ("0.70–1.31", "0.70-1.31", "0.70-1.31"),
        ("5 → 6 …", "5 -> 6 ...", "5 -> 6 ..."),
        ("──", "--", "--"),
        (BLOCKS, "1234567", "1234567"),
        ("naïve ½ Ω 漢 �", "naïve ½ Ω ? ?".replace("Ω", "?"), "naive 1?2 ? ? ?".replace("1?2", "12")),
        ("\ud800", "?", "?"),
        ("plain", "plain", "plain"),
    ],
)
def test_stand_ins(text: str, latin_1: str, ascii_: str) -> None:
    """What an encoding lacks is written in ASCII, and what it has as it is."""
    assert writable(text, "latin-1") == latin_1
    assert writable(text, "ascii") == ascii_
    assert "\ud800" in text or writable(text, "utf-8") == text


def test_streams_write_stand_ins() -> None:
    """A stream that would raise an error writes the same stand-ins, whoever writes to it."""
    assert all(value.isascii() for value in STAND_INS.values())
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    write_stand_ins(stream, io.StringIO())
    print("±–▁", file=stream, flush=True)
    assert raw.getvalue() == b"+/--1\n"
