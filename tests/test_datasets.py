"""The data sets: the same bytes everywhere, checked before they are read, never replaced by something else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nets import datasets
from nets.cells import UnknownName
from nets.datasets import DataError, DataMissing, Split, stored
from nets.datasets.digits import enlarge
from nets.pipelines import ArticlePipeline

SHA256 = {
    "digits": "2fe1b49f555a",
    "shapes": "2ff76b1b2d70",
    "mnist": "1e35582d42a9",
    "cifar10": "9048fcbac9c0",
}


def small_copy(root: Path, name: str, to: Path) -> Path:
    """A torchvision root of its own, with one data set's files, to be altered."""
    for file in stored.SOURCES[name].md5:
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, to / file)
    return to


@pytest.mark.parametrize(
    ("name", "shape", "n_train", "n_test"),
    [("digits", (1, 28, 28), 1_437, 360), ("shapes", (3, 32, 32), 5_000, 1_000)],
)
def test_embedded(name: str, shape: tuple[int, int, int], n_train: int, n_test: int) -> None:
    """The embedded sets have the shapes they promise, all classes in both splits, and the same bytes everywhere."""
    data = datasets.load(name, Path("nowhere"))
    assert (data.image_shape, len(data.train), len(data.test)) == (shape, n_train, n_test)
    for split in (data.train, data.test):
        counts = split.labels.bincount()
        assert len(counts) == 10
        assert counts.max() - counts.min() <= 0.1 * counts.max()
    assert data.sha256.startswith(SHA256[name])


def test_splits_share_no_image() -> None:
    """No test image of an embedded set is a training image."""
    for name in ("digits", "shapes"):
        data = datasets.load(name, Path("nowhere"))
        train = {image.numpy().tobytes() for image in data.train.images}
        assert not any(image.numpy().tobytes() in train for image in data.test.images)


@given(st.integers(0, 16))
@settings(max_examples=17, deadline=None)
def test_enlarging_keeps_a_flat_image(level: int) -> None:
    """Weights sum to one: a flat image stays flat, 0 becomes 0 and 16 becomes 255."""
    found = enlarge(np.full((1, 8, 8), level))
    assert found.shape == (1, 28, 28)
    assert (found == (level * 255 + 8) // 16).all()


def test_the_real_sets(data_root: Path) -> None:
    """MNIST and CIFAR-10 are whole and are what is published."""
    for name, shape, n_train in (("mnist", (1, 28, 28), 60_000), ("cifar10", (3, 32, 32), 50_000)):
        data = datasets.load(name, data_root)
        assert (data.image_shape, len(data.train), len(data.test)) == (shape, n_train, 10_000)
        assert data.sha256.startswith(SHA256[name])


@pytest.mark.parametrize("name", ["digits", "shapes", "mnist", "cifar10"])
def test_both_pipelines_see_the_same_images(name: str, request: pytest.FixtureRequest) -> None:
    """Scaling the whole set at once gives, bit for bit, what the per-image transforms give."""
    root = request.getfixturevalue("data_root") if name in ("mnist", "cifar10") else Path("nowhere")
    data = datasets.load(name, root)
    train, test = data.on(torch.device("cpu"))
    for split, training in ((train, True), (test, False)):
        items = data.per_image(training)
        for index in (0, 1, len(split) - 1):
            image, label = items[index]
            assert torch.equal(image, split.images[index])
            assert label == split.labels[index]
    low = -1.0 if name in ("cifar10", "shapes") else 0.0
    assert train.images.min() >= low
    assert train.images.max() <= 1.0


@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "cifar-10-batches-py/data_batch_3"), ("mnist", "MNIST/raw/t10k-images-idx3-ubyte")]
)
@pytest.mark.parametrize("fault", ["flipped", "short"])
def test_altered_files_are_refused(data_root: Path, tmp_path: Path, name: str, file: str, fault: str) -> None:
    """One flipped byte or a short file is refused by name, and the file is left for its owner to look at."""
    path = small_copy(data_root, name, tmp_path) / file
    content = bytearray(path.read_bytes())
    if fault == "flipped":
        content[len(content) // 2] ^= 1
    else:
        del content[-1000:]
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: .*{path.name} .*is not the published file"):
        datasets.load(name, tmp_path)
    assert path.read_bytes() == content


def test_an_unchecked_copy_is_refused(data_root: Path, tmp_path: Path) -> None:
    """Torchvision would read its old processed files in place of the raw ones: they are refused."""
    legacy = small_copy(data_root, "mnist", tmp_path) / "MNIST" / "processed" / "training.pt"
    legacy.parent.mkdir()
    legacy.touch()
    with pytest.raises(DataError, match="old torchvision copy"):
        datasets.load("mnist", tmp_path)


@pytest.mark.usefixtures("no_network")
def test_no_network(tmp_path: Path) -> None:
    """Data that is not there and can't be downloaded is missing, with the reason, and nothing half done is left."""
    with pytest.raises(DataMissing, match=r"mnist: not in .*could not be downloaded: .*no network in this test"):
        datasets.load("mnist", tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A data folder that can't be written to is refused at once, with the reason: it is no reason to skip."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "data", Path("/proc")):
        with pytest.raises(DataError, match=r"mnist: not in .*can't be written to") as raised:
            datasets.load("mnist", folder)
        assert not isinstance(raised.value, DataMissing)


def test_only_missing_files_are_moved_in(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download fills in what is missing and leaves the rest alone."""
    root = small_copy(data_root, "mnist", tmp_path / "data")
    missing = root / "MNIST/raw/t10k-labels-idx1-ubyte"
    missing.unlink()
    kept = (root / "MNIST/raw/train-labels-idx1-ubyte").stat().st_mtime_ns
    monkeypatch.setattr(stored, "_fetch", lambda source, folder: small_copy(data_root, "mnist", folder))
    assert len(datasets.load("mnist", root).test) == 10_000
    assert missing.is_file()
    assert (root / "MNIST/raw/train-labels-idx1-ubyte").stat().st_mtime_ns == kept


def test_unknown_name() -> None:
    """An unknown data set is refused, with the known ones."""
    with pytest.raises(UnknownName, match="unknown data set 'imagenet'; known: mnist"):
        datasets.load("imagenet", Path())


def test_unequal_lengths() -> None:
    """A split whose images and labels differ in number is refused."""
    with pytest.raises(ValueError, match="2 images, but 3 labels"):
        Split(torch.zeros(2, 1, 1, 1), torch.zeros(3))


def test_the_article_s_workers() -> None:
    """The article reads CIFAR-10 with two worker processes and MNIST with none."""
    data = datasets.load("digits", Path())
    from dataclasses import replace

    from nets.cells import protocol_for

    protocol = protocol_for("article", "digits")
    for name, workers in (("mnist", 0), ("cifar10", 2)):
        loaders = ArticlePipeline().loaders(replace(data, name=name), protocol, torch.device("cpu"))
        assert loaders.train.num_workers == workers  # type: ignore[attr-defined]  # a DataLoader
