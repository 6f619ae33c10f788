"""The child process that explains one photo, so that torch's memory is returned with it.

Input: ``DecisionBasis.to_json()`` on one line, then the photo. Output: a JPEG.
"""

from __future__ import annotations

import io
import sys
from importlib import import_module

_QUALITY = 88
"""Of the JPEG: as the stored photos by default."""


def main() -> int:
    """Read standard input, write standard output; return 1 with a sentence on standard error."""
    from checker.decision.basis import DecisionBasis
    from checker.errors import CheckerError
    from checker.explain import explanation
    from checker.isolation.limits import forbid_changes
    from models.errors import ModelsError

    import_module("torch")  # which makes temporary files
    forbid_changes()
    line, _, photo = sys.stdin.buffer.read().partition(b"\n")
    try:
        basis = DecisionBasis.from_json(line)
        image = explanation(basis.entry, basis.weights, photo, basis.subject, basis.head)
    except (CheckerError, ModelsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    sys.stdout.buffer.write(out.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
