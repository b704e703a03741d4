"""folder:PATH: a folder of images, an ImageNet-style tree, as 3×64×64.

PATH, relative to the working directory, holds `train/CLASS/*` and `val/CLASS/*` (or `test/CLASS/*`, where there is no
`val`), read as torchvision's ImageFolder reads them: classes by their folders' names, sorted; files by their extension.
Every image becomes RGB, its shorter side is scaled to 64, and the middle 64×64 are kept. The bytes, and so the SHA-256,
are those of the installed Pillow, whose decoders and scaling may change with its version.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nets.cells.catalog import FOLDER
from nets.datasets.data import Data, DataError, DoesNotFit, Split, fingerprint, transform
from nets.machine.device import free_bytes

if TYPE_CHECKING:
    from PIL import Image

SIZE = 64


def folder(name: str) -> Data:
    """The data set `folder:PATH`, uint8 3×64×64, as many classes as there are class folders; pixels centred.

    Raises DataError where the tree is not as it must be, and DoesNotFit before any image is loaded.
    """
    try:
        train_images, test_images = _parts(name)
    except OSError as error:
        raise DataError(f"{name}: {error.filename} can't be read: {error.strerror}") from error
    n_images = len(train_images) + len(test_images)
    needed, free = n_images * 3 * SIZE * SIZE, free_bytes(torch.device("cpu"))
    if needed > free:
        raise DoesNotFit(
            f"{name}: {n_images:,} images of 3×{SIZE}×{SIZE} take {needed / 2**20:,.2f} MiB, and "
            f"{free / 2**20:,.2f} MiB of memory are free; name a folder with fewer images"
        )
    train, test = _split(train_images), _split(test_images)
    return Data(
        name=name,
        train=train,
        test=test,
        n_classes=len(train_images.classes),
        centred=True,
        sha256=fingerprint(train, test),
        per_image=lambda training: train_images if training else test_images,
    )


def _parts(name: str) -> tuple[Any, Any]:
    """The named folder's training and test images: ImageFolders of the same two or more classes, none of them empty."""
    path = Path(name.removeprefix(FOLDER)).absolute()
    if name == FOLDER or not path.is_dir():
        raise DataError(f"{name}: there is no folder {path}; name one as folder:PATH, from the working directory")
    tests = [path / part for part in ("val", "test") if (path / part).is_dir()]
    if not (path / "train").is_dir() or not tests:
        raise DataError(f"{name}: {path} must hold train/CLASS/* and val/CLASS/* or test/CLASS/*; sort its images so")
    train, test = _image_folder(name, path / "train"), _image_folder(name, tests[0])
    for images, others in ((train, test), (test, train)):
        for label in sorted(set(images.classes) - set(others.classes)):
            raise DataError(f"{name}: the class {label!r} of {images.root} is not in {others.root}; add or remove it")
    if len(train.classes) == 1:
        raise DataError(f"{name}: {path} has but the class {train.classes[0]!r}; add a second one to tell it from")
    return train, test


def _image_folder(name: str, path: Path) -> Any:
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import IMG_EXTENSIONS

    if not any(entry.is_dir() for entry in path.iterdir()):
        raise DataError(f"{name}: {path} holds no class; put the images of each into a folder of its own there")
    images = ImageFolder(str(path), transform(centred=True), loader=partial(_read, name), allow_empty=True)
    for label in sorted(set(range(len(images.classes))) - set(images.targets)):
        raise DataError(
            f"{name}: {path / images.classes[label]} holds no image ({', '.join(IMG_EXTENSIONS)}); "
            "add some, or remove the class"
        )
    return images


def _read(name: str, path: str) -> Image.Image:
    """The image in a file as RGB, SIZE × SIZE: what both pipelines start from. Raises DataError."""
    from PIL import Image
    from torchvision.transforms import functional as F

    try:
        with Image.open(path) as image:
            whole = image.convert("RGB")
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        raise DataError(f"{name}: {path} is no image that can be read ({error}); replace or remove it") from error
    small: Image.Image = F.center_crop(F.resize(whole, [SIZE]), [SIZE, SIZE])
    return small


def _split(images: Any) -> Split:
    pixels = torch.empty(len(images), 3, SIZE, SIZE, dtype=torch.uint8)
    for index, (path, _) in enumerate(images.samples):
        pixels[index] = torch.from_numpy(np.array(images.loader(path))).permute(2, 0, 1)
    return Split(pixels, torch.tensor(images.targets))
