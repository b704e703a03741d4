"""A run's JSON file, read once into one `Run`; a file that is not one is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nets.errors import Unusable
from nets.records.base import first_fault, parse
from nets.records.cell import Result
from nets.records.comparisons import Growth, SideBySide
from nets.records.consistency import demand_consistent
from nets.records.foreign import out_of_bounds, parsed_json, read_bytes, read_json
from nets.records.run import CommitInfo, Confirmation, Harness, Pairing, Run
from nets.records.shards import Reference, Shards
from nets.records.versions import MachineInfo, Text, versions_of

MAX_ROUNDS = 1_000
"""As many as a protocol can have."""


class _NotRun(BaseModel):
    cell: Text
    because: Text


class _Confirmation(BaseModel):
    pairing: Pairing
    cells: list[dict[str, Any]]


class _Reference(BaseModel):
    shard: int
    record: dict[str, Any]


class _Block(BaseModel):
    """What the recorder writes beside the benchmarks."""

    unfinished: list[dict[str, Any]] = []
    not_run: list[_NotRun] = []
    harness: Harness | None = None
    pairing: Pairing | None = None
    confirmation: _Confirmation | None = None
    shards: Shards | None = None
    asked: dict[Text, Text | bool | int | float | None] = {}
    references: list[_Reference] = []
    interrupted: bool = False
    arguments: list[Text] | None = None


class _File(BaseModel):
    benchmarks: list[Any]
    nets: _Block
    machine_info: MachineInfo
    commit_info: CommitInfo = CommitInfo()
    datetime: Text | None = None


def read_run(path: Path) -> Run:
    """Read what `pytest benchmarks/ --benchmark-json` wrote. Raises Unusable, naming the file and the field."""
    return read_with_bytes(path)[0]


def read_with_bytes(path: Path) -> tuple[Run, bytes]:
    """The same, and the file's bytes. Raises Unusable, naming the file and the field."""
    text = read_bytes(path)
    return parsed_run(_demand_nets(parsed_json(text, path), path), str(path)), text


def read_content(path: Path) -> dict[str, Any]:
    """The same as plain JSON, not looked into yet. Raises Unusable for what is not a file of nets."""
    return _demand_nets(read_json(path), path)


def _demand_nets(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise Unusable(f"{path}: not a pytest-benchmark file: it has no list 'benchmarks'")
    if not isinstance(content.get("nets"), dict):
        raise Unusable(f"{path}: written by pytest-benchmark, but not by nets: it has no field 'nets'")
    return content


def parsed_run(content: Mapping[str, Any], source: str) -> Run:
    """A file's content -> the run. Raises Unusable, naming `source` and the field."""
    for part in ("nets", "machine_info", "commit_info", "datetime"):
        if (fault := out_of_bounds(content.get(part), part)) is not None:
            raise Unusable(f"{source}: {fault}")
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise Unusable(f"{source}: {first_fault(error)}") from error
    results: list[Result] = []
    timings: list[Mapping[str, Any]] = []
    compared: list[SideBySide] = []
    growth: list[Growth] = []
    for i, benchmark in enumerate(file.benchmarks):
        record = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
        if not isinstance(record, dict) or "schema" not in record:
            continue  # a benchmark that is no cell's may stand beside
        where = f"{source}: benchmarks.{i}"
        match record.get("kind"):
            case "side_by_side":
                compared.append(parse(record, where, SideBySide))
            case "growth":
                growth.append(parse(record, where, Growth))
            case _:
                timings.append({key: value for key, value in benchmark.items() if key != "extra_info"})
                results.append(_result(record, where, timings[-1]))
    return Run(
        source=source.encode(errors="replace").decode(),  # a file's name need not be text
        results=tuple(results),
        timings=tuple(timings),
        side_by_side=tuple(compared),
        growth=tuple(growth),
        unfinished=tuple(
            _result(record, f"{source}: nets.unfinished.{i}", None) for i, record in enumerate(file.nets.unfinished)
        ),
        not_run=tuple((each.cell, each.because) for each in file.nets.not_run),
        versions=versions_of(content["machine_info"]),
        pairing=file.nets.pairing,
        confirmation=_confirmation(file.nets.confirmation, source),
        harness=file.nets.harness,
        commit=file.commit_info,
        ran=file.datetime,
        shards=file.nets.shards,
        asked=file.nets.asked,
        references=tuple(
            Reference(each.shard, _result(each.record, f"{source}: nets.references.{i}", None))
            for i, each in enumerate(file.nets.references)
        ),
        interrupted=file.nets.interrupted,
        arguments=None if file.nets.arguments is None else tuple(file.nets.arguments),
    )


def _confirmation(block: _Confirmation | None, source: str) -> Confirmation | None:
    if block is None:
        return None
    where = f"{source}: nets.confirmation.cells"
    cells = (_result(record, f"{where}.{i}", None) for i, record in enumerate(block.cells))
    return Confirmation(block.pairing, tuple(cells))


def _result(record: object, where: str, timing: Mapping[str, Any] | None) -> Result:
    result = parse(record, where, Result)
    if len(result.rounds) > MAX_ROUNDS:
        raise Unusable(f"{where}: field 'rounds': {len(result.rounds):,} rounds; a cell has at most {MAX_ROUNDS:,}")
    demand_consistent(result, timing, where)
    return result


def is_benchmark_file(path: Path) -> bool:
    """Whether pytest-benchmark wrote it, usable or not."""
    try:
        content = read_json(path)
    except Unusable:
        return False
    return isinstance(content, dict) and "benchmarks" in content
