"""Values that look as if the site had signed them for a browser at an earlier time."""

from __future__ import annotations

import hashlib
import time

from flask import Flask
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from tests.support.site import services_of


def aged(app: Flask, purpose: str, text: str, by_s: int) -> str:
    """Return a signed value (``catloader/web/http/signed.py``) whose time is ``by_s`` seconds in the past."""

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
