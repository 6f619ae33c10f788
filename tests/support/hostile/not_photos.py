"""Files that must be refused: other formats, active content, and files that are not photos."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile

from tests.support.hostile.core_containers import PNG_SIGNATURE
from tests.support.hostile.damage import TEXT
from tests.support.hostile.drawing import MARK, encoded, photo
from tests.support.hostile.file import HostileFile, refused


def magic_only() -> list[HostileFile]:
    filler = bytes((number * 7919) % 251 for number in range(4096))
    magics = {
        "jpg": b"\xff\xd8\xff\xe0",
        "png": PNG_SIGNATURE,
        "gif": b"GIF89a",
        "webp": b"RIFF\0\x10\0\0WEBPVP8 ",
        "tif": b"II*\0",
        "bmp": b"BM",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "avif": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    }
    files: list[tuple[str, bytes]] = []
    for suffix, magic in magics.items():
        files += [(f"then-bytes.{suffix}", magic + filler), (f"then-text.{suffix}", magic + TEXT)]
        files.append((f"alone.{suffix}", magic))
    return refused("magic-only", files)


def no_photos() -> list[HostileFile]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", TEXT)
    zipped = buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    files = {
        "empty.jpg": b"",
        "one-byte.jpg": b"\xff",
        "zeros.jpg": bytes(4096),
        "text.jpg": TEXT,
        "zip.png": zipped,
        "document.docx": zipped,
        "archive.tar": buffer.getvalue(),
        "compressed.gz": gzip.compress(TEXT, mtime=0),
        "archive.7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24),
        "document.pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF",
        "program.jpg": b"\x7fELF\2\1\1" + bytes(57),
        "program.png": b"MZ" + bytes(62) + b"PE\0\0",
        "class.gif": b"\xca\xfe\xba\xbe\0\0\0\x41" + TEXT,
        "film.jpg": struct.pack(">I", 24) + b"ftypmp42\0\0\0\0isommp42" + bytes(40),
        "sound.webp": b"RIFF" + struct.pack("<I", 40) + b"WAVEfmt " + bytes(32),
        "script.png": b"#!/bin/sh\necho " + MARK,
        "x-bitmap.jpg": b"#define a_width 8\n#define a_height 8\nstatic char a_bits[] = {0,1,2,3,4,5,6,7};",
        "database.jpg": b"SQLite format 3\0" + bytes(84),
    }
    return refused("not-an-image", files.items())


def other_formats() -> list[HostileFile]:
    """Return photos in formats that uploads do not accept."""
    image = photo((64, 64))
    by_pillow = {
        "ico": "ICO", "icns": "ICNS", "jp2": "JPEG2000", "ppm": "PPM", "sgi": "SGI", "tga": "TGA",
        "pcx": "PCX", "dds": "DDS", "eps": "EPS", "pdf": "PDF", "qoi": "QOI", "blp": "BLP",
    }  # fmt: skip
    files: list[tuple[str, bytes]] = []
    for suffix, name in by_pillow.items():
        files.append((f"photo.{suffix}", encoded(image.quantize(16) if name == "BLP" else image, name)))
    xbm = encoded(image.convert("1"), "XBM")
    files += [("photo.xbm", xbm), ("photo.msp", encoded(image.convert("1"), "MSP"))]
    files += [
        ("photo.cur", b"\0\0\2\0\1\0\x20\x20" + bytes(64)),
        ("photo.fli", struct.pack("<IHHHHHH", 128, 0xAF11, 1, 64, 64, 8, 3) + bytes(110)),
        ("photo.psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(64)),
        ("photo.jxl", b"\xff\x0a\xfa\x7f" + bytes(60)),
        ("boxed.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60)),
        ("photo.emf", struct.pack("<II", 1, 88) + bytes(32) + b" EMF" + bytes(44)),
        ("photo.jxr", b"II\xbc\1\x08\0\0\0" + bytes(60)),
        ("photo.exr", b"v/1\1\2\0\0\0" + bytes(60)),
    ]
    return refused("other-format", files)


def active_content() -> list[HostileFile]:
    head = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    entities = b"".join(b"<!ENTITY %c '%b'>" % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(9))
    external = b'<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + head + b"<text>&e;</text></svg>"
    script = head + b"<script>" + MARK + b"()</script></svg>"
    files = {
        "script.svg": script,
        "as-png.png": script,
        "with-declaration.jpg": b'<?xml version="1.0"?>' + script,
        "entities.svg": b"<!DOCTYPE svg [<!ENTITY a 'ha'>"
        + entities
        + b"]>"
        + head
        + b"<text>&j;</text></svg>",
        "external-entity.svg": external,
        "malformed.svg": head + b"<rect",
        "page.jpg": b"<!DOCTYPE html><html><body onload=" + MARK + b"()></body></html>",
        "page.gif": b"<html><script>" + MARK + b"()</script></html>",
    }
    return refused("active-content", files.items())
