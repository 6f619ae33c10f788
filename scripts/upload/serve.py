"""One of the three sites of the upload benchmark, in its own process, with settings from the environment.

python -m scripts.upload.serve VARIANT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from flask import Response, request

from catloader import create_app
from catloader.server.announce import say
from catloader.server.gunicorn import Server
from catloader.server.listener import listening
from catloader.server.request_parser import TimeLimits
from catloader.settings import Settings
from catloader.wiring import Services, build


def serve(variant: str) -> None:
    """Run the site of a variant (``fired``, ``not fired`` or ``blocking``) until a signal."""
    settings = Settings.from_environment()
    with listening(settings.host, settings.port, "CATLOADER_HOST", "CATLOADER_PORT") as listener:

        def make() -> tuple[Any, Services]:
            services = build(settings, checker=variant != "not fired")
            app = create_app(settings, services)
            if variant == "blocking":
                app.after_request(_checked_first(services))
            return app, services

        def announce(url: str, _services: Services) -> None:
            say(f"{variant}: {url}")

        server = Server(
            listener,
            make,
            announce,
            processes=1,
            threads=settings.web_threads,
            connections=settings.connections,
            limits=TimeLimits(settings.stalled_s, settings.head_s, settings.body_bytes_per_s),
        )
        sys.exit(server.run())


def _checked_first(services: Services) -> Callable[[Response], Response]:
    """Return a hook that delays the response to an upload until the check is done."""
    checker = services.checker
    assert checker is not None

    def check(response: Response) -> Response:
        if request.endpoint == "uploads.upload" and request.method == "POST":
            checker.drain()
        return response

    return check


if __name__ == "__main__":
    serve(sys.argv[1])
