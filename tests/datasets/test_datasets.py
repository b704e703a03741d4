"""The data sets: the same bytes everywhere, checked before they are read, never replaced by something else."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, SVHN

from nets.cells.catalog import DATASETS, protocol_for
from nets.datasets import load, torchvision_sets
from nets.datasets.data import Data, DataError, DataMissing, Split, fingerprint
from nets.datasets.digits import enlarge
from nets.datasets.torchvision_sets import SOURCES, Idx, Md5
from nets.errors import UnknownName
from nets.training.pipelines import ArticlePipeline

SHA256 = {
    "digits": "2fe1b49f555a",
    "shapes": "2ff76b1b2d70",
    "mnist": "1e35582d42a9",
    "fashion_mnist": "ece172613115",
    "cifar10": "9048fcbac9c0",
}

NAMES = {
    "mnist": tuple("0123456789"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "fashion_mnist": ("T-shirt/top", "Trouser"),
    "kmnist": ("o", "ki"),
    "cifar100": ("class 0", "class 1"),
    "svhn": ("0", "1"),
}
"""Of all classes, or of the first two."""


def small_copy(root: Path, name: str, to: Path) -> Path:
    """A torchvision root of its own, with one data set's files, to be altered."""
    for file in SOURCES[name].files:
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, to / file)
    return to


@dataclass(frozen=True)
class Small:
    """A made-up set in one of torchvision's formats: its files, and the images and labels that are in them."""

    files: dict[str, bytes]
    train: Split
    test: Split

    def write(self, root: Path) -> Path:
        for file, content in self.files.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(content)
        return root


def idx(values: NDArray[np.uint8]) -> bytes:
    """A file of MNIST's format."""
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, dtype=">u4").tobytes() + values.tobytes()


def mat(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> bytes:
    """A file of SVHN's: images (H, W, C, N), the digit 0 as class 10."""
    stream = BytesIO()
    savemat(stream, {"X": images.transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:, None]})
    return stream.getvalue()


def batch(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> bytes:
    """A file of CIFAR-100's."""
    fine = labels.tolist()
    return pickle.dumps(
        {"data": images.reshape(len(images), -1), "fine_labels": fine, "coarse_labels": [0] * len(fine)}
    )


def small(name: str, monkeypatch: pytest.MonkeyPatch) -> Small:
    """Seven training and five test images that stand for the published ones of `name`, torchvision's sums included."""
    rng, source = np.random.default_rng(0), SOURCES[name]
    shape = (3, 32, 32) if source.centred else (28, 28)
    parts = [
        (rng.integers(256, size=(n, *shape), dtype=np.uint8), rng.permutation(source.n_classes).astype(np.uint8)[:n])
        for n in (7, 5)
    ]
    if name == "svhn":
        contents = [mat(*part) for part in parts]
    elif name == "cifar100":
        meta = pickle.dumps({"fine_label_names": [f"class {i}" for i in range(100)]})
        contents = [*(batch(*part) for part in parts), meta]
    else:
        contents = [idx(values) for part in parts for values in part]
    files = dict(zip(source.files, contents, strict=True))
    md5 = {Path(file).name: hashlib.md5(content).hexdigest() for file, content in files.items()}
    if name == "svhn":
        for part in ("train", "test"):
            url, file, _ = SVHN.split_list[part]
            monkeypatch.setitem(SVHN.split_list, part, [url, file, md5[file]])
    elif name == "cifar100":
        monkeypatch.setattr(CIFAR100, "train_list", [["train", md5["train"]]])
        monkeypatch.setattr(CIFAR100, "test_list", [["test", md5["test"]]])
        monkeypatch.setitem(CIFAR100.meta, "md5", md5["meta"])
    checks = {
        file: Idx((int.from_bytes(files[file][4:8], "big"), *check.shape[1:]))
        if isinstance(check, Idx)
        else Md5(md5[Path(file).name])
        for file, check in source.files.items()
    }
    monkeypatch.setitem(SOURCES, name, replace(source, files=checks))
    splits = (Split(torch.from_numpy(i if i.ndim == 4 else i[:, None]), torch.from_numpy(k).long()) for i, k in parts)
    return Small(files, *splits)


def assert_same_images(data: Data, indices: tuple[int, ...]) -> Split:
    """Scaling the whole set at once gives, bit for bit, what the per-image transforms give; so for the labels.

    Returns the training images as they were scaled.
    """
    scaled = data.on(torch.device("cpu"))
    for split, training in zip(scaled, (True, False), strict=True):
        items = data.per_image(training)
        for index in indices:
            image, label = items[index]
            assert torch.equal(image, split.images[index])
            assert label == split.labels[index]
    return scaled[0]


@pytest.fixture(scope="module")
def real(data_root: Path) -> Callable[[str], Data]:
    """Loads MNIST and CIFAR-10, each once."""
    return cache(partial(load.load_data, root=data_root))


@pytest.mark.parametrize(
    ("name", "shape", "n_train", "n_test"),
    [("digits", (1, 28, 28), 1_437, 360), ("shapes", (3, 32, 32), 5_000, 1_000)],
)
def test_embedded(name: str, shape: tuple[int, int, int], n_train: int, n_test: int) -> None:
    """The embedded sets have the shapes they promise, all classes in both splits, and the same bytes everywhere."""
    data = load.load_data(name, Path("nowhere"))
    assert (data.image_shape, len(data.train), len(data.test)) == (shape, n_train, n_test)
    for split in (data.train, data.test):
        counts = split.labels.bincount()
        assert len(counts) == 10
        assert counts.max() - counts.min() <= 0.1 * counts.max()
    assert data.sha256.startswith(SHA256[name])
    assert data.class_names is not None
    assert len(set(data.class_names)) == data.n_classes


def test_splits_share_no_image() -> None:
    """No test image of an embedded set is a training image."""
    for name in ("digits", "shapes"):
        data = load.load_data(name, Path("nowhere"))
        train = {image.numpy().tobytes() for image in data.train.images}
        assert not any(image.numpy().tobytes() in train for image in data.test.images)


@given(st.integers(0, 16))
@settings(max_examples=17, deadline=None)
def test_enlarging_keeps_a_flat_image(level: int) -> None:
    """Weights sum to one: a flat image stays flat, 0 becomes 0 and 16 becomes 255."""
    found = enlarge(np.full((1, 8, 8), level))
    assert found.shape == (1, 28, 28)
    assert (found == (level * 255 + 8) // 16).all()


def test_the_real_sets(real: Callable[[str], Data]) -> None:
    """MNIST and CIFAR-10 are whole and are what is published."""
    for name, shape, n_train in (("mnist", (1, 28, 28), 60_000), ("cifar10", (3, 32, 32), 50_000)):
        data = real(name)
        assert (data.image_shape, len(data.train), len(data.test)) == (shape, n_train, 10_000)
        assert data.sha256.startswith(SHA256[name])
        assert data.class_names == NAMES[name]


def test_the_real_fashion_mnist(data_root: Path) -> None:
    """Fashion-MNIST's raw files, where they are present, are the ones whose sums are held against them."""
    if not (data_root / "FashionMNIST").is_dir():
        pytest.skip(f"Fashion-MNIST is not in {data_root}")
    data = load.load_data("fashion_mnist", data_root)
    assert (data.image_shape, len(data.train), len(data.test)) == ((1, 28, 28), 60_000, 10_000)
    assert data.sha256.startswith(SHA256["fashion_mnist"])


NEW = ("fashion_mnist", "kmnist", "cifar100", "svhn")


@pytest.mark.parametrize("name", NEW)
def test_a_set_in_torchvision_s_format(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the files hold is what both pipelines get: the images as N, C, H, W, and torchvision's class numbers."""
    made = small(name, monkeypatch)
    data = load.load_data(name, made.write(tmp_path))
    for found, expected in ((data.train, made.train), (data.test, made.test)):
        assert torch.equal(found.images, expected.images)
        assert found.images.is_contiguous()
        assert torch.equal(found.labels, expected.labels)
    names = data.class_names
    assert names is not None
    assert len(names) == data.n_classes
    assert names[:2] == NAMES[name]
    assert_same_images(data, tuple(range(5)))
    assert (data.name, data.n_classes) == (name, 100 if name == "cifar100" else 10)
    assert data.centred is (name in ("cifar100", "svhn"))
    assert data.sha256 == fingerprint(made.train, made.test)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_sums_are_torchvision_s(name: str) -> None:
    """The sums held against the files are the ones that torchvision publishes."""
    if name == "svhn":
        published = {file: md5 for _, file, md5 in (SVHN.split_list["train"], SVHN.split_list["test"])}
    else:
        cls = CIFAR10 if name == "cifar10" else CIFAR100
        listed = [*cls.train_list, *cls.test_list, [cls.meta["filename"], cls.meta["md5"]]]
        published = {f"{cls.base_folder}/{file}": md5 for file, md5 in listed}
    assert SOURCES[name].files == {file: Md5(md5) for file, md5 in published.items()}


def test_the_sizes_of_kmnist(data_root: Path, tmp_path: Path) -> None:
    """KMNIST is checked for MNIST's sizes and headers: MNIST's own files, whole, pass in its place."""
    (tmp_path / "KMNIST").mkdir()
    (tmp_path / "KMNIST" / "raw").symlink_to(data_root / "MNIST" / "raw")
    data = load.load_data("kmnist", tmp_path)
    assert (data.image_shape, len(data.train), len(data.test)) == ((1, 28, 28), 60_000, 10_000)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (idx(np.zeros((3, 2, 2), dtype=np.uint8)), None),
        (idx(np.zeros((3, 2, 2), dtype=np.uint8))[:-1], "28 bytes are published"),
        (idx(np.zeros((3, 2, 2), dtype=np.uint8)) + b"\0", "28 bytes are published"),
        (b"", "28 bytes are published"),
        (idx(np.zeros((3, 4, 1), dtype=np.uint8)), "it begins with 00000803000000030000000400000001, not 00000803"),
        (b"\x1f\x8b" + bytes(26), "it begins with 1f8b"),
    ],
)
def test_a_file_without_a_sum(content: bytes, fault: str | None, tmp_path: Path) -> None:
    """A file of MNIST's format is known by its exact size and its header."""
    (tmp_path / "file").write_bytes(content)
    found = Idx((3, 2, 2)).fault(tmp_path / "file")
    assert found == fault if fault is None or found is None else found.startswith(fault)


@pytest.mark.parametrize("name", ["digits", "shapes", "mnist", "cifar10"])
def test_both_pipelines_see_the_same_images(name: str, request: pytest.FixtureRequest) -> None:
    """Scaling the whole set at once gives, bit for bit, what the per-image transforms give."""
    is_real = name in ("mnist", "cifar10")
    data = request.getfixturevalue("real")(name) if is_real else load.load_data(name, Path("nowhere"))
    train = assert_same_images(data, (0, 1, -1))
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
        load.load_data(name, tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fashion_mnist", "FashionMNIST/raw/t10k-images-idx3-ubyte"),
        ("kmnist", "KMNIST/raw/train-labels-idx1-ubyte"),
        ("cifar100", "cifar-100-python/meta"),
        ("svhn", "test_32x32.mat"),
    ],
)
@pytest.mark.parametrize("fault", ["flipped", "short"])
def test_altered_files_of_the_others(
    name: str, file: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is with the other sets: one flipped byte (for KMNIST, of the header) or a short file is refused by name."""
    path = small(name, monkeypatch).write(tmp_path) / file
    content = bytearray(path.read_bytes())
    if fault == "flipped":
        content[3 if name == "kmnist" else len(content) // 2] ^= 1
    else:
        del content[-1]
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: .*{path.name} .*is not the published file") as raised:
        load.load_data(name, tmp_path)
    assert not isinstance(raised.value, DataMissing)
    assert path.read_bytes() == content


def test_a_label_without_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that no class has, which a check by size lets through, is refused before a network meets it."""
    made = small("kmnist", monkeypatch)
    path = made.write(tmp_path) / "KMNIST/raw/t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(DataError, match=r"kmnist: the test set has labels from [0-9] to 10, but 10 classes"):
        load.load_data("kmnist", tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_an_unchecked_copy_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision would read its old processed files in place of the raw ones: they are refused."""
    root = small(name, monkeypatch).write(tmp_path)
    legacy = root / SOURCES[name].torchvision_name / "processed" / "training.pt"
    legacy.parent.mkdir()
    legacy.touch()
    with pytest.raises(DataError, match=f"{name}: .*old torchvision copy"):
        load.load_data(name, root)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.usefixtures("no_network")
def test_no_network(name: str, tmp_path: Path) -> None:
    """Data that is not there and can't be downloaded is missing, with the reason, and nothing half done is left."""
    with pytest.raises(DataMissing, match=rf"^{name}: not in .*could not be downloaded: .*no network in this test"):
        load.load_data(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A data folder that can't be written to is refused at once, with the reason: it is no reason to skip."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "data", Path("/proc")):
        with pytest.raises(DataError, match=r"mnist: not in .*can't be written to") as raised:
            load.load_data("mnist", folder)
        assert not isinstance(raised.value, DataMissing)


def test_only_missing_files_are_moved_in(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download fills in what is missing and leaves the rest alone."""
    root = small_copy(data_root, "mnist", tmp_path / "data")
    missing = root / "MNIST/raw/t10k-labels-idx1-ubyte"
    missing.unlink()
    kept = (root / "MNIST/raw/train-labels-idx1-ubyte").stat().st_mtime_ns
    monkeypatch.setattr(torchvision_sets, "_fetch", lambda source, folder: small_copy(data_root, "mnist", folder))
    assert len(load.load_data("mnist", root).test) == 10_000
    assert missing.is_file()
    assert (root / "MNIST/raw/train-labels-idx1-ubyte").stat().st_mtime_ns == kept


@pytest.mark.parametrize("missing", ["train_32x32.mat", "test_32x32.mat"])
def test_both_parts_of_svhn_are_downloaded(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SVHN's parts are a download each: the missing one arrives, whichever it is, and no other file does."""
    made = small("svhn", monkeypatch)
    (made.write(tmp_path) / missing).unlink()

    def download(url: str, root: str, filename: str, md5: str) -> None:
        (Path(root) / filename).write_bytes(made.files[filename])

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", download)
    assert len(load.load_data("svhn", tmp_path).train) == 7
    assert {path.name for path in tmp_path.iterdir()} - {".svhn.lock"} == set(made.files)


@pytest.mark.parametrize("name", ["imagenet", "folder", ""])
def test_unknown_name(name: str) -> None:
    """An unknown data set is refused, with the known ones and the way to name a folder."""
    for refuse in (lambda: load.load_data(name, Path()), lambda: protocol_for("quick", name)):
        with pytest.raises(UnknownName, match=f"unknown data set '{name}'; known: mnist, .*shapes, folder:PATH$"):
            refuse()


@pytest.mark.parametrize(
    ("names", "batch_size", "quick", "article"),
    [
        (("fashion_mnist", "kmnist"), 100, 1, 20),
        (("cifar100", "svhn"), 4, 1, 10),
        (("folder:some/where",), 32, 1, 10),
    ],
)
def test_protocols(names: tuple[str, ...], batch_size: int, quick: int, article: int) -> None:
    """The sets like MNIST are trained as MNIST is, the ones like CIFAR-10 as that is, and a folder by its own rule."""
    for name in names:
        for protocol, epochs in ((protocol_for("quick", name), quick), (protocol_for("article", name), article)):
            assert (protocol.epochs, protocol.batch_size, protocol.lr) == (epochs, batch_size, 1e-3)


def test_the_names() -> None:
    """Every name of a set has a source or is embedded; a folder has no name of its own."""
    assert sorted(DATASETS) == sorted([*SOURCES, "digits", "shapes"])


def test_unequal_lengths() -> None:
    """A split whose images and labels differ in number is refused."""
    with pytest.raises(ValueError, match="2 images, but 3 labels"):
        Split(torch.zeros(2, 1, 1, 1), torch.zeros(3))


def test_the_article_s_workers() -> None:
    """The article reads CIFAR-10 with two worker processes and MNIST with none; so are torchvision's other sets."""
    gray = load.load_data("digits", Path())
    colour = replace(gray, train=Split(gray.train.images.expand(-1, 3, -1, -1), gray.train.labels))
    without = {"mnist": gray, "fashion_mnist": gray, "kmnist": gray, "digits": gray, "shapes": colour}
    for name in DATASETS:
        data, workers = (without[name], 0) if name in without else (colour, 2)
        protocol = protocol_for("article", name)
        loaders = ArticlePipeline().loaders(replace(data, name=name), protocol, torch.device("cpu"))
        assert loaders.train.num_workers == workers  # type: ignore[attr-defined]  # a DataLoader


def test_digits_are_scikit_learn_s() -> None:
    """The digits are scikit-learn's own, in the order and by the split that its `train_test_split` makes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    theirs, ours = load_digits(), load.load_data("digits", Path())
    images, labels = enlarge(theirs.images.astype(np.int64)), theirs.target
    places = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    for part, chosen in zip((ours.train, ours.test), places, strict=True):
        assert np.array_equal(part.images[:, 0].numpy(), images[chosen])
        assert np.array_equal(part.labels.numpy(), labels[chosen])
