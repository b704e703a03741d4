"""A side's sittings in one file: every round, one band over all of them, and every failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nets.errors import Unusable
from nets.records.cell import Accuracy, Cpu, Outcome, Result
from nets.records.run import Pairing
from nets.verdicts.bands import Bands
from nets.verdicts.merge import Sittings, merge_runs, merged_result
from tests.support.records import one_round, record

PAIRING = Pairing(id="x", rounds=2, looks=3)
NONE = "no bands here"


def sitting(first: int, *accuracies: float, **changes: Any) -> Result:
    """A cell's record of one sitting, its seeds from `first` on."""
    return record(
        rounds=tuple(one_round(seed=first + i, accuracy=accuracy) for i, accuracy in enumerate(accuracies)),
        accuracy=Accuracy.of(accuracies),
        **changes,
    )


def write(path: Path, *results: Result, unfinished: tuple[Result, ...] = (), **block: Any) -> Path:
    """A file as pytest-benchmark writes it."""
    benchmarks = [
        {
            "name": result.id,
            "stats": {"data": [r.time_s for r in result.rounds], "rounds": len(result.rounds), "iterations": 1},
            "extra_info": result.to_json(),
        }
        for result in results
    ]
    nets = {"schema": 1, "unfinished": [result.to_json() for result in unfinished], "not_run": [], **block}
    path.write_text(json.dumps({"benchmarks": benchmarks, "machine_info": {"nets": {}}, "nets": nets}))
    return path


def test_rounds_and_timings(tmp_path: Path) -> None:
    """Rounds and pytest-benchmark's data follow each other; its figures are of all; the pairing stands in the file."""
    files = [write(tmp_path / str(k), sitting(2 * k, 0.9, 0.8), interrupted=k == 1) for k in range(3)]
    merge_runs(Sittings(files, PAIRING), NONE, tmp_path / "all.json")
    content = json.loads((tmp_path / "all.json").read_bytes())
    (benchmark,) = content["benchmarks"]
    assert [round_["seed"] for round_ in benchmark["extra_info"]["rounds"]] == list(range(6))
    assert benchmark["extra_info"]["protocol"]["rounds"] == 6
    assert benchmark["extra_info"]["accuracy"]["mean"] == pytest.approx(0.85)
    assert (len(benchmark["stats"]["data"]), benchmark["stats"]["rounds"]) == (6, 6)
    assert content["nets"]["pairing"] == {"id": "x", "rounds": 2, "looks": 3}
    assert content["nets"]["interrupted"] is True


def test_one_band_over_all_rounds() -> None:
    """The mean of all rounds is held against the interval for so many, not each sitting's against its own."""
    protocol = record().protocol
    runs = {
        "cell": "mnist-lenet5", "protocol": protocol.name, "epochs": protocol.epochs,
        "batch_size": protocol.batch_size, "lr": protocol.lr, "source": "a test", "pipeline": "resident",
        "torch": "0", "device": "none", "seeds": tuple(range(6)), "accuracies": (0.90, 0.91, 0.92, 0.90, 0.91, 0.92),
    }  # fmt: skip
    known = Bands.model_validate({"schema": 1, "runs": [runs]}, strict=False)
    odd = [sitting(0, 0.80, 0.80), sitting(2, 0.96, 0.96), sitting(4, 0.94, 0.94)]
    found = merged_result(odd, known)
    assert found.band is not None
    assert (found.band.verdict, found.band.n) == ("inside", 6)
    assert (merged_result([sitting(0, 0.7), sitting(1, 0.7)], known).band or found.band).verdict == "below"


def test_failures() -> None:
    """A cell that failed in one sitting has failed, with each failure once; CPU time adds up, memory's peak stays."""
    failed = Outcome(status="failed", failures=("layers: 5, expected 4",))
    results = [
        sitting(0, 0.9, cpu=Cpu(core_s=1, rss_peak_bytes=10)),
        sitting(1, 0.9, cpu=Cpu(core_s=2, rss_peak_bytes=30), outcome=failed),
        sitting(2, 0.9, cpu=Cpu(core_s=4, rss_peak_bytes=20), outcome=failed),
    ]
    found = merged_result(results, NONE)
    assert found.outcome == failed
    assert found.cpu == Cpu(core_s=7, rss_peak_bytes=30)


def test_a_cell_that_broke_off(tmp_path: Path) -> None:
    """A cell that broke off in a later sitting has broken off; its rounds are kept, and it has no timing."""
    error = Outcome(status="error", failures=("out of memory",))
    broken = record(rounds=(one_round(seed=2),), accuracy=Accuracy.of([0.9]), cpu=None, outcome=error)
    files = [
        write(tmp_path / "0", sitting(0, 0.9, 0.9), record(model="cnn3l")),
        write(tmp_path / "1", unfinished=(broken,), not_run=[{"cell": "mnist-cnn3l", "because": "decided"}]),
    ]
    merge_runs(Sittings(files, PAIRING), NONE, tmp_path / "all.json")
    content = json.loads((tmp_path / "all.json").read_bytes())
    assert [benchmark["extra_info"]["cell"]["model"] for benchmark in content["benchmarks"]] == ["cnn3l"]
    (unfinished,) = content["nets"]["unfinished"]
    assert [round_["seed"] for round_ in unfinished["rounds"]] == [0, 1, 2]
    assert unfinished["outcome"] == error.to_json()
    assert content["nets"]["not_run"] == []


@pytest.mark.parametrize("text", ["", "{}", '{"benchmarks": []}', '{"benchmarks": [], "nets": 1}'])
def test_not_ours(tmp_path: Path, text: str) -> None:
    """A side whose file is not one of nets is refused by name."""
    (tmp_path / "0").write_text(text)
    with pytest.raises(Unusable, match="0: "):
        merge_runs(Sittings([tmp_path / "0"], PAIRING), NONE, tmp_path / "all.json")
