"""Values that the site signed for a browser, as if it had done so earlier."""

from __future__ import annotations

import hashlib
import time

from flask import Flask
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from tests.support.site import services_of


def aged(app: Flask, purpose: str, text: str, by_s: int) -> str:
    """Return a signed value (``catloader/web/http/signed.py``) with an earlier time."""

    class Earlier(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(time.time()) - by_s

    def serializer(signer: type[TimestampSigner]) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            services_of(app).secret_key,
            salt=f"catloader {purpose}",
            signer=signer,
            signer_kwargs={"digest_method": hashlib.sha256},
        )

    made = serializer(Earlier).dumps(serializer(TimestampSigner).loads(text))
    return made if isinstance(made, str) else made.decode()
