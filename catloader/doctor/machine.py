"""Rows for the machine: Python, data folder, temporary folder, address, processor, decoders."""

from __future__ import annotations

import errno
import io
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator

from PIL import Image

from catloader.doctor.rows import Row, examined
from catloader.errors import StartupError
from catloader.server.data_dir import prepare_data_dir, refuse_missing_temporary_folder
from catloader.server.listener import listening
from catloader.settings import Settings
from checker import __version__
from checker.isolation.limits import Limits
from checker.isolation.sandbox import missing_parts
from checker.pixels.isolated import isolated_decoder
from checker.plurals import counted
from checker.process.cores import available_cores
from models.processor import cpu_flags

_OLDEST = (3, 11)
_FLAGS = ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16")
"""The instruction sets on which the speed of variants depends."""


def rows(settings: Settings) -> Iterator[Row]:
    yield _python()
    yield examined("data folder", lambda: _data_folder(settings))
    yield examined("temporary folder", lambda: _temporary_folder(settings))
    yield examined("address", lambda: _address(settings))
    flags = [flag for flag in _FLAGS if flag in cpu_flags()]
    sentence = f"{counted(available_cores(), 'core')}, {platform.machine()}, {', '.join(flags) or 'no AVX2'}."
    yield Row("processor", "ok", sentence)
    yield examined("decoders", lambda: _decoders(settings))


def _python() -> Row:
    sentence = f"CatLoader {__version__} with Python {platform.python_version()} on {platform.system()}."
    if sys.version_info < _OLDEST or platform.system() != "Linux":
        return Row("Python", "failed", f"{sentence} Linux and Python 3.11 or newer are needed.")
    return Row("Python", "ok", sentence)


def _data_folder(settings: Settings) -> str:
    prepare_data_dir(settings)
    free_bytes = shutil.disk_usage(settings.data_dir).free
    return f"{settings.data_dir.resolve()} can be written to; {_shown(free_bytes)} are free."


def _temporary_folder(settings: Settings) -> str | Row:
    refuse_missing_temporary_folder()
    folder = tempfile.gettempdir()
    free_bytes = shutil.disk_usage(folder).free
    sentence = f"{folder} can be written to; {_shown(free_bytes)} are free."
    needed_bytes = 2 * settings.max_file_bytes * settings.max_uploads_at_once
    if free_bytes < needed_bytes:
        need = f"uploads in progress may need {_shown(needed_bytes)} (set TMPDIR)."
        return Row("temporary folder", "note", f"{sentence.removesuffix('.')}, and {need}")
    return sentence


def _decoders(settings: Settings) -> str | Row:
    photo = io.BytesIO()
    Image.new("RGB", (8, 8)).save(photo, "JPEG")
    limits = Limits(settings.decode_cpu_s, settings.decode_wall_s, settings.decode_memory_bytes)
    with isolated_decoder(1, limits) as decode:
        decode.renditions(photo.getvalue())
    missing = missing_parts()
    if missing:
        lack = f"A photo was decoded, but the system offers no {' and no '.join(missing)}"
        risk = "so a decoder that runs an attacker's code is confined less (see docs/operations.md)"
        return Row("decoders", "note", f"{lack}, {risk}.")
    return "A photo was decoded; Landlock and seccomp confine the decoding processes."


def _address(settings: Settings) -> str | Row:
    name = f"Port {settings.port} of {settings.host}"
    try:
        with listening(settings.host, settings.port, "CATLOADER_HOST", "CATLOADER_PORT"):
            return f"{name} is free."
    except StartupError as error:
        if getattr(error.__cause__, "errno", None) != errno.EADDRINUSE:
            raise
        return Row("address", "note", f"{name} is in use, by this site or by another program.")


def _shown(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.0f} MiB"
