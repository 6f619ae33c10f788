"""Step 1 for one file: sniff its format, check limits, turn it upright, re-encode it without metadata."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    TiffImagePlugin,
    WebPImagePlugin,
)
from pillow_heif import HeifImageFile

from catloader import errors
from catloader.intake.capture_date import capture_date
from catloader.intake.other_formats import refuse_known
from catloader.intake.turns import turn
from catloader.languages import gettext_noop
from checker.errors import TakesTooLong, UnreadableImage
from checker.pixels import renditions
from checker.pixels.formats.bombs import screened
from checker.pixels.formats.complete import CompleteJpeg, CompletePng
from checker.pixels.formats.omitted import add_omitted
from checker.pixels.formats.opening import is_refusal_of_texts, megapixels
from checker.pixels.formats.raw import RAW_PHOTO, is_raw
from checker.pixels.formats.sniff import sniff
from checker.pixels.renditions import Crop
from checker.pixels.sizes import RenditionSizes


class _WebP(WebPImagePlugin.WebPImageFile):
    """Releases Pillow's decoder, with its two canvases of 4 bytes a pixel, before the pixels are copied."""

    def _get_next(self) -> tuple[bytes, int, int]:
        frame: tuple[bytes, int, int] = super()._get_next()
        self._decoder = None  # only the first frame is read
        return frame


# The decoders' classes instead of Image.open, which would try every plugin of the process, follow the image
# index of an MPO, and only warn about files that the checks below refuse.
_DECODERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": CompleteJpeg,
    "PNG": CompletePng,
    "GIF": GifImagePlugin.GifImageFile,
    "WebP": _WebP,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIC": HeifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
# Messages of the checker's decoders that are shown to the person who sent the file.
OF_DECODERS = (
    gettext_noop("This is a raw photo. Save it as JPEG and try again."),
    gettext_noop(
        "This TIFF stores its colours in a way that can't be read here. Save it as JPEG and try again."
    ),
    gettext_noop(
        "This JPEG has a rare encoding that can't be read here. Save it as an ordinary JPEG and try again."
    ),
)
_DECODER_MODULES = re.compile(r"PIL\.|pillow_heif")


@dataclass(frozen=True, slots=True)
class Limits:
    max_bytes: int
    max_pixels: int
    max_edge_px: int
    thumbnail_px: int
    jpeg_quality: int
    large_at_once: int = 1
    """Number of processes that may decode a large photo at the same time; see ``turns``."""
    large_wait_s: float = 5.0
    """Longest wait for a turn."""

    @property
    def sizes(self) -> RenditionSizes:
        return RenditionSizes(self.max_edge_px, self.thumbnail_px, self.jpeg_quality)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Two upright sRGB JPEGs without metadata."""

    photo: bytes
    thumbnail: bytes
    width_px: int
    height_px: int
    thumbnail_px: int
    crop: Crop
    sha256: str
    thumbnail_sha256: str
    captured_at: str | None
    """The result of ``capture_date``; the stored photo does not contain it."""


def prepare(data: bytes, *, limits: Limits) -> Prepared:
    """Turn an uploaded file into the photo and the thumbnail that are stored.

    The photo is made from the first frame, or the first full-resolution image of a TIFF. Nothing is scaled
    up: if the photo is smaller than ``thumbnail_px``, the side of the thumbnail is the photo's shorter side.

    For trusted bytes only: uploads are prepared by ``isolated``, which calls this in a child process.

    Raises:
        BadImage: a subclass of it, with a sentence for the person who sent the file.
        UploadsBusy: other processes are decoding large photos.
        MemoryError: the decoders need more memory than the process may have.
    """
    source_format = format_of(data, limits)
    _silence_decoders()
    with _plain_errors(source_format):
        image = _opened(screened(data, limits.max_pixels), source_format, limits)
        with turn(image.width * image.height, limits.large_at_once, limits.large_wait_s):
            image.load()
            _check_size(image, limits)  # a HEIC image may be larger than its header says
            captured_at = capture_date(image)
            photo = renditions.upright_photo(image, limits.sizes, fast=False)
            del image  # up to hundreds of megabytes, as much as the encoder needs next
    return as_prepared(renditions.encode(photo, limits.sizes), captured_at)


def as_prepared(encoded: renditions.Encoded, captured_at: str | None = None) -> Prepared:
    """Add the digests of both JPEGs."""
    return Prepared(
        photo=encoded.photo,
        thumbnail=encoded.thumbnail,
        width_px=encoded.width_px,
        height_px=encoded.height_px,
        thumbnail_px=encoded.thumbnail_px,
        crop=encoded.crop,
        sha256=hashlib.sha256(encoded.photo).hexdigest(),
        thumbnail_sha256=hashlib.sha256(encoded.thumbnail).hexdigest(),
        captured_at=captured_at,
    )


def format_of(data: bytes, limits: Limits) -> str:
    """Return the format of a file, recognised by its first bytes.

    Raises:
        EmptyFile, TooManyBytes, NotAnImage: the file may not be decoded.
    """
    if not data:
        raise errors.EmptyFile("This file is empty.")
    if len(data) > limits.max_bytes:
        raise errors.TooManyBytes("This file is larger than %(limit)s.", limit=shown_limit(limits.max_bytes))
    source_format = sniff(data)
    if source_format is None:
        if is_raw(data):
            raise errors.NotAnImage(RAW_PHOTO)
        refuse_known(data)
        raise errors.NotAnImage(
            "This file is not a photo that CatLoader can read. "
            "Use JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP."
        )
    return source_format


def shown_limit(size_bytes: int) -> str:
    """Format a limit without superfluous decimals: "25 MB", "1.5 MB" or "195 kB"."""
    return f"{size_bytes / 2**20:.3g} MB" if size_bytes >= 2**20 else f"{max(1, size_bytes // 1024)} kB"


def _silence_decoders() -> None:
    """Suppress the decoders' warnings about broken metadata or large photos, which have no use here.

    This affects the whole process, because all threads share one list of filters. It is repeated for each
    photo, because another thread may replace the list.
    """
    if ("ignore", None, Warning, _DECODER_MODULES, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=_DECODER_MODULES.pattern)


@contextmanager
def _plain_errors(source_format: str) -> Iterator[None]:
    try:
        yield
    except (errors.BadImage, errors.UploadsBusy, MemoryError):
        raise
    except TakesTooLong as error:
        raise too_slow(source_format) from error
    except UnreadableImage as error:  # its text, one of OF_DECODERS, is for the person
        raise errors.NotAnImage(str(error)) from error
    except Image.DecompressionBombError as error:  # a GIF whose first frame is far larger than its screen
        raise errors.TooManyPixels("This photo has more pixels than the limit allows.") from error
    # Any exception: on hostile bytes the decoders raise OSError, SyntaxError, struct.error, RuntimeError and
    # others, all of which mean a broken file.
    except Exception as error:
        if is_refusal_of_texts(error):
            raise errors.TooManyBytes(
                "The texts or the colour profile inside this PNG are too large. Save it without them and try "
                "again."
            ) from error
        raise broken(source_format) from error


def too_slow(source_format: str) -> errors.BrokenImage:
    return errors.BrokenImage(
        "This %(format)s photo takes too long to open. Save it as a new JPEG and try again.",
        format=source_format,
    )


def broken(source_format: str) -> errors.BrokenImage:
    return errors.BrokenImage(
        "This %(format)s photo is damaged or incomplete. Try the original file.", format=source_format
    )


def _opened(data: bytes, source_format: str, limits: Limits) -> ImageFile.ImageFile:
    """Return the image before its pixels are decoded, at the smallest scale that is enough."""
    decoder = _DECODERS[source_format]
    image = decoder(io.BytesIO(data))
    _check_size(image, limits)
    if source_format == "PNG":
        image.verify()  # checks the checksum of every chunk; load() stops after the pixels
        image = decoder(io.BytesIO(data))
    renditions.draft(image, limits.sizes, fast=False)
    add_omitted(image, data)
    return image


def _check_size(image: Image.Image, limits: Limits) -> None:
    if (pixels := image.width * image.height) > limits.max_pixels:
        photo, most = megapixels(pixels, limits.max_pixels)
        raise errors.TooManyPixels(
            "This photo has %(photo)s megapixels; the limit is %(most)s.", photo=photo, most=most
        )
