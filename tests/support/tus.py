"""A client of resumable uploads (tus) that sends one request at a time."""

from __future__ import annotations

from base64 import b64encode

from werkzeug.test import TestResponse

from tests.support.site import Person

PATH = "/upload/resumable"


class Tus:
    """Sends the requests of the upload page's script from the browser of ``person``."""

    def __init__(self, person: Person) -> None:
        self._client = person.client
        self._headers = {
            "Accept": "application/json",
            "Tus-Resumable": "1.0.0",
            "X-CSRFToken": person.token("/upload"),
        }

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> TestResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            names["Content-Type"] = "application/offset+octet-stream"
        return self._client.open(path, method=method, data=body, headers={**self._headers, **names})

    def begin(
        self, length_bytes: int, body: bytes | None = None, *, key: str = "", **facts: str
    ) -> TestResponse:
        metadata = ",".join(f"{name} {b64encode(text.encode()).decode()}" for name, text in facts.items())
        headers = {"Upload_Length": str(length_bytes), "Upload_Metadata": metadata}
        return self.send("POST", PATH, body, **headers, **({"Idempotency_Key": key} if key else {}))

    def patch(self, path: str, offset_bytes: int, body: bytes, **headers: str) -> TestResponse:
        return self.send("PATCH", path, body, Upload_Offset=str(offset_bytes), **headers)

    def offset(self, path: str) -> int:
        return int(self.send("HEAD", path).headers["Upload-Offset"])
