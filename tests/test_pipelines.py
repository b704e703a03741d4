"""The two pipelines: the same training, handed out in different ways."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean, variance

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nets import datasets
from nets.cells import Cell, UnknownName, protocol_for
from nets.datasets import Split
from nets.measure import CellRun
from nets.models import MODELS
from nets.pipelines import PIPELINES, Loaders, ResidentBatches, pipeline

CPU = torch.device("cpu")


def numbered(n: int) -> Split:
    """Images that are their own numbers."""
    return Split(torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1), torch.arange(n))


@given(st.integers(1, 50), st.integers(1, 60), st.booleans())
def test_batches(n: int, batch_size: int, shuffle: bool) -> None:
    """Every image comes once an epoch with its own label, the short batch last; the length is the number of batches."""
    loader = ResidentBatches(numbered(n), batch_size, shuffle=shuffle)
    batches = list(loader)
    assert len(batches) == len(loader) == math.ceil(n / batch_size)
    assert [len(labels) for _, labels in batches[:-1]] == [batch_size] * (len(batches) - 1)
    labels = torch.cat([labels for _, labels in batches])
    assert torch.equal(torch.cat([images for images, _ in batches]).flatten().long(), labels)
    assert sorted(labels.tolist()) == list(range(n))
    if not shuffle:
        assert labels.tolist() == list(range(n))


def test_every_epoch_is_a_fresh_permutation() -> None:
    """Each image is as likely in every place: over 2,000 epochs of six, each of 36 frequencies is near 1/6."""
    torch.manual_seed(0)
    loader = ResidentBatches(numbered(6), 6, shuffle=True)
    counts = torch.zeros(6, 6)
    for _ in range(2_000):
        ((_, labels),) = loader
        counts[torch.arange(6), labels] += 1
    assert (counts / 2_000 - 1 / 6).abs().max() < 5 * math.sqrt(1 / 6 * 5 / 6 / 2_000)


@pytest.mark.parametrize(("dataset", "model"), [("digits", "snn500"), ("digits", "lenet5"), ("shapes", "cnn3l")])
def test_one_epoch_gives_the_same_network(dataset: str, model: str) -> None:
    """From the same weights, over the same batches, both pipelines arrive at the same weights, loss and accuracy.

    In float64, so that a difference would be one of the loops and not of rounding.
    """
    data = datasets.load(dataset, Path())
    protocol = protocol_for("quick", dataset)
    images, labels = data.on(CPU)[0].images[:500].double(), data.train.labels[:500]
    batches = ResidentBatches(Split(images, labels), protocol.batch_size, shuffle=False)
    found = {}
    for name, way in PIPELINES.items():
        torch.manual_seed(3)
        network = way.place(MODELS[model](data.image_shape, 10).double(), CPU)
        trainer = way.trainer(network, Loaders(batches, batches), protocol, CPU)
        trained, tested = trainer.train(), trainer.evaluate()
        found[name] = (trained, tested, torch.cat([p.detach().flatten() for p in network.parameters()]))
    (a_trained, a_tested, a_weights), (r_trained, r_tested, r_weights) = found["article"], found["resident"]
    assert a_trained.loss == pytest.approx(r_trained.loss, rel=1e-9)
    assert a_trained.accuracy == r_trained.accuracy
    assert a_tested.loss == pytest.approx(r_tested.loss, rel=1e-9)
    assert a_tested.accuracy == r_tested.accuracy
    torch.testing.assert_close(a_weights, r_weights, rtol=1e-6, atol=1e-9)


def test_both_give_the_same_distribution() -> None:
    """Over 12 seeds each, the pipelines' accuracies on digits differ by no more than chance (Welch's t below 3.5)."""
    cell = Cell("digits", "snn500")
    data = datasets.load("digits", Path())
    protocol = protocol_for("quick", "digits").changed(epochs=2)
    accuracies: dict[str, list[float]] = {}
    for offset, (name, way) in enumerate(PIPELINES.items()):
        run = CellRun(cell, protocol.repeated(seed=100 * offset), way, data, way.loaders(data, protocol, CPU), CPU)
        accuracies[name] = [run.round().accuracy for _ in range(12)]
    a, b = accuracies.values()
    t = (fmean(a) - fmean(b)) / math.sqrt(variance(a) / 12 + variance(b) / 12)
    assert abs(t) < 3.5
    assert fmean(a) > 0.85


def test_unknown_pipeline() -> None:
    """An unknown pipeline is refused, with the known ones."""
    with pytest.raises(UnknownName, match="unknown pipeline 'fast'; known: resident, article"):
        pipeline("fast")
