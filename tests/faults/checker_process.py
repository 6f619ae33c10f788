"""A checker in a separate process, for tests that stop or kill it: a real queue with a stub model.

``python -m tests.faults.checker_process URL LEASE_S POISONED_ID`` checks the due photos, three at a time, and
prints the number of verdicts. It prints a line for each photo that it begins to decode. The poisoned photo
kills the process, like a photo that exhausts the memory. With the id 0 the process instead waits for a line
on its standard input before each photo.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence

from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import make_engine
from checker.errors import CheckerError
from checker.pipeline import LoadedModel
from checker.pixels.decode import decode_each
from checker.service import CheckerService
from checker.values import Claim, Pixels, Rendition
from models.catalogue import Preprocessing
from tests.support.fakes import StubClassifier, StubRule, photo

MAX_ATTEMPTS = 3


class _Source:
    """Returns a photo for every claim. The first four bytes of its thumbnail are the photo's id."""

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        return stored(claim.photo_id, rendition)


def stored(photo_id: int, rendition: Rendition) -> bytes:
    """Return the bytes of a rendition. The row of the photo must contain their digest."""
    number = photo_id.to_bytes(4, "big") if rendition is Rendition.THUMBNAIL else b""
    return number + photo(0, 64)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(url: str, lease_s: str, poisoned_id: str) -> None:
    def decode(
        photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
    ) -> Iterator[Pixels | CheckerError]:
        for renditions in photos:
            thumbnail = renditions[Rendition.THUMBNAIL]
            id = int.from_bytes(thumbnail[:4], "big")
            _say(f"decoding {id}")
            if id == int(poisoned_id):
                os.kill(os.getpid(), signal.SIGKILL)
            if poisoned_id == "0":
                sys.stdin.readline()
            yield from decode_each([{**renditions, Rendition.THUMBNAIL: thumbnail[4:]}], preprocessing)

    engine = make_engine(url)
    queue = SqlCheckQueue(engine, lease_s=float(lease_s), max_attempts=MAX_ATTEMPTS, backoff_s=0)
    model = LoadedModel(StubClassifier(), StubRule())
    service = CheckerService(queue, _Source(), lambda: model, decode=decode, workers=1, batch_photos=3)
    _say(f"checked {service.drain()}")
    service.close()
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
