"""The child processes that decode: a server that forks them, a pool for uploads and a pool for checks.

With two pools, many uploads do not delay checks, and checks do not delay uploads.
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
"""Longest time that an upload waits for a decoder, shorter than the patience of proxies and people."""


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
        """Import the decoders in the background, so that the first photo does not wait for the imports."""
        self._server.start()

    def close(self) -> None:
        """End every child; photos that are being decoded get ``DecoderUnavailable``."""
        for pool in self._pools:
            pool.close()
        self._server.close()


def build_decoders(settings: Settings) -> Decoders:
    """Make both pools without starting anything."""
    child_limits = Limits(settings.decode_cpu_s, settings.decode_wall_s, settings.decode_memory_bytes)
    server = ForkServer((*uploads.WORKS, *checks.WORKS), child_limits.memory_bytes)
    # At least one request thread remains for the pages, however many uploads arrive.
    slots = min(settings.decode_slots, max(1, settings.web_threads - 1))
    waiting = min(settings.decode_queue, max(0, settings.web_threads - 1 - slots))
    for_uploads = ChildPool(server, children=slots, limits=child_limits)
    for_checks = ChildPool(server, children=settings.checking_threads, limits=child_limits)
    places = Places(slots=slots, waiting=waiting, patience_s=_UPLOAD_PATIENCE_S)
    return Decoders(
        uploads.IsolatedPreparer(for_uploads, places, limits(settings)),
        checks.IsolatedDecoder(for_checks),
        server,
        (for_uploads, for_checks),
    )
