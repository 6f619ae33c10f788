"""Security headers of every response."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response

from catloader.store.kinds import ObjectKind
from catloader.wiring import Services


class HtmlSafeJson(DefaultJSONProvider):
    """JSON that is harmless if a browser renders it as HTML: responses repeat file names from clients.

    JSON that is nested too deeply for Python is an error of the request, like other invalid JSON.
    """

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        text = super().dumps(obj, **kwargs)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class PlainInteger(IntegerConverter):
    """Numbers in addresses. Only ASCII digits match, so that each page has one address."""

    regex = "[0-9]+"


def init_app(app: Flask) -> None:
    app.url_map.converters["int"] = PlainInteger
    services: Services = app.extensions["catloader"]
    hsts = f"max-age={services.settings.hsts_s}" if services.settings.hsts_s else ""
    headers = {
        "Content-Security-Policy": _policy(_image_origins(services)),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "geolocation=(), microphone=()",
    }

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        if hsts and request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", hsts)
        # Pages show the data of one user. Views and static files that may be cached set their own header.
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _policy(image_origins: list[str]) -> str:
    images = " ".join(["img-src 'self' data: blob:", *image_origins])
    return (
        f"default-src 'self'; {images}; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def _image_origins(services: Services) -> list[str]:
    """Return the origins of signed URLs. They may differ, because the host name can contain the bucket."""
    settings = services.settings
    if settings.delivery != "url":
        return []
    urls = [urlsplit(services.objects.url(kind, "x", settings.url_ttl_s)) for kind in ObjectKind]
    return sorted({f"{url.scheme}://{url.netloc}" for url in urls})
