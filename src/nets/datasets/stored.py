"""mnist and cifar10: torchvision's own classes, over files that are checked before they are read.

Missing files are downloaded by torchvision into a folder beside their place and moved in when they are whole;
a file lock keeps two runs apart. A file that is there but differs from the published one is refused, never replaced.
"""

from __future__ import annotations

import hashlib
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from nets.datasets import Data, DataError, DataMissing, Split, fingerprint, transform

CONNECT_TIMEOUT_S = 20.0
LOCK_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of torchvision's: its class, the MD5 of every file below the root, and what the article does to it."""

    torchvision_name: str
    md5: Mapping[str, str]
    n_classes: int
    centred: bool


# MD5 of the files as they lie on the disk. Torchvision publishes those of CIFAR-10 itself; of MNIST it publishes
# those of the .gz files only: the raw files' were taken from these, unpacked.
SOURCES: Mapping[str, Source] = {
    "mnist": Source(
        "MNIST",
        {
            "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
        n_classes=10,
        centred=False,
    ),
    "cifar10": Source(
        "CIFAR10",
        {
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
            "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        n_classes=10,
        centred=True,
    ),
}


def load(name: str, root: Path) -> Data:
    """Read a data set from the torchvision root `root`, downloading what is missing. Raises DataMissing, DataError."""
    source = SOURCES[name]
    if _absent(source, root):
        _download(name, source, root)
    _check(name, source, root)

    def dataset(training: bool) -> Any:
        return _torchvision(source, root, train=training, transform=transform(source.centred), download=False)

    train, test = _split(dataset(True)), _split(dataset(False))
    return Data(
        name=name,
        train=train,
        test=test,
        n_classes=source.n_classes,
        centred=source.centred,
        sha256=fingerprint(train, test),
        per_image=dataset,
    )


def _torchvision(source: Source, root: Path, **options: Any) -> Any:
    from torchvision import datasets

    cls: Callable[..., Any] = getattr(datasets, source.torchvision_name)
    return cls(root=str(root), **options)


def _split(dataset: Any) -> Split:
    pixels = torch.as_tensor(dataset.data)
    # MNIST: (N, H, W); CIFAR-10: (N, H, W, C)
    images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.as_tensor(dataset.targets, dtype=torch.int64))


def _absent(source: Source, root: Path) -> list[str]:
    return [file for file in source.md5 if not (root / file).is_file()]


def _check(name: str, source: Source, root: Path) -> None:
    """Refuse files that are not the published ones, and an old unchecked copy that torchvision would prefer."""
    legacy = root / "MNIST" / "processed" / "training.pt"
    if name == "mnist" and legacy.exists():
        raise DataError(f"{name}: {legacy.parent} is an old torchvision copy that no checksum covers: remove it")
    for file, expected in source.md5.items():
        path = root / file
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except OSError as error:
            raise DataError(f"{name}: {path} can't be read: {error.strerror}") from error
        if found != expected:
            raise DataError(
                f"{name}: {path} ({path.stat().st_size:,} bytes) is not the published file: its MD5 is {found}, "
                f"not {expected}; remove it to have it downloaded anew, or copy it again"
            )


def _download(name: str, source: Source, root: Path) -> None:
    """Let torchvision download into a folder of its own, then move in what is missing; one run at a time."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root)
    except OSError as error:
        raise DataError(f"{name}: not in {root}, and the folder can't be written to: {error.strerror}") from error
    try:
        with folder, FileLock(root / f".{name}.lock", timeout=LOCK_TIMEOUT_S):
            absent = _absent(source, root)  # another run may have fetched them meanwhile
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
        _torchvision(source, folder, train=True, download=True)
    finally:
        socket.setdefaulttimeout(before)
        for archive in folder.rglob("*.gz"):
            archive.unlink()
