"""What a second measurement makes of what the first one found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.gate.confirmation import confirmed, to_confirm
from nets.gate.findings import Finding, Status
from nets.gate.levels import LOOKS, Stage, looks, share
from nets.gate.limits import Limits
from nets.records.cell import Cpu, Outcome, Result
from tests.support.gating import accurate, in_turns, judged, run, statuses, the, timed
from tests.support.records import one_round, record


def twice(first: float, second: float, n: int = 8) -> Status:
    """The status of a cell whose head took so much longer, first and when it was measured again."""
    base = in_turns(timed([1.0] * n))
    return the(judged(base, in_turns(timed([first] * n), again=[timed([second] * n)])), "total_s").status


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (1.1, 1.1, "regressed"),
        (1.1, 1.0, "ok"),
        (1.1, 0.9, "ok"),
        (0.9, 0.9, "improved"),
        (0.9, 1.1, "ok"),
        (1.0, 1.1, "ok"),
        (1.1, 1.025, "regressed"),
    ],
)
def test_both_have_to_say_so(first: float, second: float, status: Status) -> None:
    """A cell has changed if both measurements say so in the same direction; the second alone is not asked."""
    assert twice(first, second) == status


def test_what_is_told() -> None:
    """The effect and its p are the second measurement's, which was not chosen for being large; both are named."""
    base = in_turns(timed([1.0] * 8))
    found = the(judged(base, in_turns(timed([1.2] * 8), again=[timed([1.1] * 8)])), "total_s")
    assert found.effect == pytest.approx(0.1)
    assert "confirmed by a second measurement, of other data: 8 pairs" in str(found.because)
    assert "the first measurement: +20.0 %, 8 pairs" in str(found.because)
    chance = the(judged(base, in_turns(timed([1.2] * 8), again=[timed([1.0] * 8)])), "total_s")
    assert chance.effect == pytest.approx(0.0)
    assert "does not confirm the first" in str(chance.because)


def test_what_was_not_measured_again() -> None:
    """A first measurement alone blocks nothing, and can't pass: it is not enough data. It may praise."""
    base = in_turns(timed([1.0] * 8), again=[])
    slower = judged(base, in_turns(timed([1.1] * 8), again=[]))
    assert slower.exit_code == 3
    assert "it was not measured again" in str(the(slower, "total_s").because)
    faster = judged(base, in_turns(timed([0.9] * 8), again=[]))
    assert (the(faster, "total_s").status, faster.exit_code) == ("improved", 0)
    other = in_turns(timed([1.1] * 8)).confirmation
    assert other is not None
    unpaired = in_turns(timed([1.1] * 8), pairing=other.pairing.replace(id="b"))
    assert judged(run(timed([1.0] * 8)), unpaired).paired is False


def test_too_noisy_to_confirm() -> None:
    """A second measurement beyond the limit that is not sure leaves it open."""
    again = [timed([1.3, 0.9, 1.25, 0.85, 1.2, 1.2, 1.1, 0.95])]
    found = the(judged(in_turns(timed([1.0] * 8)), in_turns(timed([1.1] * 8), again=again)), "total_s")
    assert found.status == "not enough data"
    assert "could not confirm it: 8 pairs" in str(found.because)


@pytest.mark.parametrize(("again", "status"), [(0.93, "regressed"), (0.95, "ok"), (0.9449, "not enough data")])
def test_accuracy(again: float, status: Status) -> None:
    """A lost accuracy that rounds of the same seeds show has to be shown by others as well."""
    unsure = [0.95, 0.95, 0.95, 0.91, 0.95, 0.95, 0.95]
    second = unsure if again == 0.9449 else [again] * 7
    base = in_turns(accurate(*[0.95] * 7))
    found = judged(base, in_turns(accurate(*[0.93] * 7), again=[accurate(*second)]))
    assert the(found, "accuracy").status == status


def test_a_loss_that_is_not_finite_needs_no_second_measurement() -> None:
    """A training that diverged has regressed, whatever other seeds do."""
    rounds = tuple(one_round(seed=i, train_loss=(None if i == 3 else 0.5,)) for i in range(8))
    head = record(rounds=rounds)
    found = judged(in_turns(record(rounds=tuple(one_round(seed=i) for i in range(8)))), in_turns(head, again=[]))
    assert statuses(found)["accuracy"] == "regressed"


def test_what_fails_in_the_second_measurement_alone() -> None:
    """A cell that breaks off, or diverges, in the second measurement alone has regressed; chance makes neither."""
    base = in_turns(timed([1.0] * 8))
    broken = timed([1.1] * 3, outcome=Outcome(status="error", failures=("CUDA error",)))
    found = judged(base, in_turns(timed([1.1] * 8), again=[broken]))
    assert (the(found, "outcome").status, found.exit_code) == ("regressed", 1)
    assert the(found, "outcome").because == "in the second measurement: CUDA error"
    diverged = timed([1.1] * 8).replace(rounds=tuple(one_round(seed=i, train_loss=(None,)) for i in range(8)))
    found = judged(base, in_turns(timed([1.1] * 8), again=[diverged]))
    assert (the(found, "accuracy").status, found.exit_code) == ("regressed", 1)
    assert "in the second measurement" in str(the(found, "accuracy").because)


def test_figures() -> None:
    """A figure that a record holds once is held to its limit in both measurements."""

    def using(core_s: float) -> Result:
        return timed([1.0] * 8, cpu=Cpu(core_s=core_s, rss_peak_bytes=10**8))

    base = in_turns(using(8.0))
    assert statuses(judged(base, in_turns(using(10.0)))) == {"core_s": "regressed"}
    assert statuses(judged(base, in_turns(using(10.0), again=[using(8.0)]))) == {}
    assert to_confirm(base, in_turns(using(10.0)), Limits()) == (record().id,)
    assert to_confirm(base, in_turns(using(8.0)), Limits()) == ()


@given(st.sampled_from(["screen", "confirmation"]), st.integers(1, 300))
def test_looks(stage: Stage, most: int) -> None:
    """Looks rise up to the last sitting, and those of the confirmation share its level, whatever the last one is."""
    at = looks(stage, most)
    assert list(at) == sorted(set(at))
    assert at[-1] == most
    assert set(at[:-1]) <= set(LOOKS[stage])
    if stage == "confirmation":
        assert sum(share(stage, n) for n in at) <= 1


@given(st.sampled_from(["ok", "regressed", "improved", "not enough data"]), st.sampled_from(["ok", "regressed"]))
def test_a_second_measurement_makes_nothing_worse(first: Status, second: Status) -> None:
    """What the first one did not find changed stays as it is, whatever the second one says."""
    found = Finding(cell="a", metric="total_s", status=first)
    after = confirmed(found, {"total_s": Finding(cell="a", metric="total_s", status=second)})
    assert (after.status == "regressed") == (first == second == "regressed")
    if first in ("ok", "not enough data"):
        assert after == found
