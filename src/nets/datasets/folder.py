"""folder:PATH: a folder of images, an ImageNet-style tree, as 3×64×64.

PATH, relative to the working directory, holds `train/CLASS/*` and `val/CLASS/*` (or `test/CLASS/*`, where there is no
`val`), as torchvision's ImageFolder has it: a class for each folder, and its images, known by their extension, in
folders of any depth. Classes and images are sorted by the bytes of their names. Names that begin with a dot are passed
over; links are refused, but for PATH itself and its `train`, `val` and `test`. `image.py` says what an image becomes.
The bytes, and so the SHA-256, are those of the installed Pillow, whose decoders and scaling may change.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from nets.cells.catalog import FOLDER
from nets.datasets.data import Data, DataError, DoesNotFit, Split, fingerprint, transform
from nets.datasets.files import CHANGED, Stamp, entries, files_below, open_plain, shown, stamp
from nets.datasets.image import SIZE, middle_of
from nets.machine.device import free_bytes

if TYPE_CHECKING:
    from PIL import Image


def folder(name: str) -> Data:
    """The data set `folder:PATH`, uint8 3×64×64, as many classes as there are class folders; pixels centred.

    Raises DataError where the tree is not as it must be, and DoesNotFit before any image is loaded.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{shown(name)}: its path is not UTF-8, as a file of results must be; rename it") from error
    try:
        train_images, test_images = _parts(name)
    except OSError as error:
        raise DataError(f"{shown(name)}: {shown(error.filename)} can't be read: {error.strerror}") from error
    n_images = len(train_images) + len(test_images)
    needed, free = n_images * 3 * SIZE * SIZE, free_bytes(torch.device("cpu"))
    if needed > free:
        raise DoesNotFit(
            f"{shown(name)}: {n_images:,} images of 3×{SIZE}×{SIZE} take {needed / 2**20:,.2f} MiB, and "
            f"{free / 2**20:,.2f} MiB of memory are free; name a folder with fewer images"
        )
    train, test = train_images.loaded(), test_images.loaded()
    return Data(
        name=name,
        train=train,
        test=test,
        n_classes=len(train_images.classes),
        centred=True,
        sha256=fingerprint(train, test),
        per_image=lambda training: train_images if training else test_images,
        class_names=tuple(shown(label) for label in train_images.classes),
    )


class Images(Dataset[tuple[Tensor, int]]):
    """The images of `train`, `val` or `test`: each is read from its file when it is asked for.

    `classes`: their names; `files` and `labels`: every image's path and its class's number.

    Raises DataError where a class or its images are missing, an image can't be read, or a file is no longer what it was
    when it was first read; OSError where a folder can't be read, or holds what is neither a folder nor a plain file.
    """

    def __init__(self, name: str, root: Path) -> None:
        from torchvision.datasets.folder import IMG_EXTENSIONS

        self.root = root
        self.classes = [entry.name for entry in entries(root) if entry.is_dir(follow_symlinks=False)]
        if not self.classes:
            raise DataError(
                f"{shown(name)}: {shown(root)} holds no class; put the images of each into a folder of its own there"
            )
        self._name, self._transform = name, transform(centred=True)
        self.files: list[str] = []
        self.labels: list[int] = []
        for label, of_class in enumerate(self.classes):
            files = [file for file in files_below(str(root / of_class)) if file.lower().endswith(IMG_EXTENSIONS)]
            if not files:
                raise DataError(
                    f"{shown(name)}: {shown(root / of_class)} holds no image ({', '.join(IMG_EXTENSIONS)}); "
                    "add some, or remove the class"
                )
            self.files += files
            self.labels += [label] * len(files)
        self._stamps: list[Stamp | None] = [None] * len(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(self._read(index)), self.labels[index]

    def loaded(self) -> Split:
        """All of them, uint8 (N, 3, SIZE, SIZE)."""
        pixels = torch.empty(len(self), 3, SIZE, SIZE, dtype=torch.uint8)
        for index in range(len(self)):
            pixels[index] = torch.from_numpy(np.array(self._read(index))).permute(2, 0, 1)
        return Split(pixels, torch.tensor(self.labels))

    def _read(self, index: int) -> Image.Image:
        """The image as RGB, SIZE × SIZE: what both pipelines start from."""
        file = Path(self.files[index])
        try:
            with open_plain(file) as stream:
                before = stamp(os.fstat(stream.fileno()))
                image = middle_of(stream)
                after = stamp(os.fstat(stream.fileno()))
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise DataError(
                f"{shown(self._name)}: {shown(file)} is no image that can be read ({shown(why)}); replace or remove it"
            ) from error
        if not before == after == (self._stamps[index] or before):
            raise DataError(f"{shown(self._name)}: {shown(file)} {CHANGED}")
        self._stamps[index] = before
        return image


def _parts(name: str) -> tuple[Images, Images]:
    """The named folder's training and test images: of the same two or more classes, none of them empty."""
    path = Path(name.removeprefix(FOLDER)).absolute()
    if name == FOLDER or not path.is_dir():
        raise DataError(
            f"{shown(name)}: there is no folder {shown(path)}; name one as folder:PATH, from the working directory"
        )
    tests = [path / part for part in ("val", "test") if (path / part).is_dir()]
    if not (path / "train").is_dir() or not tests:
        raise DataError(
            f"{shown(name)}: {shown(path)} must hold train/CLASS/* and val/CLASS/* or test/CLASS/*; sort its images so"
        )
    if tests[0].samefile(path / "train"):
        raise DataError(f"{shown(name)}: {shown(tests[0])} is the training images' folder; keep others for the test")
    train, test = Images(name, path / "train"), Images(name, tests[0])
    for images, others in ((train, test), (test, train)):
        for label in sorted(set(images.classes) - set(others.classes)):
            raise DataError(
                f"{shown(name)}: the class {label!r} of {shown(images.root)} is not in {shown(others.root)}; "
                "add or remove it"
            )
    if len(train.classes) == 1:
        raise DataError(
            f"{shown(name)}: {shown(path)} has but the class {train.classes[0]!r}; add a second one to tell it from"
        )
    return train, test
