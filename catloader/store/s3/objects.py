"""Step 2, store: photos, thumbnails and explanations in S3; step 6, fetch: read them for the checker."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from botocore.exceptions import ClientError

from catloader.answer_time import response_class
from catloader.errors import NotFound, StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.breaker import Breaker
from catloader.store.s3.deleting import delete_many
from catloader.store.s3.direct import DirectClient
from catloader.store.s3.errors import NO_OBJECT, error_code, refuse_unconfirmed, translated
from catloader.store.s3.listing import Listed, pages
from catloader.store.s3.recent import RecentRenditions
from catloader.store.s3.refusals import for_checker
from catloader.store.s3.session import make_client, make_session
from checker.values import Claim, Rendition

_JPEG = "image/jpeg"
_CHUNK_BYTES = 256 * 1024
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CONNECT_S = 3
_READ_S = 4
_WRITE_S = 12
"""Time limit for the response to a PUT after its last byte: enough for 25 MB on a disk that writes 2 MB/s."""

_ANSWER_S = 15.0
"""Time limit for a whole response, plus a second for each ``_BYTES_PER_S`` of it. Otherwise a server that
sends single bytes would occupy a thread for ever."""
_BYTES_PER_S, _ANSWER_BYTES = 100_000.0, 256 * 2**20


class ObjectStore:
    """One S3 server with two private buckets. Thread-safe.

    Every request raises ``StoreUnavailable`` if the server does not answer or refuses; ``get`` and ``open``
    raise ``NotFound`` if it has no such object.
    """

    def __init__(
        self,
        *,
        endpoint_url: str,
        access_key_id: str,
        secret_access_key: str,
        region: str,
        photos_bucket: str,
        thumbnails_bucket: str,
        max_connections: int = 32,
        recent: RecentRenditions | None = None,
        timed: Callable[[str], AbstractContextManager[None]] = lambda _operation: nullcontext(),
        answer_s: float = _ANSWER_S,
    ) -> None:
        """Make the client without connecting.

        Args:
            recent: cache for each photo and thumbnail that is put, for ``S3ImageSource``.
            timed: returns, for the name of an operation, the context manager in which its requests run.
            answer_s: time limit for a small response.
        """
        self._timed, self._recent = timed, recent
        url = urlsplit(endpoint_url)
        self.address = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"  # without a password
        """The server's address for messages."""
        self.photos_bucket, self.thumbnails_bucket = photos_bucket, thumbnails_bucket
        self._buckets = {
            ObjectKind.PHOTO: photos_bucket,
            ObjectKind.THUMBNAIL: thumbnails_bucket,
            ObjectKind.EXPLANATION: photos_bucket,
        }
        self._region = region
        # A name without a dot, as of a service in Compose, is known to this machine only, and to no proxy.
        is_local = url.hostname in _LOOPBACK or not re.search(r"[.:]", url.hostname or "")
        response = response_class(answer_s, _BYTES_PER_S, _ANSWER_BYTES)
        client = partial(
            make_client,
            make_session(uses_tls=url.scheme == "https"),
            endpoint_url=endpoint_url,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            region=region,
            max_connections=max_connections,
            connect_s=_CONNECT_S,
            response=response,
            uses_proxies=not is_local,
        )
        self._client, self._reader = client(read_s=_WRITE_S), client(read_s=_READ_S)
        self._breaker = Breaker(self._probe)
        self._direct_reader: DirectClient | None = None
        self._direct_writer: DirectClient | None = None
        # boto3's client handles TLS and proxies.
        if endpoint_url.startswith("http://") and (is_local or "http" not in getproxies()):
            direct = partial(
                DirectClient,
                endpoint_url,
                access_key_id=access_key_id,
                secret_access_key=secret_access_key,
                region=region,
                max_connections=max_connections,
                connect_s=_CONNECT_S,
                response=response,
            )
            self._direct_reader, self._direct_writer = direct(wait_s=_READ_S), direct(wait_s=_WRITE_S)

    @contextmanager
    def _request(self, operation: str, what: str) -> Iterator[None]:
        """Run requests in the block; raise ``NoAnswer`` at once while the circuit breaker is open."""
        with self._timed(operation), self._breaker.guarding(), translated(self.address, what):
            yield

    def _probe(self) -> None:
        with translated(self.address, f"bucket {self.photos_bucket}"):
            self._reader.head_bucket(Bucket=self.photos_bucket)

    def ask(self) -> None:
        """Check that the server answers and has the photos' bucket; ``NotFound``: the bucket is missing."""
        with self._timed("head"), self._breaker.guarding():
            self._probe()

    def ensure_buckets(self) -> None:
        """Create missing buckets; several processes may call this at once."""
        for bucket in (self.photos_bucket, self.thumbnails_bucket):
            with self._request("bucket", f"bucket {bucket}"):
                try:
                    self._client.head_bucket(Bucket=bucket)
                except ClientError as error:
                    if error_code(error) not in NO_OBJECT:
                        raise
                    self._create_bucket(bucket)

    def _create_bucket(self, bucket: str) -> None:
        options: dict[str, Any] = {"Bucket": bucket}
        if self._region != "us-east-1":  # the only region that Amazon does not accept as a constraint
            options["CreateBucketConfiguration"] = {"LocationConstraint": self._region}
        try:
            self._client.create_bucket(**options)
        except ClientError as error:
            if error_code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    def put(self, kind: ObjectKind, key: str, data: bytes) -> None:
        """Store a JPEG."""
        bucket, writer = self._buckets[kind], self._direct_writer
        with self._request("put", key):
            if writer is None or not writer.put(bucket, key, data, _JPEG):
                response = self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=_JPEG)
                refuse_unconfirmed(response, self.address)
        if self._recent is not None and kind in (ObjectKind.PHOTO, ObjectKind.THUMBNAIL):
            self._recent.add(key, data)

    def take_recent(self, key: str) -> bytes | None:
        """Return a rendition that this process has just put, once; None: the caller must ``get`` it."""
        return self._recent.take(key) if self._recent is not None else None

    def get(self, kind: ObjectKind, key: str) -> bytes:
        bucket = self._buckets[kind]
        with self._request("get", key):
            content = self._direct_reader.get(bucket, key) if self._direct_reader is not None else None
            if content is not None:
                return content
            body = self._reader.get_object(Bucket=bucket, Key=key)["Body"]
            with body:
                return b"".join(body.iter_chunks(_CHUNK_BYTES))  # never all that it announces at once

    def open(self, kind: ObjectKind, key: str) -> tuple[Generator[bytes, None, None], int]:
        """Return the object in chunks and its size in bytes; close the iterator after a partial read."""
        with self._request("open", key):
            response = self._reader.get_object(Bucket=self._buckets[kind], Key=key)
            if "ContentLength" not in response:
                response["Body"].close()
                raise StoreUnavailable(
                    f"The server at {self.address} does not state the size of {key} (Content-Length).",
                    cause=f"{self.address} size",
                )
        return self._chunks(response["Body"], key), int(response["ContentLength"])

    def _chunks(self, body: Any, key: str) -> Generator[bytes, None, None]:
        with translated(self.address, key), body:
            yield from body.iter_chunks(_CHUNK_BYTES)

    def exists(self, kind: ObjectKind, key: str) -> bool:
        try:
            with self._request("head", key):
                self._reader.head_object(Bucket=self._buckets[kind], Key=key)
        except NotFound:
            return False
        return True

    def bucket_of(self, kind: ObjectKind) -> str:
        return self._buckets[kind]

    def pages(self, bucket: str, prefix: str = "", *, threads: int = 1) -> Iterator[list[Listed]]:
        """Yield the objects of a bucket whose keys begin with ``prefix``, up to 1 000 at a time.

        Args:
            threads: with more than one, the order is arbitrary.
        """
        return pages(self._reader, partial(self._request, "list"), bucket, prefix, threads=threads)

    def delete_many(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        """Delete up to 1 000 objects; return key -> reason for those that still exist. See ``deleting``."""
        return delete_many(self._client, partial(self._request, "delete"), bucket, keys)

    def url(self, kind: ObjectKind, key: str, ttl_s: int, *, saved_as: str = "") -> str:
        """Return a signed URL that works for anyone for ``ttl_s`` seconds; makes no request.

        Args:
            saved_as: name under which browsers save the object instead of showing it.
        """
        target = {"Bucket": self._buckets[kind], "Key": key}
        if saved_as:
            target["ResponseContentDisposition"] = f'attachment; filename="{saved_as}"'
        return str(self._client.generate_presigned_url("get_object", Params=target, ExpiresIn=ttl_s))


class S3ImageSource:
    """Implements ``checker.ports.ImageSource``."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        kind = ObjectKind.PHOTO if rendition is Rendition.PHOTO else ObjectKind.THUMBNAIL
        key = claim.key(rendition)
        if (data := self._objects.take_recent(key)) is not None:
            return data
        with for_checker(self._objects, key, str(rendition)):
            return self._objects.get(kind, key)
