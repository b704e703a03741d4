"""pytest-benchmark's timing of a cell: taken from its fixture, carried as plain JSON, given back to its session."""

from __future__ import annotations

from collections.abc import Container, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_benchmark.stats import Metadata

from nets.records.durable import Entry


def of(item: pytest.Item, *, n_rounds: int, params: dict[str, str]) -> dict[str, Any] | None:
    """The timing of a finished test as pytest-benchmark writes it; None where it isn't one of `n_rounds` rounds."""
    benchmark = item.funcargs.get("benchmark") if hasattr(item, "funcargs") else None
    timed = benchmark.stats if benchmark is not None else None
    if timed is None or len(timed.stats.data) != n_rounds:
        return None
    timing: dict[str, Any] = timed.as_dict(include_data=True)
    timing["params"] = params
    timing.pop("extra_info")
    return timing


def restored(entry: Entry) -> Metadata | None:
    """What `of` took as pytest-benchmark's own object, the record as its `extra_info`; None without a timing."""
    timing = entry.benchmark
    if timing is None:
        return None
    fixture = SimpleNamespace(
        **{key: timing[key] for key in ("name", "fullname", "group", "param", "params")},
        extra_info=entry.result.to_json(),
        cprofile_stats=None,
        has_error=False,
    )
    benchmark = Metadata(fixture, iterations=timing["stats"]["iterations"], options=timing["options"])
    for seconds in timing["stats"]["data"]:
        benchmark.stats.update(seconds)
    return benchmark


def merged(benchmarks: Iterable[Any], entries: Iterable[Entry], planned: Container[str]) -> list[Any]:
    """The complete benchmarks of a session: those of cells (the `planned` tests) from the journal, others as is."""
    cells = [benchmark for entry in entries if (benchmark := restored(entry)) is not None]
    ours = {entry.fullname for entry in cells}
    others = [b for b in benchmarks if b and not b.has_error and b.fullname not in ours and b.fullname not in planned]
    return others + cells
