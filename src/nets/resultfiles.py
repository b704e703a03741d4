"""A run's JSON file -> its records; a file that is not one is refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nets.growth import Growth
from nets.harness import Harness
from nets.results import Result, Unusable, first_fault, parse
from nets.sidebyside import SideBySide

MAX_BYTES = 200_000_000

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """What one run left: the records with a timing, those of cells that broke off, and (cell, reason) of the others.

    `side_by_side`, `growth`: what benchmarks of these kinds left beside them. `harness`: where the run's time went.
    """

    results: tuple[Result, ...]
    unfinished: tuple[Result, ...]
    not_run: tuple[tuple[str, str], ...]
    side_by_side: tuple[SideBySide, ...]
    growth: tuple[Growth, ...]
    harness: Harness | None


def read(path: Path) -> ResultFile:
    """Read what `pytest benchmarks/ --benchmark-json` wrote. Raises Unusable, naming the file and the field."""
    content = _json(path)
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise Unusable(f"{path}: not a pytest-benchmark file: it has no list 'benchmarks'")
    block = content.get("nets")
    if not isinstance(block, dict):
        raise Unusable(f"{path}: written by pytest-benchmark, but not by nets: it has no field 'nets'")
    try:
        rest = _Block.model_validate(block)
    except ValidationError as error:
        raise Unusable(f"{path}: {first_fault(error, 'nets.')}") from error
    records = [
        (i, benchmark["extra_info"])
        for i, benchmark in enumerate(content["benchmarks"])
        if isinstance(benchmark, dict) and _is_record(benchmark.get("extra_info"))
    ]  # a benchmark that is no cell's may stand beside
    results: list[Result] = []
    compared: list[SideBySide] = []
    growth: list[Growth] = []
    for i, record in records:
        where = f"{path}: benchmarks.{i}"
        match record.get("kind"):
            case "side_by_side":
                compared.append(parse(record, where, SideBySide))
            case "growth":
                growth.append(parse(record, where, Growth))
            case _:
                results.append(parse(record, where))
    return ResultFile(
        results=tuple(results),
        side_by_side=tuple(compared),
        growth=tuple(growth),
        unfinished=tuple(parse(record, f"{path}: nets.unfinished.{i}") for i, record in enumerate(rest.unfinished)),
        not_run=tuple((each.cell, each.because) for each in rest.not_run),
        harness=rest.harness,
    )


def beside(path: Path, model: type[T]) -> T:
    """What a file that was read holds beside its records, as `model` has it. Raises Unusable, naming file and field."""
    try:
        return model.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        raise Unusable(f"{path}: {first_fault(error)}") from error
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: it changed while it was read: {error}") from error


def _is_record(extra_info: object) -> bool:
    return isinstance(extra_info, dict) and "schema" in extra_info


class _NotRun(BaseModel):
    cell: str
    because: str


class _Block(BaseModel):
    """What the recorder writes beside the benchmarks."""

    unfinished: list[dict[str, Any]] = []
    not_run: list[_NotRun] = []
    harness: Harness | None = None


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unusable(f"{path}: {path.stat().st_size:,} bytes; a run's file has at most {MAX_BYTES:,}")
        return json.loads(path.read_bytes(), parse_constant=_refuse)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path}: not JSON: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which JSON doesn't know")
