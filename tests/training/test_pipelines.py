"""The two pipelines: the same training, handed out in different ways."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean, variance

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nets.cells.catalog import Cell, protocol_for
from nets.datasets import data, load
from nets.datasets.data import DoesNotFit, Split, embedded
from nets.errors import UnknownName
from nets.networks.builtin import MODELS
from nets.training.eager import FusedAdam
from nets.training.pipelines import PIPELINES, pipeline_named
from nets.training.run import CellRun
from nets.training.trainer import Loaders, ResidentBatches

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
    data = load.load_data(dataset, Path())
    protocol = protocol_for("quick", dataset)
    n = min(500, 40 * protocol.batch_size)
    images, labels = data.on(CPU)[0].images[:n].double(), data.train.labels[:n]
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
    data = load.load_data("digits", Path())
    protocol = protocol_for("quick", "digits").changed(epochs=1, batch_size=50)
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
        pipeline_named("fast")


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize(("n", "batch_size"), [(30, 100), (30, 1), (1, 1), (7, 3)])
def test_batches_of_any_size(name: str, n: int, batch_size: int) -> None:
    """A batch larger than the set, of one image, and a short last one are trained on, every image counted once."""
    data = some_digits(n)
    protocol = protocol_for("quick", "digits").changed(batch_size=batch_size)
    way = PIPELINES[name]
    torch.manual_seed(0)
    loaders = way.loaders(data, protocol, CPU)
    trainer = way.trainer(way.place(MODELS["snn500"]((1, 28, 28), 10), CPU), loaders, protocol, CPU)
    passes = [trainer.train(), trainer.evaluate()]
    assert all(math.isfinite(each.loss) for each in passes)
    assert passes[0].accuracy * n == pytest.approx(round(passes[0].accuracy * n))
    assert passes[1].accuracy * 20 == pytest.approx(round(passes[1].accuracy * 20))


def some_digits(n: int) -> data.Data:
    """Digits with `n` training images and 20 test images."""
    data = load.load_data("digits", Path())
    train, test = (Split(s.images[:k], s.labels[:k]) for s, k in ((data.train, n), (data.test, 20)))
    return embedded("digits", train, test, class_names="0123456789", centred=False)


def test_an_empty_set_is_refused() -> None:
    """A data set without a training image is no data set."""
    with pytest.raises(data.DataError, match="digits: the training set is empty"):
        some_digits(0)


def test_a_set_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set larger than what the device has free is refused with both sizes, and one that fits is not."""
    data = load.load_data("digits", Path())
    needed = 4 * (data.train.images.numel() + data.test.images.numel()) + 5 * data.train.images.numel()
    monkeypatch.setattr("nets.datasets.data.free_bytes", lambda device: needed)
    data.on(CPU)
    monkeypatch.setattr("nets.datasets.data.free_bytes", lambda device: 2 * 2**20)
    with pytest.raises(DoesNotFit, match="takes 11 MiB as float32, and 2 MiB are free there"):
        data.on(CPU)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.float32, torch.float32),
        (torch.float32, torch.float64),
        (torch.complex64, torch.float32),
        (torch.complex64, torch.complex64),
    ],
)
def test_steps_are_those_of_torch_s_adam(first: torch.dtype, second: torch.dtype) -> None:
    """Weights of any two types go where torch's Adam takes them; one without a gradient is left alone."""
    torch.manual_seed(0)
    values = [torch.randn(3, dtype=first), torch.randn(3, dtype=second)]
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in values] for _ in range(2))
    adam, reference = FusedAdam(ours, lr=0.1), torch.optim.Adam(theirs, lr=0.1)
    for with_second in (True, False, True, True):
        for parameters, optimizer in ((ours, adam), (theirs, reference)):
            optimizer.zero_grad()
            losses = [(each - 3).abs().square().sum() for each in parameters]
            (losses[0] + (losses[1] if with_second else 0)).backward()
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
