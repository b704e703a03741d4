"""Files of one run's parts -> one file, as if one run had measured all: depth, and bands if asked, judged again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from nets.records import durable
from nets.records.base import SCHEMA, finite_values
from nets.records.cell import Result
from nets.records.run import Run
from nets.records.shards import Reference, Shards
from nets.verdicts import depth
from nets.verdicts.bands import Bands, band_failures, band_of
from nets.verdicts.parts import Part, joined_shards

T = TypeVar("T")


def joined(parts: Sequence[Part], bands: Bands | None = None) -> dict[str, Any]:
    """One file's content. `bands`: what every accuracy is held against again; without them each keeps its verdict.

    A single whole run stays as it is, but for its bands.
    """
    shards = joined_shards(parts)
    if len(parts) == 1 and (shards is None or not shards.missing):
        return _judged_again(parts[0], bands)
    order = {cell: i for i, cell in enumerate(shards.cells if shards is not None else ())}
    records = _with_depth(parts, shards, bands)
    others: dict[str, Any] = {}
    cells: list[tuple[str, dict[str, Any]]] = []
    for part in parts:
        of_test = iter(part.run.results)
        for benchmark in part.content["benchmarks"]:
            if not _is_of_a_cell(benchmark):
                name = benchmark.get("fullname") if isinstance(benchmark, dict) else None
                others.setdefault(str(name), benchmark)  # a test that measures no cell runs in every shard
            elif part.is_own((result := next(of_test)).id):
                cells.append((result.id, {**benchmark, "extra_info": records.of[id(result)].to_json()}))
    first = next((part for part in parts if part.results), parts[0])
    unfinished = [records.of[id(r)] for part in parts for r in part.run.unfinished if part.is_own(r.id)]
    return {
        **first.content,
        "machine_info": _with_hosts(first.content["machine_info"], parts),
        "datetime": min((part.content.get("datetime") for part in parts), key=_moment),
        "benchmarks": [*others.values(), *(benchmark for _, benchmark in _ordered(cells, order))],
        "nets": {
            "schema": SCHEMA,
            "interrupted": any(part.run.interrupted for part in parts),
            "unfinished": [record.to_json() for _, record in _ordered([(r.id, r) for r in unfinished], order)],
            "not_run": [missing for _, missing in _ordered(_not_run(parts, shards), order)],
            "harness": None,
            "joined": [each for part in parts for each in _origins(part)],
            "references": [{"shard": each.shard, "record": each.result.to_json()} for each in records.references],
            **({} if shards is None else {"shards": shards.to_json(), "asked": first.content["nets"].get("asked", {})}),
        },
    }


def write_joined(content: dict[str, Any], into: Path) -> None:
    """Replace a file, whole. Raises Unusable."""
    durable.write(into, durable.json_text(finite_values(content)))


def never_collected(run: Run) -> list[str]:
    """Cells of the shards that a file has which left no trace in it: -k or -m left them out."""
    if run.shards is None:
        return []
    seen = {result.id for result in run.cells} | set(run.why_not_run)
    return [cell for cell, of in run.shards.cells.items() if cell not in seen and of[0] in run.shards.here]


@dataclass(frozen=True, slots=True)
class _Records:
    """`of`: each record judged again, by the identity of the one that was read; `references`: of other shards."""

    of: dict[int, Result]
    references: list[Reference]


def _with_depth(parts: Sequence[Part], shards: Shards | None, bands: Bands | None) -> _Records:
    """Each record judged for depth against the reference of its own shard; without shards, against that of all."""
    groups: dict[int | None, list[Result]] = defaultdict(list)
    is_reference: dict[int, int] = {}
    for part in parts:
        for result in part.run.cells:
            number = part.shard
            if number is None and shards is not None:
                number = shards.cells[result.id][0] if result.id in shards.cells else None
            groups[number].append(result)
            if not part.is_own(result.id) and number is not None:
                is_reference[id(result)] = number
        for reference in part.run.references:
            groups[reference.shard].append(reference.result)
            is_reference[id(reference.result)] = reference.shard
    found: dict[int, Result] = {}
    for results in groups.values():
        judged = depth.with_depth([_with_band(result, bands) for result in results])
        found |= {id(result): now for result, now in zip(results, judged, strict=True)}
    references = [Reference(number, found[key]) for key, number in is_reference.items()]
    return _Records(found, sorted(references, key=lambda each: (each.shard, each.result.id)))


def _with_band(result: Result, bands: Bands | None) -> Result:
    """The record held against other bands; what it failed for besides stays."""
    if bands is None or result.accuracy is None or result.outcome.status == "error":
        return result
    diverged = any(round_.diverged for round_ in result.rounds)
    band, because = band_of(result.id, result.protocol, result.accuracy, diverged=diverged, bands=bands)
    now = result.replace(band=band, band_missing_because=because)
    before = band_failures(result)
    failures = [failure for failure in result.outcome.failures if failure not in before] + band_failures(now)
    return now.judged("failed" if failures else "passed", failures)


def _judged_again(part: Part, bands: Bands | None) -> dict[str, Any]:
    records = iter(part.run.results)
    benchmarks = [
        {**each, "extra_info": _with_band(next(records), bands).to_json()} if _is_of_a_cell(each) else each
        for each in part.content["benchmarks"]
    ]
    return {**part.content, "benchmarks": benchmarks} if bands is not None else part.content


def _is_of_a_cell(benchmark: object) -> bool:
    """Whether `Run.results` has a record of it."""
    record = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
    return isinstance(record, dict) and "schema" in record and record.get("kind") not in ("side_by_side", "growth")


def _not_run(parts: Sequence[Part], shards: Shards | None) -> list[tuple[str, dict[str, Any]]]:
    """What the files say of cells that have no record, each cell once; and what is missing with a shard."""
    recorded = {result.id for part in parts for result in part.run.cells if part.is_own(result.id)}
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        for each in part.content["nets"].get("not_run", []):
            if each["cell"] not in recorded and part.is_own(each["cell"]):
                found.setdefault(each["cell"], each)
    if shards is not None:
        for cell, (number, *_) in shards.cells.items():
            if number in shards.missing:
                found[cell] = {"cell": cell, "because": f"the shard {number}/{shards.of} is missing", "skipped": False}
    return list(found.items())


def _ordered(found: Iterable[tuple[str, T]], order: dict[str, int]) -> list[tuple[str, T]]:
    """In the order of the one run; what it doesn't know comes last, as it came."""
    return sorted(found, key=lambda each: order.get(each[0], len(order)))


def _with_hosts(machine_info: dict[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    ours = machine_info.get("nets")
    return {**machine_info, "nets": {**(ours if isinstance(ours, dict) else {}), "hosts": _hosts(parts)}}


def _hosts(parts: Iterable[Part]) -> list[str]:
    return sorted({result.where.host for part in parts for result in part.results})


def _origins(part: Part) -> list[dict[str, Any]]:
    """Where a part came from; of one that was joined itself, where its parts did."""
    before = part.content["nets"].get("joined")
    if isinstance(before, list) and before:
        return before
    shards = part.run.shards
    return [
        {
            "file": part.path.name,
            "shards": [] if shards is None else list(shards.here),
            "ran": part.run.ran,
            "hosts": _hosts([part]),
            "n_cells": len(part.run.cells),
        }
    ]


def _moment(text: object) -> tuple[bool, float]:
    """To order by; what is no time comes last."""
    try:
        return False, datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return True, 0.0
