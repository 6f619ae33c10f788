"""Seeded mutations of photos and hostile files, prepared like uploads: each gets one plain outcome in time.

    python -m tests.faults.mutations [COUNT=10000] [SEED=0]

prints the outcomes, the mutants that reached a limit or crashed a child, and the slowest mutants.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from catloader import errors
from catloader.decoders import build_decoders
from catloader.settings import Settings
from tests.support.hostile import corpus, origins
from tests.support.hostile.drawing import encoded, photo

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF", "BMP")
_NUMBERS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\x80\0\0\0", b"\0\0\0\1", b"\1\0\0\0")
_MOST_BYTES = 2**18  # larger files consist mostly of pixels, and a mutation of those breaks nothing


class Mutant(NamedTuple):
    """A mutated file. Its name is enough to make it again."""

    name: str
    data: bytes


class Answer(NamedTuple):
    """The outcome for a mutant."""

    mutant: Mutant
    kind: str
    """``stored``, or the class of the refusal."""
    seconds: float


def mutants(count: int, seed: int) -> Iterator[Mutant]:
    """Yield ``count`` files with one to eight changes each."""
    files = {f"photo.{name.lower()}": encoded(photo(), name) for name in _FORMATS}
    for origin in origins():
        files |= {f"{origin}/{file.name}": file.data for file in corpus(origin).files}
    names = sorted(name for name, data in files.items() if 16 < len(data) <= _MOST_BYTES)
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        name = chance.choice(names)
        data = bytearray(files[name])
        for _ in range(chance.randint(1, 8)):
            _mutate(data, chance)
        yield Mutant(f"{name} ({seed}/{number})", bytes(data))


def _mutate(data: bytearray, chance: random.Random) -> None:
    # Half of the changes are in the first 512 bytes, which contain most of the structure.
    end = min(len(data), 512) if chance.random() < 0.5 else len(data)
    place = chance.randrange(max(1, end))
    match chance.randrange(6):
        case 0:
            data[place : place + 1] = bytes([chance.randrange(256)])
        case 1:
            data[place : place + 1] = bytes([data[place] ^ 1 << chance.randrange(8)]) if data else b""
        case 2:
            data[place : place + 4] = chance.choice(_NUMBERS)
        case 3:
            del data[place : place + chance.randrange(1, 64)]
        case 4:
            piece = data[place : place + chance.randrange(1, 256)]
            data[place:place] = piece * chance.choice((1, 2, 50))
        case 5:
            data[place : place + 16] = chance.randbytes(16)


def answers(count: int, seed: int) -> Iterator[Answer]:
    """Prepare every mutant.

    Raises:
        Exception: an error that is not a plain refusal.
    """
    decoders = build_decoders(Settings(decode_wall_s=120.0))
    try:
        for mutant in mutants(count, seed):
            started_s = time.perf_counter()
            try:
                decoders.prepare(mutant.data, 1)
                kind = "stored"
            except errors.BadImage as error:
                kind = type(error).__name__
                if error.__cause__ is not None:
                    kind += f" ({type(error.__cause__).__name__})"
            yield Answer(mutant, kind, time.perf_counter() - started_s)
    finally:
        decoders.close()


def main() -> None:
    count, seed = (int(text) for text in (sys.argv[1:] + ["10000", "0"][len(sys.argv) - 1 :]))
    kinds: Counter[str] = Counter()
    slowest: list[Answer] = []
    for answer in answers(count, seed):
        kinds[answer.kind] += 1
        slowest = sorted([*slowest, answer], key=lambda one: -one.seconds)[:5]
        if "(" in answer.kind:
            sys.stdout.write(f"{answer.mutant.name}: {answer.kind} after {answer.seconds:.1f} s\n")
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    sys.stdout.write(f"{count} mutants: {counts}\n")
    for answer in slowest:
        sys.stdout.write(f"{answer.seconds:6.2f} s  {answer.kind}  {answer.mutant.name}\n")


if __name__ == "__main__":
    main()
