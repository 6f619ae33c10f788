"""The contract that image sources in memory, over S3 and over files fulfil."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from checker.errors import CheckerError, ObjectMissing, StoreUnavailable, UnreadableImage
from checker.folder.walk import FileSource
from checker.pixels.renditions import site_renditions
from checker.ports import ImageSource
from checker.testing import InMemoryImageSource
from checker.values import Claim, Rendition
from tests.support.fakes import photo


class SourceUnderTest(NamedTuple):
    source: ImageSource
    store: Callable[[int], tuple[Claim, dict[Rendition, bytes]]]
    """Store photo ``number``; return the claim on it, and the bytes that the source must return."""
    missing: type[CheckerError]
    """Raised for a photo that was never stored."""


@pytest.fixture(params=["memory", "s3", "files"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> SourceUnderTest:
    make: dict[str, Callable[[], SourceUnderTest]] = {
        "memory": _in_memory,
        "s3": lambda: _s3(request.getfixturevalue("objects")),
        "files": lambda: _files(tmp_path),
    }
    return make[request.param]()


def _claim(number: int, photo_key: str, thumbnail_key: str) -> Claim:
    return Claim(number, secrets.token_hex(4), photo_key, thumbnail_key, 1)


def _in_memory() -> SourceUnderTest:
    source = InMemoryImageSource()

    def store(number: int) -> tuple[Claim, dict[Rendition, bytes]]:
        claim, renditions = _claim(number, f"{number}.jpg", f"{number}.jpg"), site_renditions(photo(number))
        source.put(claim, renditions)
        return claim, renditions

    return SourceUnderTest(source, store, ObjectMissing)


def _s3(objects: ObjectStore) -> SourceUnderTest:
    def store(number: int) -> tuple[Claim, dict[Rendition, bytes]]:
        claim, renditions = _claim(number, f"{number}.jpg", f"{number}.jpg"), site_renditions(photo(number))
        objects.put(ObjectKind.PHOTO, claim.photo_key, renditions[Rendition.PHOTO])
        objects.put(ObjectKind.THUMBNAIL, claim.thumbnail_key, renditions[Rendition.THUMBNAIL])
        return claim, renditions

    return SourceUnderTest(S3ImageSource(objects), store, ObjectMissing)


def _files(folder: Path) -> SourceUnderTest:
    def store(number: int) -> tuple[Claim, dict[Rendition, bytes]]:
        path = folder / f"{number}.jpg"
        path.write_bytes(photo(number))
        return _claim(number, str(path), str(path)), site_renditions(photo(number))

    return SourceUnderTest(FileSource(site_renditions), store, UnreadableImage)


ORDERS = ([Rendition.PHOTO, Rendition.THUMBNAIL], [Rendition.THUMBNAIL, Rendition.PHOTO])


@pytest.mark.parametrize("order", ORDERS, ids=["photo first", "thumbnail first"])
def test_get_returns_the_rendition_asked_for(case: SourceUnderTest, order: list[Rendition]) -> None:
    claim, renditions = case.store(0)
    assert renditions[Rendition.PHOTO] != renditions[Rendition.THUMBNAIL]
    for _ in range(2):
        for rendition in order:
            assert case.source.get(claim, rendition) == renditions[rendition]


def test_photos_are_not_mixed_up(case: SourceUnderTest) -> None:
    first, second = case.store(0), case.store(1)
    for rendition in Rendition:
        for claim, renditions in (first, second):
            assert case.source.get(claim, rendition) == renditions[rendition]


@pytest.mark.parametrize("rendition", list(Rendition))
def test_photo_that_was_never_stored_is_missing(case: SourceUnderTest, rendition: Rendition) -> None:
    case.store(0)
    with pytest.raises(case.missing) as raised:
        case.source.get(Claim(1, "token", "none.jpg", "none.jpg", 1), rendition)
    assert not isinstance(raised.value, StoreUnavailable)  # an error of the photo, not of the machine


def test_many_threads_get_their_own_photos(case: SourceUnderTest) -> None:
    stored = [case.store(number) for number in range(8)]

    def fetched(place: int) -> dict[Rendition, bytes]:
        return {rendition: case.source.get(stored[place][0], rendition) for rendition in Rendition}

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fetched, range(8))) == [renditions for _, renditions in stored]
