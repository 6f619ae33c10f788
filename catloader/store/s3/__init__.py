"""The only boto3: the object store's client and the embedded SeaweedFS server."""

from __future__ import annotations

import sys

# botocore imports pyOpenSSL, which webauthn has installed, for a name that it then takes from urllib3 too.
# With cryptography that is 40 ms and 9 MB of each process. None makes that import fail; passkeys import what
# they use.
sys.modules.setdefault("urllib3.contrib.pyopenssl", None)  # type: ignore[arg-type]
