"""Text from a file, made safe to print: no control character reaches the terminal, no markup the page."""

from __future__ import annotations

import re
import unicodedata
from typing import TypeVar

from nets.records.base import Record, parse

T = TypeVar("T", bound=Record)
MAX_LENGTH = 300
ABSENT = "–"
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Controls (ANSI escapes among them), formats (which can reverse the direction of writing), surrogates, separators."""


def plain(text: str, max_length: int = MAX_LENGTH) -> str:
    """One line without invisible characters, which become �, cut to `max_length`."""
    cut = text if len(text) <= max_length else f"{text[: max_length - 1]}…"
    one_line = re.sub(r"[ \t\r\n\f\v]+", " ", cut).strip()
    return "".join("�" if unicodedata.category(character) in _INVISIBLE else character for character in one_line)


def value_text(metric: str, value: float, *, whole: bool) -> str:
    """A metric's value; `whole`: as a whole number."""
    if metric == "accuracy":
        return f"{value:.4f}"
    if metric.endswith("_bytes") and 0 <= value < 2**63:
        return f"{value / 2**20:,.1f} MiB"
    return f"{int(value):,}" if whole else f"{value:.4g}"


def harmless(record: T) -> T:
    """The record with every text in it made plain."""
    return parse(_plain(record.to_json()), "a record", type(record))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return plain(value, 10_000) if isinstance(value, str) else value
