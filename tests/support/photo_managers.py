"""Imitations of Immich and Frigate. They serve the parts of the published APIs that docs/api.md uses.

https://api.immich.app and https://docs.frigate.video/integrations/api
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

IMMICH_KEY = "a key"
_TAG = "0196b7f4"
_PAGE = 2


class Manager:
    """Photos by name, and the tags or sub labels that a script has set.

    The first photo's Frigate event is still in progress.
    """

    def __init__(self, photos: Mapping[str, bytes]) -> None:
        self.photos, self.labels, self.url = photos, dict[str, str](), ""
        self.all_labelled = threading.Event()
        """Set once all finished events have a label."""

    def immich(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        names = [*self.photos]
        if (method, path) == ("PUT", "/api/tags") and body == {"tags": ["cat"]}:
            return [{"id": _TAG, "name": "cat", "value": "cat"}]
        if (method, path) == ("POST", "/api/search/metadata") and body["type"] == "IMAGE":
            last = _PAGE * body["page"]
            items = [{"id": name, "originalFileName": f"{name}.jpg"} for name in names[last - _PAGE : last]]
            return {"assets": {"items": items, "nextPage": str(body["page"] + 1) if names[last:] else None}}
        if (match := re.fullmatch(r"/api/assets/(\w+)/thumbnail", path)) and query == {"size": "preview"}:
            return self.photos[match[1]]
        if (method, path) == ("PUT", f"/api/tags/{_TAG}/assets"):
            self.labels |= dict.fromkeys(body["ids"], "cat")
            return [{"id": name, "success": True} for name in body["ids"]]
        return None

    def frigate(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        now, names = time.time(), [*self.photos]
        if (method, path) == ("GET", "/api/events"):
            assert (query["labels"], query["has_snapshot"], query["in_progress"]) == ("cat", "1", "0")
            assert float(query["after"]) < now - 60
            return [{"id": name, "start_time": now - 60, "end_time": now} for name in names[1:]]
        if match := re.fullmatch(r"/api/events/(\w+)/snapshot.jpg", path):
            return self.photos[match[1]]
        if (match := re.fullmatch(r"/api/events/(\w+)/sub_label", path)) and method == "POST":
            self.labels[match[1]] = body["subLabel"]
            if self.labels.keys() == {*names[1:]}:
                self.all_labelled.set()
            return {"success": True}
        return None


@contextmanager
def manager(program: Literal["immich", "frigate"], photos: Mapping[str, bytes]) -> Iterator[Manager]:
    """Run an imitation on a free port."""
    managed = Manager(photos)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(address.query).items()}
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            allowed = program == "frigate" or self.headers["x-api-key"] == IMMICH_KEY
            of_program = getattr(managed, program)
            body = json.loads(sent) if sent else None
            result = of_program(self.command, address.path, query, body) if allowed else None
            data = result if isinstance(result, bytes) else json.dumps(result).encode()
            self.send_response(404 if result is None else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    managed.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield managed
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
