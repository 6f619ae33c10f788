"""Probe the capabilities of an S3 server that the site needs: all for ``doctor``, the rights for a start."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from catloader.store.s3.errors import error_code, server_time, translated
from catloader.store.s3.objects import ObjectStore

_REASONS = {
    "InvalidAccessKeyId": "the server does not know the key; look at AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret is not that of the key; look at AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "the clocks are too far apart; set both by NTP",
    "AuthorizationHeaderMalformed": "the server is in another region; set AWS_REGION",
    "IllegalLocationConstraintException": "the server is in another region; set AWS_REGION",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION and its AWS_ENDPOINT_URL_S3",
    "301": "the bucket is in another region; set AWS_REGION and its AWS_ENDPOINT_URL_S3",
}
_RIGHTS = {
    "list": "s3:ListBucket",
    "put": "s3:PutObject",
    "get": "s3:GetObject",
    "delete": "s3:DeleteObject",
}
_NOT_MADE = "It is missing; the next start makes it, for which the keys need the right s3:CreateBucket."
_VERSIONS = (
    "The bucket keeps old versions, so deleted photos stay in it: suspend versioning, or add a lifecycle "
    "rule that expires noncurrent versions."
)
_OTHER_ACCOUNT = "At Amazon, names of buckets are global: it may also belong to another account."
_DENIED = ("AccessDenied", "403")
_MISSING = ("NoSuchBucket", "404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class Response:
    """The server's response to one request."""

    code: str
    """S3's error code, or the HTTP status if the error has no code; empty: no error."""
    body: bytes
    date: datetime | None
    """The server's time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one capability."""

    name: str
    works: bool | None
    """None: a note, or it could not be tested."""
    sentence: str


class Probes:
    """The requests of one run, which leave no object behind."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._client = store, store._client
        self._buckets = {store.photos_bucket: 0, store.thumbnails_bucket: 0}  # ordered, each once
        self._key = f"doctor-{secrets.token_hex(8)}"
        self._bytes = secrets.token_bytes(4096)

    def server_time(self) -> datetime | None:
        """Return the server's time; None: it sends none.

        Raises:
            NoAnswer: the server can't be reached.
        """
        return self._ask(self._client.head_bucket, self._store.photos_bucket).date

    def run(self) -> Iterator[Finding]:
        """Yield the findings; end early if further probes are impossible.

        Raises:
            NoAnswer: the server can't be reached, or its certificate is not trusted; with the reason.
        """
        response = self._ask(self._client.get_object, self._store.photos_bucket, Key=self._key)
        known = response.code not in _REASONS
        if known and not response.code.isalpha():  # the object does not exist, and S3 errors have names
            yield Finding(
                "address",
                False,
                f"{self._store.address} answers, but not as S3 does (HTTP {response.code or 200}); "
                "set AWS_ENDPOINT_URL_S3 to the S3 server itself.",
            )
            return
        yield Finding("address", True, f"{self._store.address} answers.")
        yield Finding(
            "keys and region",
            known,
            "The keys are known, and the region is right."
            if known
            else f"{_upper(_REASONS[response.code])} ({response.code}).",
        )
        if not known:
            return
        present = True
        for bucket in self._buckets:
            finding = self._bucket(bucket)
            present = present and finding.works is not None
            yield finding
            if finding.works and self._keeps_versions(bucket):
                yield Finding(f"versions in {bucket}", None, _VERSIONS)
        if present:
            yield from self._objects()

    def missing_right(self) -> str:
        """Return a sentence about the first right for uploads or deletions that the keys lack.

        Empty: the keys lack none, or the server fails for a reason that may be temporary.

        Raises:
            NoAnswer: the server can't be reached.
        """
        requests = dict(self._requests())
        for bucket in self._buckets:
            for name in ("delete", "put", "get"):  # no object is put that could not be deleted
                if requests[name](bucket).code in _DENIED:
                    break
            else:
                name = ""
            requests["delete"](bucket)
            if name:
                return _denied(_RIGHTS[name], f"on the bucket {bucket}")
        return ""

    def _bucket(self, bucket: str) -> Finding:
        name = f"bucket {bucket}"
        code = self._ask(self._client.head_bucket, bucket).code
        if code in _MISSING:
            return Finding(name, None, _NOT_MADE)
        if code in _DENIED:
            sentence = _denied("s3:ListBucket (on SeaweedFS: Read)", "without which the site does not start")
            return Finding(name, False, f"{sentence} {_OTHER_ACCOUNT}")
        return Finding(name, not code, _failed(code) if code else "It is there, addressed by path.")

    def _keeps_versions(self, bucket: str) -> bool:
        with translated(self._store.address, f"bucket {bucket}"):
            try:
                return bool(self._client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")
            except ClientError:  # the server has no versions, or the keys may not ask
                return False

    def _objects(self) -> Iterator[Finding]:
        stored = True
        for name, ask in self._requests():
            if name == "get" and not stored:
                continue
            finding = self._for_each_bucket(name, _RIGHTS[name], ask)
            stored = bool(finding.works) if name == "put" else stored
            yield finding
        code = self._ask(
            self._client.put_object,
            self._store.photos_bucket,
            Key=self._key,
            Body=self._bytes,
            ChecksumAlgorithm="CRC32",
        ).code
        self._ask(self._client.delete_object, self._store.photos_bucket, Key=self._key)
        accepts = "accepts" if not code else "does not accept"
        yield Finding(
            "checksum headers", True, f"The server {accepts} the newer ones; the site does not send them."
        )

    def _requests(self) -> Iterator[tuple[str, Callable[[str], Response]]]:
        client, key = self._client, self._key
        yield "list", lambda bucket: self._ask(client.list_objects_v2, bucket, MaxKeys=1)
        yield "put", lambda bucket: self._ask(client.put_object, bucket, Key=key, Body=self._bytes)
        yield "get", lambda bucket: self._same_bytes(self._ask(client.get_object, bucket, Key=key))
        yield "delete", lambda bucket: self._ask(client.delete_object, bucket, Key=key)

    def _same_bytes(self, response: Response) -> Response:
        altered = not response.code and response.body != self._bytes
        return Response("AlteredBytes", response.body, response.date) if altered else response

    def _for_each_bucket(self, name: str, right: str, ask: Callable[[str], Response]) -> Finding:
        for bucket in self._buckets:
            code = ask(bucket).code
            if code in _DENIED:
                return Finding(name, False, _denied(right, f"on the bucket {bucket}"))
            if code:
                return Finding(name, False, f"Bucket {bucket}: {_failed(code)}")
        return Finding(name, True, "Works in both buckets.")

    def _ask(self, request: Callable[..., Any], bucket: str, **parameters: Any) -> Response:
        with translated(self._store.address, f"bucket {bucket}"):
            try:
                response = request(Bucket=bucket, **parameters)
                body = response["Body"].read() if "Body" in response else b""
                code = ""
            except ClientError as error:
                response, body = error.response, b""
                code = error_code(error) or str(response["ResponseMetadata"]["HTTPStatusCode"])
        return Response(code, body, server_time(response))


def _denied(right: str, where: str) -> str:
    return f"The keys lack the right {right} {where}."


def _failed(code: str) -> str:
    if code == "AlteredBytes":
        return "the server returns other bytes than were stored."
    return f"the server refuses ({code}{': ' + _REASONS[code] if code in _REASONS else ''})."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
