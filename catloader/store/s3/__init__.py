"""The only boto3: the object store's client and the embedded SeaweedFS server."""

from __future__ import annotations

import sys

# botocore imports pyOpenSSL, a dependency of webauthn, for a name that it then also takes from urllib3. With
# cryptography this import costs each process 40 ms and 9 MB. None makes it fail; passkeys import what they
# use.
sys.modules.setdefault("urllib3.contrib.pyopenssl", None)  # type: ignore[arg-type]
