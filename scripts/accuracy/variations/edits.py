"""Edits that keep the whole photo: turned, with a watermark, in a frame, shown on a screen."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont, ImageOps

from scripts.accuracy.variations.variations import Variation

_TILES = 5
"""Number of the watermark's words along the shorter side."""
_WORD_OPACITY = 110
_SMALLEST_TILE_PX = 5
"""The font of the words has a fifth of this size, and at least 1 px."""
_FRAME_SHARE = 0.15
_SCREEN_SHARE = 0.15
_ROOM, _BEZEL = (24, 22, 20), (6, 6, 6)


def edits() -> list[Variation]:
    """Return all edits."""
    return [
        _one("turned", "by 90 degrees", lambda photo: photo.transpose(Image.Transpose.ROTATE_90)),
        _one("turned", "upside down", lambda photo: photo.transpose(Image.Transpose.ROTATE_180)),
        _one("watermark", "tiled", _with_watermark),
        _one("frame", "black", lambda photo: _framed(photo, "black")),
        _one("frame", "white", lambda photo: _framed(photo, "white")),
        _one("screen", "in a dark room", _on_screen),
    ]


def _one(family: str, strength: str, edit: Callable[[Image.Image], Image.Image]) -> Variation:
    return Variation(family, strength, lambda photo, _seed, _ground: edit(photo))


def _with_watermark(photo: Image.Image) -> Image.Image:
    tile = max(min(photo.size) // _TILES, _SMALLEST_TILE_PX)
    layer = Image.new("RGBA", photo.size)
    draw, font = ImageDraw.Draw(layer), ImageFont.load_default(tile / 5)
    for row, top in enumerate(range(0, photo.height, tile)):
        for left in range(-(row % 2) * tile // 2, photo.width, tile):
            draw.text((left, top), "SAMPLE", (255, 255, 255, _WORD_OPACITY), font)
    return Image.alpha_composite(photo.convert("RGBA"), layer).convert("RGB")


def _framed(photo: Image.Image, colour: str) -> Image.Image:
    return ImageOps.expand(photo, round(_FRAME_SHARE * min(photo.size)), colour)


def _on_screen(photo: Image.Image) -> Image.Image:
    bezel = max(1, min(photo.size) // 40)
    screen = ImageOps.expand(photo.point([round(level * 0.9) for level in range(256)] * 3), bezel, _BEZEL)
    return ImageOps.expand(screen, round(_SCREEN_SHARE * max(photo.size)), _ROOM)
