"""How long `nets history` and the page of `nets report` take for an archive of many result files, made from a real one.

`pytest benchmarks --benchmark-json one.json` writes the real one, of ten cells. Then `python -m studies.history_speed
one.json 365 3650` makes archives of so many files, each of a commit of its own in a repository made for it, and prints
how long the command takes: wall time and CPU seconds (user and system), the least of three runs. With `--page` it is
`nets report DIR --html FILE`, and of one file `nets report one.json --html FILE`, with the size of the page.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_benchmark.stats import Stats

from nets.records.cell import Accuracy

EPOCH = datetime(2016, 1, 1, tzinfo=UTC)
NOISE = 0.02
"""Of a round's time, a fraction."""
STEP = 0.1
"""By so much some cells are slower in the second half."""
SEED = 1
N_RUNS = 3


def make_archive(real: Path, folder: Path, n: int) -> None:
    """`folder/repository` with `n` commits, a day apart, and `folder/runs` with a result file of each."""
    repository, runs = folder / "repository", folder / "runs"
    runs.mkdir(parents=True)
    template = json.loads(real.read_text())
    rng = random.Random(SEED)
    for i, commit in enumerate(make_commits(repository, n)):
        made = varied(template, rng, is_slower=i >= n // 2)
        day = EPOCH + timedelta(days=i)
        made["commit_info"] = {**made.get("commit_info", {}), "id": commit, "time": day.isoformat(), "dirty": False}
        made["datetime"] = (day + timedelta(hours=1)).isoformat()
        (runs / f"{i:05d}.json").write_text(json.dumps(made, indent=4))


def make_commits(repository: Path, n: int) -> list[str]:
    """A repository with `n` commits on `main`, a day apart; their hashes, the oldest first."""
    git = ["git", "-C", str(repository)]
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(repository)], check=True)
    stream = "".join(_commit(i) for i in range(n))
    subprocess.run([*git, "fast-import", "--quiet"], input=stream, text=True, check=True)
    listed = subprocess.run([*git, "rev-list", "--reverse", "main"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def _commit(i: int) -> str:
    """A commit in the format of `git fast-import`."""
    subject = f"Change number {i}\n"
    seconds = int((EPOCH + timedelta(days=i)).timestamp())
    return f"commit refs/heads/main\ncommitter x <x@y> {seconds} +0000\ndata {len(subject)}\n{subject}\n"


def varied(template: dict[str, Any], rng: random.Random, *, is_slower: bool) -> dict[str, Any]:
    """The file of another run: times with noise, accuracies near the template's; every third cell slower, if asked."""
    made = copy.deepcopy(template)
    for i, benchmark in enumerate(made["benchmarks"]):
        record = benchmark["extra_info"]
        record["predictions"] = None  # whose counts would be of other accuracies
        level = 1 + STEP if is_slower and i % 3 == 0 else 1.0
        first = dict(record["rounds"][0])
        for each in record["rounds"]:
            for part in ("train_s", "eval_s"):
                each[part] = first[part] * level * (1 + rng.gauss(0, NOISE))
            each["accuracy"] = min(1.0, max(0.0, rng.gauss(record["accuracy"]["mean"], 0.003)))
            each["others_cpu_s"], each["disturbed"] = 0.01, False
        record["accuracy"] = Accuracy.of([each["accuracy"] for each in record["rounds"]]).to_json()
        stats = Stats()
        for each in record["rounds"]:
            stats.update(each["train_s"] + each["eval_s"])
        benchmark["stats"] = {**benchmark["stats"], **stats.as_dict(), "data": list(stats.data)}
        record["cpu"]["core_s"] *= level * (1 + rng.gauss(0, NOISE))
        record["cpu"]["rss_peak_bytes"] = int(record["cpu"]["rss_peak_bytes"] * (1 + rng.gauss(0, 0.005)))
    return made


def seconds_of(folder: Path, *command: str) -> tuple[float, float]:
    """Wall time and CPU seconds of a command of nets in an archive's repository, its processes together."""
    before, begin = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "nets", *command],
        cwd=folder / "repository", check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall, after = time.perf_counter() - begin, os.times()
    return wall, after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    """Print a row of Markdown for each size."""
    parser = argparse.ArgumentParser(description="How long `nets history`, or the page of `nets report`, takes.")
    parser.add_argument("real", type=Path, help="a result file that `pytest benchmarks --benchmark-json` wrote")
    parser.add_argument("sizes", type=int, nargs="+", metavar="N", help="files of an archive")
    parser.add_argument("--page", action="store_true", help="time the page of `nets report`")
    options = parser.parse_args()
    print("| files | wall | CPU | page |\n|---|---|---|---|")
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as name:
            folder, page = Path(name), Path(name) / "page.html"
            make_archive(options.real, folder, n)
            shown = "../runs" if n > 1 else str(options.real.absolute())
            command = ("report", shown, "--html", str(page)) if options.page else ("history", "../runs")
            found = [seconds_of(folder, *command) for _ in range(N_RUNS)]
            wall, cpu = (min(each) for each in zip(*found, strict=True))
            size = f"{page.stat().st_size / 1e6:.2f} MB" if options.page else "–"
            print(f"| {n:,} | {wall:.1f} s | {cpu:.1f} s | {size} |", flush=True)


if __name__ == "__main__":
    main()
