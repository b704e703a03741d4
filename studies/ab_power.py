"""What `nets ab` catches, live: A/A runs, and runs whose head does extra work of known size in every training step.

    python studies/ab_power.py --slowdowns 0 0.05 0.10 --runs 30 --file studies/data/ab-live.jsonl

The extra work spins for the given share of the processor time that each step took; evaluation is not slowed. It goes on
where it was stopped, and adds a line a run; `studies.ab_error_rates` reads them. Nothing else may run on its
cores meanwhile.
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

REPOSITORY = Path(__file__).resolve().parents[1]
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
    parser.add_argument("--cells", default="digits-snn500,digits-lenet5")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--file", type=Path, default=Path("studies/data/ab-live.jsonl"))
    asked = parser.parse_args()
    path: Path = asked.file.absolute()
    with tempfile.TemporaryDirectory(prefix="nets-ab-power-") as folder:
        clone = Path(folder) / "clone"
        _git(REPOSITORY, "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(clone))
        commit = _git(clone, "rev-parse", "HEAD")
        planted = {share: _planted(clone, share) for share in asked.slowdowns}
        for n in range(asked.runs):
            for share in asked.slowdowns:
                lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
                if sum(json.loads(line)["slowdown"] == share for line in lines) > n:
                    continue
                run = _run(clone, planted[share], asked.cells, asked.device, Path(folder) / "out")
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"slowdown": share, "commit": commit[:12], **run}) + "\n")
                told = ", ".join(f"{c['cell']} {c['status']} {c['effect']:+.1%}" for c in run["cells"])
                print(f"{share:g} {n + 1}/{asked.runs}: exit {run['exit']}: {told}", flush=True)


def _planted(clone: Path, share: float) -> str:
    """A commit on the clone's own that does the extra work; the clone's HEAD for none."""
    head = _git(clone, "rev-parse", "HEAD")
    if share == 0:
        return head
    source = clone / PLANTED_IN
    text = source.read_text(encoding="utf-8")
    if STEP not in text:
        raise SystemExit(f"{PLANTED_IN} has no longer the line that is slowed: mend STEP in {Path(__file__).name}")
    source.write_text(text.replace(STEP, SLOWED.format(share=share)), encoding="utf-8")
    _git(clone, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "-am", f"slower by {share}")
    commit = _git(clone, "rev-parse", "HEAD")
    _git(clone, "checkout", "--quiet", "--detach", head)
    return commit


def _run(clone: Path, head: str, cells: str, device: str, out: Path) -> dict[str, Any]:
    """One `nets ab` of the clone's HEAD against `head`: exit code, and each cell's sittings and what the gate says."""
    command = [sys.executable, "-m", "nets", "ab", "HEAD", head, "--cells", cells, "--device", device]
    report = out.with_name("gate.json")
    report.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
    started = time.monotonic()
    # hypothesis's plug-in, which is here for the tests alone, takes a second at each side's end
    options = ("--out", str(out), "--json", str(report), "--", "-p", "no:hypothesispytest")
    done = subprocess.run([*command, *options], cwd=clone, env=environment, capture_output=True)
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
        "torch": of_machine["nets"]["versions"]["torch"],
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


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
