"""The child process that explains one photo: torch comes and goes with it.

In: a line of JSON (``catloader.explanations.explainer.Basis`` writes it), then the photo. Out: a JPEG.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

_QUALITY = 88
"""Of the JPEG: as the stored photos by default."""


def main() -> int:
    from checker.decision.head import Head
    from checker.decision.subject import Subject
    from checker.errors import CheckerError
    from checker.explain import explanation
    from models.catalogue import entry_named
    from models.errors import ModelsError

    line, _, photo = sys.stdin.buffer.read().partition(b"\n")
    job = json.loads(line)
    subject = Subject(job["subject"], tuple(job["classes"]))
    try:
        picture = explanation(
            entry_named(job["model"]), Path(job["weights"]), photo, subject, Head.from_json(job["head"])
        )
    except (CheckerError, ModelsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY)
    sys.stdout.buffer.write(out.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
