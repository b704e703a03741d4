"""The base of every error that a user sees; each message says what was wrong, where, and what to do next."""

from __future__ import annotations


class NetsError(Exception):
    """What keeps a command or a cell from being done, for a person to read; no traceback is needed."""


class UnknownName(NetsError):
    """A cell, protocol, model or data set that is not registered; the message lists the ones that are."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known)}")


class Unusable(NetsError):
    """A file, a record or an option that is not what it should be; the message names it, and the field."""
