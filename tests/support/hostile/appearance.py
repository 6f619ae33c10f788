"""Photos whose metadata determines how they are shown: an orientation, or a colour profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.support.hostile.core_containers import jpeg_segment, with_segments
from tests.support.hostile.drawing import COLOURS, SIZE_PX, encoded, jpeg, levels, photo, png, upright
from tests.support.hostile.extended_containers import icc_profile, tiff_file
from tests.support.hostile.extended_variants import tiff_tags
from tests.support.hostile.file import HostileFile, accepted
from tests.support.hostile.metadata import EXIF_HEADER, XMP_HEADER, xmp_packet

_ORIENTATION = 0x0112


def orientations() -> Iterator[HostileFile]:
    """Yield each EXIF orientation in each format that viewers rotate."""
    formats: dict[str, Callable[[bytes], bytes]] = {
        "jpg": lambda exif: jpeg(exif=exif),
        "png": lambda exif: png(exif=exif),
        "webp": lambda exif: encoded(photo(), "WEBP", quality=90, exif=exif),
        "avif": lambda exif: encoded(photo(), "AVIF", quality=90, speed=10, exif=exif),
        "heic": lambda exif: encoded(photo(), "HEIC", quality=90, exif=exif),
    }
    for orientation in range(1, 9):
        for suffix, encode in formats.items():
            if suffix in ("heic", "avif") and orientation not in (3, 6):
                continue
            exif = tiff_file({_ORIENTATION: (3, (orientation,))}, order="<>"[orientation % 2])
            yield _turned(f"orientation-{orientation}.{suffix}", encode(EXIF_HEADER + exif), orientation)
        tags = tiff_tags(t274=(3, (orientation,)))
        tiff = tiff_file(tags, pixels=levels(COLOURS).tobytes())
        yield _turned(f"orientation-{orientation}.tif", tiff, orientation)
    exif = tiff_file({_ORIENTATION: (3, (6,))})
    late = [jpeg_segment(0xE1, XMP_HEADER + xmp_packet("first")), jpeg_segment(0xE1, EXIF_HEADER + exif)]
    yield _turned("orientation-after-xmp.jpg", with_segments(jpeg(), *late), 6)


def _turned(name: str, data: bytes, orientation: int) -> HostileFile:
    size_px = SIZE_PX if orientation < 5 else (SIZE_PX[1], SIZE_PX[0])
    return accepted("orientation", name, data, upright(COLOURS, orientation), size_px)


_RED, _GREEN, _BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7142)
"""sRGB's primaries under D50."""


def profiles() -> Iterator[HostileFile]:
    """Yield photos with colour profiles. One profile exchanges red and blue; the stored photo must too."""
    exchanged = icc_profile(_BLUE, _GREEN, _RED, 2.2)
    shown = tuple(tuple(reversed(colour)) for colour in COLOURS)
    for source_format, suffix in {
        "JPEG": "jpg",
        "PNG": "png",
        "WEBP": "webp",
        "TIFF": "tif",
        "AVIF": "avif",
    }.items():
        data = encoded(photo(), source_format, quality=95, icc_profile=exchanged)
        yield accepted("icc", f"red-and-blue-exchanged.{suffix}", data, shown)  # type: ignore[arg-type]
    for name, profile in {"random": bytes(range(256)), "cut": exchanged[:200]}.items():
        yield accepted("icc", f"{name}-profile.jpg", jpeg(icc_profile=profile))
    grey = exchanged[:16] + b"GRAY" + exchanged[20:]
    yield accepted("icc", "profile-of-another-colour-model.jpg", jpeg(icc_profile=grey))
