"""Text from a file, made harmless: no control character reaches the terminal, no markup the page."""

from __future__ import annotations

import re
import unicodedata
from typing import TypeVar

from nets.records.base import Record, parse

T = TypeVar("T", bound=Record)
MAX_LENGTH = 300
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Controls (with them ANSI escapes), formats (which turn the direction of writing), lone surrogates, separators."""


def plain(text: str, max_length: int = MAX_LENGTH) -> str:
    """One line without invisible characters, which become �, cut to `max_length`."""
    cut = text if len(text) <= max_length else f"{text[: max_length - 1]}…"
    one_line = re.sub(r"[ \t\r\n\f\v]+", " ", cut).strip()
    return "".join("�" if unicodedata.category(character) in _INVISIBLE else character for character in one_line)


def harmless(record: T) -> T:
    """The record with every text of it plain."""
    return parse(_plain(record.to_json()), "a record", type(record))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return plain(value, 10_000) if isinstance(value, str) else value
