"""How often `nets bisect` finds a planted slowdown, live: made repositories of twenty commits, one of which is slower.

    python -m studies.bisect_power --slowdown 0.10 --tries 20 --file studies/data/bisect.jsonl

The cell is made_repository's, with about 0.1 s a round. It goes on where it was stopped, adds a line a try, and ends
with what docs/gate.md says of them all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from studies.ab_error_rates import rate
from studies.made_repository import commit, init

N_COMMITS = 20
WORK = 2_500_000
"""Additions of a round."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slowdown", type=float, default=0.10, metavar="SHARE")
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--file", type=Path, default=Path("studies/data/bisect.jsonl"))
    asked = parser.parse_args()
    path: Path = asked.file.absolute()
    for n in range(asked.tries):
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        if len(lines) > n:
            continue
        rng = random.Random(n)
        with tempfile.TemporaryDirectory(prefix="nets-bisect-power-") as folder:
            done = _try(Path(folder), rng.randint(1, N_COMMITS), asked.slowdown)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"slowdown": asked.slowdown, **done}) + "\n")
        print(f"{n + 1}/{asked.tries}: {done}", flush=True)
    print(summary([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]))


def summary(tries: Sequence[dict[str, Any]]) -> str:
    """How many found the commit that was made slower, and in how many comparisons, sittings and minutes."""
    found = rate(sum(each["found"] == each["guilty"] for each in tries), len(tries))
    comparisons = _spread([len(each["steps"]) for each in tries])
    sittings = _spread([each["n_sittings"] for each in tries])
    minutes = _spread([round(each["wall_s"] / 60, 1) for each in tries])
    return f"found: {found}; comparisons: {comparisons}; sittings: {sittings}; minutes: {minutes}"


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):g} to {max(values):g}, median {median(values):g}"


def _try(folder: Path, guilty: int, slowdown: float) -> dict[str, object]:
    """One repository, in which the `guilty`-th commit after the good one is slower, and what `nets bisect` finds."""
    repository, out = folder / "made", folder / "out"
    repository.mkdir()
    init(repository)
    commits = [
        commit(repository, f"number {n}", WORK if n < guilty else round(WORK * (1 + slowdown)))
        for n in range(N_COMMITS + 1)
    ]
    started = time.monotonic()
    command = [sys.executable, "-m", "nets", "bisect", commits[0], "HEAD", "--out", str(out)]
    environment = {**os.environ, "CI": "true"}
    ended = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    known = json.loads((out / "bisection.json").read_bytes()) if ended.returncode < 2 else {}
    found = re.search(r"first bad commit is (\w+)", ended.stdout)
    return {
        "guilty": guilty,
        "exit": ended.returncode,
        "found": None if found is None else next(i for i, c in enumerate(commits) if c.startswith(found[1])),
        "steps": [[commits.index(step["commit"]), step["answer"]] for step in known.get("steps", [])],
        "n_sittings": len(re.findall(r"sitting \d+:", ended.stdout)),
        "wall_s": round(time.monotonic() - started, 1),
    }


if __name__ == "__main__":
    main()
