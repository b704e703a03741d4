"""The base of every error that a person sees, the exit codes of all commands, and the wording of counts.

A message says what was wrong, where, and what to do next; no traceback is needed.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code means; see EXIT_CODES."""

    FINE = 0
    REGRESSED = 1
    UNUSABLE = 2
    CANT_TELL = 3
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES = {
    Exit.FINE: "fine",
    Exit.REGRESSED: "something regressed, failed or is missing",
    Exit.UNUSABLE: "unusable input, or a wrong option",
    Exit.CANT_TELL: "can't tell: something is incomparable, not measured, or has too little data",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
    Exit.TERMINATED: "ended by SIGTERM or SIGHUP, as a job that is cancelled",
}
"""The same for every command, and in every command's help; the README has this table, too."""
STEP_EXIT_CODES: dict[int, int] = {Exit.UNUSABLE: 128, Exit.CANT_TELL: 125}
"""What `nets bisect-step` exits with in place of those: `git bisect run` skips a commit for 125, and ends for 128.

All others from 1 to 127 it takes for a bad commit.
"""


class NetsError(Exception):
    """What keeps a command or a cell from being done."""


class UnknownName(NetsError):
    """A cell, protocol, model or data set that is not registered; the message lists the ones that are."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known)}")


class Unusable(NetsError):
    """A file, a record or an option that is not what it should be; the message names it, and the field."""


def counted(n: int, noun: str) -> str:
    """A number with its noun, for a message: `one cell`, `2 cells`."""
    return f"one {noun}" if n == 1 else f"{n} {noun}s"
