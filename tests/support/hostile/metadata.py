"""Photos with private, dangerous or broken metadata: the site must keep the pixels and drop the metadata."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from tests.support.hostile.core_containers import (
    gif_application,
    gif_extension,
    jpeg_segment,
    png_chunk,
    png_chunks,
    png_file,
    with_extensions,
    with_segments,
)
from tests.support.hostile.drawing import COLOURS, MARK, encoded, jpeg, levels, photo, png
from tests.support.hostile.extended_containers import Tags, tiff_file
from tests.support.hostile.extended_variants import tiff_tags
from tests.support.hostile.file import HostileFile, accepted, accepted_as

_GPS, _MAKER_NOTE, _ORIENTATION = 0x8825, 0x927C, 0x0112
_TEXT = MARK.decode()
EXIF_HEADER, XMP_HEADER = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


def with_metadata(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield the photo in every format, with ``text`` in each metadata field of the format."""
    raw = text.encode()
    exif, xmp = private_exif(text), xmp_packet(text)
    segments = (
        jpeg_segment(0xE1, EXIF_HEADER + exif),
        jpeg_segment(0xE1, XMP_HEADER + xmp),
        jpeg_segment(0xED, _photoshop(raw)),
        jpeg_segment(0xEB, b"JP\0\1\0\0\0\1" + _box(b"jumb", raw)),
        jpeg_segment(0xFE, raw),
    )
    yield "jpg", with_segments(jpeg(), *segments)
    header, *others = (png_chunk(*chunk) for chunk in png_chunks(png()))
    texts = (
        png_chunk(b"eXIf", exif),
        png_chunk(b"tEXt", b"Comment\0" + raw),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
    )
    yield "png", png_file(header, *texts, *others[:-1])
    yield "webp", encoded(photo(), "WEBP", quality=90, exif=EXIF_HEADER + exif, xmp=xmp)
    gif = encoded(photo().quantize(16), "GIF")
    xmp_extension = gif_application(b"XMP DataXMP", xmp)
    yield "gif", with_extensions(gif, gif_extension(0xFE, raw), xmp_extension)
    yield "heic", encoded(photo(), "HEIC", quality=90, exif=EXIF_HEADER + exif, xmp=xmp)
    yield "avif", encoded(photo(), "AVIF", quality=90, speed=10, exif=EXIF_HEADER + exif, xmp=xmp)
    tags = tiff_tags(
        t270=(2, tuple(raw)), t315=(2, tuple(raw)), t700=(1, tuple(xmp))
    )  # description, artist, XMP
    yield "tif", tiff_file(tags, pixels=levels(COLOURS).tobytes())


def private_exif(text: str) -> bytes:
    """Return EXIF with a GPS position, an owner, a serial number, a maker note and an embedded thumbnail."""
    exif = Image.Exif()
    exif.update({0x010E: text, 0x010F: text, 0x0110: text, 0x013B: text, 0x8298: text})
    details = exif.get_ifd(0x8769)
    details.update(
        {_MAKER_NOTE: text.encode(), 0x9286: b"ASCII\0\0\0" + text.encode(), 0xA430: text, 0xA431: text}
    )
    position = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0), 0x1B: text.encode()}
    exif.get_ifd(_GPS).update(position)
    return exif.tobytes().removeprefix(EXIF_HEADER)


def _exif_thumbnail() -> bytes:
    small = with_segments(encoded(photo((32, 24)), "JPEG"), jpeg_segment(0xFE, MARK))
    second: Tags = {0x0201: (4, (8,)), 0x0202: (4, (len(small),)), 0x0103: (3, (6,))}
    return tiff_file({0x010F: (2, b"maker\0")}, second, pixels=small)


def xmp_packet(text: str) -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:dc='
        f'"http://purl.org/dc/elements/1.1/"><dc:title>{text}</dc:title></rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def _photoshop(text: bytes) -> bytes:
    caption = b"\x1c\x02\x78" + struct.pack(">H", len(text)) + text  # IPTC 2:120
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(caption)) + caption
    return b"Photoshop 3.0\0" + block + b"\0" * (len(block) % 2)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def private() -> Iterator[HostileFile]:
    for suffix, data in with_metadata(_TEXT):
        yield accepted("privacy-metadata", f"position-and-owner.{suffix}", data)
    thumbnail = jpeg_segment(0xE1, EXIF_HEADER + _exif_thumbnail())
    yield accepted("privacy-metadata", "embedded-thumbnail.jpg", with_segments(jpeg(), thumbnail))
    second = photo()
    second.info["comment"] = MARK
    both = encoded(photo(), "MPO", save_all=True, append_images=[second], quality=90, comment=MARK)
    yield accepted("privacy-metadata", "second-image.jpg", both)
    film = jpeg() + _box(b"ftyp", b"mp42\0\0\0\0isom") + _box(b"mdat", MARK * 50)
    yield accepted("privacy-metadata", "motion-photo.jpg", film)


_INJECTIONS = {
    "long-text": _TEXT * 500,
    "line-breaks": f"ok\r\n2026-01-01 INFO {_TEXT} logged in\r\nSet-Cookie: a={_TEXT}",
    "spreadsheet-formula": f'=HYPERLINK("http://127.0.0.1/{_TEXT}","{_TEXT}")',
    "sql": f"{_TEXT}'); DROP TABLE images; --",
    "script": f'"><script>alert("{_TEXT}")</script><img src=x onerror={_TEXT}()>',
    "template": f"{{{{7*7}}}} ${{7*7}} <%= {_TEXT} %> <?php echo '{_TEXT}'; ?>",
    "external-entity": f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;{_TEXT}</x>',
    "terminal-escape": f"\x1b]0;{_TEXT}\x07\x1b[2J\u202e{_TEXT}",
}


def injections() -> Iterator[HostileFile]:
    """Yield each injection in a JPEG and in another format."""
    for number, (name, text) in enumerate(_INJECTIONS.items()):
        everywhere = dict(with_metadata(text))
        suffix = list(everywhere)[number % len(everywhere)]
        yield accepted("metadata-injection", f"{name}.jpg", everywhere["jpg"])
        if suffix != "jpg":
            yield accepted("metadata-injection", f"{name}.{suffix}", everywhere[suffix])


def broken() -> Iterator[HostileFile]:
    """Yield valid pixels with metadata that no parser should trust."""

    file = accepted_as("broken-metadata")
    pointing_nowhere = b"II*\0\xff\xff\xff\xff"
    many = b"II*\0\x08\0\0\0\xff\xff" + bytes(40)
    wrong_type = tiff_file({_ORIENTATION: (7, b"\x06up")})
    itself = tiff_file({0x8769: (4, (8,)), _GPS: (4, (8,))})
    for name, exif in {
        "empty": b"",
        "no-directory": pointing_nowhere,
        "65535-entries": many,
        "orientation-is-text": wrong_type,
        "directory-within-itself": itself,
        "orientation-9": tiff_file({_ORIENTATION: (3, (9,))}),
        "random": bytes(range(7, 250)),
    }.items():
        yield file(f"exif-{name}.jpg", with_segments(jpeg(), jpeg_segment(0xE1, EXIF_HEADER + exif)))
    for name, exif in {"no-directory": pointing_nowhere, "65535-entries": many}.items():
        header, *others = (png_chunk(*chunk) for chunk in png_chunks(png()))
        yield file(f"exif-{name}.png", png_file(header, png_chunk(b"eXIf", exif), *others[:-1]))
        yield file(f"exif-{name}.webp", encoded(photo(), "WEBP", quality=90, exif=exif))
    segments = {
        "xmp-in-latin-1": jpeg_segment(0xE1, XMP_HEADER + "<x:xmpmeta>Ä</x:xmpmeta>".encode("latin-1")),
        "iptc-too-long": jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff\x1c\x02"),
        "image-index-cut": jpeg_segment(0xE2, b"MPF\0II*\0\x08\0\0\0\3\0"),
        "comment-of-nul": jpeg_segment(0xFE, bytes(300)),
    }
    for name, segment in segments.items():
        yield file(f"{name}.jpg", with_segments(jpeg(), segment))
    no_density = jpeg().replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIF\0\1\1\1\0\0\0\0", 1)
    yield file("density-0.jpg", no_density)
    heic = encoded(photo(), "HEIC", quality=85, exif=EXIF_HEADER + pointing_nowhere, xmp=b"\xff\xfe not xmp")
    yield file("exif-no-directory.heic", heic)


_HTML = b"<html><script>alert('" + MARK + b"')</script></html>"


def polyglots() -> Iterator[HostileFile]:
    """Yield photos that are also valid files of another format."""

    file = accepted_as("polyglot")
    gif = encoded(photo().quantize(16), "GIF")
    yield file("script-in-comment.gif", with_extensions(gif, gif_extension(0xFE, b"*/='" + MARK + b"';/*")))
    php = b"<?php system('" + MARK + b"'); ?>"
    yield file("php-in-comment.jpg", with_segments(jpeg(), jpeg_segment(0xFE, php)))
    yield file("pdf-in-comment.jpg", with_segments(jpeg(), jpeg_segment(0xFE, b"%PDF-1.7 " + MARK)))
    formats = {"jpg": jpeg(), "png": png(), "gif": gif, "webp": encoded(photo(), "WEBP", quality=90)}
    formats |= {"bmp": encoded(photo(), "BMP"), "tif": encoded(photo(), "TIFF")}
    for suffix, data in formats.items():
        yield file(f"html-behind.{suffix}", data + _HTML)
    zipped = b"PK\3\4" + bytes(26) + MARK + b"PK\5\6" + bytes(18)
    yield file("zip-behind.jpg", jpeg() + zipped)
    yield file("shell-behind.png", png() + b"\n#!/bin/sh\necho " + MARK)
