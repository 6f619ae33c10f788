"""Files that would keep a decoder busy are recognised by their parts; those of ordinary encoders pass."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import Image

from checker.errors import TakesTooLong, UnreadableImage
from checker.pixels.formats.bombs import takes_too_long
from checker.pixels.renditions import site_renditions
from tests.support.bombs import FORMATS, SLOW, encoded, slow_tiff, tiff_of_strips
from tests.support.heif_files import box
from tests.support.heif_items import HeifItems


@pytest.mark.timeout(10)
@pytest.mark.parametrize("build", SLOW, ids=lambda build: build.__name__)
def test_folder_tool_soon_refuses_files_that_decode_slowly(build: Callable[[], bytes]) -> None:
    with pytest.raises(TakesTooLong, match="takes too long"):
        site_renditions(build())


@pytest.mark.timeout(10)
def test_page_behind_a_preview_is_screened_too() -> None:
    """The small first page is marked as a preview; the second page is the photo."""
    slow = slow_tiff()
    (directory,) = struct.unpack_from("<I", slow, 4)
    fields = [(254, 4, 1, 1), (256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1)]
    fields += [(273, 4, 1, 8), (278, 3, 1, 8), (279, 4, 1, 64)]
    preview = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields)
    preview += struct.pack("<I", directory)
    data = slow[:4] + struct.pack("<I", len(slow)) + slow[8:] + preview
    assert not takes_too_long(data)
    with pytest.raises(TakesTooLong):
        site_renditions(data)


@pytest.mark.parametrize(("order", "big"), [(">", False), ("<", True), (">", True)])
def test_every_tiff_layout_is_checked(order: str, big: bool) -> None:
    assert takes_too_long(tiff_of_strips(order, big))


def test_a_small_bmp_of_many_runs_is_recognised_by_its_size() -> None:
    head = struct.pack("<2s12xIiiHHI", b"BM", 40, 8, 8, 1, 8, 1)
    assert takes_too_long(head + bytes(4_000_001))
    assert not takes_too_long(head + bytes(3_000_000))


def test_equal_strips_may_share_their_bytes() -> None:
    """Compressed strips may share them in a large file, uncompressed ones in any file."""
    assert not takes_too_long(slow_tiff(strips=3, blocks=2_000).ljust(40_000, b"\0"))
    assert takes_too_long(slow_tiff(strips=3, blocks=2_000))
    uncompressed = slow_tiff().replace(struct.pack("<HHII", 259, 3, 1, 8), struct.pack("<HHII", 259, 3, 1, 1))
    assert not takes_too_long(uncompressed)


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_lzw", "packbits", "jpeg", "group4"])
def test_compressed_tiffs_pass(compression: str) -> None:
    out = io.BytesIO()
    image = Image.effect_noise((600, 400), 60).convert("1" if compression == "group4" else "RGB")
    image.save(out, "TIFF", compression=compression)
    assert not takes_too_long(out.getvalue())


def test_a_heic_of_many_tiles_that_is_turned_once_passes() -> None:
    items = HeifItems(64)
    items.opacity_of(items.grid([items.tile] * 16, 256), items.tile)
    items.grid([items.tile] * 31**2, 31 * 64, turns=1)
    assert not takes_too_long(items.file())


def test_a_slow_opacity_layer_is_recognised_like_a_slow_photo() -> None:
    items = HeifItems(64)
    opacity = items.grid([items.tile] * 50**2, 3200)
    photo = items.grid([items.tile] * 4, 128)
    assert not takes_too_long(items.file())
    items.opacity_of(photo, opacity)
    assert takes_too_long(items.file())


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("properties", "references"),
    [(box(b"ipma", bytes(4) + b"\xff" * 4), b""), (b"", box(b"dimg", b"\0\1\xff\xff"))],
    ids=["properties", "references"],
)
def test_boxes_that_state_too_many_entries_cost_no_time(properties: bytes, references: bytes) -> None:
    """Each box states thousands of entries; to read them from the following bytes would take minutes."""
    meta = box(b"pitm", bytes(4) + b"\0\1") + box(b"iref", bytes(4) + references * 20_000)
    meta += box(b"iprp", box(b"ipco", b"") + properties * 20_000)
    file = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic") + box(b"meta", bytes(4) + meta)
    assert not takes_too_long(file + box(b"mdat", bytes(300_000)))


def test_files_of_ordinary_encoders_pass() -> None:
    assert not takes_too_long(encoded("JPEG", (1500, 1000), progressive=True))
    video = b"\xff\xda\0\2" * 30_000  # bytes that look like scans of a JPEG
    phone = encoded("JPEG") + encoded("JPEG") + video
    assert not takes_too_long(phone)
    for format in FORMATS:
        assert not takes_too_long(encoded(format))


def test_a_compressed_tiff_that_was_cut_off_is_not_called_slow() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.asarray(Image.effect_noise((600, 400), 60)), compression="zlib")
    with pytest.raises(UnreadableImage, match="truncated"):
        site_renditions(out.getvalue()[:50_000])


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_bytes_never_make_the_check_fail(format: str) -> None:
    data = encoded(format, (16, 16))
    for end in range(len(data)):
        assert not takes_too_long(data[:end])
