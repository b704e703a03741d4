"""Text from a file, made safe to print: no control character reaches the terminal, no markup the page."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

MAX_LENGTH = 300
ABSENT = "–"
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Controls (ANSI escapes among them), formats (which can reverse the direction of writing), surrogates, separators."""


_COMMAND = re.compile(r"^(\W*?:):|(#)#(?=\[)")
"""What GitHub's runner takes for a command: `::` as the first of a line, `##[` anywhere in it.

Source: actions/runner, src/Runner.Common/ActionCommand.cs, TryParseV2 and TryParse.
"""


def plain(text: str, max_length: int = MAX_LENGTH) -> str:
    """One line, cut to `max_length`; � stands for what is invisible, and in what a runner would take for a command."""
    cut = text if len(text) <= max_length else f"{text[: max_length - 1]}…"
    one_line = " ".join(cut.split())
    if not one_line.isprintable():
        one_line = "".join("�" if unicodedata.category(each) in _INVISIBLE else each for each in one_line)
    return inert(one_line)


def inert(line: str) -> str:
    """The line with � in what a runner would take for a command; no longer and no shorter."""
    return _COMMAND.sub(lambda found: f"{found[1] or found[2]}�", line)


def listed(names: Sequence[str], n: int = 5, *, between: str = ", ") -> str:
    """The first `n` names, made plain, and how many more there are."""
    more = len(names) - n
    last = f"{';' if between == '; ' else ''} and {more} more" if more > 0 else ""
    return between.join(map(plain, names[:n])) + last


def decimals(value: float) -> int:
    """How many digits after the point a time has: two, and more where they would show less than two figures."""
    return 2 if value <= 0 else max(2, 1 - math.floor(math.log10(value)))


def value_text(metric: str, value: float, *, whole: bool) -> str:
    """A metric's value; `whole`: as a whole number."""
    if metric == "accuracy":
        return f"{value:.4f}"
    if metric.endswith("_bytes") and 0 <= value < 2**63:
        return f"{value / 2**20:,.1f} MiB"
    return f"{int(value):,}" if whole else f"{value:.4g}"


def json_text(content: dict[str, Any] | list[Any]) -> str:
    """A file's JSON in ASCII, a line for each item of a list, and inert where it is printed in a workflow's log."""
    if isinstance(content, list):
        text = _json_value(content)
    else:
        text = "{\n" + ",\n".join(f"{json.dumps(key)}: {_json_value(value)}" for key, value in content.items()) + "\n}"
    return text.replace("##[", "##\\u005b") + "\n"


def _json_value(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value, allow_nan=False)
    return "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in value) + "\n]"
