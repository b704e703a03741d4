"""What a user wrote as limits -> `Limits`: refused by name, and asked about where it can't be what was meant.

A limit is a fraction (0.05) or, in quotes, a percentage ("5 %"), which is taken as it stands. A bare 5 is refused with
the question whether 0.05 was meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nets.errors import Unusable
from nets.gate.limits import FACTS, MAX_RELATIVE, CellLimits, Limits
from nets.records.base import first_fault
from nets.records.foreign import read_toml

_PERCENTAGE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")
NO_FRACTION = ("min_pairs", "allow", "cells")
ASKED_FROM = {"accuracy": 0.1}
"""From where on a number is asked about; from 1 on, unless it is named here. Of `time_faster` 1 is the default."""
ASKED_BELOW = 1_000
"""What is larger is no percentage either, and is refused as too large."""
LEVELS = ("alpha", "accuracy_alpha")


class _File(BaseModel):
    """A TOML file; the gate ignores its other tables."""

    gate: Limits = Limits()


def read_limits(path: Path) -> Limits:
    """Read the table `[gate]` of a TOML file. Raises Unusable, naming the file and the field."""
    table = read_toml(path)
    if "gate" not in table:
        raise Unusable(f"{path}: it has no table [gate]")
    try:
        return _File.model_validate({"gate": _meant_table(table["gate"], str(path))}, strict=False).gate
    except ValidationError as error:
        raise Unusable(f"{path}: {first_fault(error)}") from error


def changed(limits: Limits, values: Sequence[str] = (), allow: Sequence[str] = ()) -> Limits:
    """The limits with the command line's `NAME=VALUE`, for every cell, and allowed facts. Raises Unusable by name."""
    known = sorted(set(Limits.model_fields) - {"allow", "cells"})
    content = limits.model_dump()
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise Unusable(f"--limit {text}: it is NAME=VALUE, and the names are {', '.join(known)}")
        content[name] = _number(name, value, text)
        for of_cells in content["cells"].values():
            of_cells.pop(name, None)
    for fact in allow:
        if fact not in FACTS:
            raise Unusable(f"--allow {fact}: unknown; what may be allowed to differ: {', '.join(FACTS)}")
    content["allow"] = tuple(fact for fact in FACTS if fact in (*limits.allow, *allow))
    try:
        return Limits.model_validate(content)
    except ValidationError as error:
        raise Unusable(f"--limit: {first_fault(error)}") from error


def _number(name: str, value: str, text: str) -> object:
    try:
        number: object = int(value) if name == "min_pairs" else value if "%" in value else float(value)
    except ValueError:
        raise Unusable(f"--limit {text}: {value!r} is not a number; a tenth is 0.1") from None
    meant = _meant(name, number, f"--limit {text}")
    if isinstance(meant, str):
        raise Unusable(f"--limit {text}: {value!r} is no percentage; a tenth is 0.1 or 10%")
    return meant


def _meant_table(table: object, source: str) -> object:
    """The table with every percentage as a fraction. Raises Unusable for what can't be meant, or has no place here."""
    if not isinstance(table, Mapping):
        return table
    found = {name: _meant(name, value, f"{source}: gate.{name}") for name, value in table.items()}
    if isinstance(cells := table.get("cells"), Mapping):
        found["cells"] = {pattern: _of_cells(pattern, of_them, source) for pattern, of_them in cells.items()}
    return found


def _of_cells(pattern: str, table: object, source: str) -> object:
    if not isinstance(table, Mapping):
        return table
    for name in table:
        if name not in CellLimits.model_fields:
            why = "holds for the whole run" if name in Limits.model_fields else "is no limit"
            names = ", ".join(CellLimits.model_fields)
            raise Unusable(f'{source}: gate.cells."{pattern}".{name}: it {why}; such a table may set {names}')
    return {name: _meant(name, value, f'{source}: gate.cells."{pattern}".{name}') for name, value in table.items()}


def _meant(name: str, value: Any, where: str) -> object:
    """A percentage as a fraction, anything else as it is. Raises Unusable, with a question, for a number too large."""
    if isinstance(value, str) and name not in NO_FRACTION and (percentage := _PERCENTAGE.fullmatch(value)):
        return float(percentage[1]) / 100
    if name not in Limits.model_fields or name in NO_FRACTION:
        return value
    if isinstance(value, bool):
        raise Unusable(f"{where}: {str(value).lower()} is no number")
    if (
        not isinstance(value, int | float)
        or name == "time_faster"
        or not ASKED_FROM.get(name, 1) <= value < ASKED_BELOW
    ):
        return value
    question = f"{where}: {value:g} would be {100 * value:g} %: did you mean {value / 100:g}?"
    if name in LEVELS or value > (1 if name == "accuracy" else MAX_RELATIVE):
        raise Unusable(question)
    raise Unusable(f'{question} If {100 * value:g} % is meant, write it with its sign: "{100 * value:g} %"')
