"""Files that anyone may have written: opened once, and bounded in bytes, depth, numbers and text as they are read.

A file is one snapshot: its kind and size are asked of the descriptor that is then read, and a file that is written to
meanwhile is refused. One that is replaced by renaming, as nets does it, is read as it was.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nets.errors import Unusable

MAX_BYTES = 200_000_000
MAX_TOML_BYTES = 10_000_000
MAX_DEPTH = 50
"""Lists and tables in one another; a run's file has 8."""
MAX_NUMBER = 1e39
"""Of a record: a loss is a float32, and anything else is smaller; sums and squares of such numbers are finite."""
MAX_ITEMS = 10_000
"""The longest list in a record (the losses of all epochs), or in a bands file."""
MAX_TEXT = 100_000
"""Characters of one text in a record."""
_NUMBER = (int, float)
_LONG_KEY = re.compile(r"""(?:\.\s*(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')\s*){50}""")
"""A dotted key of so many parts, which takes tomllib a time that is quadratic in their number."""


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """A plain file's content; a pipe is not waited for, nor a device read. Raises Unusable, naming the file."""
    try:
        with open(path, "rb", opener=_opened) as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise Unusable(f"{path}: not a plain file")
            if before.st_size > max_bytes:
                raise Unusable(f"{path}: {before.st_size:,} bytes; at most {max_bytes:,} are read")
            content = stream.read(max_bytes + 1)
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise Unusable(f"{path}: {_why(path, error)}") from error
    if len(content) > max_bytes:
        raise Unusable(f"{path}: more than {max_bytes:,} bytes")
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Unusable(f"{path}: it was written to while it was read; try again")
    return content


def _opened(path: str, flags: int) -> int:
    """A descriptor: a pipe without a writer does not block, a terminal does not become the process's own."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _why(path: Path, error: OSError) -> str:
    """Python refuses a folder before it could be asked what it is."""
    return "not a plain file" if isinstance(error, IsADirectoryError) else error.strerror or str(error)


def read_json(path: Path) -> Any:
    """A plain file's JSON. NaN and Infinity are read, and are no number of any record. Raises Unusable."""
    return parsed_json(read_bytes(path), path)


def parsed_json(text: bytes, path: Path) -> Any:
    """The same of a file's bytes."""
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        _demand_shallow(content)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path}: not JSON: {error}") from error
    return content


def read_toml(path: Path) -> dict[str, Any]:
    """A plain file's TOML, its numbers, texts and lists bounded. Raises Unusable."""
    try:
        text = read_bytes(path, MAX_TOML_BYTES).decode()
        if _LONG_KEY.search(text):
            raise Unusable(f"{path}: a dotted key has more than 50 parts")
        table = tomllib.loads(text)
        _demand_shallow(table)
    except (ValueError, RecursionError) as error:  # of an integer with 5,000 digits, too
        raise Unusable(f"{path}: {error}") from error
    if (fault := out_of_bounds(table)) is not None:
        raise Unusable(f"{path}: {fault}")
    return table


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, refused where a key is there twice: readers differ in which of the two they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!a:.80} is there twice in one object")
    return found


def _demand_shallow(content: object) -> None:
    """What goes into lists and objects by recursion must not end there. Raises ValueError."""
    layer = [content]
    for _ in range(MAX_DEPTH + 1):
        outers = [
            outer.values() if isinstance(outer, dict) else outer for outer in layer if isinstance(outer, dict | list)
        ]
        layer = [inner for outer in outers for inner in outer]
        if not layer:
            return
    raise ValueError(f"lists and objects lie more than {MAX_DEPTH} deep in one another")


def out_of_bounds(value: object, where: str = "") -> str | None:
    """The first field of a record that holds more than any measurement gives, and what is wrong with it; else None."""
    fault = _fault(value)
    if fault is None:
        return None
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (out_of_bounds(inner, f"{where}.{key}" if where else f"{key}") for key, inner in inside)
    return next(filter(None, found), f"field '{where}': {fault}")


def _fault(value: object) -> str | None:
    """What is wrong with a value or with any inside of it; None, as a rule."""
    inside: Iterable[object] = ()
    if isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, list):
        if len(value) > MAX_ITEMS:
            return f"a list of {len(value):,} values; at most {MAX_ITEMS:,} are read"
        inside = value
    elif isinstance(value, str):
        too_long = len(value) > MAX_TEXT
        return f"a text of {len(value):,} characters; at most {MAX_TEXT:,} are read" if too_long else None
    elif isinstance(value, _NUMBER) and abs(value) > MAX_NUMBER:
        return "no measurement gives such a number"
    for inner in inside:
        if inner is None or (isinstance(inner, _NUMBER) and -MAX_NUMBER <= inner <= MAX_NUMBER):
            continue  # most values are such: a call for each would take most of the time that reading a file takes
        if (fault := _fault(inner)) is not None:
            return fault
    return None
