"""An image file -> the middle of the image as RGB, 64×64, or the reason why it can't be read.

Pillow decodes. As in a viewer, an EXIF orientation is applied and what is transparent shows white; of 16 bits the upper
8 count, as Pillow has it for colours; colour profiles are not applied. Images whose white isn't known (signed or
32-bit integers, floats), which have several frames, or which are too large are refused.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from math import prod
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

SIZE = 64
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF")
"""What a file may hold, whatever its extension: no format of Pillow's that starts another program."""
MAX_PIXELS = 2**28 // 3
"""Where Pillow itself begins to warn of decompression bombs, unless somebody changed its Image.MAX_IMAGE_PIXELS."""
MAX_BYTES = 8 * MAX_PIXELS
"""As many pixels, uncompressed, of four channels with 16 bits."""


def middle_of(stream: BinaryIO) -> Image.Image:
    """The middle square of the image in a file, RGB, scaled to SIZE × SIZE.

    Raises ValueError for what is refused, and whatever Pillow's decoders raise: OSError, SyntaxError and others.
    """
    n_bytes = os.fstat(stream.fileno()).st_size
    if not n_bytes:
        raise ValueError("it is empty")
    if n_bytes > MAX_BYTES:
        raise ValueError(f"it has {n_bytes:,} bytes, and at most {MAX_BYTES:,} are read")
    with _as_shipped(), _opened(stream) as image:
        if prod(image.size) > MAX_PIXELS:
            raise ValueError(f"it has {prod(image.size):,} pixels, and at most {MAX_PIXELS:,} are read")
        if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's JPEG with its preview
            raise ValueError("it has several frames; save one of them alone")
        if _transparent_in_other_bits(image):
            raise ValueError("one of its grey levels or colours is transparent; save it with an alpha channel")
        image.load()
        with contextlib.suppress(Exception):  # metadata that can't be read makes the pixels no worse
            ImageOps.exif_transpose(image, in_place=True)
        return _middle(_rgb(image))


def _opened(stream: BinaryIO) -> ImageFile.ImageFile:
    try:
        return Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or its header is damaged") from None


@contextlib.contextmanager
def _as_shipped() -> Iterator[None]:
    """Whatever a program has set: truncated images are errors, and warnings, which would name no file, are not."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _transparent_in_other_bits(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would miss a PNG's transparent level or colour: it scales the others to 8 bits, but not this."""
    if image.format != "PNG" or "transparency" not in image.info or image.mode == "P":
        return False
    return image.tile[0][3] not in ("1", "L", "RGB")  # how the file has its pixels


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    whole = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """The upper 8 bits of an image of grey levels with up to 16; Pillow's own conversion would clip them to 255."""
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):  # these have at most 16
        kind = "floating-point numbers" if image.mode == "F" else "signed or 32-bit integers"
        raise ValueError(f"its pixels are {kind}, of which none is known as white; save it with 8 or 16 bits")
    tags = getattr(image, "tag_v2", {})  # a TIFF's
    levels = np.asarray(image)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # zero is white, which Pillow leaves as it is
        levels = 65535 - levels
    n_bits = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
    return Image.fromarray((levels >> (n_bits - 8)).astype(np.uint8))


def _middle(image: Image.Image) -> Image.Image:
    """Cut before it is scaled: all of an image of 1 × 100,000 would become 64 × 6,400,000."""
    short = min(image.size)
    left, top = ((side - short) // 2 for side in image.size)
    return image.crop((left, top, left + short, top + short)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
