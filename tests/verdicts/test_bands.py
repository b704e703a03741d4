"""Accuracy bands: the prediction interval, its verdicts, and the bands that are shipped."""

from __future__ import annotations

import random
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nets.cells.catalog import CELLS, protocol_for
from nets.errors import Unusable
from nets.records.cell import Accuracy
from nets.stats import inference
from nets.verdicts import bands
from tests.support.suite import REPOSITORY

ACCURACIES = st.lists(st.integers(0, 10_000).map(lambda n: n / 10_000), min_size=2, max_size=40)


def test_known_interval() -> None:
    """The textbook's formula: mean 0.5, s 0.1, n 4, R 1, t(0.975, 3) = 3.182446."""
    reference = [0.5 - 0.0866025403784, 0.5 - 0.0866025403784, 0.5 + 0.0866025403784, 0.5 + 0.0866025403784]
    low, high = inference.prediction_interval(reference, 1, alpha=0.05)
    half = 3.182446305 * 0.1 * (1 / 4 + 1) ** 0.5
    assert low == pytest.approx(0.5 - half)
    assert high == pytest.approx(0.5 + half)


@given(ACCURACIES, st.integers(1, 20))
def test_interval_properties(reference: list[float], n_rounds: int) -> None:
    """The interval holds the references' mean, lies in [0, 1], and narrows with more rounds and a larger alpha."""
    low, high = inference.prediction_interval(reference, n_rounds)
    assert 0 <= low <= fmean(reference) + 1e-12
    assert fmean(reference) - 1e-12 <= high <= 1
    for narrow in (
        inference.prediction_interval(reference, n_rounds + 1),
        inference.prediction_interval(reference, n_rounds, alpha=0.01),
    ):
        assert low <= narrow[0]
        assert narrow[1] <= high


@given(ACCURACIES, ACCURACIES)
def test_verdict(reference: list[float], new: list[float]) -> None:
    """The verdict is what the interval says, and divergence outweighs it."""
    accuracy = Accuracy.of(new)
    assume(len(set(reference)) > 1)
    band = bands.band_verdict(accuracy, len(new), diverged=False, reference=reference)
    expected = "below" if accuracy.mean < band.low else "above" if accuracy.mean > band.high else "inside"
    assert band.verdict == expected
    assert bands.band_verdict(accuracy, len(new), diverged=True, reference=reference).verdict == "diverged"


def test_false_alarms() -> None:
    """Simulated normal accuracies leave the band about as often as alpha says: 5 % here."""
    rng = random.Random(1)
    alarms, runs = 0, 4_000
    for _ in range(runs):
        reference = [rng.gauss(0.5, 0.01) for _ in range(20)]
        low, high = inference.prediction_interval(reference, 3, alpha=0.05)
        alarms += not low <= fmean(rng.gauss(0.5, 0.01) for _ in range(3)) <= high
    assert 0.04 < alarms / runs < 0.06


def test_shipped_bands() -> None:
    """Every cell has at least 20 reference runs under `quick`, the article's five at least 7 under `article`."""
    known = bands.read_bands(REPOSITORY / "benchmarks" / "bands.toml")
    for cell in CELLS:
        assert len(known.accuracies(cell.id, protocol_for("quick", cell.dataset))) >= 20
        if cell.published is not None:
            assert len(known.accuracies(cell.id, protocol_for("article", cell.dataset))) >= 7


def test_bands_and_runs_share_no_seed() -> None:
    """A run with the default seeds is never judged by itself."""
    known = bands.read_bands(REPOSITORY / "benchmarks" / "bands.toml")
    defaults = set(range(1_000))  # the largest --rounds from the default seed on
    assert not any(defaults & set(runs.seeds) for runs in known.runs)


def test_the_article_s_accuracies_lie_in_the_bands() -> None:
    """What the article printed is inside our band for 3 rounds, so that the same protocol was reproduced."""
    known = bands.read_bands(REPOSITORY / "benchmarks" / "bands.toml")
    for cell in CELLS:
        if cell.published is not None:
            reference = known.accuracies(cell.id, protocol_for("article", cell.dataset))
            low, high = inference.prediction_interval(reference, 3)
            assert low <= cell.published.accuracy <= high


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = 2", r"bands.toml: field 'schema' is 2; this version of nets reads 1$"),
        ("schema = '2'", "field 'schema': "),
        ("schema = [", "bands.toml: "),
        ("schema = 1\n[[runs]]\ncell = 'mnist-snn500'", r"field 'runs\.0\.protocol'"),
        ("runs = []", "field 'schema'"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, message: str) -> None:
    """A malformed bands file is refused, naming the field."""
    path = tmp_path / "bands.toml"
    path.write_text(text)
    with pytest.raises(Unusable, match=message):
        bands.read_bands(path)


@pytest.mark.parametrize(
    ("seeds", "accuracies", "message"),
    [
        ("[1, 2]", "[0.5]", "2 seeds, but 1 accuracies"),
        ("[1, 1]", "[0.5, 0.6]", "seed occurs twice"),
        ("[1]", "[1.5]", "outside"),
    ],
)
def test_runs_that_make_no_sense(tmp_path: Path, seeds: str, accuracies: str, message: str) -> None:
    """Runs without their seeds, with one twice, or with an impossible accuracy are refused."""
    path = tmp_path / "bands.toml"
    path.write_text(
        "schema = 1\n[[runs]]\ncell = 'c'\nprotocol = 'quick'\nepochs = 1\nbatch_size = 1\nlr = 0.1\nsource = 's'\n"
        f"pipeline = 'p'\ntorch = 't'\ndevice = 'd'\nseeds = {seeds}\naccuracies = {accuracies}\n"
    )
    with pytest.raises(Unusable, match=message):
        bands.read_bands(path)
