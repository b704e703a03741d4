"""Torchvision's files and scikit-learn's: only plain ones are read, and what was checked is what is loaded."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nets.datasets import digits, load, torchvision_sets
from nets.datasets.data import DataError, DataMissing
from tests.datasets.test_datasets import small

FILE = "FashionMNIST/raw/t10k-images-idx3-ubyte"
IN_ITS_PLACE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a pipe": ("it is a pipe", os.mkfifo),
    "a folder": ("it is a folder", Path.mkdir),
    "a device": ("it is a device", lambda path: path.symlink_to("/dev/zero")),
    "a link to nothing": ("No such file or directory", lambda path: path.symlink_to("nowhere")),
    "a link to itself": ("Too many levels of symbolic links", lambda path: path.symlink_to(path.name)),
}


@pytest.mark.parametrize("made", IN_ITS_PLACE)
@pytest.mark.usefixtures("no_network")
def test_what_is_no_file(made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in a file's place is refused by its name, neither waited for nor replaced by a download."""
    path = small("fashion_mnist", monkeypatch).write(tmp_path) / FILE
    because, make = IN_ITS_PLACE[made]
    path.unlink()
    make(path)
    with pytest.raises(DataError, match=f"^fashion_mnist: {path}.* can't be read: {because}") as raised:
        load.load_data("fashion_mnist", tmp_path)
    assert not isinstance(raised.value, DataMissing)
    assert os.path.lexists(path)


@pytest.mark.parametrize("name", ["kmnist", "svhn"])
def test_a_link_to_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to the published file is read as the file is, with or without a checksum."""
    made = small(name, monkeypatch)
    path = made.write(tmp_path) / next(iter(made.files))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert len(load.load_data(name, tmp_path).train) == 7


def test_a_root_that_cannot_be_looked_up(tmp_path: Path) -> None:
    """A root that the system refuses to look up is named with the reason."""
    with pytest.raises(DataError, match=r"^mnist: .*x/MNIST/raw/.* can't be read: File name too long"):
        load.load_data("mnist", tmp_path / ("x" * 300))


@pytest.mark.parametrize("name", ["fashion_mnist", "svhn"])
@pytest.mark.parametrize("fault", ["altered", "short", "replaced", "removed"])
def test_a_file_that_is_changed_after_the_check(
    name: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is another one when torchvision reads it than when it was checked is refused by its name."""
    made = small(name, monkeypatch)
    file, content = next(iter(made.files.items()))
    path, read = made.write(tmp_path) / file, torchvision_sets._torchvision

    def changed_first(*arguments: Any, **options: Any) -> Any:
        match fault:
            case "altered":
                path.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))
            case "short":
                path.write_bytes(content[:-5])
            case "replaced":
                path.with_name("new").write_bytes(content)
                path.with_name("new").replace(path)
            case _:
                path.unlink()
        return read(*arguments, **options)

    monkeypatch.setattr(torchvision_sets, "_torchvision", changed_first)
    with pytest.raises(
        DataError, match=f"^{name}: {path} was changed while it was in use; leave it alone until the run"
    ):
        load.load_data(name, tmp_path)


def test_a_file_that_is_changed_after_it_was_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The article's pipeline, which reads the files again, gets those whose SHA-256 is in the record, or none."""
    made = small("fashion_mnist", monkeypatch)
    path = made.write(tmp_path) / FILE
    data = load.load_data("fashion_mnist", tmp_path)
    assert len(data.per_image(False)) == 5  # type: ignore[arg-type]  # torchvision's have a length
    path.write_bytes(made.files[FILE][:-1] + bytes((made.files[FILE][-1] ^ 1,)))
    with pytest.raises(DataError, match=f"^fashion_mnist: {path} was changed while it was in use"):
        data.per_image(False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"1,2\n" * 1_000)[:-20],
        gzip.compress(b"1,2\n")[:12] + b"\xff" * 20,
        gzip.compress(b"1,2,3\n"),
        gzip.compress(b"1,2\n1\n"),
        gzip.compress(b"1," * 64 + b"7\n"),
    ],
    ids=["empty", "no gzip", "short", "damaged", "too narrow", "uneven", "one row"],
)
def test_damaged_digits(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file of scikit-learn's is named, however it is damaged."""
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(content)
    monkeypatch.setattr(digits, "FILE", str(path))
    read = getattr(digits.digits, "__wrapped__", digits.digits)  # the tests keep what was read first
    with pytest.raises(DataError, match=rf"^digits: {path} can't be read \(.*\); install scikit-learn anew"):
        read()
