"""What `nets merge` says: what was joined, the run's table, and what is not in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nets.errors import counted
from nets.records.run import Run
from nets.records.shards import Reference
from nets.report.document import MAX_MESSAGE, Part, Sentence, sentences
from nets.report.run import growth, not_run, run_parts, side_by_side
from nets.report.text import listed

MAX_NAMED = 10
"""As many hosts are named."""


def merge_parts(run: Run, n_files: int, never_collected: Iterable[str]) -> list[Part]:
    """Of a joined run; `never_collected`: cells of its shards that left no trace."""
    left_out = list(never_collected)
    told = [f"left out in every shard (-k, -m): {', '.join(left_out)}"] if left_out else []
    if run.commit.dirty:
        told.append("all of a working tree with changes, which the files don't tell apart")
    return [
        Sentence(_joined(run, n_files)),
        *run_parts(run.cells),
        *side_by_side(run.side_by_side),
        *growth(run.growth),
        *not_run(run.not_run),
        *sentences(_failed_references(run.references), "bad", MAX_MESSAGE),
        *sentences(told, "doubtful", MAX_MESSAGE),
    ]


def merge_json(run: Run, never_collected: Iterable[str]) -> dict[str, Any]:
    """The same for programs; the records themselves are in the file that was written."""
    shards = None if run.shards is None else {**run.shards.to_json(), "missing": run.shards.missing}
    return {
        "schema": 1,
        "kind": "merge",
        "out": run.source,
        "cells": [{"cell": result.id, "status": result.outcome.status} for result in run.cells],
        "not_run": [{"cell": cell, "because": because} for cell, because in run.not_run],
        "left_out": list(never_collected),
        "shards": shards,
    }


def _joined(run: Run, n_files: int) -> str:
    """`8 files of 2 hosts (a, b) joined: 8 of 8 shards, 10 cells -> out.json`."""
    records = [*run.cells, *(reference.result for reference in run.references)]
    hosts = sorted({result.where.host for result in records})
    of = f"{len(run.shards.here)} of {counted(run.shards.of, 'shard')}, " if run.shards is not None else ""
    where = f" of {counted(len(hosts), 'host')} ({listed(hosts, MAX_NAMED)})" if hosts else ""
    return f"{counted(n_files, 'file')}{where} joined: {of}{counted(len(run.cells), 'cell')} -> {run.source}"


def _failed_references(references: Iterable[Reference]) -> list[str]:
    return [
        f"{reference.result.outcome.status}, in the shard {reference.shard} that measured it as a reference: {failure}"
        for reference in references
        for failure in reference.result.outcome.failures
    ]
