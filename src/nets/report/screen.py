"""What a stream can show: how wide it is, in colour or not, which characters, and whether a line can be rewritten."""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

UNKNOWN_WIDTH = 80
"""Characters in a line of a terminal that doesn't say how wide it is."""
MIN_WIDTH = 20
STAND_INS: Mapping[str, str] = {
    **dict.fromkeys("–—−‐‑─", "-"),
    **{"±": "+/-", "→": "->", "×": "x", "…": "...", "�": "?", "≥": ">=", "≤": "<="},
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **{block: str(height) for height, block in enumerate("▁▂▃▄▅▆▇█", 1)},
}
"""What is written for a character where the stream's encoding lacks it; a trend's blocks become their heights."""
_HANDLER = "nets.stand-ins"


@dataclass(frozen=True, slots=True)
class Screen:
    """What a stream can show.

    `width`: characters in a line; None of a file or a pipe, whose lines may have any length. `color`: whether to colour
    what is written. `is_live`: whether somebody is watching, and a line that was written can be rewritten.
    """

    width: int | None
    color: bool
    encoding: str
    is_live: bool


def screen_of(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Screen:
    """By the stream and the environment.

    `NO_COLOR` wins over `FORCE_COLOR`, and both over what the stream is (no-color.org, force-color.org: an empty value
    counts as none). `COLUMNS` is the width, of a pipe too. A terminal that is dumb can't rewrite a line, and nobody
    watches a CI's log.
    """
    is_terminal = stream.isatty()
    is_dumb = environment.get("TERM") == "dumb"
    forced = bool(environment.get("FORCE_COLOR"))
    return Screen(
        width=_width(stream, environment, is_terminal=is_terminal),
        color=not environment.get("NO_COLOR") and (forced or (is_terminal and not is_dumb)),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        is_live=is_terminal and is_live(environment),
    )


def is_live(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody watches a terminal that can rewrite a line, if it is a terminal that is written to."""
    return environment.get("TERM") != "dumb" and not environment.get("CI")


def _width(stream: TextIO, environment: Mapping[str, str], *, is_terminal: bool) -> int | None:
    columns = environment.get("COLUMNS", "")
    if columns.isdecimal() and len(columns) < 6 and int(columns) > 0:
        return max(MIN_WIDTH, int(columns))
    if not is_terminal:
        return None
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        width = 0
    return max(MIN_WIDTH, width) if width > 0 else UNKNOWN_WIDTH


def writable(text: str, encoding: str) -> str:
    """The text with a stand-in for each character that the encoding lacks."""
    return text if text.isascii() else text.encode(encoding, errors=_HANDLER).decode(encoding)


def write_stand_ins(*streams: TextIO) -> None:
    """From now on a stream writes stand-ins where it would raise an error; one that is no text file is left alone."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def _stand_ins(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_stand_in, error.object[error.start : error.end])), error.end


def _stand_in(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return STAND_INS.get(character) or plain or "?"


codecs.register_error(_HANDLER, _stand_ins)
