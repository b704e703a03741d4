"""Images of a data set as PNG files, for a report: by their places, and of no other data than those of the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from torch import Tensor

from nets.datasets.data import Data, DataError
from nets.datasets.files import shown
from nets.datasets.load import load_data
from nets.errors import NetsError
from nets.records.cell import Result


class OtherData(DataError):
    """A data set of the record's name, but not its bytes."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The PNG file of each image that was asked for, by its place in the data set's own order."""

    train: Mapping[int, bytes]
    test: Mapping[int, bytes]


def pictures_of(results: Sequence[Result], root: Path) -> Callable[[Result], Pictures]:
    """What finds the pictures of a result's samples and mistakes; a data set is loaded once, when first asked for.

    That raises NetsError where the data are not here, or are others.
    """
    known: dict[tuple[str, str], Pictures | NetsError] = {}

    def found(result: Result) -> Pictures:
        name, sha256 = result.cell.dataset, result.cell.data_sha256
        if sha256 is None:
            raise OtherData(f"{shown(name)}: the record does not say which bytes it was measured on")
        if (name, sha256) not in known:
            alike = [each for each in results if (each.cell.dataset, each.cell.data_sha256) == (name, sha256)]
            seen = [each.predictions for each in alike if each.predictions is not None]
            train = {each.place for one in seen for each in one.train}
            test = {each.place for one in seen for each in (*one.test, *one.mistakes)}
            try:
                known[name, sha256] = pictures(name, root, sha256, train=sorted(train), test=sorted(test))
            except NetsError as error:
                known[name, sha256] = error
        of_data = known[name, sha256]
        if isinstance(of_data, NetsError):
            raise of_data
        return of_data

    return found


def pictures(name: str, root: Path, sha256: str, *, train: Iterable[int] = (), test: Iterable[int] = ()) -> Pictures:
    """Images as they are viewed, in grey or RGB, of the training set and of the test set.

    `name`: the record's data set, one of DATASETS or `folder:PATH`; `root`: the torchvision root; `sha256`: the
    record's. The data set is loaded once, and whole, since its SHA-256 is that of all images; nothing is downloaded.
    Raises UnknownName, DataMissing (not on this machine), OtherData (other bytes), and DataError for what can't be read
    and for a place that the data set doesn't have.
    """
    data = load_data(name, root, download=False)
    if data.sha256 != sha256:
        raise OtherData(
            f"{shown(name)}: the SHA-256 here is {data.sha256:.12}, and the record's {shown(sha256):.12}; show "
            "its images where the data are those that it was measured on"
        )
    return Pictures(
        train=_png_files(data, "training", data.train.images, train),
        test=_png_files(data, "test", data.test.images, test),
    )


def _png_files(data: Data, part: str, images: Tensor, places: Iterable[int]) -> dict[int, bytes]:
    """`images`: uint8 (N, C, H, W)."""
    found = {}
    for place in places:
        if not 0 <= place < len(images):
            raise DataError(
                f"{shown(data.name)}: the {part} set has no image {place}, the last is {len(images) - 1}; "
                "the record was altered: measure it again"
            )
        found[place] = _png(images[place])
    return found


def _png(image: Tensor) -> bytes:
    """A uint8 image (C, H, W) of one channel or three."""
    from PIL import Image

    pixels = image.permute(1, 2, 0).squeeze(-1).contiguous().numpy()
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
