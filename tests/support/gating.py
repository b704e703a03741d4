"""Runs for the tests of the gate, and its verdict on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nets.gate.findings import Finding, Gate, Status
from nets.gate.judge import judge_runs
from nets.gate.limits import Limits
from nets.records.cell import Accuracy, Band, BandVerdict, Device, Result, Round
from nets.records.gpu import Trace
from nets.records.run import Confirmation, Pairing, Run
from nets.records.versions import Versions
from tests.support.records import one_round, record

GPU = Device(type="cuda", name="NVIDIA H100 80GB HBM3")
PAIRING = Pairing(id="a", rounds=1, looks=1)
AGAIN = Pairing(id="a-again", rounds=1, looks=1)
VERSIONS = Versions(torch="2.12.0", cuda="13.0", cudnn="91002", python="3.12.3")


def run(*results: Result, source: str = "x.json", **changes: Any) -> Run:
    """A run of these cells."""
    return Run(**{"source": source, "results": results, "versions": VERSIONS, **changes})


def content(*results: Result, pairing: object = None, torch: str = "2.12.0") -> dict[str, Any]:
    """A file of these cells, as the suite writes it."""
    return {
        "machine_info": {"nets": {"versions": {"torch": torch, "python": "3.12.3"}, "cuda": None, "cudnn": None}},
        "benchmarks": [{"name": "x", "stats": {}, "extra_info": result.to_json()} for result in results],
        "nets": {"schema": 1, "unfinished": [], "not_run": [], "harness": None, "pairing": pairing},
    }


def write(name: str, *results: Result, **changes: Any) -> str:
    """Write such a file."""
    Path(name).write_text(json.dumps(content(*results, **changes)))
    return name


def rounds(seconds: Sequence[float]) -> tuple[Round, ...]:
    """Rounds of so many seconds, a fifth of them evaluation."""
    return tuple(one_round(seed=i, train_s=0.8 * s, eval_s=0.2 * s) for i, s in enumerate(seconds))


def timed(seconds: Sequence[float], **changes: Any) -> Result:
    """A cell whose rounds took so many seconds."""
    return record(**{"rounds": rounds(seconds), **changes})


def slow(**changes: Any) -> Result:
    """A cell that takes five times as long."""
    return record(rounds=(one_round(train_s=9.0, eval_s=1.0),), **changes)


def accurate(*accuracies: float, **changes: Any) -> Result:
    """A cell whose rounds were so accurate."""
    values = {
        "rounds": tuple(one_round(seed=i, accuracy=accuracy) for i, accuracy in enumerate(accuracies)),
        "accuracy": Accuracy.of(accuracies),
    }
    return record(**{**values, **changes})


def banded(verdict: BandVerdict, low: float = 0.96, high: float = 0.99, **changes: Any) -> Result:
    """A cell with a band, and rounds of which its verdict is true."""
    mean = {"below": low - 0.02, "above": high + 0.005}.get(verdict, (low + high) / 2)
    band = Band(low=low, high=high, n=20, alpha=0.001, verdict=verdict)
    made = accurate(mean, mean - 0.001, mean + 0.001, **{"band": band, "band_missing_because": None, **changes})
    if verdict != "diverged":
        return made
    return made.replace(rounds=tuple(round_.replace(loss=None) for round_ in made.rounds))


def traced(gpu_utilization_pct: float, sm_efficiency_pct: float | None) -> Trace:
    """A trace with these figures."""
    return Trace(
        gpu_utilization_pct=gpu_utilization_pct,
        sm_efficiency_pct=sm_efficiency_pct,
        sm_efficiency_missing_because=None if sm_efficiency_pct is not None else "no block counts",
        achieved_occupancy_pct=None,
        achieved_occupancy_rounded_pct=None,
        occupancy_missing_because="not asked",
        steps=5,
        training_steps_per_step=1,
        kernels_per_step=30,
        window_s=0.1,
        longest_kernels=(),
    )


def judged(base: Run | Result, head: Run | Result, **limits: Any) -> Gate:
    """The gate's verdict on two runs, or on two runs of one cell."""
    sides = [side if isinstance(side, Run) else run(side) for side in (base, head)]
    return judge_runs(sides[0], sides[1], Limits(**limits))


def the(found: Gate, metric: str) -> Finding:
    """The only finding on a metric."""
    (finding,) = [finding for finding in found.findings if finding.metric == metric]
    return finding


def statuses(found: Gate) -> dict[str, Status]:
    """Metric -> status, of what is not ok."""
    return {finding.metric: finding.status for finding in found.findings if finding.status != "ok"}


def in_turns(*results: Result, again: Sequence[Result] | None = None, pairing: Pairing = PAIRING) -> Run:
    """One side of two runs that were measured in turns; `again`: what the second measurement found, here the same."""
    second = Confirmation(pairing.replace(id=AGAIN.id), tuple(results if again is None else again))
    return run(*results, pairing=pairing, confirmation=second)


def paired(base: Sequence[Result], head: Sequence[Result], **limits: Any) -> Gate:
    """The verdict on two runs that were measured in turns, twice with the same outcome."""
    return judged(in_turns(*base), in_turns(*head), **limits)
