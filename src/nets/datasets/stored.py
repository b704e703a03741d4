"""mnist and its like, cifar10, cifar100 and svhn: torchvision's own classes, over files checked before they are read.

Missing files are downloaded by torchvision into a folder beside their place and moved in when they are whole;
a file lock keeps two runs apart. A file that is there but differs from the published one is refused, never replaced.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from nets.datasets import Data, DataError, DataMissing, Split, fingerprint, transform
from nets.datasets.published import SOURCES, Source

CONNECT_TIMEOUT_S = 20.0
LOCK_TIMEOUT_S = 1800.0


def load(name: str, root: Path) -> Data:
    """Read a data set from the torchvision root `root`, downloading what is missing. Raises DataMissing, DataError."""
    source = SOURCES[name]
    if _absent(source, root):
        _download(name, source, root)
    _check(name, source, root)

    def dataset(training: bool) -> Any:
        return _torchvision(source, root, training, transform=transform(source.centred), download=False)

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


def _absent(source: Source, root: Path) -> list[str]:
    return [file for file in source.files if not (root / file).is_file()]


def _check(name: str, source: Source, root: Path) -> None:
    """Refuse files that are not the published ones, and an old unchecked copy that torchvision would prefer."""
    legacy = root / source.torchvision_name / "processed" / "training.pt"  # of MNIST and its like
    if legacy.exists():
        raise DataError(f"{name}: {legacy.parent} is an old torchvision copy that no checksum covers: remove it")
    for file, check in source.files.items():
        path = root / file
        try:
            fault = check.fault(path)
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"{name}: {path} can't be read: {error.strerror}") from error
        if fault is not None:
            raise DataError(
                f"{name}: {path} ({size:,} bytes) is not the published file: {fault}; "
                "remove it to have it downloaded anew, or copy it again"
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
        for training in (True, False):  # SVHN's parts are two downloads; of the others the first has both
            _torchvision(source, folder, training, download=True)
    finally:
        socket.setdefaulttimeout(before)
        for archive in folder.rglob("*.gz"):
            archive.unlink()
