"""The process that explains photos, separate from the site so that torch's memory is freed when it ends.

usage: python -m catloader.explanations.child DESCRIPTOR

Each message on the descriptor is a request: ``DecisionBasis.to_json()`` and the pixels of a photo. The reply
is a JPEG or an error message. The process ends when the other side closes the connection. It decodes no
files: untrusted bytes are handled by ``checker.isolation``.
"""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Sequence
from importlib import import_module

from checker.isolation import frames
from checker.process.garbage import postpone_full_collections, resume_full_collections

MEMORY_BYTES = 3 * 2**30
"""Address space in addition to that of the process after the import of torch."""
_MAX_FILES = 64
_QUALITY = 88
"""JPEG quality, the default of stored photos."""


def main(descriptor: int) -> None:
    from checker.isolation.limits import confine, end_first_without_memory

    end_first_without_memory()
    with socket.socket(fileno=descriptor) as end:
        postpone_full_collections()
        import_module("torch")  # before `confine`, because torch makes temporary files
        resume_full_collections()
        confine(MEMORY_BYTES, readable=None, files=_MAX_FILES)  # all readable: weights may be in any folder
        while True:
            try:
                request, blobs = frames.receive(end)
            except frames.Closed:
                return
            header, parts = _explained(request["basis"], blobs, request["shapes"])
            del blobs
            frames.send(end, header, parts)


def _explained(
    basis_json: str, blobs: Sequence[bytes], shapes: Sequence[Sequence[int]]
) -> tuple[dict[str, str], list[bytes]]:
    import numpy as np

    from checker.decision.basis import DecisionBasis
    from checker.errors import CheckerError
    from checker.explain import explanation
    from checker.pixels.explained_photo import ExplainedPhoto
    from models.errors import ModelsError

    pixels = (np.frombuffer(blob, np.uint8).reshape(shape) for blob, shape in zip(blobs, shapes, strict=True))
    try:
        basis = DecisionBasis.from_json(basis_json)
        image = explanation(
            basis.entry,
            basis.weights,
            ExplainedPhoto(*pixels),
            basis.subject,
            basis.head,
            turned_deg=basis.turned_deg,
        )
    except (CheckerError, ModelsError) as error:
        return {"error": str(error)}, []
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return {}, [out.getvalue()]


if __name__ == "__main__":
    main(int(sys.argv[1]))
