"""What `nets ab` catches, live: A/A runs, and runs whose head does extra work of known size in every training step.

    python -m studies.ab_power --slowdowns 0 0.05 0.10 --runs 30 --file studies/data/ab-live.jsonl

Without `--cells` the cell is made_repository's, with about 0.1 s a round, and the extra work is so many more additions.
Of this repository's cells it spins for the given share of the processor time that each training step took; evaluation
is not slowed. It goes on where it was stopped, and adds a line a run; `studies.ab_error_rates` reads them. Nothing else
may run on its cores meanwhile.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from studies import made_repository
from studies.made_repository import git

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = 2_500_000
"""Additions of a round of the made cell."""
PLANTED_IN = Path("src/nets/training/trainer.py")
STEP = "        return self._means(sum(done.n_images for done in self._epoch()))\n"
SLOWED = """\
        from time import thread_time  # the processor's: a wait for it would be spun again

        n_images, began = 0, thread_time()
        for done in self._epoch():
            n_images += done.n_images
            ended = thread_time()
            while thread_time() - ended < {share!r} * (ended - began):
                pass
            began = thread_time()
        return self._means(n_images)
"""


def main() -> None:
    """Run what is missing of each slowdown, in turns, so that a drift of the machine meets all alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slowdowns", type=float, nargs="+", default=[0.0, 0.05, 0.10], metavar="SHARE")
    parser.add_argument("--runs", type=int, default=30, help="of each slowdown")
    parser.add_argument("--cells", help="of this repository; without: of a made one")
    parser.add_argument("--device", help="with --cells")
    parser.add_argument("--file", type=Path, default=Path("studies/data/ab-live.jsonl"))
    asked = parser.parse_args()
    path: Path = asked.file.absolute()
    with tempfile.TemporaryDirectory(prefix="nets-ab-power-") as folder:
        clone = Path(folder) / "clone"
        git(REPOSITORY, "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(clone))
        commit = git(clone, "rev-parse", "HEAD")
        measured = clone if asked.cells else Path(folder) / "made"
        if asked.cells:
            planted = {share: _planted(clone, share) for share in dict.fromkeys((0.0, *asked.slowdowns))}
        else:
            planted = _made(measured, asked.slowdowns)
        environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
        for n in range(asked.runs):
            for share in asked.slowdowns:
                lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
                if sum(json.loads(line)["slowdown"] == share for line in lines) > n:
                    continue
                cells = asked.cells or made_repository.CELL
                options = ["--cells", cells, *(["--device", asked.device] if asked.device else [])]
                run = _run(measured, planted[0.0], planted[share], environment, options)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"slowdown": share, "commit": commit[:12], **run}) + "\n")
                told = ", ".join(f"{c['cell']} {c['status']} {c['effect']:+.1%}" for c in run["cells"])
                print(f"{share:g} {n + 1}/{asked.runs}: exit {run['exit']}, {run['wall_s']} s: {told}", flush=True)


def _made(folder: Path, slowdowns: list[float]) -> dict[float, str]:
    """The commits of a made repository, by how much slower they are; of 0, too."""
    folder.mkdir()
    made_repository.init(folder)
    return {
        share: made_repository.commit(folder, f"slower by {share}", round(WORK * (1 + share)))
        for share in dict.fromkeys((0.0, *slowdowns))
    }


def _planted(clone: Path, share: float) -> str:
    """A commit on the clone's own that does the extra work; the clone's HEAD for none."""
    head = git(clone, "rev-parse", "HEAD")
    if share == 0:
        return head
    source = clone / PLANTED_IN
    text = source.read_text(encoding="utf-8")
    if STEP not in text:
        raise SystemExit(f"{PLANTED_IN} has no longer the line that is slowed: mend STEP in {Path(__file__).name}")
    source.write_text(text.replace(STEP, SLOWED.format(share=share)), encoding="utf-8")
    git(clone, "commit", "--quiet", "-am", f"slower by {share}")
    commit = git(clone, "rev-parse", "HEAD")
    git(clone, "checkout", "--quiet", "--detach", head)
    return commit


def _run(repository: Path, base: str, head: str, environment: dict[str, str], chosen: list[str]) -> dict[str, Any]:
    """One `nets ab`: exit code, and each cell's sittings and what the gate says."""
    command = [sys.executable, "-m", "nets", "ab", base, head, *chosen]
    out, report = repository.with_name("out"), repository.with_name("gate.json")
    report.unlink(missing_ok=True)
    started = time.monotonic()
    # hypothesis's plug-in, which is here for the tests alone, takes a second at each side's end
    options = ("--out", str(out), "--json", str(report), "--", "-p", "no:hypothesispytest")
    done = subprocess.run([*command, *options], cwd=repository, env=environment, capture_output=True, check=False)
    wall_s = time.monotonic() - started
    if not report.is_file():
        raise SystemExit(done.stderr.decode())
    findings = [f for f in json.loads(report.read_bytes())["findings"] if f["metric"] == "total_s"]
    sides = {name: json.loads((out / f"{name}.json").read_bytes()) for name in ("base", "head")}
    of_machine = sides["base"]["machine_info"]
    first = sides["base"]["benchmarks"][0]["extra_info"]
    n_rounds = sides["base"]["nets"]["pairing"]["rounds"]
    stages = {
        "screen": [[b["extra_info"] for b in side["benchmarks"]] for side in sides.values()],
        "confirmation": [side["nets"].get("confirmation", {}).get("cells", []) for side in sides.values()],
    }
    return {
        "exit": done.returncode,
        "wall_s": round(wall_s, 1),
        "device": first["device"]["name"],
        "torch": of_machine["nets"].get("versions", {}).get("torch"),
        "cores": first["where"]["n_cores"],
        "cells": [
            {
                "cell": f["cell"],
                "status": f["status"],
                "effect": f["effect"],
                "p": f["p"],
                "round_s": [_round_s(side, f["cell"]) for side in stages["screen"]],
                **{stage: _sittings(both[0], both[1], f["cell"], n_rounds) for stage, both in stages.items()},
            }
            for f in findings
        ],
    }


def _sittings(base: list[Any], head: list[Any], cell: str, n_rounds: int) -> list[float]:
    """The logarithm of head over base of each sitting's middle pair, of the records of one stage."""
    seconds = [_seconds(side, cell) for side in (base, head)]
    first = min(seconds[0], default=0)
    found: dict[int, list[float]] = {}
    for seed in seconds[0].keys() & seconds[1].keys():
        found.setdefault((seed - first) // n_rounds, []).append(math.log(seconds[1][seed] / seconds[0][seed]))
    return [round(median(pairs), 6) for _, pairs in sorted(found.items())]


def _seconds(side: list[Any], cell: str) -> dict[int, float]:
    """Seed -> seconds of the rounds of a cell."""
    return {
        round_["seed"]: round_["train_s"] + round_["eval_s"]
        for record in side
        if f"{record['cell']['dataset']}-{record['cell']['model']}" == cell
        for round_ in record["rounds"]
    }


def _round_s(side: list[Any], cell: str) -> float:
    """The middle of the rounds' seconds."""
    return round(median(_seconds(side, cell).values()), 4)


if __name__ == "__main__":
    main()
