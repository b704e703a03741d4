"""Standard error, held back while a user's code runs that may print a usage text and end the program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class HeldOutput:
    """A text stream that keeps what is written until it is let go, and then hands everything on.

    What keeps it, as a logging handler does, goes on to write to the stream behind it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._held: list[str] | None = []

    def write(self, text: str) -> int:
        """Keep the text, or hand it on."""
        if self._held is None:
            return self._stream.write(text)
        self._held.append(text)
        return len(text)

    def dropped(self) -> str:
        """Everything that is held, which nobody else will see."""
        held, self._held = "".join(self._held or ()), []
        return held

    def let_go(self) -> None:
        """Hand on what is held, and whatever comes."""
        held, self._held = "".join(self._held or ()), None
        if held:
            self._stream.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def holding_stderr() -> Iterator[HeldOutput]:
    """Hold standard error back during the block; what the block has not dropped is printed after it."""
    stream = sys.stderr
    held = HeldOutput(stream)
    sys.stderr = held
    try:
        yield held
    finally:
        sys.stderr = stream
        held.let_go()
