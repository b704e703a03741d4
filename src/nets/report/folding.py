"""Text broken into lines at spaces, never within a word or between a number and its unit unless that is too long."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len

from nets.report.text import inert

_BREAKS = re.compile(r"(?<!±) (?!(?:%|!|s|J|W|ms|pp|MiB|GiB|points?)(?:[ ,;:.)]|$))")
"""The spaces at which a text is broken: not before a unit, nor after the sign of a deviation."""


def words(text: str) -> list[str]:
    """What stays on one line: words, and numbers with their units."""
    return _BREAKS.split(text)


def folded(text: str, room: int, room_below: int | None = None) -> list[str]:
    """Lines of at most `room` characters, all but the first of at most `room_below`; one line at least.

    A word that is longer than a line is cut.
    """
    below = room if room_below is None else room_below
    if cell_len(text) <= room:
        return [text]
    lines: list[str] = []
    line, length, limit = "", 0, room
    for word in _words_within(text, room, below):
        n = cell_len(word)
        if line and length + 1 + n > limit:
            lines.append(line)
            line, length, limit = word, n, below
        else:
            line, length = (f"{line} {word}", length + 1 + n) if line else (word, n)
    return [inert(each) for each in (*lines, line)]


def _words_within(text: str, room: int, below: int) -> Iterator[str]:
    """The words, those that don't fit into a line in parts."""
    limit = min(room, below)
    for word in words(text):
        for part in [word] if cell_len(word) <= limit else word.split(" "):
            yield from [part] if cell_len(part) <= limit else _cut(part, limit)


def _cut(word: str, limit: int) -> Iterator[str]:
    part, length = "", 0
    for character in word:
        n = cell_len(character)
        if part and length + n > limit:
            yield part
            part, length = "", 0
        part, length = part + character, length + n
    yield part
