"""An image in a folder: every mode, depth and shape is what a viewer shows, or it is refused by name."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import EpsImagePlugin, ExifTags, Image, ImageFile

from nets.datasets import image as image_room
from nets.datasets.data import DataError
from nets.datasets.load import load_data
from tests.support.pictures import tree


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An image's place in a good folder of images."""
    tree(tmp_path / "pets", {"train": {"a": 1, "b": 1}, "val": {"a": 1, "b": 1}})
    return tmp_path / "pets" / "train" / "a" / "0.png"


def as_read(file: Path) -> NDArray[np.uint8]:
    """What the data set has of that image: (3, 64, 64)."""
    found: NDArray[np.uint8] = load_data(f"folder:{file.parents[2]}", Path("nowhere")).train.images[0].numpy()
    return found


def refused(file: Path, because: str) -> None:
    """The file is refused by its name, for this reason."""
    named = rf"^folder:{file.parents[2]}: {file} is no image that can be read \({because}\); replace or remove it$"
    with pytest.raises(DataError, match=named):
        as_read(file)


def tiff(levels: NDArray[Any], photometric: int, n_bits: int) -> bytes:
    """A one-row TIFF with a photometric interpretation and a depth that Pillow doesn't write."""
    packed = levels.tobytes()
    if n_bits == 12:  # two levels in three bytes
        packed = b"".join(((int(a) << 12) | int(b)).to_bytes(3, "big") for a, b in levels.reshape(-1, 2))
    tags = [(256, levels.size), (257, 1), (258, n_bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, 1), (279, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)


def as_bytes(image: Image.Image, fmt: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


LEVELS = np.array([0, 255, 256, 300, 4095, 0x8040, 0xFEFF, 0xFFFF], dtype=np.uint16)
SIXTEEN = Image.fromarray(np.repeat(LEVELS, 8)[None].repeat(64, axis=0))


def by_name(contents: dict[str, bytes]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("content", contents.values(), ids=contents)


@by_name(
    {
        "png": as_bytes(SIXTEEN, "PNG"),
        "tiff": as_bytes(SIXTEEN, "TIFF"),
        "tiff, compressed": as_bytes(SIXTEEN, "TIFF", compression="tiff_lzw"),
        "tiff, big-endian": as_bytes(Image.fromarray(np.asarray(SIXTEEN).astype(">u2")), "TIFF"),
        "pgm": as_bytes(SIXTEEN, "PPM"),
        "pgm of 10 bits": b"P5 64 64 1023\n" + (np.asarray(SIXTEEN) >> 6).astype(">u2").tobytes(),
    }
)
def test_sixteen_bits_are_scaled(content: bytes, file: Path) -> None:
    """Of a grey image with up to 16 bits the upper 8 are kept, in any format and byte order: nothing is clipped."""
    file.write_bytes(content)
    tolerance = 1 if content.startswith(b"P5 64 64 1023") else 0  # Pillow makes 16 bits of the 10
    assert (abs(as_read(file).astype(int) - np.repeat(LEVELS >> 8, 8)) <= tolerance).all()


@pytest.mark.parametrize(
    ("photometric", "n_bits", "levels", "expected"),
    [
        (1, 12, np.array([0xFFF, 0x800]), (255, 128)),
        (0, 16, np.array([0, 0x80FF], dtype="<u2"), (255, 127)),
        (1, 16, np.array([0xFFFF, 0x80FF], dtype="<u2"), (255, 128)),
    ],
    ids=["12 bits", "white is zero", "16 bits"],
)
def test_white_in_a_tiff(
    photometric: int, n_bits: int, levels: NDArray[Any], expected: tuple[int, int], file: Path
) -> None:
    """The white of a grey TIFF is that of its depth, and it is zero where its header says so."""
    for level, byte in zip(levels.reshape(-1, 1), expected, strict=True):
        file.write_bytes(tiff(np.repeat(level, 2), photometric, n_bits))
        assert (as_read(file) == byte).all()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (as_bytes(Image.new("I", (9, 9), 70_000), "TIFF"), "signed or 32-bit integers"),
        (as_bytes(Image.new("F", (9, 9), 0.5), "TIFF"), "floating-point numbers"),
        (as_bytes(Image.new("F", (9, 9), 0.5), "PPM"), "floating-point numbers"),
    ],
    ids=["int32", "float32", "pfm"],
)
def test_pixels_without_a_white(content: bytes, kind: str, file: Path) -> None:
    """Signed or 32-bit integers and floats have no level that is white by their format, so they are refused."""
    file.write_bytes(content)
    refused(file, f"its pixels are {kind}, of which none is known as white; save it with 8 or 16 bits")


def half(mode: str, clear: Any, opaque: Any) -> Image.Image:
    """An image whose left half is clear."""
    image = Image.new(mode, (64, 64), opaque)
    image.paste(clear, (0, 0, 32, 64))
    return image


def indexed(transparency: int | bytes) -> bytes:
    image = half("P", 0, 1)
    image.putpalette([10, 10, 10, 90, 90, 90])
    return as_bytes(image, "PNG", transparency=transparency)


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (as_bytes(half("RGBA", (10, 10, 10, 0), (90, 90, 90, 255)), "PNG"), 255),
        (as_bytes(half("RGBA", (0, 0, 0, 128), (90, 90, 90, 255)), "PNG"), 127),
        (as_bytes(half("RGBA", (10, 10, 10, 0), (90, 90, 90, 255)), "WEBP", lossless=True), 255),
        (as_bytes(half("LA", (10, 0), (90, 255)), "PNG"), 255),
        (indexed(0), 255),
        (indexed(b"\0\xff"), 255),
        (as_bytes(half("L", 10, 90), "PNG", transparency=10), 255),
        (as_bytes(half("RGB", (10, 10, 10), (90, 90, 90)), "PNG", transparency=(10, 10, 10)), 255),
        (as_bytes(half("RGBA", (10, 10, 10, 255), (90, 90, 90, 255)), "PNG"), 10),
    ],
    ids=["rgba", "half clear", "webp", "la", "p", "p of many alphas", "l", "rgb", "opaque"],
)
def test_transparency(content: bytes, left: int, file: Path) -> None:
    """What is transparent is white, in every way to say so, and no colour that is hidden below it shows."""
    file.write_bytes(content)
    found = as_read(file)
    assert (found[..., :31] == left).all()
    assert (found[..., 33:] == 90).all()


def test_a_transparent_level_of_sixteen_bits(file: Path) -> None:
    """Pillow compares a transparent level of 16 bits with pixels of 8: such an image is refused."""
    file.write_bytes(as_bytes(SIXTEEN, "PNG", transparency=300))
    refused(file, "one of its grey levels or colours is transparent; save it with an alpha channel")


@pytest.mark.parametrize(
    ("content", "colour"),
    [
        (as_bytes(Image.new("1", (9, 9), 1), "PNG"), (255, 255, 255)),
        (as_bytes(Image.new("L", (9, 9), 77), "BMP"), (77, 77, 77)),
        (as_bytes(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        (as_bytes(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG", quality=100), (255, 0, 0)),
        (as_bytes(Image.new("YCbCr", (9, 9), (76, 85, 255)), "JPEG", quality=100), (254, 0, 0)),
        (as_bytes(Image.new("L", (9, 9), 5), "GIF"), (5, 5, 5)),
    ],
    ids=["1", "bmp", "cmyk", "cmyk in a jpeg", "ycbcr", "gif"],
)
def test_every_mode_in_colour(content: bytes, colour: tuple[int, int, int], file: Path) -> None:
    """One bit, grey, CMYK and YCbCr become the same colour in RGB, whatever format the file's name promises."""
    file.write_bytes(content)
    assert (abs(as_read(file).astype(int) - np.array(colour)[:, None, None]) <= 2).all()


UPRIGHT = Image.fromarray(np.stack([*np.mgrid[:64, :64] * 4, np.zeros((64, 64))], axis=-1).astype(np.uint8))
"""Red grows downwards, green to the right."""
STORED: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What turns the upright image into the one that is stored with this orientation (TIFF 6.0, section 8)."""


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation(orientation: int, fmt: str, file: Path) -> None:
    """A camera's image is turned upright, whichever way it was held and in whatever format it is."""
    turned = STORED[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = UPRIGHT if turned is None else UPRIGHT.transpose(turned)
    file.write_bytes(as_bytes(stored, fmt, exif=exif, lossless=True, quality=100))
    off = abs(as_read(file).astype(int) - np.asarray(UPRIGHT).transpose(2, 0, 1))
    assert off.max() <= (8 if fmt == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0"], ids=["nonsense", "short", "none"]
)
def test_metadata_that_cannot_be_read(exif: bytes, file: Path) -> None:
    """Damaged EXIF data spoil no pixel, and bring no warning, which here would be an error."""
    plain = as_bytes(UPRIGHT, "JPEG")
    file.write_bytes(plain)
    expected = as_read(file)
    file.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:])
    assert (as_read(file) == expected).all()


FRAMES = [Image.new("RGB", (64, 64), colour) for colour in ((200, 0, 0), (0, 200, 0))]


@pytest.mark.parametrize("fmt", ["PNG", "WEBP", "TIFF", "GIF"])
def test_several_frames(fmt: str, file: Path) -> None:
    """An animation, or a file of several pages, is not one image."""
    file.write_bytes(as_bytes(FRAMES[0], fmt, save_all=True, append_images=FRAMES[1:]))
    refused(file, "it has several frames; save one of them alone")


def test_a_camera_s_second_picture(file: Path) -> None:
    """A phone's JPEG with a second picture behind it (MPO) is its first one, as every viewer has it."""
    file.write_bytes(as_bytes(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:], quality=100))
    assert (abs(as_read(file).astype(int) - np.array((200, 0, 0))[:, None, None]) <= 2).all()


def test_no_other_program_is_started(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript under an image's name, for which Pillow would start Ghostscript, is not looked into."""
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *options: started.append(options))
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    refused(file, "it is no JPEG, PNG, BMP, PPM, TIFF, WEBP or GIF, or its header is damaged")
    assert not started


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_truncated(fmt: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated image is refused even where a program has told Pillow to fill the rest with grey."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = as_bytes(Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)), fmt)
    file.write_bytes(whole[: len(whole) // 2])
    refused(file, ".+")
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1), (34_000_000, 1), (3, 2)])
def test_any_shape(size: tuple[int, int], file: Path) -> None:
    """The middle of an image of any shape is scaled, and only this: 34,000,000 pixels in a row take no more memory."""
    image = Image.new("1", size, 0)
    middle = [(side - min(size)) // 2 for side in size]
    image.paste(1, (middle[0], middle[1], middle[0] + min(size), middle[1] + min(size)))
    image.save(file)
    assert (as_read(file) == 255).all()


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG of that size, whose pixels are never reached."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 8) + b"IDAT" + bytes(12)


@pytest.mark.parametrize("limit", [None, 2**28 // 3, 10])
def test_a_decompression_bomb(limit: int | None, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of more than 89,478,485 pixels is refused by its header, whatever is set as Pillow's own limit."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    file.write_bytes(png_header(89_478_486, 1))
    refused(
        file, "it has 89,478,486 pixels, and at most 89,478,485 are read" if limit != 10 else ".*decompression bomb.*"
    )
    file.write_bytes(png_header(60_000, 60_000))
    refused(file, ".*3,?600,?000,?000 pixels.*")


def test_the_bound_is_no_narrower(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of just as many pixels and bytes as are allowed is read; of one more, it is refused."""
    Image.new("L", (20, 5), 9).save(file)
    monkeypatch.setattr(image_room, "MAX_PIXELS", 100)
    monkeypatch.setattr(image_room, "MAX_BYTES", file.stat().st_size)
    with file.open("rb") as stream:
        assert (np.asarray(image_room.middle_of(stream)) == 9).all()
        for bound, because in (("MAX_PIXELS", "100 pixels, and at most 99"), ("MAX_BYTES", "bytes, and at most")):
            monkeypatch.setattr(image_room, bound, getattr(image_room, bound) - 1)
            with pytest.raises(ValueError, match=because):
                image_room.middle_of(stream)


def test_a_file_without_end(file: Path) -> None:
    """A file of more bytes than the largest image can have is refused before any of them is read."""
    with file.open("r+b") as stream:
        stream.truncate(image_room.MAX_BYTES + 1)
    refused(file, r"it has 715,827,881 bytes, and at most 715,827,880 are read")
