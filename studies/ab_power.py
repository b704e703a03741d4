"""What `nets ab` catches, live: A/A runs, and runs whose head does extra work of known size in every training step.

    python studies/ab_power.py --slowdowns 0 0.05 0.10 --runs 30 --file studies/data/ab-power.jsonl

The extra work spins for the given share of the time that each step took; evaluation is not slowed. It goes on where it
was stopped, and adds a line a run; `studies.ab_error_rates` reads them. Nothing else may run on its cores meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PLANTED_IN = Path("src/nets/training/trainer.py")
STEP = "        return self._means(sum(done.n_images for done in self._epoch()))\n"
SLOWED = """\
        from time import perf_counter

        n_images, began = 0, perf_counter()
        for done in self._epoch():
            n_images += done.n_images
            ended = perf_counter()
            while perf_counter() - ended < {share!r} * (ended - began):
                pass
            began = perf_counter()
        return self._means(n_images)
"""


def main() -> None:
    """Run what is missing of each slowdown, in turns, so that a drift of the machine meets all alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slowdowns", type=float, nargs="+", default=[0.0, 0.05, 0.10], metavar="SHARE")
    parser.add_argument("--runs", type=int, default=30, help="of each slowdown")
    parser.add_argument("--cells", default="digits-snn500,digits-lenet5")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--file", type=Path, default=Path("studies/data/ab-power.jsonl"))
    asked = parser.parse_args()
    path: Path = asked.file.absolute()
    with tempfile.TemporaryDirectory(prefix="nets-ab-power-") as folder:
        clone = Path(folder) / "clone"
        _git(REPOSITORY, "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(clone))
        planted = {share: _planted(clone, share) for share in asked.slowdowns}
        for n in range(asked.runs):
            for share in asked.slowdowns:
                lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
                if sum(json.loads(line)["slowdown"] == share for line in lines) > n:
                    continue
                run = _run(clone, planted[share], asked.cells, asked.device, Path(folder) / "out")
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"slowdown": share, **run}) + "\n")
                told = ", ".join(f"{c['cell']} {c['status']} {c['effect']}" for c in run["cells"])
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
    """One `nets ab` of the clone's HEAD against `head`: exit code, and each cell's rounds and what the gate says."""
    command = [sys.executable, "-m", "nets", "ab", "HEAD", head, "--cells", cells, "--device", device]
    report = out.with_name("gate.json")
    report.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
    done = subprocess.run(
        [*command, "--out", str(out), "--json", str(report)], cwd=clone, env=environment, capture_output=True
    )
    if not report.is_file():
        raise SystemExit(done.stderr.decode())
    findings = [f for f in json.loads(report.read_bytes())["findings"] if f["metric"] == "total_s"]
    sides = {name: json.loads((out / f"{name}.json").read_bytes()) for name in ("base", "head")}
    seconds = {
        name: {
            b["params"]["cell"]: [round(r["train_s"] + r["eval_s"], 5) for r in b["extra_info"]["rounds"]]
            for b in side["benchmarks"]
        }
        for name, side in sides.items()
    }
    of_machine = sides["base"]["machine_info"]
    return {
        "exit": done.returncode,
        "device": sides["base"]["benchmarks"][0]["extra_info"]["device"]["name"],
        "torch": of_machine["nets"]["versions"]["torch"],
        "cores": sides["base"]["benchmarks"][0]["extra_info"]["where"]["n_cores"],
        "rounds_a_sitting": sides["base"]["nets"]["pairing"]["rounds"],
        "cells": [
            {
                "cell": f["cell"],
                "status": f["status"],
                "effect": f["effect"],
                "p": f["p"],
                "base_s": seconds["base"][f["cell"]],
                "head_s": seconds["head"][f["cell"]],
            }
            for f in findings
        ],
    }


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
