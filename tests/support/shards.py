"""Files of a run's shards, made of records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nets.records.base import SCHEMA
from nets.records.cell import CellFacts, Result, Where
from tests.support.records import record

CELLS: Mapping[str, tuple[int, ...]] = {"digits-lenet5": (1, 2), "digits-a": (2,), "shapes-b": (3,), "digits-c": (1,)}
"""A run of three shards and an empty one, in its order: LeNet-5 is measured in two of them."""
N_SHARDS = 4


def cell(cell_id: str, **changes: Any) -> Result:
    """A record of a cell; each data set has a checksum of its own."""
    dataset, _, model = cell_id.rpartition("-")
    facts = CellFacts(
        model=model, dataset=dataset, n_train=9, n_test=9, data_sha256=dataset.encode().hex().ljust(64, "0")
    )
    return record(**{"cell": facts, **changes})


def on(host: str, worker: str | None = None) -> Where:
    """A place."""
    return Where(host=host, worker=worker, n_workers=1, n_cores=2)


def content(*results: Result, unfinished: tuple[Result, ...] = (), **block: Any) -> dict[str, Any]:
    """A file of these cells, as the suite writes it."""
    return {
        "machine_info": {"node": "a", "nets": {"versions": {"torch": "2.12.0", "python": "3.12.3", "nets": "1"}}},
        "commit_info": {"id": "a" * 40, "dirty": False},
        "datetime": "2026-11-30T12:00:00+00:00",
        "version": "5.3.1",
        "benchmarks": [
            {"name": result.id, "fullname": f"test[{result.id}]", "stats": {}, "extra_info": result.to_json()}
            for result in results
        ],
        "nets": {
            "schema": SCHEMA,
            "interrupted": False,
            "unfinished": [result.to_json() for result in unfinished],
            "not_run": [],
            "harness": None,
            **block,
        },
    }


def shard(number: int, *results: Result, **block: Any) -> dict[str, Any]:
    """The file of a shard: by default of the cells that are dealt to it, each shard on a host of its own."""
    dealt = [cell(each, where=on(f"host{number}")) for each, of in CELLS.items() if number in of]
    shards = {"of": N_SHARDS, "here": [number], "cells": CELLS}
    return content(*(results or dealt), shards=shards, asked={"protocol": "quick", "epochs": None}, **block)


def written(folder: Path, **files: Mapping[str, Any]) -> None:
    """Write each by its name."""
    for name, each in files.items():
        (folder / f"{name}.json").write_text(json.dumps(each))


def all_shards(folder: Path, change: Callable[[int, dict[str, Any]], None] | None = None) -> list[str]:
    """Write 1.json to 4.json, changed; their names."""
    names = []
    for number in range(1, N_SHARDS + 1):
        each = shard(number)
        if change is not None:
            change(number, each)
        (folder / f"{number}.json").write_text(json.dumps(each))
        names.append(f"{number}.json")
    return names
