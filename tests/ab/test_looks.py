"""When `nets ab` looks and what it concludes, in each of its stages and in both."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import ab_error_rates
from studies.ab_error_rates import compared, ends, smallest_caught

from nets.ab.looks import Plan, TooFewSittings, plan
from nets.errors import Exit
from nets.gate.levels import Stage
from nets.gate.limits import Limits
from tests.support.suite import REPOSITORY

LIMITS = Limits()
LIVE = REPOSITORY / "studies" / "data" / "ab-live.jsonl"
STAGES: tuple[Stage, ...] = ("screen", "confirmation")
ratios = st.lists(st.floats(-0.5, 0.5), min_size=5, max_size=30)


@settings(deadline=None)
@given(st.sampled_from(STAGES), st.integers(1, 40), st.integers(5, 300))
def test_every_look_can_decide(stage: Stage, n_cells: int, max_sittings: int) -> None:
    """Looks rise to the last sitting, and each can find the clearest change."""
    try:
        made = plan(stage, n_cells, max_sittings, LIMITS)
    except TooFewSittings:
        assert 2.0**-max_sittings > Plan(stage, (), n_cells, LIMITS).level(max_sittings)
        return
    assert list(made.looks) == sorted(set(made.looks))
    assert made.looks[-1] == max_sittings
    for n in made.looks:
        assert made.verdict([0.2] * n)[0] == "slower"
        assert made.verdict([-0.2] * n)[0] == "faster"


def test_too_few_sittings() -> None:
    """A plan that could decide nothing is refused, with the number that it takes."""
    with pytest.raises(TooFewSittings, match="6 sittings can't decide 10 cells: it takes at least 10"):
        plan("confirmation", 10, 6, LIMITS)


@given(st.sampled_from(STAGES), ratios)
def test_exchanged_sides(stage: Stage, log_ratios: list[float]) -> None:
    """Exchanging base and head exchanges slower and faster."""
    made = Plan(stage, (len(log_ratios),), 1, LIMITS)
    exchanged = {"slower": "faster", "faster": "slower", "the same": "the same", "open": "open"}
    assert made.verdict([-x for x in log_ratios])[0] == exchanged[made.verdict(log_ratios)[0]]


def test_the_same() -> None:
    """Sittings that differ by far less than the limit are the same; ones that scatter about it stay open at first."""
    made = plan("screen", 1, 48, LIMITS)
    assert made.verdict([0.001, -0.001] * 3)[0] == "the same"
    assert made.verdict([math.log(1.01)] * 6)[0] == "the same"
    assert made.verdict([0.2, -0.2] * 4)[0] == "open"
    assert made.verdict([0.03, -0.03] * 4)[0] == "open"
    assert made.verdict([0.03, -0.03] * 6)[0] == "the same"  # an effect of 0 after twelve, within three limits
    assert made.verdict([0.2, -0.2] * 6)[0] == "open"  # which may hide a tenth
    assert made.verdict([0.3, -0.2] * 6)[0] == "open"


def normal(sd: float) -> ab_error_rates.Draw:
    """Noise of a sitting."""
    return lambda rng: rng.gauss(0, sd)


@pytest.mark.parametrize("n_cells", [1, 5])
def test_false_alarms(n_cells: int) -> None:
    """A revision against itself, whatever the noise: next to none is called slower, and few stay open.

    A limit of next to nothing leaves the tests alone to hold the rate: 2.5 % a look, and then 2 %.
    """
    found = ends(normal(0.03), [0.0] * n_cells, Limits(time=1e-9), 100)
    assert sum(end.exit_code == Exit.REGRESSED for end in found) <= 2
    assert any(end.n_confirmation for end in found)  # the screen must be able to err
    found = ends(normal(0.05), [0.0] * n_cells, LIMITS, 100)
    assert sum(end.exit_code == Exit.REGRESSED for end in found) <= 1
    assert sum(end.exit_code == Exit.CANT_TELL for end in found) <= 5


def test_what_is_slower_is_found() -> None:
    """A tenth is found under a noise of a twentieth, among others too, in a dozen sittings or two."""
    found = ends(normal(0.05), [0.1, 0.0], LIMITS, 50)
    assert {end.exit_code for end in found} == {Exit.REGRESSED}
    assert all(end.n_confirmation >= 7 for end in found)


def test_what_is_faster_fails_nothing() -> None:
    """An improvement is measured again, and passes."""
    found = ends(normal(0.01), [-0.1], LIMITS, 20)
    assert {end.exit_code for end in found} == {Exit.FINE}
    assert all(end.n_confirmation for end in found)


def test_smallest_slowdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies above the limit, and grows with noise; without noise it is the limit itself."""
    monkeypatch.setattr(ab_error_rates, "N_DRAWS", 20)
    quiet, louder, loudest = (smallest_caught(normal(sd), LIMITS) for sd in (0.0, 0.02, 0.1))
    assert quiet == pytest.approx(LIMITS.time, abs=2e-3)
    assert quiet < louder < loudest


def test_noise_that_never_decides() -> None:
    """Where the last sitting leaves a cell beyond the limit and unsure, nothing is said of it."""
    values = iter([0.3, -0.2] * 200)
    assert compared(random.Random(0), lambda _: next(values), [0.0], LIMITS).exit_code == Exit.CANT_TELL


def test_rate() -> None:
    """A rate is told with its exact interval: 0 of 30 leaves up to 11.6 %."""
    assert ab_error_rates.rate(0, 30) == "0 of 30: 0.0 % (0.0–11.6)"


def test_the_page_has_the_live_runs() -> None:
    """Its table of live runs is the file's, to the letter."""
    runs = [json.loads(line) for line in LIVE.read_text(encoding="utf-8").splitlines()]
    assert "\n".join(ab_error_rates.live(runs)) in (REPOSITORY / "docs" / "gate.md").read_text(encoding="utf-8")


def test_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables are made from the recorded runs, a row a planted slowdown."""
    for name, n in (("N_COMPARISONS", 2), ("N_DRAWS", 2), ("MAX_SITTINGS", 12)):
        monkeypatch.setattr(ab_error_rates, name, n)
    monkeypatch.setattr(ab_error_rates, "NOISES", (0.01,))
    monkeypatch.setattr(ab_error_rates, "LIMITS", (0.02,))
    lines = list(ab_error_rates.tables(LIVE))
    tables = [part.splitlines()[2:] for part in "\n".join(lines).split("\n\n")]
    assert tables[0][0].startswith("| a made cell | 0 % | ")
    n_noises, n_cells = 5, 2
    assert [len(rows) for rows in tables[1:]] == [n_noises * n_cells * len(ab_error_rates.EFFECTS), 1, n_noises]
