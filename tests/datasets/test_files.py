"""The files of a data set: plain ones alone, in one order everywhere, the same at every reading, named in one line."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from nets.datasets import folder, load
from nets.datasets.data import Data, DataError
from nets.datasets.files import open_plain
from nets.datasets.folder import Images
from nets.datasets.image import middle_of
from tests.support.pictures import tree


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good folder, `pets` in the working directory, of four images."""
    monkeypatch.chdir(tmp_path)
    return tree(tmp_path / "pets", {part: {"cat": 1, "dog": 1} for part in ("train", "val")})


def loaded() -> Data:
    return load.load_data("folder:pets", Path("nowhere"))


def images(data: Data, training: bool = True) -> Images:
    found = data.per_image(training)
    assert isinstance(found, Images)
    return found


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # a socket's path has at most 107 bytes


REFUSED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a circle": ("link", lambda path: path.symlink_to(".", target_is_directory=True)),
    "a link to an image": ("link", lambda path: path.symlink_to("0.png")),
    "a link to nothing": ("link", lambda path: path.symlink_to("nowhere.png")),
    "a link to a device": ("link", lambda path: path.symlink_to("/dev/zero")),
    "a pipe": ("pipe", os.mkfifo),
    "a socket": ("socket", a_socket),
}


@pytest.mark.parametrize("place", ["train/cat/1.png", "train/cat/more/1.png", "val/cat/more", "train/eel"])
@pytest.mark.parametrize("made", REFUSED)
def test_what_is_no_plain_file(made: str, place: str, pets: Path) -> None:
    """A link, a pipe or a socket is refused by its name, as an image, a folder or a class; none is opened."""
    path = pets / place
    path.parent.mkdir(exist_ok=True)
    kind, make = REFUSED[made]
    make(path)
    with pytest.raises(
        DataError, match=f"^folder:pets: {path} can't be read: it is a {kind}.*; put a file in its place"
    ):
        loaded()


def test_a_device() -> None:
    """A device is refused before it is opened, whether it may be reached through a link or not."""
    for links in (True, False):
        with pytest.raises(OSError, match="it is a device; put a file in its place, or remove it"):
            open_plain(Path("/dev/null"), links=links)


@pytest.mark.parametrize("made", ["a link to an image", "a pipe"])
def test_a_file_that_is_no_longer_plain(made: str, pets: Path) -> None:
    """What was a file when the folder was listed and is none when it is read is refused; a pipe is not waited for."""
    listed = Images("folder:pets", pets / "train")
    (pets / "train" / "cat" / "0.png").unlink()
    kind, make = REFUSED[made]
    make(pets / "train" / "cat" / "0.png")
    with pytest.raises(DataError, match=rf"^folder:pets: .*cat/0\.png is no image that can be read \(it is a {kind}"):
        listed.loaded()


def test_links_that_are_followed(pets: Path) -> None:
    """PATH itself and its `train` and `val` may be links, and a hard link is a file like any other."""
    before = loaded().sha256
    (pets / "train").rename(pets / "elsewhere")
    (pets / "train").symlink_to("elsewhere")
    pets.rename(pets.with_name("moved"))
    pets.symlink_to("moved")
    assert loaded().sha256 == before
    (pets / "train" / "cat" / "1.png").hardlink_to(pets / "train" / "cat" / "0.png")
    assert len(loaded().train) == 3


def test_the_training_images_are_no_test(pets: Path) -> None:
    """`val` must not be a link to `train`."""
    shutil.rmtree(pets / "val")
    (pets / "val").symlink_to("train")
    with pytest.raises(
        DataError, match=r"^folder:pets: .*val is the training images' folder; keep others for the test"
    ):
        loaded()


def test_hidden_names(pets: Path) -> None:
    """What other programs leave under hidden names is neither a class nor an image, be it a link or damaged."""
    before = loaded().sha256
    tree(pets, {"train": {".ipynb_checkpoints": 1}, "val/cat": {".ipynb_checkpoints": 1}})
    (pets / "train" / "cat" / "._0.png").write_bytes(b"\0\5\x16\7")
    (pets / "train" / "dog" / ".link").symlink_to(".")
    assert loaded().sha256 == before


def test_a_folder_with_an_image_s_name(pets: Path) -> None:
    """A folder is one whatever its name: the images in it count, and without any it is nothing."""
    (pets / "train" / "cat" / "empty.png").mkdir()
    assert len(loaded().train) == 2
    tree(pets, {"train/cat": {"more.png": 3}})
    assert images(loaded()).labels == [0, 0, 0, 0, 1]


def test_the_order_is_torchvision_s(pets: Path) -> None:
    """Classes, images and labels are those that ImageFolder finds, in folders of any depth."""
    tree(
        pets,
        {"train": {"Eel": 11, "cat-1": 1}, "train/cat": {"a": 2, "a-b": 1, "a/x": 1}, "val": {"Eel": 1, "cat-1": 1}},
    )
    found, theirs = images(loaded()), ImageFolder(str(pets / "train"))
    assert found.classes == theirs.classes
    assert list(zip(found.files, found.labels, strict=True)) == theirs.samples


NAMES = [
    "A",
    "B",
    "a",
    "b c",
    "new\nline",
    "\u200fright to left",
    "\uffee",  # by code points this one comes after the last, by bytes before the one before it
    "😀",
    os.fsdecode(b"\xff"),
]
"""Names in the order of their bytes; the last is no UTF-8, and two differ by case alone."""


def test_the_order_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order the file system lists them in, and whatever the names, classes and images come in the same one."""
    monkeypatch.chdir(tmp_path)
    for part in ("train", "val"):
        for level, name in enumerate(NAMES):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for other, file in enumerate(NAMES):
                image = Image.new("RGB", (1, 1), (level, other, 0))
                image.save(tmp_path / "pets" / part / name / f"{file}.png")
    scandir = os.scandir
    found = []
    for backwards in (True, False):

        @contextmanager
        def listed(path: Any, backwards: bool = backwards) -> Any:
            with scandir(path) as entries:
                yield sorted(entries, key=lambda entry: entry.inode(), reverse=backwards)

        monkeypatch.setattr("nets.datasets.files.os.scandir", listed)
        found.append(loaded())
    pixels = found[0].train.images[:, :2, 0, 0].tolist()
    assert pixels == [[level, other] for level in range(len(NAMES)) for other in range(len(NAMES))]
    assert found[0].sha256 == found[1].sha256
    assert images(found[0]).classes == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if not name.isprintable()])
def test_a_message_is_one_printable_line(name: str, pets: Path) -> None:
    """A name with a line break, a mark of direction or a byte that is no UTF-8 is told of as Python writes it."""
    path = pets / "train" / "cat" / f"{name}.png"
    path.touch()
    with pytest.raises(DataError) as raised:
        loaded()
    assert str(raised.value).isprintable()
    assert f"{str(path)!r} is no image that can be read (it is empty)" in str(raised.value)


def test_a_path_that_is_no_utf8(pets: Path) -> None:
    """A data set's name that no file of results could hold is refused before anything is measured."""
    name = os.fsdecode(b"\xff")
    pets.rename(pets.with_name(name))
    with pytest.raises(
        DataError, match=r"^'folder:\\udcff': its path is not UTF-8, as a file of results must be"
    ) as raised:
        load.load_data(f"folder:{name}", Path("nowhere"))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("call", "place"), [("scandir", "train/cat/more"), ("scandir", "val"), ("open", "train/cat/0.png")]
)
def test_no_permission(call: str, place: str, pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or a file that may not be read is named: its images are not left out."""
    tree(pets, {"train/cat": {"more": 1}})
    allowed = getattr(os, call)

    def refuse(path: str | Path, *options: Any) -> Any:
        if Path(path) == pets / place:
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path, *options)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(DataError, match=rf"^folder:pets: {pets / place} .*can.* be read.*Permission denied"):
        loaded()


def test_a_file_that_was_changed(pets: Path) -> None:
    """An image that the article's pipeline reads again is the one that was loaded, or it is refused by its name."""
    data = loaded()
    path = pets / "train" / "cat" / "0.png"
    assert torch.equal(images(data)[0][0], data.on(torch.device("cpu"))[0].images[0])
    Image.new("RGB", (64, 64)).save(path)
    with pytest.raises(DataError, match=f"^folder:pets: {path} was changed while it was in use; leave it alone until"):
        images(data)[0]
    assert images(data)[1][1] == 1


def test_a_file_that_is_changed_while_it_is_read(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are written while an image is decoded are noticed, though the decoder had all that it wanted."""
    path, decode = pets / "val" / "dog" / "0.png", middle_of

    def decoded(stream: BinaryIO) -> Image.Image:
        image = decode(stream)
        if os.fstat(stream.fileno()).st_ino == path.stat().st_ino:
            with path.open("ab") as writer:
                writer.write(b"more")
        return image

    monkeypatch.setattr(folder, "middle_of", decoded)
    with pytest.raises(DataError, match=f"^folder:pets: {path} was changed while it was in use"):
        loaded()
