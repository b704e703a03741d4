"""mnist and its like, cifar10, cifar100 and svhn: torchvision's own classes, over files checked before they are read.

Missing files are downloaded by torchvision into a folder beside their place and moved in when they are whole;
a file lock keeps two runs apart. A file that is there but differs from the published one is refused, never replaced.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from nets.datasets.data import Data, DataError, DataMissing, Split, fingerprint, transform
from nets.datasets.files import CHANGED, Stamp, open_plain, stamp, unchanged


@dataclass(frozen=True, slots=True)
class Md5:
    """A file whose checksum is published: any other byte shows."""

    digest: str

    def fault(self, path: Path) -> str | None:
        """Its MD5 and the published one, where they differ; else None. Raises OSError."""
        with open_plain(path, links=True) as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return None if found == self.digest else f"its MD5 is {found}, not {self.digest}"


@dataclass(frozen=True, slots=True)
class Idx:
    """A file of MNIST's format, unsigned bytes of `shape`, whose checksum is not published.

    Its header and its exact size are checked; a byte that was altered behind the header doesn't show.
    """

    shape: tuple[int, ...]

    def fault(self, path: Path) -> str | None:
        """What its size or header should be, where they are not those of `shape`; else None. Raises OSError."""
        header = bytes((0, 0, 8, len(self.shape))) + b"".join(n.to_bytes(4, "big") for n in self.shape)
        size = len(header) + prod(self.shape)
        with open_plain(path, links=True) as stream:
            if os.fstat(stream.fileno()).st_size != size:
                return f"{size:,} bytes are published"
            found = stream.read(len(header))
        return None if found == header else f"it begins with {found.hex()}, not {header.hex()}"


Check = Md5 | Idx
"""How a file is told from an altered or a truncated one."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of torchvision's: its class, every file below the root with its check, and what is done to it.

    `centred`: pixels go to [-1, 1], as the article has it for CIFAR-10; else to [0, 1].
    """

    torchvision_name: str
    files: Mapping[str, Check]
    n_classes: int
    centred: bool


def _like_mnist(torchvision_name: str, checks: tuple[Check, Check, Check, Check]) -> Source:
    """A set in MNIST's four files: training images, their labels, test images, their labels."""
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    files = {f"{torchvision_name}/raw/{name}-ubyte": check for name, check in zip(names, checks, strict=True)}
    return Source(torchvision_name, files, n_classes=10, centred=False)


# The files as they lie on the disk. Torchvision publishes the MD5s of CIFAR-10, CIFAR-100 and SVHN itself. Of MNIST and
# its like it publishes those of the .gz files only, which it checks when it downloads them. The raw files' were taken
# from these, unpacked, but for KMNIST, whose files were not at hand.
SOURCES: Mapping[str, Source] = {
    "mnist": _like_mnist(
        "MNIST",
        (
            Md5("6bbc9ace898e44ae57da46a324031adb"),
            Md5("a25bea736e30d166cdddb491f175f624"),
            Md5("2646ac647ad5339dbf082846283269ea"),
            Md5("27ae3e4e09519cfbb04c329615203637"),
        ),
    ),
    "fashion_mnist": _like_mnist(
        "FashionMNIST",
        (
            Md5("f4a8712d7a061bf5bd6d2ca38dc4d50a"),
            Md5("9018921c3c673c538a1fc5bad174d6f9"),
            Md5("8181f5470baa50b63fa0f6fddb340f0a"),
            Md5("15d484375f8d13e6eb1aabb0c3f46965"),
        ),
    ),
    "kmnist": _like_mnist("KMNIST", (Idx((60_000, 28, 28)), Idx((60_000,)), Idx((10_000, 28, 28)), Idx((10_000,)))),
    "cifar10": Source(
        "CIFAR10",
        {
            "cifar-10-batches-py/data_batch_1": Md5("c99cafc152244af753f735de768cd75f"),
            "cifar-10-batches-py/data_batch_2": Md5("d4bba439e000b95fd0a9bffe97cbabec"),
            "cifar-10-batches-py/data_batch_3": Md5("54ebc095f3ab1f0389bbae665268c751"),
            "cifar-10-batches-py/data_batch_4": Md5("634d18415352ddfa80567beed471001a"),
            "cifar-10-batches-py/data_batch_5": Md5("482c414d41f54cd18b22e5b47cb7c3cb"),
            "cifar-10-batches-py/test_batch": Md5("40351d587109b95175f43aff81a1287e"),
            "cifar-10-batches-py/batches.meta": Md5("5ff9c542aee3614f3951f8cda6e48888"),
        },
        n_classes=10,
        centred=True,
    ),
    "cifar100": Source(
        "CIFAR100",
        {
            "cifar-100-python/train": Md5("16019d7e3df5f24257cddd939b257f8d"),
            "cifar-100-python/test": Md5("f0ef6b0ae62326f3e7ffdfab6717acfc"),
            "cifar-100-python/meta": Md5("7973b15100ade9c7d40fb424638fde48"),
        },
        n_classes=100,
        centred=True,
    ),
    "svhn": Source(
        "SVHN",
        {
            "train_32x32.mat": Md5("e26dedcc434d2e4c54c9b2d4a06d8373"),
            "test_32x32.mat": Md5("eb5a983be6a315427106f1b164d9cef3"),
        },
        n_classes=10,
        centred=True,
    ),
}
CONNECT_TIMEOUT_S = 20.0
LOCK_TIMEOUT_S = 1800.0


def load_stored(name: str, root: Path, *, download: bool = True) -> Data:
    """Read a data set from the torchvision root `root`, downloading what is missing. Raises DataMissing, DataError."""
    source = SOURCES[name]
    if absent := _absent(name, source, root):
        if not download:
            raise DataMissing(f"{name}: {root / absent[0]} is not there; name the data folder that has it")
        _download(name, source, root)
    stamps = _check(name, source, root)

    def dataset(training: bool) -> Any:
        """One part, read from the files that were checked."""
        try:
            return _torchvision(source, root, training, transform=transform(source.centred), download=False)
        finally:  # whatever torchvision made of a file that was changed
            for path, before in stamps.items():
                if not unchanged(path, before):
                    raise DataError(f"{name}: {path} {CHANGED}")

    training, testing = dataset(True), dataset(False)
    train, test = _split(training), _split(testing)
    return Data(
        name=name,
        train=train,
        test=test,
        n_classes=source.n_classes,
        centred=source.centred,
        sha256=fingerprint(train, test),
        per_image=dataset,
        class_names=_class_names(training, source.n_classes),
    )


def _torchvision(source: Source, root: Path, training: bool, **options: Any) -> Any:
    from torchvision import datasets

    cls: Callable[..., Any] = getattr(datasets, source.torchvision_name)
    if source.torchvision_name == "SVHN":
        return cls(root=str(root), split="train" if training else "test", **options)
    return cls(root=str(root), train=training, **options)


def _split(dataset: Any) -> Split:
    images = torch.as_tensor(dataset.data)
    if images.ndim == 3:  # MNIST and its like: (N, H, W)
        images = images[:, None]
    elif images.shape[-1] == 3:  # CIFAR: (N, H, W, C); SVHN: (N, C, H, W), but not in this order in memory
        images = images.permute(0, 3, 1, 2)
    labels = dataset.labels if hasattr(dataset, "labels") else dataset.targets
    return Split(images.contiguous(), torch.as_tensor(labels, dtype=torch.int64))


def _class_names(dataset: Any, n_classes: int) -> tuple[str, ...]:
    """Torchvision's names of the classes, without what it says beside a digit ("0 - zero"); of SVHN, the digits."""
    names = getattr(dataset, "classes", map(str, range(n_classes)))
    return tuple(name.partition(" - ")[0] for name in names)


def absent_files(name: str, root: Path) -> list[str]:
    """The files of a data set that `root` lacks, by their names; nothing is downloaded. Raises DataError."""
    return _absent(name, SOURCES[name], root)


def _absent(name: str, source: Source, root: Path) -> list[str]:
    """The files that are to be downloaded; what lies in the place of one is for `_check` to judge. Raises DataError."""
    absent = []
    for file in source.files:
        try:
            (root / file).lstat()
        except (FileNotFoundError, NotADirectoryError):
            absent.append(file)
        except OSError as error:
            raise DataError(f"{name}: {root / file} can't be read: {error.strerror}") from error
    return absent


def _check(name: str, source: Source, root: Path) -> dict[Path, Stamp]:
    """Refuse files that are not the published ones, and an old unchecked copy that torchvision would prefer.

    The stamps of the files as they were checked. Raises DataError.
    """
    legacy = root / source.torchvision_name / "processed" / "training.pt"  # of MNIST and its like
    if legacy.exists():
        raise DataError(f"{name}: {legacy.parent} is an old torchvision copy that no checksum covers: remove it")
    stamps = {}
    for file, check in source.files.items():
        path = root / file
        try:
            stamps[path] = stamp(path.stat())
            fault = check.fault(path)
        except OSError as error:
            linked = f", a link to {path.readlink()}," if path.is_symlink() else ""
            raise DataError(f"{name}: {path}{linked} can't be read: {error.strerror}") from error
        if fault is not None:
            raise DataError(
                f"{name}: {path} ({stamps[path].n_bytes:,} bytes) is not the published file: {fault}; "
                "remove it to have it downloaded anew, or copy it again"
            )
    return stamps


def _download(name: str, source: Source, root: Path) -> None:
    """Let torchvision download into a folder of its own, then move in what is missing; one run at a time."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root)
    except OSError as error:
        raise DataError(f"{name}: not in {root}, and the folder can't be written to: {error.strerror}") from error
    try:
        with folder, FileLock(root / f".{name}.lock", timeout=LOCK_TIMEOUT_S):
            absent = _absent(name, source, root)  # another run may have fetched them meanwhile
            if not absent:
                return
            _fetch(source, Path(folder.name))
            for file in absent:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder.name) / file).replace(root / file)
    except Timeout as error:
        raise DataMissing(f"{name}: another run has held {error.lock_file} for {LOCK_TIMEOUT_S:.0f} s") from error
    except (OSError, RuntimeError) as error:
        because = " ".join(str(error).split())
        raise DataMissing(f"{name}: not in {root}, and it could not be downloaded: {because}") from error


def _fetch(source: Source, folder: Path) -> None:
    """Download and unpack with torchvision; a network that does not answer is given up on after CONNECT_TIMEOUT_S."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_TIMEOUT_S)
    try:
        for training in (True, False):  # SVHN's parts are two downloads; of the others the first has both
            _torchvision(source, folder, training, download=True)
    finally:
        socket.setdefaulttimeout(before)
        for archive in folder.rglob("*.gz"):
            archive.unlink()
