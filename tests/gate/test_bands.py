"""Whose band judges head's accuracy: base's, for as many rounds as head has, unless bands may differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.gate.bands import band_for
from nets.gate.findings import Finding, Status
from nets.gate.limits import Limits
from nets.records.cell import Accuracy, BandVerdict, Result
from nets.records.versions import Versions
from nets.stats.inference import prediction_interval, prediction_interval_of_others
from nets.verdicts.bands import band_verdict
from tests.support.gating import accurate, banded, judged, run, the
from tests.support.records import one_round

REFERENCE = (0.50, 0.51, 0.52, 0.53, 0.54)


def measured(reference: tuple[float, ...], *accuracies: float) -> Result:
    """A cell of such rounds, with the band of its reference runs."""
    band = band_verdict(Accuracy.of(accuracies), len(accuracies), diverged=False, reference=reference)
    return accurate(*accuracies, band=band, band_missing_because=None)


def of_accuracy(base: Result, head: Result, **limits: object) -> Finding:
    """What is found of head's accuracy."""
    return the(judged(base, head, **limits), "accuracy")


def test_a_change_can_not_widen_its_own_band() -> None:
    """What is below base's band has regressed, though it is inside head's own, which is named, as is what allows it."""
    head = banded("inside", low=0.5, high=0.9)
    found = of_accuracy(banded("inside"), head)
    assert found.status == "regressed"
    assert found.because == (
        "below base's band 0.9600–0.9900 of 20 reference runs: training is broken; "
        "inside its own band 0.5000–0.9000 of 20 reference runs; "
        "if the bands were changed on purpose, --allow bands judges by head's"
    )
    allowed = of_accuracy(banded("inside"), head, allow=("bands",))
    assert allowed.status == "ok"
    assert allowed.because == (
        "inside head's own band 0.5000–0.9000 of 20 reference runs; "
        "below base's band 0.9600–0.9900 of 20 reference runs"
    )


def test_nor_narrow_it_unnoticed() -> None:
    """What is inside base's band passes, and head's own that says otherwise is named."""
    found = of_accuracy(banded("inside"), banded("below", low=0.99, high=0.995))
    assert found.status == "ok"
    assert "inside base's band" in str(found.because)
    assert "below its own band 0.9900–0.9950" in str(found.because)


def test_a_band_that_was_taken_out() -> None:
    """Without its band head is held against base's all the same."""
    head = accurate(0.9, 0.901, 0.902, band_missing_because="there is no bands.toml beside the test")
    found = of_accuracy(banded("inside"), head)
    assert found.status == "regressed"
    assert "training is broken; head has no band" in str(found.because)


def test_a_band_that_is_new() -> None:
    """Where base has none head's own judges, and that is said."""
    for verdict, status in (("inside", "ok"), ("below", "regressed")):
        found = of_accuracy(accurate(0.97, 0.975), banded(verdict))  # type: ignore[arg-type]  # both are verdicts
        assert found.status == status
        assert "its band 0.9600–0.9900 of 20 reference runs" in str(found.because)
        assert "base has no band" in str(found.because)


@pytest.mark.parametrize("is_comparable", [True, False])
@pytest.mark.parametrize("verdict", ["inside", "below", "above", "diverged"])
def test_the_same_bands(verdict: BandVerdict, is_comparable: bool) -> None:
    """Where the bands are the same nothing is said of whose it is, comparable or not."""
    versions = Versions() if not is_comparable else run().versions
    found = the(judged(run(banded("inside")), run(banded(verdict), versions=versions)), "accuracy")
    assert found.status == ("ok" if verdict == "inside" else "regressed")
    assert "base's" not in str(found.because)
    assert "own" not in str(found.because)


def test_another_torch_spares_nothing() -> None:
    """Base's band judges where nothing else may be compared, too: a band needs no base of the same versions."""
    wide = banded("inside", low=0.5, high=0.9)
    found = judged(run(banded("inside")), run(wide, versions=Versions(torch="1")))
    assert the(found, "accuracy").status == "regressed"


def test_another_protocol_has_its_own_band() -> None:
    """Base's band says nothing of a protocol that base was not run under."""
    head = banded("inside", low=0.5, high=0.9)
    head = head.replace(protocol=head.protocol.changed(epochs=9))
    assert of_accuracy(banded("inside"), head).status == "ok"


@pytest.mark.parametrize(("n_base", "n_head"), [(3, 3), (3, 9), (9, 3)])
def test_another_number_of_rounds(n_base: int, n_head: int) -> None:
    """The same bands file judges any number of rounds alike, by base's band for as many as head has."""
    base = measured(REFERENCE, *(0.52 + 1e-4 * i for i in range(n_base)))
    head = measured(REFERENCE, *(0.52 + 1e-4 * i for i in range(n_head)))
    held = band_for(base, head, Limits())
    assert held.band is not None
    assert head.band is not None
    assert (held.band.low, held.band.high) == pytest.approx((head.band.low, head.band.high))
    assert (held.whose, held.note) == ("its", "")


def test_a_band_that_was_cut() -> None:
    """For more rounds a cut band judges as it is; for fewer there is none, and head is held against base by a test.

    For as many it judges as any other.
    """
    reference = (0.97, 0.98, 0.985, 0.99, 0.999)
    nine, three = (measured(reference, *(0.98 + 1e-4 * i for i in range(n))) for n in (9, 3))
    assert nine.band is not None
    assert nine.band.high == 1
    assert band_for(nine, nine, Limits()).band == nine.band
    more = band_for(three, nine, Limits()).band
    assert more is not None
    assert three.band is not None
    assert (more.low, more.high) == (three.band.low, three.band.high)
    worse = measured(reference, 0.900, 0.901, 0.902)
    for head, status in ((three, "ok"), (worse, "regressed")):
        found = of_accuracy(nine, head)
        assert found.status == status
        assert "it has no band: base's band is cut at 0 or 1, and can't be told for 3 rounds, and it is for 9" in str(
            found.because
        )


@given(
    st.lists(st.floats(0.4, 0.6), min_size=3, max_size=30),
    st.integers(1, 60),
    st.integers(1, 60),
    st.floats(0.001, 0.2),
)
def test_the_interval_of_others(reference: list[float], n_rounds: int, n_others: int, alpha: float) -> None:
    """For another number of rounds the interval is that of the reference runs; one that was cut is no narrower."""
    there = prediction_interval(reference, n_rounds, alpha)
    found = prediction_interval_of_others(*there, len(reference), n_rounds, n_others)
    expected = prediction_interval(reference, n_others, alpha)
    if 0 < there[0] <= there[1] < 1 or n_others == n_rounds:
        assert found == pytest.approx(expected, abs=1e-9)
    elif found is not None:
        assert found[0] <= expected[0] + 1e-9
        assert expected[1] <= found[1] + 1e-9
        assert n_others > n_rounds


@pytest.mark.parametrize("n", [0, -1])
def test_a_damaged_band(n: int) -> None:
    """A band of no reference run tells nothing for another number of rounds."""
    assert prediction_interval_of_others(0.4, 0.6, n, 3, 4) is None
    assert prediction_interval_of_others(0.4, 0.6, 5, 0, 4) is None


def test_rounds_that_diverged() -> None:
    """A loss that is not finite is caught by base's band, too, wherever the accuracy lies."""
    head = banded("inside", low=0.5).replace(rounds=(one_round(accuracy=0.97, loss=None),))
    status: Status = "regressed"
    assert of_accuracy(banded("inside"), head).status == status
