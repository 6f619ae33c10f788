"""The child processes that decode: one server that forks them, a pool for uploads and one for checks.

Two pools, so that neither waits for the other: many uploads do not delay checks.
"""

from __future__ import annotations

from dataclasses import dataclass

from catloader.intake import isolated as uploads
from catloader.intake.places import Places
from catloader.intake.upload import limits
from catloader.settings import Settings
from checker.isolation.fork_server import ForkServer
from checker.isolation.limits import Limits
from checker.isolation.pool import ChildPool
from checker.pixels import isolated as checks

_UPLOAD_PATIENCE_S = 10.0
"""Longest time that an upload waits for a decoder; proxies and people would wait longer."""


@dataclass(frozen=True, slots=True)
class Decoders:
    """The decoders of untrusted bytes of one process."""

    prepare: uploads.IsolatedPreparer
    """Step 1."""
    decode: checks.IsolatedDecoder
    """Step 7."""
    _server: ForkServer
    _pools: tuple[ChildPool, ...]

    def start(self) -> None:
        """Import the decoders in the background. Otherwise the first photo would wait for that."""
        self._server.start()

    def close(self) -> None:
        """End every child; what is being decoded gets ``DecoderUnavailable``."""
        for pool in self._pools:
            pool.close()
        self._server.close()


def build_decoders(settings: Settings) -> Decoders:
    """Make both pools without starting anything."""
    most = Limits(settings.decode_cpu_s, settings.decode_wall_s, settings.decode_memory_bytes)
    server = ForkServer((*uploads.WORKS, *checks.WORKS), most.memory_bytes)
    # At least one request thread is left for the pages, however many uploads come.
    slots = min(settings.decode_slots, max(1, settings.web_threads - 1))
    waiting = min(settings.decode_queue, max(0, settings.web_threads - 1 - slots))
    for_uploads = ChildPool(server, children=slots, limits=most)
    for_checks = ChildPool(server, children=settings.checking_threads, limits=most)
    places = Places(slots=slots, waiting=waiting, patience_s=_UPLOAD_PATIENCE_S)
    return Decoders(
        uploads.IsolatedPreparer(for_uploads, places, limits(settings)),
        checks.IsolatedDecoder(for_checks),
        server,
        (for_uploads, for_checks),
    )
