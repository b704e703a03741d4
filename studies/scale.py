"""How long the suite takes on one worker and on two, and what more machines would do: the tables of docs/scale.md.

`python -m studies.scale` measures on an otherwise idle machine and writes studies/data/scale.json; `--reckon` measures
nothing, and reckons by the estimate that shards are dealt by, or by the file where there is one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from nets.cells.catalog import CELLS, REFERENCE, Cell
from nets.cells.shards import dealt, estimate_s
from nets.records.durable import json_text, write
from nets.records.run_file import read_run

DATA = Path(__file__).parent / "data" / "scale.json"
WORKERS = (1, 2)
OWN_NETWORKS = 250
"""Networks of one's own a data set, beside the suite's: what so many machines are bought for."""
PLACES = {"one GPU": 1, "8 GPUs": 8, "64 GPUs in 8 hosts": 64, "1,000 nightly shards": 1_000}
START_S = 20.0
"""What a shard takes beside its cells, where none was measured: interpreter, torch, data, writing."""


class Measured(NamedTuple):
    """A session on so many workers. `cells_s`: mean seconds of a round; `rounds`: of each cell."""

    n_workers: int
    wall_s: float
    rounds: int
    cells_s: dict[str, float]


class Reckoned(NamedTuple):
    """A run in so many shards. `busy`: those with a cell; `longest_s`, `all_s`: of the longest shard, and of all.

    `references`: how often a reference network is measured. `others_s`: what `all_s` has more than one machine alone.
    """

    shards: int
    busy: int
    longest_s: float
    all_s: float
    references: int
    others_s: float


def measured(n_workers: int, options: Sequence[str] = ()) -> Measured:
    """Run the suite on so many workers. Raises CalledProcessError where a cell fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-mpytest", "benchmarks", "-q", "-p", "no:cacheprovider"]
        command += ["--benchmark-json", str(out), *(["-n", str(n_workers)] if n_workers > 1 else []), *options]
        started = time.perf_counter()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        status = subprocess.Popen(command, env=environment).wait()
        wall_s = time.perf_counter() - started
        if status:
            raise subprocess.CalledProcessError(status, command)
        results = read_run(out).results
    cells_s = {result.id: fmean(round_.time_s for round_ in result.rounds) for result in results}
    return Measured(n_workers, wall_s, max(len(result.rounds) for result in results), cells_s)


def slow_downs(alone: Measured, beside: Measured) -> dict[str, float]:
    """How many times as long a cell takes where others run at the same time."""
    return {cell: beside.cells_s[cell] / seconds for cell, seconds in alone.cells_s.items() if cell in beside.cells_s}


def reckoned(cells: Sequence[Cell], n_shards: int, cell_s: Mapping[str, float], start_s: float) -> Reckoned:
    """By arithmetic: each shard starts once and measures its cells one after the other. `cell_s`: by data set."""
    places = dealt(cells, n_shards)
    by_shard = [0.0] * n_shards
    for cell in cells:
        for number in places[cell.id]:
            by_shard[number - 1] += cell_s[cell.dataset]
    busy = [seconds + start_s for seconds in by_shard if seconds]
    alone_s = start_s + sum(cell_s[cell.dataset] for cell in cells)
    references = sum(len(places[cell.id]) for cell in cells if cell.model == REFERENCE)
    return Reckoned(n_shards, len(busy), max(busy), sum(busy), references, sum(busy) - alone_s)


def many_cells() -> list[Cell]:
    """The suite's cells, and networks of one's own on each of their data sets."""
    datasets = dict.fromkeys(cell.dataset for cell in CELLS)
    return [*CELLS, *(Cell(dataset, f"own{i}") for dataset in datasets for i in range(OWN_NETWORKS))]


def seconds_of_a_cell(alone: Measured | None, rounds: int = 3) -> tuple[dict[str, float], float]:
    """By data set, of all rounds; and of a shard's start. Measured, or by the estimate."""
    datasets = dict.fromkeys(cell.dataset for cell in CELLS)
    if alone is None:
        return {dataset: rounds * estimate_s(dataset) for dataset in datasets}, START_S
    of = {dataset: [s for cell, s in alone.cells_s.items() if cell.startswith(f"{dataset}-")] for dataset in datasets}
    cell_s = {dataset: alone.rounds * fmean(seconds) for dataset, seconds in of.items() if seconds}
    return cell_s, alone.wall_s - alone.rounds * sum(alone.cells_s.values())


def table(found: Iterable[tuple[str, Reckoned]]) -> str:
    """Markdown."""
    lines = [
        "| machines | shards with a cell | wall time (h) | machine time (h) | LeNet-5 measured | more machine time |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in found:
        more = each.others_s / (each.all_s - each.others_s)
        hours = f"{each.longest_s / 3600:.2f} | {each.all_s / 3600:.2f}"
        lines.append(f"| {name} | {each.busy} | {hours} | {each.references} times | {more:.0%} |")
    return "\n".join(lines)


def stored() -> Measured | None:
    """The session on one worker that was measured last."""
    if not DATA.is_file():
        return None
    sessions: list[dict[str, Any]] = json.loads(DATA.read_text())["sessions"]
    return next(Measured(**each) for each in sessions if each["n_workers"] == 1)


def reckoned_table(alone: Measured | None) -> str:
    """The second table of docs/scale.md."""
    cell_s, start_s = seconds_of_a_cell(alone)
    cells = [cell for cell in many_cells() if cell.dataset in cell_s]
    return table((name, reckoned(cells, n, cell_s, start_s)) for name, n in PLACES.items())


def main(options: Sequence[str], into: Path = DATA) -> None:
    """Measure, write the file, and print both tables; options go to pytest."""
    if "--reckon" in options:
        print(reckoned_table(stored()))
        return
    alone, *others = [measured(n, options) for n in WORKERS]
    slower = {each.n_workers: slow_downs(alone, each) for each in others}
    content = {"sessions": [each._asdict() for each in (alone, *others)], "slow_downs": slower}
    write(into, json_text(content))
    for each in (alone, *others):
        print(f"-n {each.n_workers}: {each.wall_s:.1f} s")
    for n, of in slower.items():
        print("\n".join(f"{cell}: {factor:.2f} times as long with -n {n}" for cell, factor in of.items()))
    print(reckoned_table(alone))


if __name__ == "__main__":
    main(sys.argv[1:])
