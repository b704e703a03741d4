"""Base and head runs -> findings: what is caught, by which name, and what is let pass."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nets.gate.comparable import Pairing, Run, Versions
from nets.gate.config import Fact, Limits
from nets.gate.findings import Finding, Gate, Status
from nets.gate.judge import gate
from nets.gate.significance import holm, sign_flip
from nets.results import (
    Accuracy,
    Band,
    BandVerdict,
    Cpu,
    Depth,
    Device,
    Network,
    Outcome,
    Result,
    Round,
    Trace,
    Unusable,
)
from tests.records import EXECUTION, one_round, record, seen_of_gpu

GPU = Device(type="cuda", name="NVIDIA H100 80GB HBM3")
PAIRING = Pairing(id="a", rounds=1, looks=1)
VERSIONS = Versions(torch="2.12.0", cuda="13.0", cudnn="91002", python="3.12.3")


def run(*results: Result, source: str = "x.json", **changes: Any) -> Run:
    """A run of these cells."""
    return Run(**{"source": source, "results": results, "versions": VERSIONS, **changes})


def rounds(seconds: Sequence[float]) -> tuple[Round, ...]:
    """Rounds of so many seconds, a fifth of them evaluation."""
    return tuple(one_round(seed=i, train_s=0.8 * s, eval_s=0.2 * s) for i, s in enumerate(seconds))


def timed(seconds: Sequence[float], **changes: Any) -> Result:
    """A cell whose rounds took so many seconds."""
    return record(**{"rounds": rounds(seconds), **changes})


def accurate(*accuracies: float, **changes: Any) -> Result:
    """A cell whose rounds were so accurate."""
    values = {
        "rounds": tuple(one_round(seed=i, accuracy=accuracy) for i, accuracy in enumerate(accuracies)),
        "accuracy": Accuracy.of(accuracies),
    }
    return record(**{**values, **changes})


def banded(verdict: BandVerdict, **changes: Any) -> Result:
    """A cell with a band and its verdict."""
    band = Band(low=0.96, high=0.99, n=20, alpha=0.001, verdict=verdict)
    return accurate(0.98, 0.97, 0.98, **{"band": band, "band_missing_because": None, **changes})


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
    return gate(sides[0], sides[1], Limits(**limits))


def the(found: Gate, metric: str) -> Finding:
    """The only finding on a metric."""
    (finding,) = [finding for finding in found.findings if finding.metric == metric]
    return finding


def statuses(found: Gate) -> dict[str, Status]:
    """Metric -> status, of what is not ok."""
    return {finding.metric: finding.status for finding in found.findings if finding.status != "ok"}


def paired(base: Sequence[Result], head: Sequence[Result], **limits: Any) -> Gate:
    """The verdict on two runs that were measured in turns."""
    return judged(run(*base, pairing=PAIRING), run(*head, pairing=PAIRING), **limits)


# what must be caught, by name


@pytest.mark.parametrize("verdict", ["below", "above", "diverged"])
def test_accuracy_outside_its_band(verdict: BandVerdict) -> None:
    """An accuracy outside its band has regressed, above it too, since that is a leak; whatever base was."""
    found = judged(banded("inside"), banded(verdict))
    assert statuses(found) == {"accuracy": "regressed"}
    assert verdict in str(the(found, "accuracy").because)
    assert found.exit_code == 1
    other = judged(run(banded("inside")), run(banded(verdict), versions=Versions(torch="1")))
    assert the(other, "accuracy").status == "regressed"


def test_accuracy_inside_its_band() -> None:
    """Inside the band is ok, though base was better."""
    found = judged(accurate(1.0, 1.0, 1.0), banded("inside"))
    assert the(found, "accuracy").status == "ok"


def test_diverged_without_a_band() -> None:
    """A loss that was not finite is caught without any band."""
    head = accurate(0.9, rounds=(one_round(loss=None),))
    assert "diverged: in 1 of 1 rounds" in str(the(judged(accurate(0.9), head), "accuracy").because)
    assert the(judged(accurate(0.9), head), "accuracy").status == "regressed"


@pytest.mark.parametrize(
    ("base", "head", "status"),
    [
        ((0.95, 0.951, 0.952), (0.80, 0.801, 0.802), "regressed"),
        ((0.80, 0.801, 0.802), (0.95, 0.951, 0.952), "improved"),
        ((0.95, 0.951, 0.952), (0.947, 0.948, 0.949), "ok"),  # less than half a point
        ((0.95, 0.95001, 0.95002), (0.947, 0.94701, 0.94702), "ok"),  # so too, but sure
        ((0.95, 0.93, 0.94), (0.91, 0.90, 0.89), "not enough data"),  # p = 0.008
        ((0.95, 0.90, 0.92), (0.93, 0.88, 0.92), "ok"),
        ((0.95,), (0.90,), "not enough data"),
        ((0.95,), (0.95,), "ok"),
        ((0.95, 0.95), (0.10, 0.10), "regressed"),
    ],
)
def test_accuracy_without_a_band(base: tuple[float, ...], head: tuple[float, ...], status: Status) -> None:
    """Without a band head is held against base: by a strict test, and a difference of half a point at least."""
    finding = the(judged(accurate(*base), accurate(*head)), "accuracy")
    assert finding.status == status
    assert "it has no band: no reference runs" in str(finding.because)


@pytest.mark.parametrize(
    ("lost", "n", "status"), [(0.01, 10, "regressed"), (-0.01, 10, "improved"), (0.01, 9, "ok"), (0.004, 30, "ok")]
)
def test_accuracy_of_pairs(lost: float, n: int, status: Status) -> None:
    """Ten pairs of the same seeds show a point lost or won inside the band; nine don't, nor do unpaired rounds."""
    band = Band(low=0.9, high=0.99, n=20, alpha=0.001, verdict="inside")
    base, head = (
        accurate(*(0.95 + 0.0001 * i - less for i in range(n)), band=band, band_missing_because=None)
        for less in (0, lost)
    )
    finding = the(paired((base,), (head,)), "accuracy")
    assert finding.status == status
    assert finding.effect == pytest.approx(-lost)
    assert the(judged(base, head), "accuracy").status == "ok"


def test_a_removed_cell() -> None:
    """A cell that base has and head has not fails, with the reason that head's file gives."""
    base = run(record(), record(model="cnn3l"))
    found = judged(base, run(record(), not_run=(("mnist-cnn3l", "no such folder"),)))
    (missing,) = found.with_status("missing")
    assert (missing.cell, missing.metric) == ("mnist-cnn3l", "cell")
    assert "no such folder" in str(missing.because)
    assert found.exit_code == 1
    assert "says nothing" in str(judged(base, run(record())).with_status("missing")[0].because)


def test_a_failed_cell() -> None:
    """A cell that failed in head fails, with its failures, were it new, finished, or broken off."""
    failed = record(outcome=Outcome(status="failed", failures=("layers: 5, expected 4",)))
    assert "expected 4" in str(the(judged(record(), failed), "outcome").because)
    assert judged(record(), failed).exit_code == 1
    assert judged(failed, failed).exit_code == 1
    assert statuses(judged(failed, record())) == {"outcome": "improved"}
    new = failed.model_copy(update={"cell": record(model="own").cell})
    assert judged(run(record()), run(record(), new)).exit_code == 1


def test_a_cell_that_broke_off() -> None:
    """A cell that broke off in head has regressed and is not compared; one that did in base leaves too little."""
    broken = record(rounds=(), accuracy=None, cpu=None, outcome=Outcome(status="error", failures=("out of memory",)))
    base, head = run(record()), run(unfinished=(broken,))
    found = judged(base, head)
    assert [(finding.metric, finding.status) for finding in found.findings] == [("outcome", "regressed")]
    found = judged(head, base)
    assert statuses(found) == {"outcome": "improved", "total_s": "not enough data"}
    assert found.exit_code == 2


def test_a_new_cell() -> None:
    """A cell that only head has is new, and passes."""
    found = judged(run(record()), run(record(), record(model="own")))
    (new,) = found.with_status("new")
    assert (new.cell, found.exit_code) == ("mnist-own", 0)


CHANGED: dict[Fact, tuple[dict[str, Any], str]] = {
    "device": ({"device": Device(type="cpu", name="another CPU")}, "base cpu: a CPU, head cpu: another CPU"),
    "pipeline": ({"pipeline": "article"}, "base resident, head article"),
    "threads": ({"execution": EXECUTION.model_copy(update={"threads": 2})}, "base 1 (passive), head 2 (passive)"),
    "workers": ({"where": record().where.model_copy(update={"n_workers": 2})}, "base 1, head 2"),
    "protocol": ({"protocol": record().protocol.changed(epochs=7)}, "custom (epochs 7"),
    "data": ({"cell": record().cell.model_copy(update={"data_sha256": "f" * 64})}, "f" * 64),
}


@pytest.mark.parametrize("fact", CHANGED)
def test_incomparable(fact: Fact) -> None:
    """What forbids a comparison is named with both values, and nothing is compared, unless it is allowed."""
    changes, said = CHANGED[fact]
    found = judged(record(), record(**changes))
    assert statuses(found) == {"cell": "incomparable"}
    assert f"another {fact}" in str(the(found, "cell").because)
    assert said in str(the(found, "cell").because)
    assert found.exit_code == 2
    assert "total_s" not in {finding.metric for finding in found.findings}
    allowed = judged(record(), record(**changes), allow=(fact,))
    assert allowed.exit_code == 0
    assert f"on purpose across another {fact}" in str(the(allowed, "total_s").because)


def test_unknown_data() -> None:
    """Data whose checksum one side lacks forbids no comparison: it is not known to differ."""
    unknown = record(cell=record().cell.model_copy(update={"data_sha256": None}))
    assert judged(record(), unknown).exit_code == judged(unknown, record()).exit_code == 0


def test_a_swapped_gpu() -> None:
    """Another GPU is named."""
    base = record(device=GPU)
    found = judged(base, record(device=Device(type="cuda", name="NVIDIA A100-SXM4-80GB")))
    assert "NVIDIA H100 80GB HBM3, head cuda: NVIDIA A100-SXM4-80GB" in str(the(found, "cell").because)
    assert judged(base, record(device=GPU.model_copy(update={"mig": True}))).exit_code == 2


@pytest.mark.parametrize(("fact", "value"), [("torch", "2.13.0"), ("cuda", None)])
def test_changed_versions(fact: Fact, value: str | None) -> None:
    """Another torch or CUDA is named; another Python or cuDNN is noted, and forbids nothing."""
    values = {"torch": "2.12.0", "cuda": "13.0", "cudnn": "91002", "python": "3.12.3"}
    found = judged(run(record()), run(record(), versions=Versions(**{**values, fact: value})))
    assert f"another {fact}: base {values[fact]}, head {value or 'none'}" in str(the(found, "cell").because)
    noted = judged(run(record()), run(record(), versions=Versions(**{**values, "cudnn": "9", "python": "3.14"})))
    assert noted.exit_code == 0
    assert sum("forbids no comparison" in note for note in noted.notes) == 2


def test_grown_memory() -> None:
    """Tenfold memory is caught on a GPU and on a CPU, and by its name."""
    base = record(device=GPU, gpu=seen_of_gpu(memory_peak_bytes=10**8), gpu_missing_because=None)
    head = base.model_copy(update={"gpu": seen_of_gpu(memory_peak_bytes=10**9)})
    assert statuses(judged(base, head)) == {"memory_peak_bytes": "regressed"}
    assert the(judged(base, head), "memory_peak_bytes").effect == pytest.approx(9)
    assert statuses(judged(head, base)) == {"memory_peak_bytes": "improved"}
    grown = record(cpu=Cpu(core_s=1.9, rss_peak_bytes=10_000_000))
    assert statuses(judged(record(), grown)) == {"rss_peak_bytes": "regressed"}


@pytest.mark.parametrize(
    ("change", "metrics"),
    [
        ({"network": Network(parameters=61_707, layers=5, hidden_layers=4, macs_per_image=1)}, ["parameters"]),
        ({"network": Network(parameters=61_706, layers=6, hidden_layers=5, macs_per_image=1)}, ["layers"]),
        (
            {"depth": Depth(classical="shallow", cost_aware=None, criteria=None, reference=None, because="2")},
            ["depth"],
        ),
    ],
)
def test_another_network(change: dict[str, Any], metrics: list[str]) -> None:
    """Any change of parameters, layers or classical depth has regressed, with both values, unless it is allowed."""
    for found in (judged(record(), record(**change)), judged(record(**change), record())):
        assert statuses(found) == dict.fromkeys(metrics, "regressed")
        assert str(the(found, metrics[0]).base) in str(the(found, metrics[0]).because)
    assert judged(record(), record(**change), allow=("network",)).exit_code == 0


@pytest.mark.parametrize(
    ("base_pct", "head_pct", "status"), [(40, 20, "regressed"), (20, 40, "improved"), (40, 35, "ok")]
)
def test_utilization(base_pct: float, head_pct: float, status: Status) -> None:
    """Less utilization and SM efficiency are worse; between two files a tenth less is let pass."""
    base, head = (
        record(device=GPU, trace=traced(pct, pct), trace_missing_because=None, gpu=seen_of_gpu(utilization_pct=pct),
               gpu_missing_because=None)
        for pct in (base_pct, head_pct)
    )  # fmt: skip
    found = judged(base, head)
    for metric in ("trace_gpu_utilization_pct", "trace_sm_efficiency_pct", "utilization_pct"):
        assert the(found, metric).status == status


def test_a_figure_of_zero() -> None:
    """From or to 0 a figure has no ratio, but a direction; 0 on both sides is ok."""
    idle, busy = (
        record(device=GPU, trace=traced(pct, None), trace_missing_because=None, gpu_missing_because="none")
        for pct in (0, 5)
    )
    metric = "trace_gpu_utilization_pct"
    started, stopped = the(judged(idle, busy), metric), the(judged(busy, idle), metric)
    assert (started.status, started.effect) == ("improved", None)
    assert (stopped.status, stopped.effect) == ("regressed", -1)
    assert the(judged(idle, idle), metric).status == "ok"


def test_energy() -> None:
    """More energy is worse; a timed window is not compared with a soak."""
    base = record(device=GPU, gpu=seen_of_gpu(energy_j=100.0), gpu_missing_because=None)
    head = base.model_copy(update={"gpu": seen_of_gpu(energy_j=140.0)})
    assert statuses(judged(base, head)) == {"energy_j": "regressed"}
    assert statuses(judged(base, head, energy_unpaired=0.5)) == {}
    soaked = base.model_copy(update={"gpu": seen_of_gpu("soak", energy_per_step_j=0.1)})
    assert statuses(judged(base, soaked)) == {"energy_j": "incomparable", "energy_per_step_j": "incomparable"}


def test_spoilt_figures() -> None:
    """Figures of an invalid record are never compared: not measured, with the reason, on either side."""
    good = record(device=GPU, gpu=seen_of_gpu(memory_peak_bytes=10**8), gpu_missing_because=None)
    spoilt = good.model_copy(update={"gpu": seen_of_gpu(reasons=("throttled",), memory_peak_bytes=10**9)})
    for base, head in ((good, spoilt), (spoilt, good), (spoilt, spoilt)):
        found = judged(base, head)
        assert statuses(found) == {"memory_peak_bytes": "not measured"}
        assert "throttled" in str(the(found, "memory_peak_bytes").because)
        assert found.exit_code == 2


def test_a_figure_that_one_side_lacks() -> None:
    """Measured in base alone: not measured, with head's reason; in head alone: new; in neither: no finding."""
    base = record(device=GPU, trace=traced(10, None), trace_missing_because=None)
    bare = record(device=GPU, trace_missing_because="--no-trace")
    found = judged(base, bare)
    assert statuses(found) == {"trace_gpu_utilization_pct": "not measured"}
    assert "--no-trace" in str(the(found, "trace_gpu_utilization_pct").because)
    assert found.exit_code == 2
    assert statuses(judged(bare, base)) == {"trace_gpu_utilization_pct": "new"}
    assert judged(bare, base).exit_code == 0
    assert "trace_sm_efficiency_pct" not in {finding.metric for finding in found.findings}


def test_core_seconds() -> None:
    """Core-seconds are compared a round, and ticks of the clock are no change."""
    base = record(rounds=rounds([2, 2]), cpu=Cpu(core_s=4.0, rss_peak_bytes=None, rss_missing_because="none"))
    assert the(judged(base, record(cpu=Cpu(core_s=3.0, rss_peak_bytes=1))), "core_s").status == "regressed"
    assert the(judged(base, record(cpu=Cpu(core_s=2.0, rss_peak_bytes=1))), "core_s").status == "ok"
    small, large = (record(cpu=Cpu(core_s=s, rss_peak_bytes=1)) for s in (0.02, 0.05))
    assert the(judged(small, large), "core_s").status == "ok"


def test_nothing_to_compare_with() -> None:
    """A base without a cell is no base, and a cell that is there twice is not judged."""
    with pytest.raises(Unusable, match=r"x\.json: it holds no cell"):
        judged(run(), run(record()))
    with pytest.raises(Unusable, match="there is nothing to compare with; mnist-cnn3l: no such folder"):
        judged(run(not_run=(("mnist-cnn3l", "no such folder"),)), run(record()))
    with pytest.raises(Unusable, match="mnist-lenet5 is there 2 times"):
        run(record(), unfinished=(record(),))
    assert judged(run(record()), run()).exit_code == 1


# time


@pytest.mark.parametrize(
    ("factor", "status"), [(1.29, "ok"), (1.31, "regressed"), (1 / 1.29, "ok"), (1 / 1.31, "improved")]
)
def test_unpaired_time(factor: float, status: Status) -> None:
    """Two stored files are held to a wide limit, and a note says that it is wide, and why."""
    seconds = [2.0, 2.1, 1.9]
    found = judged(timed(seconds), timed([factor * s for s in seconds]))
    assert {the(found, metric).status for metric in ("total_s", "train_s", "eval_s")} == {status}
    assert any("wide (30 %)" in note and "from machine to machine" in note for note in found.notes)
    assert the(found, "total_s").confidence == 0.95


def test_unpaired_limit_can_be_set() -> None:
    """Another limit on time holds where it is set."""
    assert judged(timed([2]), timed([3]), time_unpaired=0.6).exit_code == 0
    assert judged(timed([2]), timed([2.2]), time_unpaired=0.05).exit_code == 1


def test_other_pairings_are_no_pair() -> None:
    """Two files with different pairings are unpaired, and a note says so."""
    found = judged(
        run(timed([2] * 8), pairing=PAIRING), run(timed([2] * 8), pairing=Pairing(id="b", rounds=1, looks=1))
    )
    assert not found.paired
    assert "not the same" in found.notes[0]


def noisy(seed: int, n: int, factor: float, noise: float = 0.005) -> tuple[list[float], list[float]]:
    """Seconds of n rounds of base and of head, which takes `factor` as long; both drift together."""
    rng = random.Random(seed)
    base, head = [], []
    for _ in range(n):
        drift = rng.lognormvariate(0, 0.3)
        base.append(drift * rng.lognormvariate(0, noise))
        head.append(factor * drift * rng.lognormvariate(0, noise))
    return base, head


@pytest.mark.parametrize(("n", "n_cells"), [(5, 1), (7, 6), (10, 10)])
def test_a_small_regression_among_cells(n: int, n_cells: int) -> None:
    """Pairs find 5 % under a drift of 30 % that hides it from unpaired files, among as many cells as can be decided."""
    sides = [noisy(i, n, 1.05 if i == 0 else 1.0) for i in range(n_cells)]
    base, head = ([timed(side[k], model=f"m{i}") for i, side in enumerate(sides)] for k in (0, 1))
    found = paired(base, head)
    totals = {finding.cell: finding for finding in found.findings if finding.metric == "total_s"}
    assert totals["mnist-m0"].status == "regressed"
    assert totals["mnist-m0"].effect == pytest.approx(0.05, abs=0.02)
    assert f"{n} pairs" in str(totals["mnist-m0"].because)
    assert {finding.status for cell, finding in totals.items() if cell != "mnist-m0"} <= {"ok"}
    assert judged(run(*base), run(*head)).exit_code == 0


def test_a_small_improvement() -> None:
    """Pairs find 5 % less time as well, and its p is that of the faster side."""
    base, head = noisy(1, 7, 1 / 1.05)
    finding = the(paired([timed(base)], [timed(head)]), "total_s")
    assert (finding.status, finding.p) == ("improved", 2**-7)


@pytest.mark.parametrize(("n", "n_cells"), [(4, 1), (5, 2), (6, 4)])
def test_too_few_pairs(n: int, n_cells: int) -> None:
    """Where no difference could be significant the answer is not enough data, with the number that it takes."""
    base = [timed([2.0] * n, model=f"m{i}") for i in range(n_cells)]
    found = paired(base, base)
    assert {finding.status for finding in found.findings if finding.metric == "total_s"} == {"not enough data"}
    assert found.exit_code == 2
    assert "at least" in str(found.with_status("not enough data")[0].because)
    slow = [timed([4.0] * n, model=f"m{i}") for i in range(n_cells)]
    assert paired(base, slow).exit_code == 1  # beyond the limit of unpaired files


def test_more_pairs_can_be_demanded() -> None:
    """`min_pairs` above five holds."""
    assert paired([timed([2.0] * 7)], [timed([2.0] * 7)], min_pairs=8).exit_code == 2


def test_too_noisy() -> None:
    """An effect beyond the limit that the test does not confirm is not enough data; a tiny sure one is ok."""
    loud = paired([timed([1.0] * 6)], [timed([1.3, 0.9, 1.25, 0.85, 1.2, 1.2])])
    assert the(loud, "total_s").status == "not enough data"
    assert "too noisy" in str(the(loud, "total_s").because)
    sure = the(paired([timed([1.0] * 8)], [timed([1.01] * 8)]), "total_s")
    assert (sure.status, sure.p) == ("ok", 2**-8)


def test_no_pairs_after_all() -> None:
    """Rounds without a seed in common are no pairs, whatever the files say."""
    head = timed([2.0] * 8)
    shifted = head.model_copy(
        update={"rounds": tuple(r.model_copy(update={"seed": 100 + r.seed}) for r in head.rounds)}
    )
    finding = the(paired([head], [shifted]), "total_s")
    assert finding.status == "not enough data"
    assert "no rounds have the same seed" in str(finding.because)


def test_sittings() -> None:
    """Rounds of the same processes count once: eight sittings of three decide, two of twelve don't."""

    def sat(n_rounds: int) -> Finding:
        pairing = Pairing(id="a", rounds=n_rounds, looks=1)
        sides = (run(timed([s] * 24), pairing=pairing) for s in (1.0, 1.1))
        return the(judged(*sides), "total_s")

    assert sat(3).status == "regressed"
    assert "8 sittings" in str(sat(3).because)
    assert sat(12).status == "not enough data"
    assert "2 sittings are too few" in str(sat(12).because)


def test_looks_share_the_level() -> None:
    """What one look would find, five pairs all slower, three looks do not: they share the level."""

    def looked(n_looks: int, n: int) -> Finding:
        pairing = Pairing(id="a", rounds=1, looks=n_looks)
        return the(judged(*(run(timed([s] * n), pairing=pairing) for s in (1.0, 1.1))), "total_s")

    assert looked(1, 5).status == "regressed"
    assert looked(3, 5).status == "not enough data"
    assert "3 looks" in str(looked(3, 5).because)
    assert looked(3, 6).status == "regressed"


def test_a_sitting_that_lacks_rounds() -> None:
    """A round that one side lacks leaves the other pairs as they are: they are matched by seed."""
    base = timed([1.0] * 18)
    head = timed([1.1] * 18)
    head = head.model_copy(update={"rounds": head.rounds[:4] + head.rounds[5:]})
    pairing = Pairing(id="a", rounds=3, looks=1)
    finding = the(judged(run(base, pairing=pairing), run(head, pairing=pairing)), "total_s")
    assert finding.status == "regressed"
    assert finding.effect == pytest.approx(0.1)


def test_rounds_without_time() -> None:
    """A round that took no time at all is not compared."""
    assert the(judged(timed([0.0]), timed([2.0])), "total_s").status == "not enough data"


def test_a_part_alone() -> None:
    """A part that is far slower is caught by its name, unless it is too small a part to matter."""
    base = record(rounds=(one_round(train_s=1.0, eval_s=0.1),))
    assert statuses(judged(base, record(rounds=(one_round(train_s=1.0, eval_s=0.15),)))) == {"eval_s": "regressed"}
    tiny, doubled = (record(rounds=(one_round(train_s=1.0, eval_s=s),)) for s in (0.001, 0.002))
    finding = the(judged(tiny, doubled), "eval_s")
    assert finding.status == "ok"
    assert "less than 2 %" in str(finding.because)


def test_what_may_explain_a_time() -> None:
    """Disturbed rounds and another mode are said of the time, and forbid nothing."""
    eager = EXECUTION.model_copy(update={"mode": "graph"})
    finding = the(judged(record(execution=eager), record(rounds=(one_round(disturbed=True),))), "total_s")
    assert finding.status == "ok"
    assert "1 of 1 rounds of head were disturbed" in str(finding.because)
    assert "base graph, head eager" in str(finding.because)


# properties

SECONDS = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=9)
EXCHANGED: dict[Status, Status] = {"regressed": "improved", "improved": "regressed"}


@settings(deadline=None)
@given(SECONDS, st.booleans())
def test_exchanged_sides(pairs: list[tuple[float, float]], is_paired: bool) -> None:
    """Exchanging base and head exchanges regressed and improved, and changes nothing else."""
    base, head = (run(timed(side), pairing=PAIRING if is_paired else None) for side in zip(*pairs, strict=True))
    for metric in ("total_s", "train_s", "eval_s"):
        there, back = the(judged(base, head), metric).status, the(judged(head, base), metric).status
        assert back == EXCHANGED.get(there, there)


@settings(deadline=None)
@given(SECONDS, st.floats(1e-3, 1e3), st.booleans())
def test_unit_of_time(pairs: list[tuple[float, float]], factor: float, is_paired: bool) -> None:
    """Multiplying all seconds of both sides changes no verdict."""
    pairing = PAIRING if is_paired else None
    base, head = (run(timed(side), pairing=pairing) for side in zip(*pairs, strict=True))
    found = the(judged(base, head), "total_s")
    ratio = 1 + abs(found.effect or 0)
    assume(all(abs(ratio - edge) > 1e-6 for edge in (1.02, 1.3)))
    scaled = (run(timed([factor * s for s in side]), pairing=pairing) for side in zip(*pairs, strict=True))
    again = the(judged(*scaled), "total_s")
    assert again.status == found.status
    assert again.effect == pytest.approx(found.effect, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=8, max_size=12), st.booleans(), st.floats(0, 1))
def test_the_same_file(seconds: list[float], is_paired: bool, accuracy: float) -> None:
    """A run against itself is ok in everything, and the verdict is the same each time."""
    cells = [timed(seconds, model=f"m{i}", accuracy=Accuracy.of([accuracy])) for i in range(3)]
    one = run(*cells, pairing=PAIRING if is_paired else None)
    found = judged(one, one)
    assert {finding.status for finding in found.findings} == {"ok"}
    assert found.exit_code == 0
    assert judged(one, one) == found


def test_false_alarms() -> None:
    """Of 2,000 comparisons of the same with the same, over six cells of seven pairs, at most alpha regress anywhere.

    Noise is far beyond the least effect, so that the test alone decides.
    """
    rng = random.Random(3)
    alarms = {"regressed": 0, "improved": 0}
    n = 2_000
    for _ in range(n):
        cells = [[rng.gauss(0, 0.2) for _ in range(7)] for _ in range(6)]
        alarms["regressed"] += min(holm([sign_flip(d) for d in cells])) <= 0.05
        alarms["improved"] += min(holm([sign_flip([-x for x in d]) for d in cells])) <= 0.05
    assert max(alarms.values()) / n <= 0.05 + 3 * (0.05 * 0.95 / n) ** 0.5


def test_false_alarms_of_the_gate() -> None:
    """The gate itself, on 300 runs of one cell against itself: a regression in about one of twenty at most."""
    n = 300
    found = [paired(*([timed(side)] for side in noisy(i, 6, 1.0, noise=0.2))) for i in range(n)]
    for status in ("regressed", "improved"):
        assert sum(the(each, "total_s").status == status for each in found) / n <= 0.05 + 3 * (0.05 * 0.95 / n) ** 0.5
