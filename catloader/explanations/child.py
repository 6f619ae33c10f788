"""The process that explains photos, so that torch's memory is returned with it.

usage: python -m catloader.explanations.child DESCRIPTOR

It answers each message on the descriptor, ``DecisionBasis.to_json()`` and a photo, with a JPEG or with the
reason why there is none, and ends when the other side closes.
"""

from __future__ import annotations

import io
import socket
import sys
from importlib import import_module

from checker.isolation import frames

_QUALITY = 88
"""Of the JPEG: as the stored photos by default."""


def main(descriptor: int) -> None:
    from checker.isolation.limits import forbid_changes

    with socket.socket(fileno=descriptor) as end:
        import_module("torch")  # which makes temporary files
        forbid_changes()
        while True:
            try:
                request, (photo,) = frames.receive(end)
            except frames.Closed:
                return
            header, parts = _explained(request["basis"], photo)
            del photo
            frames.send(end, header, parts)


def _explained(basis_json: str, photo: bytes) -> tuple[dict[str, str], list[bytes]]:
    from checker.decision.basis import DecisionBasis
    from checker.errors import CheckerError
    from checker.explain import explanation
    from models.errors import ModelsError

    try:
        basis = DecisionBasis.from_json(basis_json)
        image = explanation(basis.entry, basis.weights, photo, basis.subject, basis.head)
    except (CheckerError, ModelsError) as error:
        return {"error": str(error)}, []
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return {}, [out.getvalue()]


if __name__ == "__main__":
    main(int(sys.argv[1]))
