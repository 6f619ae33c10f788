"""Step 2, store: photos and thumbnails in S3, and the way back (step 6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

import boto3
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from catloader.errors import NotFound, StoreUnavailable
from catloader.store.kinds import ObjectKind
from checker import errors as checker_errors
from checker.values import Claim, Rendition

_CHUNK_BYTES = 256 * 1024
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_AT_ONCE = urllib3.Timeout(connect=1, read=4)
"""For a GET without the client: a server that takes longer is the client's to wait for."""


class ObjectStore:
    """One S3 server with two private buckets. Thread-safe."""

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
    ) -> None:
        self.photos_bucket, self.thumbnails_bucket = photos_bucket, thumbnails_bucket
        self._buckets = {
            ObjectKind.PHOTO: photos_bucket,
            ObjectKind.THUMBNAIL: thumbnails_bucket,
            ObjectKind.EXPLANATION: photos_bucket,
        }
        self._region = region
        at_home = urlsplit(endpoint_url).hostname in _LOOPBACK
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=20,
            retries={"total_max_attempts": 3, "mode": "standard"},
            max_pool_connections=max_connections,
            # Servers other than Amazon's know the classic form of a request best.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # A proxy from the environment is for the internet, not for a server on this machine.
            proxies={} if at_home else None,
        )
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint_url,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            region_name=region,
            config=config,
        )
        self._endpoint_url = endpoint_url.rstrip("/")
        self._signature = S3SigV4Auth(Credentials(access_key_id, secret_access_key), "s3", region)
        self._direct: urllib3.HTTPConnectionPool | None = None
        # TLS and proxies are the client's business.
        if endpoint_url.startswith("http://") and (at_home or "http" not in getproxies()):
            self._direct = urllib3.connection_from_url(
                endpoint_url, maxsize=max_connections, timeout=_AT_ONCE, retries=False
            )

    def ensure_buckets(self) -> None:
        """Make what is missing; several processes may do so at once.

        Raises:
            StoreUnavailable: no answer, or no right to make one.
        """
        for bucket in (self.photos_bucket, self.thumbnails_bucket):
            with _translated(f"S3 bucket {bucket}"):
                try:
                    self._client.head_bucket(Bucket=bucket)
                except ClientError as error:
                    if _code(error) not in _MISSING:
                        raise
                    self._make_bucket(bucket)

    def _make_bucket(self, bucket: str) -> None:
        # Amazon wants the region named, except its first one, which it wants unnamed.
        where = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
        try:
            self._client.create_bucket(
                Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {})
            )
        except ClientError as error:
            if _code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    def put(self, kind: ObjectKind, key: str, data: bytes, content_type: str = "image/jpeg") -> None:
        with _translated(key):
            self._client.put_object(Bucket=self._buckets[kind], Key=key, Body=data, ContentType=content_type)

    def get(self, kind: ObjectKind, key: str) -> bytes:
        bucket = self._buckets[kind]
        with _translated(key):
            content = self._get_directly(bucket, key)
            if content is not None:
                return content
            body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
            with body:
                data: bytes = body.read()
                return data

    def _get_directly(self, bucket: str, key: str) -> bytes | None:
        """One try, a third of the client's work. None: ask the client, which retries and knows the errors."""
        if self._direct is None:
            return None
        request = AWSRequest("GET", f"{self._endpoint_url}/{bucket}/{quote(key)}")
        self._signature.add_auth(request)
        try:
            answer = self._direct.urlopen(
                "GET", urlsplit(str(request.url)).path, headers=dict(request.headers), redirect=False
            )
        except urllib3.exceptions.HTTPError:
            return None
        return answer.data if answer.status == HTTPStatus.OK else None

    def open(self, kind: ObjectKind, key: str) -> tuple[Iterator[bytes], int]:
        """Return the object in chunks and its size in bytes; close the iterator when you stop early."""
        with _translated(key):
            answer = self._client.get_object(Bucket=self._buckets[kind], Key=key)
        return _chunks(answer["Body"], key), int(answer["ContentLength"])

    def exists(self, kind: ObjectKind, key: str) -> bool:
        try:
            with _translated(key):
                self._client.head_object(Bucket=self._buckets[kind], Key=key)
        except NotFound:
            return False
        return True

    def delete(self, kind: ObjectKind, key: str) -> None:
        """Delete the object; one that is gone already is no error."""
        self.delete_from_bucket(self._buckets[kind], key)

    def delete_from_bucket(self, bucket: str, key: str) -> None:
        """Delete as ``delete`` does, for rows of the ledger that name a bucket."""
        try:
            with _translated(key):
                self._client.delete_object(Bucket=bucket, Key=key)
        except NotFound:
            return

    def url(self, kind: ObjectKind, key: str, ttl_s: int) -> str:
        """Return a signed link that works for everyone who has it, for ``ttl_s``; takes no round trip."""
        target = {"Bucket": self._buckets[kind], "Key": key}
        return str(self._client.generate_presigned_url("get_object", Params=target, ExpiresIn=ttl_s))


class S3ImageSource:
    """Implements ``checker.ports.ImageSource``."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        kind = ObjectKind.PHOTO if rendition is Rendition.PHOTO else ObjectKind.THUMBNAIL
        try:
            return self._objects.get(kind, claim.key(rendition))
        except NotFound as error:
            raise checker_errors.ObjectMissing(f"The {rendition} is not in the store.") from error
        except StoreUnavailable as error:
            raise checker_errors.StoreUnavailable(str(error)) from error


_MISSING = ("NoSuchKey", "NoSuchBucket", "NotFound", "404")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _chunks(body: Any, key: str) -> Iterator[bytes]:
    with _translated(key), body:
        yield from body.iter_chunks(_CHUNK_BYTES)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if _code(error) in ("NoSuchKey", "NotFound", "404"):
            raise NotFound(f"{what} is not in the store.") from error
        raise StoreUnavailable(f"The object store refused {what} ({_code(error)}).") from error
    except BotoCoreError as error:
        raise StoreUnavailable("The object store did not answer. Please try again in a moment.") from error
