"""Core-seconds, energy and utilization in the gate: which way is worse, by which limit, and what can't be held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nets.gate.findings import Gate, Status
from nets.records.cell import Cpu, Result
from tests.support.gating import GPU, judged, paired, statuses, the
from tests.support.records import record, seen_of_gpu


def of_core_s(value: float | None) -> Result:
    """A cell of so many core-seconds a round."""
    return record(cpu=None if value is None else Cpu(core_s=value, rss_peak_bytes=1))


def of_gpu(name: str, window: Any = "timed") -> Callable[..., Result]:
    """Makes cells of which a GPU's driver gave a figure, or gave none."""

    def made(value: float | None, *reasons: str) -> Result:
        gpu = seen_of_gpu(window, reasons, **({} if value is None else {name: value}))
        return record(device=GPU, gpu=gpu, gpu_missing_because=None)

    return made


FIGURES: dict[str, tuple[Callable[..., Result], str, float]] = {
    "core_s": (of_core_s, "core_seconds", 1),
    "energy_j": (of_gpu("energy_j"), "energy", 1),
    "energy_per_step_j": (of_gpu("energy_per_step_j", "soak"), "energy", 1),
    "utilization_pct": (of_gpu("utilization_pct"), "utilization", -1),
}
"""How each is made, the name of its limit, and the sign of what is worse."""


def compared(base: Result, head: Result, *, is_paired: bool, **limits: Any) -> Gate:
    """The verdict on two records, measured in turns or not."""
    return paired([base], [head], **limits) if is_paired else judged(base, head, **limits)


@pytest.mark.parametrize("is_paired", [False, True])
@pytest.mark.parametrize("metric", FIGURES)
def test_both_directions(metric: str, is_paired: bool) -> None:
    """Beyond its limit, 10 % in pairs and 30 % between files, a figure has regressed or improved; within it is ok."""
    made, _, worse = FIGURES[metric]
    limit = 0.1 if is_paired else 0.3
    base = 20.0
    for factor, status in (
        ((1 + limit) * 1.01, "regressed"),
        ((1 + limit) * 0.99, "ok"),
        (1.0, "ok"),
        (1.01 / (1 + limit), "ok"),
        (0.99 / (1 + limit), "improved"),
    ):
        finding = the(compared(made(base), made(base * factor**worse), is_paired=is_paired), metric)
        assert (finding.status, finding.limit) == (status, limit)
        assert finding.effect == pytest.approx(factor**worse - 1)
        assert finding.base == base


@pytest.mark.parametrize("is_paired", [False, True])
@pytest.mark.parametrize("metric", FIGURES)
def test_its_limit_can_be_set(metric: str, is_paired: bool) -> None:
    """Each has a limit of its own for pairs and for files, by name, and no other moves it."""
    made, name, worse = FIGURES[metric]
    base, head = made(20.0), made(20.0 * 1.5**worse)
    names = (name, f"{name}_unpaired")[:: -1 if is_paired else 1]
    for changed, status in ((names[1], "ok"), (names[0], "regressed")):
        found = compared(base, head, is_paired=is_paired, **{changed: 0.6})
        assert the(found, metric).status == status


@pytest.mark.parametrize("metric", FIGURES)
def test_a_figure_that_a_side_lacks(metric: str) -> None:
    """In base alone it is not measured, which can't tell; in head alone it is new; on neither side nothing is found."""
    made, _, _ = FIGURES[metric]
    there, missing = made(20.0), made(None)
    found = the(judged(there, missing), metric)
    assert (found.status, found.head) == ("not measured", None)
    assert ("not asked" if metric != "core_s" else "no finished round") in str(found.because)
    assert judged(there, missing).exit_code == 3
    assert the(judged(missing, there), metric).status == "new"
    assert metric not in {finding.metric for finding in judged(missing, missing).findings}


@pytest.mark.parametrize("metric", [name for name in FIGURES if name != "core_s"])
def test_a_figure_that_is_unfit(metric: str) -> None:
    """Spoilt on one side it is not measured, with whose and why, however large it is; on both sides a note says so."""
    made, _, worse = FIGURES[metric]
    good, spoilt = made(20.0), made(20.0 * 3.0**worse, "another process")
    for base, head, whose in ((good, spoilt, "head"), (spoilt, good, "base")):
        found = judged(base, head)
        assert the(found, metric).status == "not measured"
        assert the(found, metric).because == f"{whose}'s is not fit for comparison: another process"
        assert found.exit_code == 3
    found = judged(spoilt, spoilt)
    assert statuses(found) == {}
    assert any(f"not compared: mnist-lenet5 {metric}: it is fit" in note for note in found.notes)


@pytest.mark.parametrize("metric", FIGURES)
@pytest.mark.parametrize("value", [1e30, -1.0])
def test_a_value_that_no_measurement_gives(metric: str, value: float) -> None:
    """A figure beyond all bounds, of a damaged file, is not compared."""
    made, _, _ = FIGURES[metric]
    try:
        head = made(value)
    except ValueError:
        return  # the record refuses it
    found = the(judged(made(20.0), head), metric)
    assert found.status == "not measured"
    assert "no measurement gives such a value" in str(found.because)


@pytest.mark.parametrize(
    ("base", "head", "status"), [(0.02, 0.06, "ok"), (0.06, 0.02, "ok"), (0.02, 0.08, "regressed")]
)
def test_ticks_of_the_clock(base: float, head: float, status: Status) -> None:
    """Less than five ticks of the clock are no change of core-seconds, whatever their ratio."""
    assert the(judged(of_core_s(base), of_core_s(head)), "core_s").status == status
