"""Base and head runs -> findings: what is caught, by which name, and what is let pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nets.errors import Unusable
from nets.gate.findings import Status
from nets.gate.limits import Fact
from nets.records.cell import Band, BandVerdict, Cpu, Depth, Device, Network, Outcome
from nets.records.versions import Versions
from tests.support.gating import (
    GPU,
    VERSIONS,
    accurate,
    banded,
    judged,
    paired,
    rounds,
    run,
    statuses,
    the,
    timed,
    traced,
)
from tests.support.records import EXECUTION, one_round, record, seen_of_gpu


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
    ("lost", "n", "status"), [(0.01, 6, "regressed"), (-0.01, 6, "improved"), (0.01, 5, "ok"), (0.004, 30, "ok")]
)
def test_accuracy_of_pairs(lost: float, n: int, status: Status) -> None:
    """Six pairs of the same seeds show a point lost or won inside the band; five don't, nor do unpaired rounds."""
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
    assert found.exit_code == 3


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
    assert found.exit_code == 3
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
    assert judged(base, record(device=GPU.model_copy(update={"mig": True}))).exit_code == 3


@pytest.mark.parametrize(("fact", "value"), [("torch", "2.13.0"), ("cuda", None)])
def test_changed_versions(fact: Fact, value: str | None) -> None:
    """Another torch or CUDA is named; another Python or cuDNN is noted, and forbids nothing."""
    changed: dict[str, Any] = {fact: value}
    found = judged(run(record()), run(record(), versions=replace(VERSIONS, **changed)))
    was = getattr(VERSIONS, fact)
    assert f"another {fact}: base {was}, head {value or 'none'}" in str(the(found, "cell").because)
    noted = judged(run(record()), run(record(), versions=replace(VERSIONS, cudnn="9", python="3.14")))
    assert noted.exit_code == 0
    assert sum("forbids no comparison" in note for note in noted.notes) == 2


def test_grown_memory() -> None:
    """Tenfold memory is caught on a GPU and on a CPU, and by its name."""
    base = record(device=GPU, gpu=seen_of_gpu(memory_peak_training_bytes=10**8), gpu_missing_because=None)
    head = base.model_copy(update={"gpu": seen_of_gpu(memory_peak_training_bytes=10**9)})
    assert statuses(judged(base, head)) == {"memory_peak_training_bytes": "regressed"}
    assert the(judged(base, head), "memory_peak_training_bytes").effect == pytest.approx(9)
    assert statuses(judged(head, base)) == {"memory_peak_training_bytes": "improved"}
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
    """More energy is worse; a timed window is not compared with a soak, which a faster cell may come to need."""
    base = record(device=GPU, gpu=seen_of_gpu(energy_j=100.0), gpu_missing_because=None)
    head = base.model_copy(update={"gpu": seen_of_gpu(energy_j=140.0)})
    assert statuses(judged(base, head)) == {"energy_j": "regressed"}
    assert statuses(judged(base, head, energy_unpaired=0.5)) == {}
    soaked = base.model_copy(update={"gpu": seen_of_gpu("soak", energy_per_step_j=0.1)})
    found = judged(base, soaked)
    assert (statuses(found), found.exit_code) == ({}, 0)
    assert (
        "not compared: mnist-lenet5 energy_j, mnist-lenet5 energy_per_step_j: "
        "base saw it over its timed window, head over its soak window"
    ) in found.notes


def test_spoilt_figures() -> None:
    """The driver's figures of an invalid record are never compared: not measured, with the reason, if one side's are.

    If both sides' are, for the same reason, MIG say, neither was measured, and a note says so.
    """
    good = record(device=GPU, gpu=seen_of_gpu(energy_j=100.0), gpu_missing_because=None)
    spoilt = good.model_copy(update={"gpu": seen_of_gpu(reasons=("throttled",), energy_j=500.0)})
    for base, head in ((good, spoilt), (spoilt, good)):
        found = judged(base, head)
        assert statuses(found) == {"energy_j": "not measured"}
        assert "throttled" in str(the(found, "energy_j").because)
        assert found.exit_code == 3
    found = judged(spoilt, spoilt)
    assert (statuses(found), found.exit_code) == ({}, 0)
    assert "not compared: mnist-lenet5 energy_j: it is fit for comparison on neither side: throttled" in found.notes
    otherwise = good.model_copy(update={"gpu": seen_of_gpu(reasons=("MIG",), energy_j=500.0)})
    assert judged(spoilt, otherwise).exit_code == 0
    assert any("neither side: base: throttled; head: MIG" in note for note in judged(spoilt, otherwise).notes)


def test_what_spoils_the_driver_s_figures_leaves_torch_s_memory() -> None:
    """On a MIG slice the peak memory is still compared."""
    base, head = (
        record(
            device=GPU, gpu=seen_of_gpu(reasons=("MIG",), memory_peak_training_bytes=n_bytes), gpu_missing_because=None
        )
        for n_bytes in (10**8, 10**9)
    )  # fmt: skip
    assert statuses(judged(base, head)) == {"memory_peak_training_bytes": "regressed"}


def test_depth_by_cost() -> None:
    """Deep by cost that was shallow has regressed if it is slower; the reverse is better; open is no finding."""
    verdicts = {
        verdict: Depth(classical="deep", cost_aware=verdict, criteria=None, reference="x", because="it is slow")
        for verdict in ("shallow", "deep", "undecided")
    }  # fmt: skip
    shallow, deep, undecided = (timed([2.0], depth=each) for each in verdicts.values())
    found = the(judged(shallow, timed([9.0], depth=verdicts["deep"])), "depth_by_cost")
    assert (found.status, found.because) == ("regressed", "deep by cost, and shallow in base: it is slow")
    found = the(judged(shallow, deep), "depth_by_cost")
    assert found.status == "ok"
    assert "its own cost has not grown" in str(found.because)
    assert the(judged(deep, shallow), "depth_by_cost").status == "improved"
    assert the(judged(deep, deep), "depth_by_cost").status == "ok"
    for base, head in ((undecided, deep), (shallow, undecided)):
        assert "depth_by_cost" not in {finding.metric for finding in judged(base, head).findings}


def test_a_cell_that_neither_side_ran() -> None:
    """It passes, and the notes name it."""
    base, head = (run(record(), not_run=(("mnist-cnn3l", "MNIST is not there"),)) for _ in range(2))
    found = judged(base, head)
    assert found.exit_code == 0
    assert "neither side ran mnist-cnn3l: MNIST is not there" in found.notes
    assert not any("neither side" in note for note in judged(base, run(record(), record(model="cnn3l"))).notes)


def test_a_base_without_rounds() -> None:
    """A damaged base, with an accuracy and no round, is nothing to hold an accuracy against."""
    base = record(rounds=(), band=None, band_missing_because="x")
    assert "accuracy" not in {finding.metric for finding in judged(base, record()).findings}


def test_a_figure_that_one_side_lacks() -> None:
    """Measured in base alone: not measured, with head's reason; in head alone: new; in neither: no finding."""
    base = record(device=GPU, trace=traced(10, None), trace_missing_because=None)
    bare = record(device=GPU, trace_missing_because="--no-trace")
    found = judged(base, bare)
    assert statuses(found) == {"trace_gpu_utilization_pct": "not measured"}
    assert "--no-trace" in str(the(found, "trace_gpu_utilization_pct").because)
    assert found.exit_code == 3
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
        judged(run(record(), unfinished=(record(),)), run(record()))
    assert judged(run(record()), run()).exit_code == 1
