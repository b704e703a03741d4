"""A folder of images: read as torchvision's ImageFolder reads it, the same pixels for both pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nets.cells.catalog import protocol_for
from nets.datasets import load
from nets.datasets.data import DataError, DataMissing, DoesNotFit, fingerprint
from nets.training.pipelines import ArticlePipeline
from tests.datasets.test_datasets import assert_same_images
from tests.support.pictures import tree


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good folder, `pets` in the working directory."""
    monkeypatch.chdir(tmp_path)
    return tree(tmp_path / "pets", {"train": {"dog": 6, "cat": 7, "Eel": 1}, "val": {"dog": 1, "cat": 2, "Eel": 6}})


@pytest.mark.usefixtures("pets")
def test_a_folder() -> None:
    """A folder is a data set: its whole name kept, 3×64×64 bytes, classes numbered by their sorted names."""
    data = load.load_data("folder:pets", Path("nowhere"))
    assert (data.name, data.image_shape, data.n_classes, data.centred) == ("folder:pets", (3, 64, 64), 3, True)
    assert data.train.images.dtype == torch.uint8
    assert data.train.labels.tolist() == [0] + 7 * [1] + 6 * [2]
    assert data.test.labels.tolist() == 6 * [0] + 2 * [1] + [2]
    assert data.sha256 == fingerprint(data.train, data.test)
    assert data.sha256 == load.load_data("folder:pets", Path("nowhere")).sha256


def test_both_pipelines_see_the_same_images(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image of every mode and size has the same values in both pipelines, also from another working directory."""
    data = load.load_data("folder:pets", Path("nowhere"))
    monkeypatch.chdir("/")
    assert_same_images(data, tuple(range(9)))
    loaders = ArticlePipeline().loaders(data, protocol_for("quick", data.name), torch.device("cpu"))
    batches = list(loaders.train)
    assert [len(images) for images, _ in batches] == [14]
    assert batches[0][0].min() < -0.9


def test_the_middle_is_kept(tmp_path: Path) -> None:
    """The shorter side becomes 64 and the middle is kept, lying or standing; a grey image is grey in all channels."""
    thirds = np.repeat(np.eye(3, dtype=np.uint8) * 200, 128, axis=0)  # red, green, blue
    wide = np.broadcast_to(thirds, (128, 384, 3))
    tree(tmp_path, {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}})
    Image.fromarray(np.ascontiguousarray(wide)).save(tmp_path / "train/a/0.png")
    Image.fromarray(np.ascontiguousarray(wide.transpose(1, 0, 2))).save(tmp_path / "train/b/0.png")
    Image.new("L", (10, 10), 77).save(tmp_path / "test/a/0.png")
    data = load.load_data(f"folder:{tmp_path}", Path("nowhere"))
    for image in data.train.images:
        inner = image[:, 4:-4, 4:-4].flatten(1)  # off the borders, which the scaling blends
        assert inner.amin(dim=1).tolist() == inner.amax(dim=1).tolist() == [0, 200, 0]
    assert (data.test.images[0] == 77).all()


def test_val_comes_before_test(pets: Path) -> None:
    """`test` is read where there is no `val`; where both are, `val` is, as ImageNet's `test` has no labels."""
    tree(pets, {"test": {"dog": 1, "cat": 1, "Eel": 1}})
    assert len(load.load_data("folder:pets", Path("nowhere")).test) == 9
    (pets / "val").rename(pets / "other")
    assert len(load.load_data("folder:pets", Path("nowhere")).test) == 3


TWO = {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("parts", "because"),
    [
        ({}, r"there is no folder .*pets; name one"),
        ({"val": TWO}, r"pets must hold train/CLASS/\* and val/CLASS/\* or test/CLASS/\*"),
        ({"train": TWO}, r"pets must hold train/CLASS/\* and val/CLASS/\* or test/CLASS/\*"),
        ({"train": TWO, "val": {"a": 1}}, "the class 'b' of .*train is not in .*val; add or remove it"),
        ({"train": TWO, "test": {**TWO, "c": 1}}, "the class 'c' of .*test is not in .*train; add or remove it"),
        ({"train": {"a": 1}, "val": {"a": 1}}, "pets has but the class 'a'; add a second one"),
        (
            {"train": {"a": 1, "b": 0}, "val": TWO},
            r"train.b holds no image \(\.jpg, .*\); add some, or remove",
        ),
        ({"train": TWO, "val": {"a": 1, "b": 0}}, r"val.b holds no image"),
        ({"train": TWO, "val": {"": 0}}, "val holds no class; put the images of each into a folder of its own there"),
        ({"train": {"": 2}, "val": TWO}, "train holds no class"),
    ],
)
def test_a_tree_that_is_not_as_it_must_be(
    parts: Mapping[str, Mapping[str, int]], because: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the tree is said in a sentence; it fails, since a named path is no reason to skip."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path / "pets", parts)
    with pytest.raises(DataError, match=f"^folder:pets: .*{because}") as raised:
        load.load_data("folder:pets", Path("nowhere"))
    assert not isinstance(raised.value, DataMissing)


def test_no_path(pets: Path) -> None:
    """No path, a file's, and one that the system refuses to look up are refused as paths."""
    (pets / "file").touch()
    for path, because in (
        ("", "there is no folder"),
        ("pets/file", "there is no folder"),
        ("x" * 300, "can't be read"),
    ):
        with pytest.raises(DataError, match=f"^folder:{path}: .*{because}"):
            load.load_data(f"folder:{path}", Path("nowhere"))


@pytest.mark.parametrize("fault", ["text", "empty", "short", "chunk", "bomb"])
def test_a_file_that_is_no_image(fault: str, pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has an image's name but can't be read as one is named, with what to do."""
    path = pets / "val" / "cat" / "1.png"
    match fault:
        case "text":
            path.write_text("no image")
        case "empty":
            path.write_bytes(b"")
        case "short":
            path.write_bytes(path.read_bytes()[:300])
        case "chunk":
            noise = np.random.default_rng(0).integers(256, size=(200, 200, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path)
            before, _, after = path.read_bytes().rpartition(b"IDAT")  # of two: the first is read before it fails
            path.write_bytes(before + b"\1DAT" + after)
        case _:
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    named = r".*\.png" if fault == "bomb" else str(path)
    why = {"text": "it is no JPEG.*its header is damaged", "empty": "it is empty"}.get(fault, ".*")
    with pytest.raises(DataError, match=rf"^folder:pets: {named} is no image that can be read \({why}\); replace or"):
        load.load_data("folder:pets", Path("nowhere"))


def test_other_files_are_passed_over(pets: Path) -> None:
    """What has no image's extension is no image, as torchvision has it."""
    before = load.load_data("folder:pets", Path("nowhere")).sha256
    (pets / "train" / "cat" / "notes.txt").write_text("nine lives")
    (pets / "train" / "notes.png").write_text("of no class")
    assert load.load_data("folder:pets", Path("nowhere")).sha256 == before


def test_a_folder_that_does_not_fit(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More images than free memory holds are refused with both sizes, before the first of them is read."""
    needed = 23 * 3 * 64 * 64
    monkeypatch.setattr("nets.datasets.folder.free_bytes", lambda device: needed)
    assert len(load.load_data("folder:pets", Path("nowhere")).train) == 14
    (pets / "train" / "Eel" / "0.png").write_text("not read")
    monkeypatch.setattr("nets.datasets.folder.free_bytes", lambda device: needed - 2**17)
    with pytest.raises(DoesNotFit, match=r"^folder:pets: 23 images of 3×64×64 take 0\.27 MiB, and 0\.14 MiB of memory"):
        load.load_data("folder:pets", Path("nowhere"))
