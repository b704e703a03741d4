"""Stored runs for the tests of `nets history`, and what it finds in them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nets.records.cell import Network, Result
from tests.support.commands import runner
from tests.support.gating import content
from tests.support.records import one_round, record

ran = runner("history")
EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
NETWORK = Network(parameters=61_706, layers=5, hidden_layers=4, macs_per_image=416_520)


def git(folder: Path, *arguments: str, when: datetime = EPOCH) -> str:
    """Run git as somebody, at some time."""
    stamp = when.isoformat()
    return subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false", *arguments],
        cwd=folder, check=True, capture_output=True, text=True,
        env={**os.environ, "GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_DATE": stamp, "GIT_CONFIG_GLOBAL": os.devnull},
    ).stdout.strip()  # fmt: skip


def commit(i: int) -> str:
    """The hash of the i-th commit; no order can be read from it."""
    return f"{(i * 7_919 + 13) % 10_007:07d}" + f"{i:033d}"


def store(
    path: str, i: int, *results: Result, torch: str = "2.12.0", pairing: object = None, **commit_info: Any
) -> None:
    """Write a run of the i-th commit, a day after the one before."""
    day = EPOCH + timedelta(days=i)
    info = {"id": commit(i), "time": day.isoformat(), "author_time": None, "dirty": False, "branch": "main"}
    ran = (day + timedelta(hours=1)).isoformat()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(
        json.dumps(
            content(*results, torch=torch, pairing=pairing) | {"commit_info": info | commit_info, "datetime": ran}
        )
    )


def taking(seconds: Iterable[float], **changes: Any) -> Result:
    """A cell whose rounds took so long."""
    return record(rounds=tuple(one_round(seed=i, train_s=s, eval_s=0.5) for i, s in enumerate(seconds)), **changes)


def stepped(n: int = 20, at: int = 10, factor: float = 1.1, seed: int = 0, **changes: Any) -> None:
    """Store a series of n commits, slower from `at` on, three rounds each with 1 % noise."""
    rng = random.Random(seed)
    for i in range(n):
        level = 2.0 * (factor if i >= at else 1)
        results = taking([level * rng.gauss(1, 0.01) - 0.5 for _ in range(3)], **changes)
        store(f"runs/.benchmarks/machine/{i:04d}_x.json", i, results)


def found(*arguments: str) -> dict[str, Any]:
    """What `--json` wrote of the folder `runs`."""
    result = ran("runs", "--json", "all.json", *arguments)
    assert result.exit_code == 0, result.stderr
    everything: dict[str, Any] = json.loads(Path("all.json").read_text(), parse_constant=pytest.fail)
    return everything


def line(everything: dict[str, Any], metric: str, cell: str = "mnist-lenet5") -> dict[str, Any]:
    """The one line of a metric."""
    (only,) = [each for each in everything["lines"] if (each["cell"], each["metric"]) == (cell, metric)]
    assert isinstance(only, dict)
    return only
