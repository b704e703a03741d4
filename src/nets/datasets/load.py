"""A data set's name -> its `Data`."""

from __future__ import annotations

from pathlib import Path

from nets.cells.catalog import DATASETS, FOLDER
from nets.datasets.data import Data
from nets.errors import UnknownName


def load_data(name: str, root: Path, *, download: bool = True) -> Data:
    """Load a data set, one of DATASETS or `folder:PATH`; `root` is the torchvision root of torchvision's.

    `download`: whether what is not there may be downloaded.
    Raises UnknownName, DataMissing (not there, and not to be downloaded) and DataError (there, but not as it must be).
    """
    if name == "digits":
        from nets.datasets.digits import digits

        return digits()
    if name == "shapes":
        from nets.datasets.shapes import shapes

        return shapes()
    if name.startswith(FOLDER):
        from nets.datasets.folder import folder

        return folder(name)
    if name in DATASETS:
        from nets.datasets import torchvision_sets

        return torchvision_sets.load_stored(name, root, download=download)
    raise UnknownName("data set", name, [*DATASETS, f"{FOLDER}PATH"])
