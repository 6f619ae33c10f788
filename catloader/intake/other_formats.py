"""Refuse files that people often send instead of photos, with a message that names their kind."""

from __future__ import annotations

import re

from catloader import errors

_SEARCHED_BYTES = 1024
_TEXT = rb"(?s)(?:\xef\xbb\xbf)?\s*"
_WEB_PAGE = re.compile(_TEXT + rb"(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head)\b", re.IGNORECASE)
_FORMATS = {
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    "JPEG XR": re.compile(rb"II\xbc"),
    "Photoshop": re.compile(rb"8BPS"),
    "PDF": re.compile(_TEXT + rb"%PDF-"),
    "PostScript": re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"),
    "SVG": re.compile(_TEXT + rb"<(?:svg\b|[?!].*<svg\b)"),
    "ICO": re.compile(rb"\0\0[\x01\x02]\0.\0"),
    "GIMP": re.compile(rb"gimp xcf"),
    "DjVu": re.compile(rb"AT&TFORM"),
    "OpenEXR": re.compile(rb"v/1\x01"),
    "DICOM": re.compile(rb"(?s).{128}DICM"),
}
_ARCHIVE = re.compile(
    rb"PK[\x03\x05\x07][\x04\x06\x08]|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|\x1f\x8b\x08|(?s:.{257})ustar"
)
_VIDEO = re.compile(
    rb"(?s)....(?:ftyp|moov|mdat|wide|free|skip)"  # MP4, QuickTime
    rb"|\x1aE\xdf\xa3|RIFF....AVI |\x30\x26\xb2\x75\x8e\x66\xcf\x11|\0\0\x01[\xb3\xba]|FLV\x01"
    rb"|G.{187}G|....G.{191}G"  # MPEG transport streams
)


def refuse_known(data: bytes) -> None:
    """Refuse a file of a known kind; return if the kind is unknown.

    Args:
        data: a file that has none of the accepted formats.

    Raises:
        NotAnImage: the text names the kind.
    """
    start = data[:_SEARCHED_BYTES]
    if _WEB_PAGE.match(start):
        raise errors.NotAnImage("This is a web page, not a photo. Save the photo itself and try again.")
    for name, signature in _FORMATS.items():
        if signature.match(start):
            raise errors.NotAnImage(
                "The format %(format)s can't be read here. Save the photo as JPEG and try again.", format=name
            )
    if _ARCHIVE.match(start):
        raise errors.NotAnImage("This is an archive. Unpack it and choose the photos in it.")
    if _VIDEO.match(start):
        raise errors.NotAnImage("This is a video. CatLoader takes photos only.")
