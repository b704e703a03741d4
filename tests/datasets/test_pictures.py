"""Images of a data set by their places: the record's own, as they are viewed, or a sentence that says why not."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nets.datasets.data import DataError, DataMissing
from nets.datasets.load import load_data
from nets.datasets.pictures import OtherData, pictures
from nets.errors import UnknownName
from tests.support.pictures import tree

NOWHERE = Path("nowhere")


def opened(png: bytes) -> Image.Image:
    """The image in a PNG file."""
    image = Image.open(BytesIO(png))
    assert image.format == "PNG"
    image.load()
    return image


@pytest.mark.parametrize(("name", "mode", "size"), [("digits", "L", 28), ("shapes", "RGB", 32)])
def test_embedded_images(name: str, mode: str, size: int) -> None:
    """Each has the very pixels of its place, in grey or in colour, and is the same file every time."""
    data = load_data(name, NOWHERE)
    found = pictures(name, NOWHERE, data.sha256, train=(0, 700), test=[3])
    assert (list(found.train), list(found.test)) == ([0, 700], [3])
    for png, image in ((found.train[700], data.train.images[700]), (found.test[3], data.test.images[3])):
        shown = opened(png)
        assert (shown.mode, shown.size) == (mode, (size, size))
        pixels = np.asarray(shown).reshape(size, size, -1)
        assert torch.equal(torch.from_numpy(pixels.copy()).permute(2, 0, 1), image)
    assert pictures(name, NOWHERE, data.sha256, train=(0, 700), test=[3]) == found


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder it is what the network saw of each file; after a change of any, nothing is shown."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path / "pets", {"train": {"dog": 2, "cat": 3}, "val": {"dog": 1, "cat": 2}})
    data = load_data("folder:pets", NOWHERE)
    assert data.class_names == ("cat", "dog")
    shown = opened(pictures("folder:pets", NOWHERE, data.sha256, test=(2,)).test[2])
    assert (shown.mode, shown.size) == ("RGB", (64, 64))
    assert torch.equal(torch.from_numpy(np.array(shown)).permute(2, 0, 1), data.test.images[2])
    Image.new("RGB", (9, 9)).save(tmp_path / "pets/train/dog/0.png")
    with pytest.raises(OtherData, match=r"^folder:pets: the SHA-256 here is .*, and the record's "):
        pictures("folder:pets", NOWHERE, data.sha256, test=(2,))


def test_names_of_folders_are_shown(tmp_path: Path) -> None:
    """A class whose name could do something to a terminal has it written out."""
    names = {"a\x1b[31m": 1, "\u202eb": 1}
    tree(tmp_path, {"train": names, "val": names})
    assert load_data(f"folder:{tmp_path}", NOWHERE).class_names == (r"'a\x1b[31m'", r"'\u202eb'")


def test_other_data() -> None:
    """Images of data with another SHA-256 than the record's are refused, with both named."""
    with pytest.raises(OtherData, match="digits: the SHA-256 here is 2fe1b49f555a, and the record's 000000000000;"):
        pictures("digits", NOWHERE, "0" * 64, test=(0,))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["mnist", "cifar10", "svhn"])
def test_nothing_is_downloaded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that are not here are named, and neither downloaded nor is their folder made."""
    monkeypatch.setattr("nets.datasets.torchvision_sets._download", lambda *_: pytest.fail("it was downloaded"))
    with pytest.raises(DataMissing, match=rf"^{name}: .*none.* is not there; name the data folder that has it$"):
        pictures(name, tmp_path / "none", "0" * 64, test=(0,))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [-1, 360])
def test_no_such_image(place: int) -> None:
    """A place that the set doesn't have is refused by its number."""
    data = load_data("digits", NOWHERE)
    with pytest.raises(DataError, match=f"digits: the test set has no image {place}, the last is 359; the record"):
        pictures("digits", NOWHERE, data.sha256, test=(place,))


def test_no_such_data() -> None:
    """A name that is no data set's, and a folder that is not there, are said to be so."""
    with pytest.raises(UnknownName):
        pictures("emnist", NOWHERE, "0" * 64)
    with pytest.raises(DataError, match="there is no folder"):
        pictures("folder:none", NOWHERE, "0" * 64)
