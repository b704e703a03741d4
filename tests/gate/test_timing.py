"""Base and head times -> findings: paired and unpaired, and properties of the whole gate."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nets.gate.confirmation import to_confirm
from nets.gate.findings import Finding, Status
from nets.gate.limits import Limits
from nets.records.cell import Accuracy
from nets.records.run import Pairing
from nets.stats.inference import holm, sign_flip
from tests.support.gating import (
    PAIRING,
    in_turns,
    judged,
    paired,
    run,
    statuses,
    the,
    timed,
)
from tests.support.records import EXECUTION, one_round, record


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


def test_an_unpaired_time_that_scatter_may_have_made() -> None:
    """Beyond the limit, a few rounds that scatter widely are told from those that don't: their interval holds 0."""
    scattered = the(judged(timed([1.0, 3.0]), timed([1.6, 5.0])), "total_s")
    assert (scattered.status, "interval holds 0" in str(scattered.because)) == ("regressed", True)
    for head in ([1.6, 1.61], [1.6]):
        clear = the(judged(timed([1.0, 1.01]), timed(head)), "total_s")
        assert (clear.status, clear.because) == ("regressed", None)


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


@pytest.mark.parametrize(("n", "n_cells"), [(7, 1), (10, 4), (14, 10)])
def test_a_small_regression_among_cells(n: int, n_cells: int) -> None:
    """Pairs find 5 % under a drift of 30 % that hides it from unpaired files, among as many cells as can be decided."""
    sides = [noisy(i, n, 1.05 if i == 0 else 1.0) for i in range(n_cells)]
    base, head = ([timed(side[k], model=f"m{i}") for i, side in enumerate(sides)] for k in (0, 1))
    found = paired(base, head)
    totals = {finding.cell: finding for finding in found.findings if finding.metric == "total_s"}
    assert totals["mnist-m0"].status == "regressed"
    assert totals["mnist-m0"].effect == pytest.approx(0.05, abs=0.02)
    assert f"confirmed by a second measurement, of other data: {n} pairs" in str(totals["mnist-m0"].because)
    assert {finding.status for cell, finding in totals.items() if cell != "mnist-m0"} <= {"ok"}
    assert judged(run(*base), run(*head)).exit_code == 0


def test_a_small_improvement() -> None:
    """Pairs find 5 % less time as well, and its p is that of the faster side."""
    base, head = noisy(1, 7, 1 / 1.05)
    finding = the(paired([timed(base)], [timed(head)]), "total_s")
    assert (finding.status, finding.p) == ("improved", 2**-6)  # half of the level is the first look's


@pytest.mark.parametrize("n", [4, 5])
def test_too_few_pairs(n: int) -> None:
    """Where no difference could be significant the answer is not enough data, with the number that it takes."""
    base = [timed([2.0] * n)]
    found = paired(base, base)
    assert {finding.status for finding in found.findings if finding.metric == "total_s"} == {"not enough data"}
    assert found.exit_code == 3
    assert "at least" in str(found.with_status("not enough data")[0].because)
    beyond = paired(base, [timed([4.0] * n)])  # the limit of unpaired files, which asks for a confirmation, by a test
    assert the(beyond, "total_s").status == "not enough data"
    assert to_confirm(in_turns(*base), in_turns(timed([4.0] * n)), Limits()) == (base[0].id,)


@pytest.mark.parametrize(("n", "n_cells", "status"), [(6, 1, "not enough data"), (7, 1, "regressed")])
def test_too_few_pairs_to_confirm(n: int, n_cells: int, status: Status) -> None:
    """What the screen finds with fewer pairs than the confirmation needs to be sure is not enough data."""
    base, head = ([timed([s] * 8, model=f"m{i}") for i in range(n_cells)] for s in (1.0, 1.1))
    again = ([timed([s] * n, model=f"m{i}") for i in range(n_cells)] for s in (1.0, 1.1))
    sides = (in_turns(*side, again=second) for side, second in zip((base, head), again, strict=True))
    assert the(judged(*sides), "total_s").status == status


def test_more_pairs_can_be_demanded() -> None:
    """`min_pairs` above five holds."""
    assert paired([timed([2.0] * 7)], [timed([2.0] * 7)], min_pairs=8).exit_code == 3


def test_too_noisy() -> None:
    """An effect beyond the limit that the test does not confirm is not enough data, nor is one that may be far beyond.

    A tiny sure one is ok.
    """
    loud = paired([timed([1.0] * 6)], [timed([1.3, 0.9, 1.25, 0.85, 1.2, 1.2])])
    assert the(loud, "total_s").status == "not enough data"
    assert "too noisy" in str(the(loud, "total_s").because)
    wide = the(paired([timed([1.0] * 8)], [timed([1.2, 0.82, 1.21, 0.83, 1.22, 0.84, 1.23, 0.81])]), "total_s")
    assert wide.status == "not enough data"
    assert "too noisy to rule out 6 %" in str(wide.because)
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
    assert "no sitting is whole" in str(finding.because)


def test_sittings() -> None:
    """Rounds of the same processes count once: eight sittings of three decide, two of twelve don't."""

    def sat(n_rounds: int) -> Finding:
        pairing = Pairing(id="a", rounds=n_rounds, looks=1)
        sides = (in_turns(timed([s] * 24), pairing=pairing) for s in (1.0, 1.1))
        return the(judged(*sides), "total_s")

    assert sat(3).status == "regressed"
    assert "8 sittings" in str(sat(3).because)
    assert sat(12).status == "not enough data"
    assert "2 sittings are too few" in str(sat(12).because)


def test_a_sitting_that_lacks_rounds() -> None:
    """A sitting that one side lacks a round of is left out; the others stay as they are, matched by seed."""
    base = timed([1.0] * 21)
    head = timed([1.1] * 3 + [9.0] + [1.1] * 17)
    head = head.model_copy(update={"rounds": head.rounds[:4] + head.rounds[5:]})
    pairing = Pairing(id="a", rounds=3, looks=1)
    again = [timed([s] * 24) for s in (1.0, 1.1)]
    sides = (in_turns(each, again=[second], pairing=pairing) for each, second in zip((base, head), again, strict=True))
    finding = the(judged(*sides), "total_s")
    assert finding.status == "regressed"
    assert finding.effect == pytest.approx(0.1)
    assert "the first measurement: +10.0 %, 6 sittings" in str(finding.because)


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
EXCHANGED: dict[Status, tuple[Status, ...]] = {
    "regressed": ("improved", "incomparable"),  # the latter: too much faster to be believed
    "improved": ("regressed",),
    "incomparable": ("regressed",),
}


@settings(deadline=None)
@given(SECONDS, st.booleans())
def test_exchanged_sides(pairs: list[tuple[float, float]], is_paired: bool) -> None:
    """Exchanging base and head exchanges regressed and improved, and changes nothing else."""
    base, head = (in_turns(timed(s)) if is_paired else run(timed(s)) for s in zip(*pairs, strict=True))
    for metric in ("total_s", "train_s", "eval_s"):
        there, back = the(judged(base, head), metric).status, the(judged(head, base), metric).status
        assert back in EXCHANGED.get(there, (there,))


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
    """The gate itself, on 300 runs of one cell against itself, measured twice: next to none is called changed.

    Noise is far beyond the least effect; each measurement alone calls one in forty slower.
    """
    n, changed, screened = 300, 0, 0
    for i in range(n):
        base, head = noisy(i, 7, 1.0, noise=0.2)
        base_again, head_again = noisy(n + i, 7, 1.0, noise=0.2)
        sides = (in_turns(timed(base), again=[timed(base_again)]), in_turns(timed(head), again=[timed(head_again)]))
        changed += the(judged(*sides), "total_s").status in ("regressed", "improved")
        screened += bool(to_confirm(*sides, Limits()))
    assert changed <= 2
    assert screened > changed
